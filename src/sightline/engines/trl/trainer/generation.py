"""TRL's rollouts without vLLM: images encoded and prompts prefilled once for their G responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from trl.models.utils import unwrap_model_for_generation

from ....models.generation.decoder import Sampled, prefills_once, sample
from ....models.generation.prompt_inputs import process, shown_prompts
from ....models.generation.sampling_params import choice
from ....models.scoring.hidden_states import Reading


def samples_itself(trainer: Any) -> bool:
    """Whether `sampled_rollouts` can stand in for TRL's generation: plain transformers, one turn."""
    return not (
        trainer.use_vllm
        or trainer.use_transformers_continuous_batching
        or trainer.tools
        or trainer.environment_factories is not None
    ) and prefills_once(_base(trainer.accelerator.unwrap_model(trainer.model)), trainer.generation_config)


def tokenized_once(
    prompts: list[Any], tokenize: Callable[[list[Any]], Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """What `tokenize` returns for the rows of a rollout batch, of which it sees each distinct one once.

    The vision inputs it returns are left out: `sampled_rollouts` makes its own.
    """
    keys = [_key(prompt) for prompt in prompts]
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    places = {key: place for place, key in enumerate(first)}
    ids, images, _ = tokenize([prompts[row] for row in first.values()])
    owner = [places[key] for key in keys]
    return [ids[place] for place in owner], None if images is None else [images[place] for place in owner], {}


def pads_unasked(processor: Any) -> bool:
    """Whether a processor pads a batch unasked (Gemma 4, Cohere2-Vision), or makes tensors of it (Pixtral).

    TRL takes every token that it is given for one of the prompt, padding too.
    """
    asked = [
        [{"role": "user", "content": [{"type": "text", "text": text}]}] for text in ("1", "1 and 2 and 3")
    ]
    try:
        short, long = processor.apply_chat_template(
            asked, add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
    except ValueError:  # no tensor has rows of two lengths
        return True
    return len(short) == len(long)


def tokenized_apart(
    prompts: list[Any], tokenize: Callable[[list[Any]], Any]
) -> tuple[list[list[int]], Any, dict[str, Any]]:
    """What `tokenize` returns, each prompt by itself; without the vision inputs, as `tokenized_once`."""
    apart = [tokenize([prompt]) for prompt in prompts]
    ids = [[int(token) for token in found[0]] for found, _, _ in apart]
    images = [None if shown is None else shown[0] for _, shown, _ in apart]
    return ids, images if any(images) else None, {}


def _key(part: Any) -> Any:
    """Equal for equal messages about the same images."""
    if isinstance(part, Mapping):
        return tuple((name, _key(value)) for name, value in part.items())
    if isinstance(part, Sequence) and not isinstance(part, str):
        return tuple(map(_key, part))
    return part if isinstance(part, str | int | float | None) else id(part)


def sampled_rollouts(
    trainer: Any,
    prompt_ids: Sequence[list[int]],
    images: Sequence[Any] | None,
    group_size: int,
    keep: Reading | int | None,
    noised: Sequence[bool] | None = None,
    keep_states: bool = False,
) -> Sampled:
    """One response to each prompt of this rank. TRL repeats a prompt `group_size` times in a row over all
    ranks; those rows share one prompt, so its images are processed, encoded and prefilled once. `keep` and
    `keep_states` are `sample`'s. Rows that are `noised` show other images than the rest of their group. What
    is kept of the prompts is of those that are not: a noised row goes on from a clean one of its group, if
    that is here."""
    offset = trainer.accelerator.process_index * len(prompt_ids)
    changed = [False] * len(prompt_ids) if noised is None else list(noised)
    keys = [((offset + row) // group_size, tuple(ids), changed[row]) for row, ids in enumerate(prompt_ids)]
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    places = {key: place for place, key in enumerate(first)}
    rows = list(first.values())
    shown = [(images[row] or []) if images is not None else [] for row in rows]
    device = trainer.accelerator.device
    ids = _left_padded([prompt_ids[row] for row in rows], trainer._tokenizer.pad_token_id).to(device)
    mask = _left_padded([[1] * len(prompt_ids[row]) for row in rows], 0).to(device)
    names = [_beginning(trainer._tokenizer, prompt_ids[row]) for row in rows]
    args = trainer.args
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=args.ds3_gather_for_generation,
            generation_kwargs=trainer.generation_kwargs,
            gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
        ) as unwrapped,
        torch.no_grad(),
        trainer._dist.summon_full_params(trainer.model_wrapped, recurse=False),
    ):
        owner = torch.tensor([places[key] for key in keys], device=device)

        def sampling(model: Any) -> Sampled:
            images = process(model, trainer.processing_class, shown)
            prompts = shown_prompts(model, ids, mask, images, names)
            chosen = choice(trainer.generation_config, model.generation_config)
            return sample(model, prompts, owner, chosen, keep=keep, keep_states=keep_states)

        # Inside the wrapped forward: under adapters the sharded root is not the model that samples.
        return unwrapped(inside=sampling)


def _beginning(tokenizer: Any, ids: Sequence[int]) -> str:
    """A prompt's first words, which name it in an error."""
    text = " ".join(tokenizer.decode(ids, skip_special_tokens=True).split())
    return f"“{text[:160]}…”" if len(text) > 160 else f"“{text}”"


def _base(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _left_padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    return pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=value, padding_side="left"
    )
