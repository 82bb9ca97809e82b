"""Problems are repeatable, lazy, and never on both sides of the split."""

from __future__ import annotations

import pytest

from sightline.tasks.problem import Task
from sightline.tasks.shapes import SHAPES, Examples, ShapesTask
from sightline.tasks.shapes.world import HELD_OUT_COUNT, TRAIN_COUNT


def content(problem) -> tuple:
    return problem.id, problem.question, problem.answer, problem.kind, problem.images[0].tobytes()


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    first, again, other = (ShapesTask().train(40, seed) for seed in (3, 3, 4))
    assert [content(p) for p in first] == [content(p) for p in again]
    assert all(content(a) != content(b) for a, b in zip(first, other, strict=True))


def test_a_problem_depends_on_its_number_alone():
    assert content(ShapesTask().test(500, 1)[17]) == content(ShapesTask().test(18, 1)[17])
    assert content(ShapesTask().train(None, 1)[TRAIN_COUNT - 1]) == content(ShapesTask().train(None, 1)[-1])


def test_sequences_are_lazy_sliceable_and_bounded():
    train, test = ShapesTask().train(None, 0), ShapesTask().test(None, 0)
    assert (len(train), len(test)) == (TRAIN_COUNT, HELD_OUT_COUNT)
    assert [content(p) for p in train[2:8:3]] == [content(train[2]), content(train[5])]
    with pytest.raises(IndexError):
        test[HELD_OUT_COUNT]
    assert len(ShapesTask().train(0, 0)) == 0
    assert [p.id for p in ShapesTask().test(3, 0)] == [
        "shapes/test/0/0",
        "shapes/test/0/1",
        "shapes/test/0/2",
    ]


def test_no_image_is_ever_on_both_sides():
    sides = {"train": set(), "test": set()}
    for seed in (0, 1, 12345):
        for split, problems in (
            ("train", ShapesTask().train(60, seed)),
            ("test", ShapesTask().test(60, seed)),
        ):
            for problem in problems:
                assert SHAPES.split_of(problem.images[0]) == split
                sides[split].add(problem.images[0].tobytes())
    assert not sides["train"] & sides["test"]
    assert len(sides["test"]) == 180


def test_the_split_looks_at_pixels_only_and_holds_out_an_eighth():
    examples = [Examples(SHAPES, "train", "0", 300)[i] for i in range(300)]
    examples += [Examples(SHAPES, "test", "0", 40)[i] for i in range(40)]
    changed = sum(SHAPES.split_of(e.image) != SHAPES.split_of(e.image.transpose(0)) for e in examples)
    assert 30 < changed < 120


def test_problems_carry_what_a_model_may_see_and_messages_show_the_image_first():
    task: Task = ShapesTask()
    problem = task.test(1, 0)[0]
    assert problem.images[0].size == (64, 64)
    assert problem.images[0].mode == "RGB"
    assert problem.answer.isdigit()
    assert task.messages(problem) == [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": problem.question}]}
    ]
