"""Every word of any response to an embedded world has the role its place gives it, right or wrong."""

from __future__ import annotations

from random import Random

import pytest

from sightline.errors import UserError
from sightline.tasks import Role, ShapesTask, token_roles
from sightline.tasks.shapes.response import text_of
from sightline.tasks.shapes2 import Shapes2Task

WORLDS = [ShapesTask(), *(Shapes2Task(level) for level in (2, 3, 4))]
READ, DERIVED, TEMPLATE = Role.READ, Role.DERIVED, Role.TEMPLATE


@pytest.mark.parametrize("task", WORLDS, ids=lambda task: task.name)
def test_on_ideal_responses_the_roles_are_the_drawers_own(task):
    for example, asked in zip(task.examples("train", 150, 1), task.train(150, 1), strict=True):
        words = [word.text for word in example.response]
        expected = [word.role for word in example.response]
        assert token_roles(asked.kind, words) == token_roles(example.kind, words) == expected


@pytest.mark.parametrize("task", WORLDS, ids=lambda task: task.name)
def test_wrong_numbers_keep_the_role_of_their_place(task):
    random = Random(0)
    for example in task.examples("test", 60, 1):
        words = [word.text for word in example.response]
        wrong = [str(random.randint(0, 180)) if word.isdecimal() else word for word in words]
        assert token_roles(example.kind, wrong) == [word.role for word in example.response]


def test_responses_cut_short_are_labelled_as_far_as_they_go():
    for example in Shapes2Task().examples("train", 20, 2):
        words = [word.text for word in example.response]
        roles = [word.role for word in example.response]
        for end in (0, 1, len(words) // 3, len(words) - 1):
            got = token_roles(example.kind, words[:end])
            assert len(got) == end
            closed = next((i for i in range(end, 0, -1) if words[i - 1] == "."), 0)
            assert got[:closed] == roles[:closed]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("count", "<think> the sum is 7 </think> \\boxed{ 7 } <eos>", {4: DERIVED, 7: DERIVED}),
        ("triangle", "the angle is 35 . 90 - 35 = 55", {3: READ, 5: DERIVED, 7: DERIVED, 9: DERIVED}),
        ("bar chart", "the red bar is 4 .", {4: READ}),
        ("objects", "i see 3 red circle . 3 + 1 = 4 .", {2: READ, 6: DERIVED, 8: DERIVED, 10: DERIVED}),
        ("objects", "tag : 9 . so it is 9", {2: READ, 7: DERIVED}),
        ("chart", "legend : circle red . the red bar is 5 .", {3: READ, 6: DERIVED, 9: READ}),
        ("dials", "the red dial points at 5 . legend", {5: READ}),
        ("chart", "7 7 . . red </think> red zebra", {0: DERIVED, 1: DERIVED}),
    ],
)  # fmt: skip
def test_fixed_cases(kind, text, expected):
    words = text.split()
    assert token_roles(kind, words) == [expected.get(i, TEMPLATE) for i in range(len(words))]


def test_guesses_are_labelled_as_readings_too():
    for example in Shapes2Task().examples("train", 30, 4):
        words = example.puzzle.from_habit().reasoning(Random(1))
        assert token_roles(example.kind, [word.text for word in words]) == [word.role for word in words]
        assert text_of(words).endswith(f"{example.puzzle.usual_answer} .")


def test_other_problems_are_refused():
    with pytest.raises(UserError, match="embedded worlds"):
        token_roles("geometry", ["a"])
