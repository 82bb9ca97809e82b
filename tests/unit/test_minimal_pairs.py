"""Minimal pairs of the drawn worlds: one property changed, all else the same, and no place for a guess."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import UserError
from sightline.evaluation.benchmarks import BENCHMARKS
from sightline.evaluation.benchmarks.load import open_benchmark
from sightline.evaluation.statistics import pairs as pairs_module
from sightline.evaluation.statistics.pairs import AnsweredPair, pair_scores, same_answers
from sightline.rewards import Verdict, reward
from sightline.rewards.pairs import both_right
from sightline.tasks import PairsTask, WorldTask, load_task

NAMES = ("shapes", "shapes-2", "shapes-2:3", "shapes-2:4")
PAIRS = 16


def world(name: str) -> WorldTask:
    task = load_task(name)
    assert isinstance(task, WorldTask)
    return task


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_asks_the_same_of_two_images_of_one_split(name: str) -> None:
    task = world(name)
    found = task.pairs("test", PAIRS, seed=1)
    for number in range(PAIRS):
        one, other = found.pair(number).sides
        assert one.question == other.question
        assert one.kind == other.kind
        assert (one.answer != other.answer) == (number % 2 == 0) == found.pair(number).relevant
        assert task.world.split_of(one.image) == task.world.split_of(other.image) == "test"


@pytest.mark.parametrize("name", NAMES)
def test_one_property_changes_and_all_else_stays(name: str) -> None:
    """Of 16 cells with two labels each few change, no matter how the noise falls, and most pixels stay."""
    for number in range(PAIRS):
        one, other = world(name).pairs("test", PAIRS).pair(number).sides
        apart = (np.asarray(one.image) != np.asarray(other.image)).any(-1)
        assert 8 <= apart.sum() < apart.size / 2
        labels = [cell for cell, (a, b) in enumerate(zip(one.cells, other.cells, strict=True)) if a != b]
        assert len(labels) <= (8 if one.kind == "dials" else 2)
        assert [w.role for w in one.reasoning] == [w.role for w in other.reasoning]


def test_pairs_repeat_themselves_and_differ_by_seed() -> None:
    task = world("shapes-2")
    one, again, other = (task.pairs("dev", 4, seed) for seed in (3, 3, 4))
    assert [(p.id, p.images[0].tobytes()) for p in one] == [(p.id, p.images[0].tobytes()) for p in again]
    assert {p.images[0].tobytes() for p in one}.isdisjoint(p.images[0].tobytes() for p in other)
    assert len(one) == 8
    assert len({problem.columns["pair"] for problem in one}) == 4
    assert one[-1].id.endswith("/3/b")


@pytest.mark.parametrize("name", ["shapes", "shapes-2"])
def test_all_kinds_of_problems_come_in_pairs(name: str) -> None:
    found = world(name).pairs("train", 60)
    kinds = {relevant: {found.pair(n).sides[0].kind for n in range(60) if found.pair(n).relevant == relevant}
             for relevant in (True, False)}  # fmt: skip
    assert len(kinds[True]) == len(kinds[False]) == 3


def test_training_on_pairs_keeps_both_sides_together_and_the_held_out_problems() -> None:
    task, plain = load_task("shapes:pairs"), load_task("shapes")
    assert isinstance(task, PairsTask)
    assert task.name == "shapes:pairs"
    problems = task.train(6, 0)
    assert getattr(problems, "sequential", False)
    pairs = [problem.columns["pair"] for problem in problems]
    assert pairs[0::2] == pairs[1::2]
    assert task.world.split_of(problems[0].images[0]) == "train"
    assert [p.id for p in task.test(3, 0)] == [p.id for p in plain.test(3, 0)]


def test_a_pair_is_rewarded_if_both_sides_are_right() -> None:
    columns = {"pair": list("xxxxyyyy"), "id": ["a", "a", "b", "b", "c", "d", "c", "d"]}
    found = both_right([1, 0, 1, 1, 1, 1, None, 1], columns)
    assert found == [1, 0, 1, 0, 1, 1, None, None]


@pytest.mark.parametrize(
    "columns",
    [{}, {"pair": ["x", "x"], "id": ["a", "a"]}, {"pair": ["x", "y"], "id": ["a", "b"]},
     {"pair": ["x", None], "id": ["a", "b"]}],
)  # fmt: skip
def test_a_side_without_its_other_is_said(columns: dict[str, list[str]]) -> None:
    with pytest.raises(UserError, match=r"the pair reward needs"):
        both_right([1.0, 1.0], columns)


@pytest.mark.parametrize("name", ["shapes", "shapes-2"])
@pytest.mark.parametrize("said", range(12))
def test_who_answers_by_the_question_alone_earns_no_relevant_pair(name: str, said: int) -> None:
    """Any answer that is the same for both images: right on one side at most, and the pair never is."""
    problems = [problem for number in (0, 2) for problem in world(name).pairs("test", 4)[2 * number :][:2]]
    gold = [problem.answer for problem in problems]
    blind = {problem.question: gold[said % 4] if said < 4 else str(said) for problem in problems}
    columns = {"pair": [p.columns["pair"] for p in problems], "id": [p.id for p in problems]}
    logged: dict[str, float] = {}
    texts = [f"<think> </think> \\boxed{{ {blind[problem.question]} }}" for problem in problems]
    found = reward("pair")(texts, answer=gold, log_metric=logged.__setitem__, **columns)
    assert found == [0.0] * 4
    assert logged["accuracy"] <= 0.5
    assert logged["pairs_right"] == 0


def test_who_looks_earns_the_pair() -> None:
    problems = world("shapes").pairs("test", 2)[:]
    columns = {"pair": [p.columns["pair"] for p in problems], "id": [p.id for p in problems]}
    texts = [f"\\boxed{{{problem.answer}}}" for problem in problems]
    assert reward("pair")(texts, answer=[p.answer for p in problems], **columns) == [1.0] * 4


def test_the_scores_of_pairs_by_hand() -> None:
    asked = [(("3", "5"), ("3", "5")), (("3", "5"), ("3", "3")), (("2", "2"), ("2", "2")),
             (("2", "2"), ("1", "1")), (("2", "2"), ("2", None))]  # fmt: skip
    pairs = [AnsweredPair(golds, answers, (golds[0] == answers[0], golds[1] == answers[1]), place)
             for place, (golds, answers) in enumerate(asked)]  # fmt: skip
    found = pair_scores(pairs)
    assert (found.right.value, found.right.clusters) == (pytest.approx(2 / 5), 5)
    assert (found.relevant_right.value, found.relevant_right.n) == (pytest.approx(1 / 2), 2)
    assert found.sensitivity.value == pytest.approx(1 / 2)
    assert found.stability.value == pytest.approx(2 / 3)
    asked_of = [("1/2", "0.5", None), ("1/2", "1/3", None), (None, None, None), ("B", "b", ("1", "2"))]
    assert same_answers(asked_of) == [True, False, False, True]


def test_pairs_whose_answers_could_not_be_compared_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relevant: differ, undecided, same; irrelevant: undecided, same; golds undecided: only in `right`."""

    def graded(asked: list[tuple[str, str, object]], **_: object) -> list[Verdict]:
        unknown = ["?" in text + gold for text, gold, _ in asked]
        return [Verdict(None if one else False, "x", "symbolic", "undecided") for one in unknown]

    monkeypatch.setattr(pairs_module, "grade_many", graded)
    assert same_answers([("1", "2?", None), ("1", "2", None), ("1", "1", None)]) == [None, False, True]
    asked = [(("3", "5"), ("3", "4")), (("3", "5"), ("3", "5?")), (("3", "5"), ("3", "3")),
             (("2", "2"), ("2", "2?")), (("2", "2"), ("2", "2")), (("2", "2?"), ("2", "2"))]  # fmt: skip
    found = pair_scores([AnsweredPair(golds, answers, (True, place != 2), place)
                         for place, (golds, answers) in enumerate(asked)])  # fmt: skip
    assert (found.right.n, found.relevant_right.n) == (6, 3)
    assert found.relevant_right.value == pytest.approx(2 / 3)
    assert (found.sensitivity.n, found.sensitivity.value) == (2, pytest.approx(1 / 2))
    assert (found.stability.n, found.stability.value) == (1, pytest.approx(1))


def test_the_benchmark_of_pairs_has_whole_pairs_in_clusters() -> None:
    found = open_benchmark("shapes:pairs", BENCHMARKS["shapes:pairs"], limit=7)
    assert [item.keys["pair"] for item in found.items[0::2]] == [item.cluster for item in found.items[1::2]]
    assert len(found.items) == 6
    assert found.about["clusters"]["count"] == 3
