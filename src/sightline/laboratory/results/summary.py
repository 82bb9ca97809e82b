"""Everything a study shows, from the records of its finished runs, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...provenance import provenance
from ..study.folder import FORMAT, StudyFolder
from ..study.plan import CURVES, MEASURES, Plan
from .paired import holm, mean_over_seeds, null_share, paired_over_seeds
from .power import detectable, seeds_needed
from .records import PAIRED, Record, at_step, by_arm, records
from .unpaired import against, middle_mean, profiles, two_sources

COMPARED = (*MEASURES, "blind", "dependency", "entropy", "late_over_early", "half_of_kl", *PAIRED)
"""What is held against the baseline, seed by seed; each is corrected for the number of arms."""

SEEDS_OF_TABLE = (4, 8, 12, 16, 24, 32)
POINTS = (0.005, 0.01, 0.02)
"""Differences whose price in seeds is told."""


def study_results(folder: StudyFolder, plan: Plan) -> dict[str, Any]:
    """The tables of a study as plain data; what is missing is said in `notes`.

    `arms` by name: `measures` over seeds, `differences` to the baseline with Holm-corrected p, and the same
    at equal CPU time. `contrasts` are differences between other arms, corrected for how many there are.
    `primary` is the contrast named beforehand, with its own p; `power` what its spread
    allows; `null` the baseline, and every arm, against itself.
    """
    found = records(folder, plan)
    grouped = dict(by_arm(found))
    arms = {
        arm.name: {
            "settings": dict(arm.settings),
            "seeds": [one.seed for one in grouped.get(arm.name, [])],
            "failed": _failed(folder, plan, arm.name),
            "measures": _measures(grouped.get(arm.name, [])),
        }
        for arm in plan.arms
    }
    _compare(arms, grouped, plan.baseline)
    _unpaired(arms, grouped, plan.baseline, plan.evaluate.samples)
    spent = _equal_time(arms, grouped, plan.baseline)
    primary = _primary(plan, grouped)
    return {
        "kind": "study results",
        "format": FORMAT,
        "question": plan.question,
        "baseline": plan.baseline,
        "seeds": plan.seeds,
        "target": plan.target,
        "evaluate": plan.plain()["evaluate"],
        "train": dict(plan.train),
        "arms": arms,
        "equal_time_cpu_seconds": spent,
        "primary": primary,
        "contrasts": _contrasts(plan, grouped),
        "profiles": {
            name: profiles({arm: list(_values(grouped, arm, name).values()) for arm in grouped})
            for name in MEASURES[:1]
        },
        "power": _power(primary, plan, grouped),
        "null": _null(plan, grouped),
        "runs": [{"arm": one.arm, "seed": one.seed, **one.values} for one in found],
        "notes": [*_notes(plan, arms), *_revisions(folder, found)],
        **provenance(),
    }


def _failed(folder: StudyFolder, plan: Plan, arm: str) -> dict[str, str]:
    reasons = {seed: folder.run(arm, seed).failed for seed in plan.run_seeds}
    return {str(seed): reason for seed, reason in reasons.items() if reason is not None}


def _measures(runs: Sequence[Record]) -> dict[str, Any]:
    names = dict.fromkeys(name for one in runs for name in one.values)
    columns = {name: [value for one in runs if (value := one.values[name]) is not None] for name in names}
    return {name: mean_over_seeds(values) for name, values in columns.items() if values}


def _by_seed(runs: Sequence[Record], value: Callable[[Record], float | None]) -> dict[int, float]:
    return {one.seed: found for one in runs if (found := value(one)) is not None}


def _values(grouped: Mapping[str, Sequence[Record]], arm: str, measure: str) -> dict[int, float]:
    return _by_seed(grouped.get(arm, []), lambda one: one.values[measure])


def _compare(arms: dict[str, Any], grouped: Mapping[str, Sequence[Record]], baseline: str) -> None:
    """Put each arm's paired differences to the baseline into `arms`."""
    for name in COMPARED:
        _differences(arms, "differences", name, baseline, {
            arm: _by_seed(runs, lambda one, name=name: one.values.get(name)) for arm, runs in grouped.items()
        })  # fmt: skip


def _unpaired(
    arms: dict[str, Any], grouped: Mapping[str, Sequence[Record]], baseline: str, samples: int
) -> None:
    """Put into `arms` what the runs say without being paired, and the two sources of a difference's noise."""
    for arm, runs in grouped.items():
        values = {name: list(_values(grouped, arm, name).values()) for name in MEASURES}
        arms[arm]["interquartile"] = {name: middle_mean(found) for name, found in values.items()}
        if arm == baseline or baseline not in grouped:
            continue
        arms[arm]["unpaired"] = {
            name: against(found, list(_values(grouped, baseline, name).values()))
            for name, found in values.items()
        }
        asked = {"sampled": samples, "greedy": 1}
        sources = {
            f"{curve} final": _sources(runs, grouped[baseline], curve, asked[curve]) for curve in CURVES
        }
        if known := {name: found for name, found in sources.items() if found is not None}:
            arms[arm]["two_sources"] = known


def _sources(
    ours: Sequence[Record], theirs: Sequence[Record], curve: str, samples: int
) -> dict[str, float] | None:
    """`two_sources` of the seeds that both arms have, as shares of a problem's answers, of the problems
    whose every answer was judged."""
    first, second = ({one.seed: one for one in runs if curve in one.rights} for runs in (ours, theirs))
    rows = [
        (np.asarray(first[seed].rights[curve], float) - np.asarray(second[seed].rights[curve]))
        for seed in sorted(first.keys() & second.keys())
        if len(first[seed].rights[curve]) == len(second[seed].rights[curve])
    ]
    if not rows:
        return None
    differences = np.stack(rows) / samples
    return two_sources(np.compress(np.isfinite(differences).all(0), differences, axis=1))


def _equal_time(arms: dict[str, Any], grouped: Mapping[str, Sequence[Record]], baseline: str) -> float | None:
    """The same after equal CPU time: the least that any arm took on average; that time.

    An arm's time per step is the mean over its seeds, so that the clock adds no noise of its own.
    """
    spent = {arm: float(np.mean([one.cpu_seconds for one in runs])) for arm, runs in grouped.items()}
    if not spent or min(spent.values()) <= 0:
        return None
    least = min(spent.values())
    for curve in CURVES:
        values = {}
        for arm, runs in grouped.items():
            step = float(runs[0].held_out.steps[-1]) * least / spent[arm]
            values[arm] = _by_seed(runs, lambda one, curve=curve, step=step: at_step(one, curve, step))
            entry = arms[arm].setdefault("equal_time", {})
            entry |= {"step": step, curve: mean_over_seeds(list(values[arm].values()))}
        _differences(arms, "equal_time_differences", curve, baseline, values)
    return least


def _differences(
    arms: dict[str, Any], key: str, name: str, baseline: str, values: Mapping[str, Mapping[int, float]]
) -> None:
    others = [arm for arm in arms if arm != baseline and arm in values and baseline in values]
    gaps = {arm: paired_over_seeds(values[arm], values[baseline]) for arm in others}
    known = {arm: gap for arm, gap in gaps.items() if gap is not None}
    for (arm, gap), corrected in zip(known.items(), holm([gap["p"] for gap in known.values()]), strict=True):
        arms[arm].setdefault(key, {})[name] = {**gap, "p_holm": corrected}


def _primary(plan: Plan, grouped: Mapping[str, Sequence[Record]]) -> dict[str, Any] | None:
    named = plan.primary
    if named is None:
        return None
    ours, theirs = (_values(grouped, arm, named.measure) for arm in (named.arm, named.against))
    return {"arm": named.arm, "against": named.against, "measure": named.measure,
            "difference": paired_over_seeds(ours, theirs)}  # fmt: skip


def _contrasts(plan: Plan, grouped: Mapping[str, Sequence[Record]]) -> list[dict[str, Any]]:
    """The contrasts that the plan names beside those to the baseline, where both arms are in the study."""
    known = {arm.name for arm in plan.arms}
    pairs = [
        (arm, against)
        for against, others in plan.contrasts.items()
        for arm in others
        if {arm, against} <= known
    ]
    found: list[dict[str, Any]] = [
        {"arm": arm, "against": against, "differences": {}} for arm, against in pairs
    ]
    for measure in MEASURES:
        gaps = [paired_over_seeds(*(_values(grouped, name, measure) for name in pair)) for pair in pairs]
        corrected = holm([gap["p"] if gap else None for gap in gaps])
        for entry, gap, p in zip(found, gaps, corrected, strict=True):
            if gap is not None:
                entry["differences"][measure] = {**gap, "p_holm": p}
    return found


def _power(
    primary: Mapping[str, Any] | None, plan: Plan, grouped: Mapping[str, Sequence[Record]]
) -> dict[str, Any] | None:
    """What the primary contrast's spread over seeds allows; without one, the median over the arms."""
    measure = primary["measure"] if primary else MEASURES[0]
    base = _values(grouped, plan.baseline, measure)
    gaps = {
        arm: paired_over_seeds(_values(grouped, arm, measure), base)
        for arm in grouped
        if arm != plan.baseline
    }
    spreads = {arm: gap["spread"] for arm, gap in gaps.items() if gap and gap["spread"] is not None}
    own = primary["difference"] if primary else None
    if own is not None and own["spread"] is not None:
        spread, seeds = own["spread"], own["seeds"]
    elif spreads:
        spread, seeds = float(np.median(list(spreads.values()))), plan.seeds
    else:
        return None
    return {
        "measure": measure,
        "spread": spread,
        "spreads": spreads,
        "seeds": seeds,
        "detectable": {str(n): detectable(spread, n) for n in sorted({seeds, *SEEDS_OF_TABLE}) if n > 1},
        "seeds_needed": {str(points): seeds_needed(spread, points) for points in POINTS},
    }


def _null(plan: Plan, grouped: Mapping[str, Sequence[Record]]) -> dict[str, Any] | None:
    """The baseline against itself under other seeds, and the mean share of all arms against themselves."""
    measure = plan.primary.measure if plan.primary else MEASURES[0]
    shares = {arm: null_share(list(_values(grouped, arm, measure).values())) for arm in grouped}
    known = {arm: share for arm, share in shares.items() if share is not None}
    if plan.baseline not in known:
        return None
    mean = float(np.mean([share["share_p"] for share in known.values()]))
    return {
        "arm": plan.baseline,
        "measure": measure,
        **known[plan.baseline],
        "arms": len(known),
        "mean_share": mean,
    }


def _revisions(folder: StudyFolder, found: Sequence[Record]) -> list[str]:
    """A note where runs of one study were made by more than one state of the code."""
    made = sorted({str(folder.run(one.arm, one.seed).revision) for one in found})
    if len(made) < 2:
        return []
    names = ", ".join(name[:10] + " with changes" * name.endswith("-dirty") for name in made)
    return [f"The runs were made by {len(made)} states of the code: {names}."]


def _notes(plan: Plan, arms: Mapping[str, Any]) -> list[str]:
    notes = []
    if plan.seeds < 2:
        notes.append("One seed: there are no intervals and no p values. Give --seeds 2 or more; 8 are usual.")
    for name, found in arms.items():
        notes += [f"{name}, seed {seed} failed: {why}" for seed, why in found["failed"].items()]
        missing = plan.seeds - len(found["seeds"]) - len(found["failed"])
        if missing:
            notes.append(f"{name}: {missing} of {plan.seeds} seeds are not finished yet.")
    return notes
