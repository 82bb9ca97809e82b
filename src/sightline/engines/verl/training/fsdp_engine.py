"""verl's FSDP2 engine, which also measures what a method needs and adds a method's terms to the loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor
from verl.trainer.ppo.core_algos import agg_loss  # pyright: ignore[reportMissingImports]
from verl.utils import tensordict_utils as tu  # pyright: ignore[reportMissingImports]
from verl.utils.device import get_device_id, get_device_name  # pyright: ignore[reportMissingImports]
from verl.utils.fsdp_utils import (  # pyright: ignore[reportMissingImports]
    normalize_peft_param_name,
    offload_fsdp_model_to_cpu,
)
from verl.utils.metric import AggregationType, Metric  # pyright: ignore[reportMissingImports]
from verl.workers.engine.base import EngineRegistry  # pyright: ignore[reportMissingImports]
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead  # pyright: ignore[reportMissingImports]
from verl.workers.utils.padding import no_padding_2_padding  # pyright: ignore[reportMissingImports]

from ....methods import Needs
from ....models.scoring.score import Scores, score
from ....rollouts import Rollouts
from ...blindness_probe import image_change
from ...credit import loss_terms
from ...freezing import freeze_vision
from ...metric_names import TERM
from ...wrapped_forward import accept_inside
from ..launch import FREEZE_VISION
from .adapters import merged_adapters
from .model_export import EXPORTED, export_model
from .request import KEY, Request, request_of
from .rows import (
    IMAGE_CHANGE,
    MASS,
    OTHER_LOG_PROBS,
    SCORE,
    SCORED,
    ragged_responses,
    ragged_sequences,
    real_rows,
    rollouts_of,
)
from .second_view import second_view_inputs

VENDOR = "sightline"
"""The name under which verl chooses this engine (VERL_ENGINE_VENDOR)."""
ENTROPY = "entropy"


@EngineRegistry.register("language_model", ["fsdp", "fsdp2"], device=["cuda", "cpu"], vendor=VENDOR)
class SightlineEngine(FSDPEngineWithLMHead):
    """Answers requests for scores in `infer_batch` and for extra loss terms in `forward_step`."""

    def _build_module(self) -> Any:
        """verl's model, its vision tower frozen where that is asked for, which verl 0.9 never does itself."""
        module = super()._build_module()
        if os.environ.get(FREEZE_VISION):
            freeze_vision(module)
        return module

    def _build_lora_module(self, module: Any) -> Any:
        """verl's adapters; those inside a frozen vision tower are frozen with it."""
        adapted = super()._build_lora_module(module)
        if os.environ.get(FREEZE_VISION):
            freeze_vision(adapted)
        return adapted

    @property
    def _whole(self) -> Any:
        """The model without PEFT's wrapping, adapters and all."""
        return self.module.get_base_model() if hasattr(self.module, "get_base_model") else self.module

    def initialize(self) -> None:
        """Build the model as verl does, and let computations run inside its wrapped forward."""
        super().initialize()
        accept_inside(self.module)

    # --- scores: log-probs, entropy and signals in one pass -------------------------------------------

    def infer_batch(self, data: Any, loss_function: Any = None) -> Any:
        """verl's log-probs and entropy, with a method's signals where the batch asks for them."""
        asked = _asked(data)
        if asked is None or asked.wants != "scores":
            return super().infer_batch(data, loss_function)
        needs = _measured(asked.build().needs)
        data = data.to(get_device_id())
        rows = real_rows(data)
        rollouts = rollouts_of(data, rows)

        def scoring(_: Any) -> tuple[Scores, Tensor | None]:
            def scored(some: Rollouts, needs: Needs) -> Scores:
                return score(
                    self._whole,
                    self.model_config.processor,
                    some,
                    needs,
                    seed=asked.seed,
                    step=asked.step,
                    temperature=float(data["temperature"]),
                    rows_per_pass=asked.rows_per_pass,
                )

            return scored(rollouts, needs), _change(rollouts, scored) if asked.look else None

        with self._autocast():
            found, change = self.module(inside=scoring)
        output = _model_output(data, rows, rollouts.mask, found)
        if change is not None:
            output[IMAGE_CHANGE] = ragged_responses(data, rows, change)
        return {
            "model_output": output,
            "loss": [1.0],
            "metrics": {},
        }

    def _autocast(self) -> Any:
        dtype = self._autocast_dtype
        return nullcontext() if dtype == torch.float32 else torch.autocast(get_device_name(), dtype=dtype)

    # --- training: extra terms, with the second view in the same micro-batch -----------------------------

    def prepare_model_outputs(
        self, output: Any, output_args: Any, micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Any]:
        """verl's outputs, with the second view's log-probs where a method differentiates them."""
        found = super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        asked = _asked(micro_batch)
        if asked is None or asked.wants != "terms" or not torch.is_grad_enabled():
            return found
        method = asked.build()
        if method.view is None or not method.needs.second_view_gradient:
            return found
        inputs, args = self.prepare_model_inputs(micro_batch=micro_batch)
        inputs = second_view_inputs(
            method.view,
            self._whole,
            inputs,
            micro_batch,
            self.model_config.processor,
            seed=asked.seed,
            step=asked.step,
        )
        other = self.module(**inputs, use_cache=False)
        second = super().prepare_model_outputs(other, args, micro_batch, logits_processor_func)
        return found | {OTHER_LOG_PROBS: second["log_probs"]}

    def forward_step(self, micro_batch: Any, loss_function: Any, forward_only: bool) -> Any:
        """verl's step, whose loss has the method's terms added."""
        asked = _asked(micro_batch)
        if asked is not None and asked.wants == "terms" and loss_function is not None and not forward_only:
            loss_function = with_terms(loss_function, asked)
        return super().forward_step(micro_batch, loss_function, forward_only)

    # --- the trained model ----------------------------------------------------------------------------

    def save_checkpoint(self, local_path: str, *args: Any, **kwargs: Any) -> None:
        """verl's checkpoint, or the model in Hugging Face form where the path ends in `EXPORTED`."""
        if not str(local_path).endswith(EXPORTED):
            super().save_checkpoint(local_path, *args, **kwargs)
            return
        weights, _ = self.get_per_tensor_param()
        try:
            export_model(self._whole, self.model_config, weights, local_path, main=self.rank == 0)
        finally:  # the others wait here, also where the disk of rank 0 is full
            dist.barrier()

    def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, Tensor]]:
        """Whole weights with the adapters merged, in their own precision: verl would hand them to samplers,
        and to `model/`, in bfloat16."""
        with merged_adapters(self.module):
            for name, value in normalize_peft_param_name(self.module.state_dict()).items():
                whole = value.full_tensor() if isinstance(value, DTensor) else value
                yield name, whole.detach().clone()  # it may be the weight itself, which is put back below
        if self._is_offload_param:
            offload_fsdp_model_to_cpu(self.module)


def _asked(data: Any) -> Request | None:
    return request_of(tu.get_non_tensor_data(data=data, key=KEY, default=None))


def _measured(needs: Needs) -> Needs:
    """Signals and entropy. A view that is differentiated is seen in training, not here, unless scored."""
    if needs.second_view_gradient and not needs.signals:
        return Needs(frozenset({ENTROPY}), None, False)
    return Needs(needs.signals | {ENTROPY}, needs.view, False, needs.layer)


def _change(rollouts: Rollouts, scored: Callable[[Rollouts, Needs], Scores]) -> Tensor:
    """How much the image matters [b, T], of the few rows that are looked at; -1 elsewhere."""
    rows, change, mask = image_change(rollouts, scored)
    whole = change.new_full(rollouts.mask.shape, -1.0)
    whole[rows] = change.masked_fill(mask == 0, -1.0)
    return whole


def _model_output(data: Any, rows: list[int], mask: Tensor, found: Scores) -> dict[str, Tensor]:
    """Under verl's names, and ours before the names of signals."""
    scored = mask.float()
    scored[list(found.skipped)] = 0.0
    output = {
        "log_probs": ragged_sequences(data, rows, found.log_probs),
        "entropy": ragged_sequences(data, rows, found.signals[ENTROPY]),
        SCORED: ragged_responses(data, rows, scored),
        MASS: ragged_responses(data, rows, found.placeholder_mass),
    }
    for name, values in found.signals.items():
        output[SCORE + name] = ragged_responses(data, rows, values)
    if found.other_log_probs is not None:
        output[OTHER_LOG_PROBS] = ragged_responses(data, rows, found.other_log_probs)
    return output


def with_terms(loss_function: Callable[..., Any], asked: Request) -> Callable[..., Any]:
    """verl's loss plus `coefficient · aggregate(term)` for every term, aggregated as its policy loss is."""
    method = asked.build()

    def loss(model_output: Any, data: Any, dp_group: Any = None) -> Any:
        value, metrics = loss_function(model_output=model_output, data=data, dp_group=dp_group)
        mask = data["response_mask"].to_padded_tensor(0).float()
        own = no_padding_2_padding(model_output["log_probs"], data)
        if OTHER_LOG_PROBS in model_output:
            other = no_padding_2_padding(model_output[OTHER_LOG_PROBS], data)
        elif OTHER_LOG_PROBS in data.keys():  # noqa: SIM118 (a TensorDict)
            other = data[OTHER_LOG_PROBS].to_padded_tensor(0)
        else:
            other = torch.zeros_like(own)
        sizes = {name: data[name] for name in ("dp_size", "batch_num_tokens", "global_batch_size")}
        for term in loss_terms(method):
            values = term.function(own, other, mask)
            part = agg_loss(values, mask, asked.aggregation, loss_scale_factor=asked.loss_scale, **sizes)
            value = value + term.coefficient * part
            metrics[f"{TERM}{term.name}"] = Metric(value=part, aggregation=AggregationType.SUM)
        return value, metrics

    return loss
