"""The benchmarks' own scores equal what one gets by hand."""

from __future__ import annotations

import math

import pytest
from evaluation_fixtures import generation, item

from sightline.evaluation.report.summary import measure
from sightline.evaluation.run.grading import Scored
from sightline.evaluation.statistics.benchmark_scores import dyna_math, hallusion, we_math


def answered(number: int, right: bool | None, sample: int = 0, **known) -> Scored:
    one = item(number, **known)
    return Scored(one, generation(one, None if right is None else "x", sample), right, "x", "text", None)


def steps(problem: str, outcomes: list[bool | None], sample: int = 0) -> list[Scored]:
    """The steps of a We-Math problem, the whole of it last."""
    kind = f"{len(outcomes) - 1}steps"
    names = [*map(str, range(1, len(outcomes))), "multi"]
    return [
        answered(
            hash((problem, name)) % 10**6, right, sample, cluster=f"{kind}/{problem}", keys={"step": name}
        )
        for name, right in zip(names, outcomes, strict=True)
    ]


T, F = True, False


def test_we_math_by_hand() -> None:
    """Eight problems: 2 mastered, 1 inadequate generalization, 3 rote (2 of them with one step right),
    2 insufficient knowledge."""
    outcomes = [[T, T, T], [T, T, T, T], [T, T, F], [T, F, T], [F, T, F, T], [F, F, T], [F, F, F], [T, F, F]]
    samples = [one for n, rows in enumerate(outcomes) for one in steps(str(n), rows)]
    found = we_math(samples)
    assert found["problems"] == 8
    shares = {
        name: found[name] * 8 for name in ("IK", "IG", "CM strict", "RM strict", "CM loose", "RM loose")
    }
    assert shares == {"IK": 2, "IG": 1, "CM strict": 2, "RM strict": 3, "CM loose": 4, "RM loose": 1}
    assert found["score strict"].value == pytest.approx((2 + 0.5) / 8)
    assert found["score loose"].value == pytest.approx((4 + 0.5) / 8)
    assert found["rote rate strict"] == pytest.approx(3 / 5)
    assert found["rote rate loose"] == pytest.approx(1 / 5)
    assert (found["score strict"].clusters, found["incomplete"]) == (8, 0)


def test_we_math_edges() -> None:
    """No whole right: no rote rate. Missing or failed steps: left out and counted. IDs repeat."""
    samples = steps("1", [T, T, F]) + steps("1", [F, F, F, F]) + steps("2", [T, None, T])
    found = we_math(samples + steps("3", [T, T, T])[:2])
    assert (found["problems"], found["incomplete"]) == (2, 2)
    assert found["rote rate strict"] is None
    assert found["score strict"].value == pytest.approx(0.25)
    assert we_math([])["problems"] == 0


def test_we_math_averages_rounds_of_samples() -> None:
    samples = steps("1", [T, T, T], 0) + steps("1", [T, T, F], 1)
    found = we_math(samples)
    assert found["score strict"].value == pytest.approx((1 + 0.5) / 2)
    assert (found["score strict"].n, found["score strict"].clusters) == (2, 1)


def test_dyna_math_by_hand() -> None:
    """Three problems in ten variants: always right, right in nine, right in none."""
    samples = [
        answered(10 * problem + variant, right, cluster=str(problem))
        for problem, wrong in ((0, set()), (1, {4}), (2, set(range(10))))
        for variant in range(10)
        for right in [variant not in wrong]
    ]
    found = dyna_math(samples)
    assert found["average"].value == pytest.approx(19 / 30)
    assert found["worst case"].value == pytest.approx(1 / 3)
    assert (found["worst case"].clusters, found["incomplete"]) == (3, 0)
    assert found["average"].clusters == 3


def test_dyna_math_leaves_out_problems_without_all_variants() -> None:
    """Of three problems one has all ten variants; where there is none, there is no worst case."""
    samples = [answered(v, True, cluster="a") for v in range(10)]
    samples += [answered(10 + v, True if v else None, cluster="b") for v in range(10)]
    few = [answered(20 + v, True, cluster="c") for v in range(3)]
    found = dyna_math(samples + few)
    assert (found["problems"], found["incomplete"]) == (1, 2)
    assert found["worst case"].value == 1.0
    alone = dyna_math(few)
    assert alone["average"].value == 1.0
    assert math.isnan(alone["worst case"].value)
    assert (alone["problems"], alone["incomplete"]) == (0, 1)


def test_hallusion_by_hand() -> None:
    """Two figures, two questions on each; the questions are asked of both figures; one has no figure."""
    rows = [("f1", "q1", T), ("f1", "q2", T), ("f2", "q1", T), ("f2", "q2", F), ("", "q1", T)]
    samples = [
        answered(n, right, cluster="set", keys={"figure": figure, "question": question})
        for n, (figure, question, right) in enumerate(rows)
    ]
    found = hallusion(samples)
    assert found["aAcc"].value == pytest.approx(4 / 5)
    assert found["fAcc"].value == pytest.approx(1 / 2)
    assert found["qAcc"].value == pytest.approx(1 / 2)


def test_math_verse_per_version_by_hand() -> None:
    """Two problems in five versions, intervals over two problems and not ten rows."""
    versions = ["Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only"]
    right = {0: [T, T, T, F, F], 1: [T, F, F, F, F]}
    samples = [
        answered(10 * problem + v, right[problem][v], cluster=str(problem), labels={"version": name})
        for problem in right
        for v, name in enumerate(versions)
    ]
    measured = measure(samples)
    assert measured["accuracy"]["value"] == pytest.approx(0.4)
    assert measured["accuracy"]["clusters"] == 2
    shares = {name: found["value"] for name, found in measured["breakdowns"]["version"].items()}
    assert shares == dict(zip(versions, [1.0, 0.5, 0.5, 0.0, 0.0], strict=True))
