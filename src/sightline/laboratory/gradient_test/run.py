"""The gradient test from end to end: batches, gradients, statistics, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ...engines import engine
from ...errors import UserError
from ...evaluation.run.jsonl_records import append_lines, read_lines, write_lines
from ...methods import Method, Needs, load_plugins, method
from ...models.scoring.score import Scores
from ...provenance import provenance
from ...signals import signal
from ...tasks import load_task
from ..study.folder import FORMAT, StudyFolder, StudyRun
from ..study.plan import Plan
from ..study.train_run import run_settings
from .ceiling import OPTIMIZERS, SGD, SIZES, PartProducts, ceiling, left_out_ceiling, part_products
from .gradients import (
    EVEN,
    GradientFile,
    ScoredBatch,
    batch_gradients,
    bin_needs,
    draw_batch,
    measurable,
    scored,
    weight_shares,
    weightings,
)
from .moments import (
    Moments,
    Products,
    adam_progress,
    alignment,
    clipped_progress,
    jackknifed,
    log_noise_ratio,
    noise_to_signal,
    products,
    progress,
    relative_noise,
)
from .token_classes import PARTS, token_bins

STATISTICS = {
    "noise to signal": noise_to_signal,
    "ln ratio to even": log_noise_ratio,
    "relative noise": relative_noise,
    "alignment": alignment,
    "progress": progress,
}
"""What is told of every weighting, each with a jackknife standard error."""
UNDER_ADAM = "progress under Adam"
UNDER_CLIP = "progress under a clip"
LABELS = "read, derived, template"
LEFT_OUT = (0.125, 1.0, 8.0)
"""Sizes of a batch, over those measured, whose ceiling products without halves can tell."""


def measure_gradients(folder: StudyFolder, plan: Plan, tell: Callable[[int], object]) -> None:
    """Draw the batches, keep products.npz, parts.npz and batches.jsonl; `tell(n)` after n finished batches.

    The gradients themselves are on disk only until all are there. A killed test goes on where it stopped.
    """
    chosen = compared_methods(plan)
    settings = run_settings(plan, plan.baseline, 0, StudyRun(folder.path))
    loaded = engine().load_policy(settings)
    task = load_task(plan.train.get("task", "shapes"))
    longest = int(settings.train.max_completion_length or 256)
    size = sum(p.numel() for p in loaded.model.parameters() if p.requires_grad)
    rows = folder.path / "batches.jsonl"
    count, binned = 1 + len(chosen) + len(PARTS), plan.gradient.binned
    extra = len(binned) * plan.gradient.bins
    stored = GradientFile(folder.path / "scratch", plan.gradient.batches, count + extra, size)
    write_lines(rows, read_lines(rows) if stored.continued else [])
    done = len(read_lines(rows))
    tell(done)
    for number in range(done, plan.gradient.batches):
        batch = draw_batch(loaded, task, plan.gradient, number, longest)
        needs = {**{name: one.needs for name, one in chosen.items()}, **_keyed(bin_needs(binned))}
        scores = scored(loaded, batch, needs, number)
        weighted = weightings(batch, chosen, scores)
        bins = [_bins(scores[BINS_OF + name], name, batch, plan) for name in binned]
        stored.write(number, batch_gradients(loaded, batch, weighted, chosen, bins))
        even = batch.rollouts.mask.float()
        shares = {EVEN: even, **{name: weights for name, (weights, _) in weighted.items()}}
        line = {"batch": number, "accuracy": batch.correct, "tokens": int(even.sum()),
                "weight": {name: weight_shares(one, batch) for name, one in shares.items()}}  # fmt: skip
        append_lines(rows, [line])
        tell(number + 1)
    _keep_parts(folder, plan, stored.values, count)
    found = products(stored.values[:, :count])
    np.savez_compressed(folder.path / "products.npz", within=found.within, total=found.total)
    stored.remove()


BINS_OF = "bins of "


def _keyed(needs: Mapping[str, Needs]) -> dict[str, Needs]:
    """Under names that no arm has by chance."""
    return {BINS_OF + name: one for name, one in needs.items()}


def _bins(scores: Scores, name: str, batch: ScoredBatch, plan: Plan) -> list[Tensor]:
    values = signal(name).score(scores.signals[name])
    return token_bins(values, batch.rollouts.mask, plan.gradient.bins)


def _keep_parts(folder: StudyFolder, plan: Plan, gradients: np.ndarray, count: int) -> None:
    """Write parts.npz: weights fitted for the classes and for the bins of every signal, their products."""
    kept: dict[str, Any] = {}
    for place, name in enumerate(_partitions(plan)):
        start = count - len(PARTS) if place == 0 else count + (place - 1) * plan.gradient.bins
        rows = gradients[:, start : start + (len(PARTS) if place == 0 else plan.gradient.bins)]
        for size in SIZES:
            if (found := part_products(rows, size)) is not None:
                kept |= {f"{name}/{size}/weights": found.weights, f"{name}/{size}/kept": found.kept}
    np.savez_compressed(folder.path / "parts.npz", **kept)


def _partitions(plan: Plan) -> list[str]:
    """What the gradient of even weights is taken apart by."""
    return [LABELS, *(f"{plan.gradient.bins} bins of {name}" for name in plan.gradient.binned)]


def compared_methods(plan: Plan) -> dict[str, Method]:
    """The arms whose credit differs from even weights, under their names.

    Raises:
        UserError: an arm credits by labels, which the test does anyway, or reads what the test has not.
    """
    labelled = [arm.name for arm in plan.arms if plan.credit(arm.name) is not None]
    if labelled:
        raise UserError("the gradient test measures every class of tokens by itself; leave out the arms "
                        f"with credit: {', '.join(labelled)}")  # fmt: skip
    load_plugins(plan.train.get("plugins"))
    built = {
        arm.name: method(str(arm.settings["method"]), **(arm.settings.get("method_options") or {}))
        for arm in plan.arms
    }
    found = {name: one for name, one in built.items() if one.shapings or one.terms}
    for name, one in found.items():
        measurable(name, one.needs)
    return found


def gradient_results(folder: StudyFolder, plan: Plan) -> dict[str, Any]:
    """What the kept products say, as plain data: `weightings` in order, and even weights by token class."""
    kept = np.load(folder.path / "products.npz")
    found = Products(kept["within"], kept["total"])
    names = [EVEN, *compared_methods(plan), *PARTS]
    lines = read_lines(folder.path / "batches.jsonl")
    values = {
        key: jackknifed(found, lambda all_of, statistic=statistic: statistic(all_of.first(len(names))))
        for key, statistic in STATISTICS.items()
    }
    values[UNDER_ADAM] = jackknifed(found, adam_progress)
    values[UNDER_CLIP] = clipped_progress(found, len(names))
    by_class = [
        _estimate(value, error) for value, error in zip(*jackknifed(found, _class_shares), strict=True)
    ]
    return {
        "kind": "gradient test",
        "format": FORMAT,
        "batches": found.batches,
        "rollouts": plan.gradient.prompts * plan.gradient.rollouts,
        "accuracy": float(np.mean([line["accuracy"] for line in lines])),
        "tokens": int(np.sum([line["tokens"] for line in lines])),
        "weightings": {
            name: {
                **{key: _estimate(value[place], error[place]) for key, (value, error) in values.items()},
                "weight": _mean_shares(lines, name),
            }
            for place, name in enumerate(names)
        },
        "noise by class": dict(zip(PARTS, by_class, strict=False)),
        "signal by class": dict(zip(PARTS, by_class[len(PARTS) :], strict=True)),
        "ceilings": _ceilings(folder, plan, found, len(names)),
        "arms": {arm.name: dict(arm.settings) for arm in plan.arms},
        "train": dict(plan.train),
        **provenance(),
    }


def _ceilings(folder: StudyFolder, plan: Plan, found: Products, count: int) -> list[dict[str, Any]]:
    """The most that constant weights of parts can gain, by the way of parting and the size of a batch.

    A test that was made before halves were kept has entries for SGD alone, by leaving each batch out.
    """
    rollouts = plan.gradient.prompts * plan.gradient.rollouts
    path = folder.path / "parts.npz"
    if not path.is_file():
        parts = slice(count - len(PARTS), count)
        return [
            {"parts": LABELS, "rollouts": int(size * rollouts), "weights": {},
             "gains": {SGD: _estimate(*left_out_ceiling(found, parts, size))}}
            for size in LEFT_OUT
        ]  # fmt: skip
    kept = np.load(path)
    entries = []
    for name in _partitions(plan):
        for size in SIZES:
            if f"{name}/{size}/kept" in kept:
                one = PartProducts(kept[f"{name}/{size}/weights"], kept[f"{name}/{size}/kept"])
                fitted = zip(OPTIMIZERS, one.weights.mean(1), strict=True)
                entries.append({
                    "parts": name,
                    "rollouts": size * rollouts,
                    "weights": {optimizer: weights.tolist() for optimizer, weights in fitted},
                    "gains": {optimizer: _estimate(*gain) for optimizer, gain in ceiling(one).items()},
                })  # fmt: skip
    return entries


def _class_shares(found: Moments) -> np.ndarray:
    """The shares of even weights' noise, then of its signal, that the three classes carry: each sums to 1.

    tr Cov(g_c, g) / tr Cov(g) and μ_c·μ / |μ|², with g = Σ_c g_c.
    """
    noise, signal = found.noise[:, 0], found.signal[:, 0]
    count = len(noise) // 2
    parts = slice(count - len(PARTS), count)
    return np.concatenate([noise[parts] / noise[0], signal[parts] / signal[0]])


def _estimate(value: float, error: float) -> dict[str, float]:
    return {"value": float(value), "error": float(error)}


def _mean_shares(lines: Sequence[Mapping[str, Any]], name: str) -> dict[str, float] | None:
    found = [line["weight"][name] for line in lines if name in line["weight"]]
    return {part: float(np.mean([one[part] for one in found])) for part in PARTS} if found else None
