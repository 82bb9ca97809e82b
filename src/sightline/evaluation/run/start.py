"""Starts or resumes an evaluation in its results folder; resuming with other questions is an error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from torch import nn

from ...errors import UserError
from ...provenance import provenance
from ..benchmarks.load import OpenBenchmark
from .ask import EvalPlan, expected
from .jsonl_records import write_lines
from .results_folder import KIND, ResultsFolder

FIXED = ("model", "backend", "decoding", "views", "prompt", "sets", "expected_samples", "seed")
"""Settings on which the stored generations depend."""

KNOWN_OF_MODEL = ("dtype", "checkpoint", "weights", "processor")
"""The same, where the backend tells them."""

_VALUES = 16
"""Values of each parameter that its weights are recognised by."""


def describe(
    model: str,
    backend: str,
    benchmarks: Sequence[OpenBenchmark],
    plan: EvalPlan,
    prompt: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The settings of a run as `config.yaml` keeps them: what results depend on, then their origin."""
    return {
        "kind": KIND,
        "model": model,
        "backend": backend,
        "decoding": {
            "samples": plan.samples,
            "temperature": plan.temperature,
            "top_p": plan.top_p,
            "max_new_tokens": {b.name: plan.decoding(b).max_new_tokens for b in benchmarks},
        },
        "seed": plan.seed,
        "views": {name: None if view is None else view.plain() for name, view in plan.views.items()},
        "prompt": dict(prompt),
        "sets": {benchmark.name: dict(benchmark.about) for benchmark in benchmarks},
        "expected_samples": expected(benchmarks, plan),
        **extra,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }


def start_run(
    folder: ResultsFolder, settings: Mapping[str, Any], benchmarks: Sequence[OpenBenchmark]
) -> dict[str, Any]:
    """Write settings and problems of a new run, or hold those of a stored one against them.

    Returns the settings that hold: the stored ones if there are any.

    Raises:
        UserError: the stored run asked something else; says what differs.
    """
    rows = [{"benchmark": b.name, **item.as_dict()} for b in benchmarks for item in b.items]
    if not (folder.config.is_file() and folder.problems.is_file()):
        folder.write_settings(settings)
        write_lines(folder.problems, rows)
        return dict(settings)
    stored = folder.settings()
    for name in (*FIXED, *KNOWN_OF_MODEL):
        if name in stored and stored[name] != settings.get(name):
            raise UserError(
                f"{folder.path} cannot be continued: {name} was {_brief(stored.get(name))}, now it is "
                f"{_brief(settings[name])}. Give the same arguments, or another --output_dir"
            )
    items = folder.items()
    for benchmark in benchmarks:
        known = items.get(benchmark.name, {})
        changed = [item.id for item in benchmark.items if known.get(item.id) != item]
        if changed or len(known) != len(benchmark.items):
            raise UserError(
                f"{folder.path} cannot be continued: {benchmark.name} has changed since"
                + (f", first at {changed[0]}" if changed else "")
            )
    return stored


def weights_name(model: nn.Module) -> str:
    """A name for a model's weights, from a few values of every parameter: another step of a training, or
    another checkpoint in the same folder, has another."""
    digest = hashlib.sha256()
    for name, values in model.named_parameters():
        digest.update(f"{name}{tuple(values.shape)}".encode())
        if not values.is_meta:
            flat = values.detach().flatten()
            digest.update(flat[:: max(1, len(flat) // _VALUES)][:_VALUES].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def processor_name(processor: Any) -> dict[str, Any]:
    """What recognises a processor: its classes, its revision, and names made from its image settings and its
    chat template. Another way of cutting or resizing images has another."""
    images: Any = getattr(processor, "image_processor", None)
    tokenizer: Any = getattr(processor, "tokenizer", None)
    known = getattr(tokenizer, "init_kwargs", {})
    settings = images.to_dict() if images is not None and hasattr(images, "to_dict") else {}
    return {
        "class": type(processor).__name__,
        "images": type(images).__name__ if images is not None else None,
        "tokenizer": type(tokenizer).__name__ if tokenizer is not None else None,
        "revision": known.get("_commit_hash"),
        "image settings": _digest({key: settings[key] for key in settings if not key.startswith("_")}),
        "chat template": _digest(getattr(processor, "chat_template", None)),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
