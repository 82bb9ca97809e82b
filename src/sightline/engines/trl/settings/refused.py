"""TRL's settings that a run here would not honour: refused by name, with what to give instead."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any

from transformers import GenerationConfig

from ....errors import UserError, unknown_name

_OWN_EVALUATION = ("held-out problems (eval_problems) are answered greedily, in batches of Sightline's own; "
                   "eval_strategy and eval_steps say when")  # fmt: skip
_NO_EFFECT = "it has no effect on this loss"
_OWN_SAMPLER = "responses are sampled by Sightline or by vLLM (use_vllm)"
REFUSED = {
    **dict.fromkeys(
        ("per_device_eval_batch_size", "do_eval", "do_predict", "num_generations_eval",
         "prediction_loss_only", "bf16_full_eval", "fp16_full_eval", "eval_do_concat_batches",
         "eval_use_gather_object", "eval_accumulation_steps", "batch_eval_metrics", "include_for_metrics"),
        _OWN_EVALUATION,
    ),
    **dict.fromkeys(("label_smoothing_factor", "label_names", "train_sampling_strategy",
                     "length_column_name"), _NO_EFFECT),
    **dict.fromkeys(("use_transformers_continuous_batching", "transformers_continuous_batching_config",
                     "use_transformers_paged"), _OWN_SAMPLER),
    **dict.fromkeys(("torch_compile", "torch_compile_backend", "torch_compile_mode"),
                    "the scoring pass and the sampler call parts of the model that are not compiled"),
    **dict.fromkeys(("use_liger_kernel", "liger_kernel_config"),
                    "its fused loss takes one advantage per answer, and methods give one per token"),
    "data_seed": "the order of the prompts follows seed",
    "max_tool_calling_iterations": "a run has no tools",
    "model_init_kwargs": "the model is loaded by dtype, attn_implementation, model_revision and "
                         "trust_remote_code; give those",
    "remove_unused_columns": "rewards read the columns of their row",
    "cast_lm_head_to_fp32": "the scoring pass computes logits in float32 from the head as it is",
    "auto_find_batch_size": "another batch size trains another run; lower per_device_train_batch_size",
    "enable_jit_checkpoint": "SIGTERM saves a checkpoint already",
    "save_only_model": "a checkpoint without its optimizer cannot be resumed; model/ is the trained model, "
                       "and save_strategy: 'no' keeps no checkpoints",
    "ignore_data_skip": "a resumed run takes the prompts that are next",
    "save_on_each_node": "rank 0 alone writes; all ranks need the same folder",
}  # fmt: skip
"""Setting -> why it is refused where it is not at its default."""

_BY_SETTING = {
    "max_new_tokens": "max_completion_length", "max_length": "max_completion_length",
    "num_return_sequences": "num_generations", "cache_implementation": "cache_implementation",
    **{name: name for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")},
}  # fmt: skip
"""Keys of `generation_kwargs` that have a setting of their own, by which log-probs are taken too."""
_FIXED = ("do_sample", "num_beams", "num_beam_groups", "eos_token_id", "pad_token_id", "bos_token_id",
          "return_dict_in_generate", "output_scores", "output_logits", "output_attentions",
          "output_hidden_states", "use_cache")  # fmt: skip


def check_honoured(args: Any) -> None:
    """Refuse settings that would be accepted and not honoured; `args` as they were given.

    Raises:
        UserError: naming the setting and what to do.
    """
    for field in dataclasses.fields(args):
        if field.name in REFUSED and _given(args, field):
            value = getattr(args, field.name)
            raise UserError(f"{field.name} {value!r} is not supported here: {REFUSED[field.name]}")
    if args.fsdp and "WORLD_SIZE" not in os.environ:
        raise UserError(
            "fsdp needs a launcher: accelerate launch --config_file recipes/accelerate/fsdp2.yaml"
            " -m sightline train ..."
        )


def _given(args: Any, field: Any) -> bool:
    made = field.default_factory
    default = made() if made is not dataclasses.MISSING else field.default
    value = getattr(args, field.name)
    return value != default and str(getattr(value, "value", value)) != str(default)


def check_generation_kwargs(args: Any) -> None:
    """Refuse what would sample otherwise than log-probs are taken, and names that nothing reads.

    Raises:
        UserError: naming the key and the setting to use.
    """
    known = set(GenerationConfig().to_dict())
    for name in args.generation_kwargs or {}:
        if name in _BY_SETTING:
            raise UserError(f"generation_kwargs: {name} is the setting {_BY_SETTING[name]}; give it as that")
        if name in _FIXED:
            raise UserError(f"generation_kwargs: {name} cannot be chosen; responses are sampled, one each")
        if name not in known and not args.use_vllm:  # vLLM's own: check_vllm_settings
            raise unknown_name("key of generation_kwargs", str(name), known - {*_BY_SETTING, *_FIXED})


def module_names(targets: Any) -> Any:
    """`lora_target_modules` of one plain name as a list: PEFT takes text for a pattern of whole paths."""
    plain = isinstance(targets, str) and targets != "all-linear" and re.fullmatch(r"[A-Za-z_][\w.]*", targets)
    return [targets] if plain else targets


def check_router(args: Any, config: Any) -> None:
    """Refuse a router's loss for a model without experts.

    Raises:
        UserError: the model has no router.
    """
    text = config.get_text_config()
    if args.router_aux_loss_coef and not hasattr(text, "output_router_logits"):
        raise UserError(
            f"router_aux_loss_coef {args.router_aux_loss_coef} is for mixtures; {config.model_type} "
            "has none, leave it out"
        )
