"""The benchmarks' own scores equal what one gets by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from evaluation_fixtures import generation, item

from sightline.evaluation.report.summary import measure
from sightline.evaluation.run.grading import Scored
from sightline.evaluation.statistics.benchmark_scores import AGGREGATES, dyna_math, hallusion, we_math


def answered(number: int, right: bool | None, sample: int = 0, **known) -> Scored:
    one = item(number, **known)
    return Scored(one, generation(one, None if right is None else "x", sample), right, "x", "text", None)


def steps(problem: str, outcomes: Sequence[bool | None], sample: int = 0) -> list[Scored]:
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


def said(number: int, gold: str, answer: str | None, **known) -> Scored:
    """An answer of one word, right if it is the gold."""
    one = item(number, gold, **known)
    return Scored(one, generation(one, "x"), answer == gold, answer, "text", None)


def test_pope_by_hand() -> None:
    """Three hits, one miss, two false alarms, one right no, and one that says neither, which counts as no."""
    pairs = [("yes", "yes")] * 3 + [("yes", "no")] + [("no", "yes")] * 2 + [("no", "no"), ("no", "perhaps")]
    found = AGGREGATES["pope"]([said(n, gold, answer) for n, (gold, answer) in enumerate(pairs)])
    assert found["accuracy"].value == pytest.approx(4 / 8)
    assert found["precision"] == pytest.approx(3 / 5)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["F1"] == pytest.approx(2 * 3 / (5 + 4))
    assert found["yes share"] == pytest.approx(5 / 8)
    silent = AGGREGATES["pope"]([said(0, "no", None)])
    assert (silent["precision"], silent["recall"], silent["yes share"]) == (None, None, 0.0)


def test_cv_bench_by_hand() -> None:
    """ADE20K 1/2, COCO 1/1, Omni3D 1/4: 2D is 3/4, the whole 1/2 and not the 3/7 of all rows."""
    rows = [("ADE20K", T), ("ADE20K", F), ("COCO", T), *[("Omni3D", n == 0) for n in range(4)]]
    found = AGGREGATES["cv_bench"](
        [answered(n, right, labels={"source": source}) for n, (source, right) in enumerate(rows)]
    )
    assert (found["2D"], found["3D"], found["score"]) == (0.75, 0.25, 0.5)
    assert AGGREGATES["cv_bench"]([answered(0, T, labels={"source": "COCO"})])["score"] is None
    judged_in_part = [
        answered(n, right, labels={"source": "COCO"}) for n, right in enumerate([T, None, F, T])
    ]
    assert AGGREGATES["cv_bench"](judged_in_part)["COCO"] == pytest.approx(2 / 3)
    assert AGGREGATES["cv_bench"](judged_in_part[1:2])["COCO"] is None


def natural(group: int, outcomes: list[bool | None]) -> list[Scored]:
    """A group of NaturalBench: q0 i0, q0 i1, q1 i0, q1 i1."""
    return [
        answered(
            4 * group + place, right, cluster=str(group),
            keys={"group": str(group)}
            | {"question": f"{group}/q{place // 2}", "image": f"{group}/i{place % 2}"},
        )
        for place, right in enumerate(outcomes)
    ]  # fmt: skip


def test_natural_bench_by_hand() -> None:
    """One group all right, one right on the first question, one on the second image, one cut short."""
    samples = natural(0, [T, T, T, T]) + natural(1, [T, T, F, F]) + natural(2, [F, T, F, T])
    found = AGGREGATES["natural_bench"](samples + natural(3, [T, T]))
    assert found["accuracy"].value == pytest.approx(10 / 14)
    assert found["question accuracy"].value == pytest.approx((2 + 1 + 0 + 1) / 7)
    assert found["image accuracy"].value == pytest.approx((2 + 0 + 1) / 6)
    assert (found["group accuracy"].value, found["group accuracy"].n) == (pytest.approx(1 / 3), 3)
    assert found["question accuracy"].clusters == 4


def test_pairs_by_hand() -> None:
    """MMVP counts whole pairs; of a user's own scores every group counts, of any size."""
    rows = [("a", T), ("a", T), ("b", T), ("b", F), ("c", T)]
    samples = [answered(n, right, cluster=pair, keys={"pair": pair}) for n, (pair, right) in enumerate(rows)]
    assert AGGREGATES["mmvp"](samples)["pair accuracy"].value == 0.5
    assert AGGREGATES["paired"](samples)["pair"].value == pytest.approx(2 / 3)
    assert AGGREGATES["mmvp"](samples)["accuracy"].value == pytest.approx(4 / 5)


def test_the_mean_of_tasks_and_the_parts_of_ocr_bench() -> None:
    kinds = ["Counting Grid - Blank Grids", "Counting Grid - Word Grids", "Circled Letter"]
    samples = [answered(n, n == 0, labels={"task": kind}) for n, kind in enumerate(kinds)]
    found = AGGREGATES["vlms_are_blind"](samples)
    assert found["task mean"] == pytest.approx((0.5 + 0.0) / 2)
    assert (found["counting grid"].value, found["circled letter"].value) == (0.5, 0.0)
    kinds = ["Artistic Text Recognition", "Digit String Recognition", "Doc-oriented VQA",
             "Handwritten Mathematical Expression Recognition"]  # fmt: skip
    read = AGGREGATES["ocr_bench"](
        [answered(n, n != 1, labels={"question type": kind}) for n, kind in enumerate(kinds)]
    )
    assert {name: share.value for name, share in read.items()} == {
        "accuracy": 0.75, "Text Recognition": 0.5, kinds[2]: 1.0, kinds[3]: 1.0,
    }  # fmt: skip
