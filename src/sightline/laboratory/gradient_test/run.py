"""The gradient test from end to end: batches, gradients, statistics, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...engines import engine
from ...errors import UserError
from ...evaluation.run.jsonl_records import append_lines, read_lines, write_lines
from ...methods import Method, load_plugins, method
from ...provenance import provenance
from ...tasks import load_task
from ..study.folder import FORMAT, StudyFolder, StudyRun
from ..study.plan import Plan
from ..study.train_run import run_settings
from .gradients import (
    EVEN,
    GradientFile,
    batch_gradients,
    draw_batch,
    weight_shares,
    weightings,
)
from .moments import (
    Moments,
    Products,
    adam_progress,
    alignment,
    jackknifed,
    log_noise_ratio,
    noise_to_signal,
    products,
    progress,
    relative_noise,
)
from .token_classes import PARTS

STATISTICS = {
    "noise to signal": noise_to_signal,
    "ln ratio to even": log_noise_ratio,
    "relative noise": relative_noise,
    "alignment": alignment,
    "progress": progress,
}
"""What is told of every weighting, each with a jackknife standard error."""
UNDER_ADAM = "progress under Adam"


def measure_gradients(folder: StudyFolder, plan: Plan, tell: Callable[[int], object]) -> None:
    """Draw the batches and keep products.npz and batches.jsonl; `tell(n)` after n finished batches.

    The gradients themselves are on disk only until all are there. A killed test goes on where it stopped.
    """
    chosen = compared_methods(plan)
    settings = run_settings(plan, plan.baseline, 0, StudyRun(folder.path))
    loaded = engine().load_policy(settings)
    task = load_task(plan.train.get("task", "shapes"))
    longest = int(settings.train.max_completion_length or 256)
    size = sum(p.numel() for p in loaded.model.parameters() if p.requires_grad)
    rows = folder.path / "batches.jsonl"
    stored = GradientFile(folder.path / "scratch", plan.gradient.batches, 1 + len(chosen) + len(PARTS), size)
    write_lines(rows, read_lines(rows) if stored.continued else [])
    done = len(read_lines(rows))
    tell(done)
    for number in range(done, plan.gradient.batches):
        batch = draw_batch(loaded, task, plan.gradient, number, longest)
        weighted = weightings(loaded, batch, chosen, number)
        stored.write(number, batch_gradients(loaded, batch, weighted, chosen))
        even = batch.rollouts.mask.float()
        shares = {EVEN: even, **{name: weights for name, (weights, _) in weighted.items()}}
        line = {"batch": number, "accuracy": batch.correct, "tokens": int(even.sum()),
                "weight": {name: weight_shares(one, batch) for name, one in shares.items()}}  # fmt: skip
        append_lines(rows, [line])
        tell(number + 1)
    found = products(stored.values)
    np.savez_compressed(folder.path / "products.npz", within=found.within, total=found.total)
    stored.remove()


def compared_methods(plan: Plan) -> dict[str, Method]:
    """The arms whose credit differs from even weights, under their names.

    Raises:
        UserError: an arm credits by labels, which the test does anyway.
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
    return {name: one for name, one in built.items() if one.shapings or one.terms}


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
        "arms": {arm.name: dict(arm.settings) for arm in plan.arms},
        "train": dict(plan.train),
        **provenance(),
    }


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
