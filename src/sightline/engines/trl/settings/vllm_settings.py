"""Settings of a run that samples with vLLM: what would train another policy than is sampled is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....errors import UserError, unknown_name
from ...sampler_distribution import RESHAPING, reshaped_by

_KNOWN = {*RESHAPING, "stop", "include_stop_str_in_output", "skip_special_tokens",
          "spaces_between_special_tokens", "skip_reading_prefix_cache", "extra_args"}  # fmt: skip
"""vLLM's sampling parameters that may be given."""
_BY_SETTING = {"n": "num_generations", "max_tokens": "max_completion_length"}
_REFUSED = {
    "seed": "every rollout of a prompt would be the same, from which nothing is learned; the run's own seed "
    "is the setting seed",
    **dict.fromkeys(("logprobs", "prompt_logprobs", "flat_logprobs", "detokenize", "output_kind"),
                    "the sampled token's log-prob is asked for, and nothing else is read"),
    "truncate_prompt_tokens": "the trainer's prompt is whole; max_prompt_length leaves long ones out",
    **dict.fromkeys(("ignore_eos", "stop_token_ids"), "a response ends at the model's own end ids"),
    "logits_processors": "vLLM takes none with a request",
}  # fmt: skip
"""vLLM's sampling parameters that a run here would not survive, or not notice."""


def check_vllm_settings(args: Any) -> None:
    """Refuse what samples from another policy than the trainer's, or what ends a run in its middle.

    Raises:
        UserError: truncation or penalties with the importance correction on; keys of `generation_kwargs`
            that vLLM does not take or that would be trained on wrongly; lengths that do not fit its context.
    """
    if not args.use_vllm:
        return
    _check_sampling_params(args.generation_kwargs or {})
    reshaped = reshaped_by(args)
    if reshaped and args.vllm_importance_sampling_correction:
        names = ", ".join(one.split()[0] for one in reshaped)
        raise UserError(
            f"{', '.join(reshaped)} cannot be combined with vllm_importance_sampling_correction (on by "
            "default): vLLM's log-probs are taken after it and the trainer's before, so that the correction, "
            "a product over the response, shrinks the loss of long responses towards 0; set "
            f"vllm_importance_sampling_correction: false, as the recipes do, or leave out {names}"
        )
    _check_lengths(args)


def _check_sampling_params(given: Mapping[Any, Any]) -> None:
    for name, value in given.items():
        if name in _BY_SETTING:
            raise UserError(f"generation_kwargs: {name} is the setting {_BY_SETTING[name]}; give it as that")
        if name in _REFUSED:
            raise UserError(f"generation_kwargs: {name} cannot be given with use_vllm: {_REFUSED[name]}")
        if name not in _KNOWN:
            known = _KNOWN | _BY_SETTING.keys() | _REFUSED.keys()
            raise unknown_name("key of generation_kwargs for vLLM", str(name), known)
        if name == "logit_bias":
            token_biases(value)


def token_biases(given: Any) -> dict[int, float]:
    """`logit_bias` by token id; JSON and YAML may write the ids as text.

    Raises:
        UserError: it is no mapping of token ids to numbers.
    """
    try:
        return {int(token): float(bias) for token, bias in dict(given or {}).items()}
    except (TypeError, ValueError) as error:
        raise UserError(
            f"generation_kwargs: logit_bias must be a mapping of token ids to numbers, got {given!r}"
        ) from error


def _check_lengths(args: Any) -> None:
    window, response = args.vllm_max_model_length, args.max_completion_length
    if window is None or response is None:
        return
    if response >= window:
        raise UserError(
            f"max_completion_length {response} leaves no room for a prompt in vllm_max_model_length "
            f"{window}; raise vllm_max_model_length or lower max_completion_length"
        )
    prompt = args.max_prompt_length
    if prompt is not None and prompt + response > window:
        raise UserError(
            f"max_prompt_length {prompt} + max_completion_length {response} is {prompt + response}, more "
            f"than vllm_max_model_length {window}; raise vllm_max_model_length or lower the others"
        )


def longest_prompt(args: Any, positions: int | None) -> int | None:
    """The longest prompt, in tokens, that a run can sample a whole response to; None if nothing bounds it.

    `max_prompt_length`, and what vLLM's context (`vllm_max_model_length`, or the model's `positions`) leaves
    beside `max_completion_length`: vLLM ends a run at a prompt that is longer, and cuts responses short.
    """
    window = args.vllm_max_model_length or positions
    if not args.use_vllm or window is None or args.max_completion_length is None:
        return args.max_prompt_length
    room = max(window - args.max_completion_length, 1)
    return room if args.max_prompt_length is None else min(args.max_prompt_length, room)
