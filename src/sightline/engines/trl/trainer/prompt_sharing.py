"""The training forward with each prompt run once, however many rows of a micro-batch answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging
from trl.trainer.utils import unsplit_pixel_values_by_grid

from ....models.families import image_token_id, type_ids
from ....models.generation.prompt_inputs import Prompts, make_prompts
from ....models.shared_prompts.packing import Packed, pack
from ....models.shared_prompts.share import share_prompts
from .image_sharing import VISION, rows_alike, vision_by_row, with_shared_images

Forward = Callable[..., Any]
"""Keyword arguments of a model's forward -> its output."""

_log = logging.get_logger(__name__)
_COUNTS = ("num_images", "num_tiles")
_KNOWN = {"input_ids", "attention_mask", "position_ids", "token_type_ids", "mm_token_type_ids", *VISION}
_OF_TRL = {"labels", "fused_lm_head"}


class PromptSharing:
    """Which models of a trainer run packed rows, and why none does where that is so."""

    def __init__(self, models: Sequence[Any], reason: str | None):
        """Prepare `models`, unless there is a `reason` not to."""
        self.models: list[Any] = []
        self.reason = reason
        for model in models if reason is None else ():
            self.reason = share_prompts(model)
            if self.reason is not None:
                self.models = []
                return
            self.models.append(model)

    @classmethod
    def of(cls, trainer: Any, policy: Any) -> PromptSharing:
        """For a trainer's policy and its reference model, as its settings say."""
        args, reason = trainer.args, None
        if not args.share_prompts:
            reason = "share_prompts is false"
        elif trainer.aux_loss_enabled:
            reason = "a router's auxiliary loss counts the tokens of every row"
        elif args.use_liger_kernel:
            reason = "use_liger_kernel is true"
        reference = trainer.ref_model
        if reference is None:
            return cls([policy], reason)
        return cls([policy, without_wrapping(trainer.accelerator.unwrap_model(reference))], reason)

    @property
    def on(self) -> bool:
        """Whether prompts are shared."""
        return self.reason is None

    def rows(
        self, model: Any, run: Forward, whole: Forward, length: int, counts: Mapping[str, Any]
    ) -> Forward:
        """What stands for a model in TRL's log-prob function.

        It takes the keyword arguments of whole rows that end in `length` response tokens, a part of a
        batch after the other, and runs them packed by `run`, or as they are by `whole` where that cannot
        be. `counts` says how many images and tiles each row of the batch has.
        """
        if not any(model is ready for ready in self.models):
            return whole
        counts = {name: counts[name] for name in _COUNTS if counts.get(name) is not None}
        every, start = max((len(rows) for rows in counts.values()), default=0), 0

        def forward(**inputs: Any) -> Any:
            nonlocal start
            end = start + len(inputs["input_ids"])
            part = {name: rows[start:end] for name, rows in counts.items()}
            start = 0 if end >= every else end
            packed = packed_rows(model, inputs, part, length)
            if isinstance(packed, str):
                _log.warning_once(f"Some rollouts run their own prompt: {packed}.")
                return whole(**inputs)
            return _by_row(packed, run(**packed.inputs, shift_labels=packed.labels, fused_lm_head=True))

        return forward


def without_wrapping(model: Any) -> Any:
    """The model itself, inside which adapters are if there are any."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass
class ByRow:
    """Per-token numbers [B, T] of whole rows, 0 where TRL's head gives 0.

    A dataclass, in which DDP looks for the tensors that backward starts from.
    """

    log_probs: Tensor
    entropy: Tensor | None


def _by_row(packed: Packed, output: Any) -> ByRow:
    entropy = output.entropy
    return ByRow(
        log_probs=packed.by_response(output.log_probs),
        entropy=None if entropy is None else packed.by_response(entropy),
    )


def packed_rows(
    model: Any, inputs: Mapping[str, Any], counts: Mapping[str, Sequence[int]], length: int
) -> Packed | str:
    """Whole rows [B, P + T] as one packed row, images encoded once; or why they cannot be one.

    Rows share a prompt if ids and images are the same, whichever groups they are of.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    begin = ids.shape[1] - length
    is_image = ids == image_token_id(model.config)
    problem = _problem(inputs, is_image, begin)
    if problem is not None:
        return problem
    vision = {name: inputs[name] for name in VISION if inputs.get(name) is not None}
    if vision and not bool((is_image & mask.bool()).any()):
        vision = {}  # hidden from attention, wherever they are
    by_row = vision_by_row(vision, counts) if vision else {}
    seen = [ids[:, :begin] * mask[:, :begin], mask[:, :begin]]
    owners = rows_alike([*seen, *(by_row[name] for name in vision)])
    first = sorted(set(owners))
    distinct: Any = unsplit_pixel_values_by_grid({name: _rows(by_row[name], first) for name in vision})
    prompts = _prompts(model, inputs, first, begin, distinct)
    owner = torch.tensor([first.index(row) for row in owners], device=ids.device)
    lengths = mask[:, begin:].sum(1).tolist()
    none = not any(lengths)
    packed = pack(prompts, owner, ids[:, begin:], [1, *lengths[1:]] if none else lengths)
    of_prompts = {name: [counts[name][row] for row in first] for name in counts}
    # Where nothing is to be learnt one token still runs, so that a forward is as any other.
    labels = torch.full_like(packed.labels, -100) if none else packed.labels
    return replace(packed, inputs=with_shared_images(model, packed.inputs, of_prompts), labels=labels)


def _problem(inputs: Mapping[str, Any], is_image: Tensor, begin: int) -> str | None:
    """Why rows cannot be packed."""
    mask = inputs["attention_mask"].bool()
    unknown = {name for name, value in inputs.items() if value is not None} - _KNOWN - _OF_TRL
    if unknown:
        return f"the model takes {', '.join(sorted(unknown))}"
    if bool(is_image[:, begin:].any()):
        return "responses hold images"
    if not bool(mask[:, begin - 1].all()):
        return "the last token of a prompt is hidden"
    if bool((mask[:, begin + 1 :] & ~mask[:, begin:-1]).any()):
        return "responses have gaps"
    hidden = is_image & ~mask
    if inputs.get("pixel_values") is not None and bool(hidden.any()) and bool((is_image & mask).any()):
        return "some images are hidden and others are not"
    return None


def _prompts(
    model: Any, inputs: Mapping[str, Any], first: Sequence[int], begin: int, vision: dict[str, Any]
) -> Prompts:
    """The distinct prompts, which the rows `first` show."""
    rows = list(first)
    ids, mask = inputs["input_ids"][rows, :begin], inputs["attention_mask"][rows, :begin]
    where = inputs.get("position_ids")
    if where is None:
        return make_prompts(model, ids, mask, vision)
    where = where[..., rows, :begin]
    furthest = where.amax(0) if where.dim() == 3 else where
    return Prompts(ids, mask, where, type_ids(model, ids), vision, furthest.amax(-1) + 1)


def _rows(values: Any, rows: Sequence[int]) -> Any:
    return values[list(rows)] if isinstance(values, Tensor) else [values[row] for row in rows]
