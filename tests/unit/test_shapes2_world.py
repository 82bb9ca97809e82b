"""Shapes-2: images show what the scene says, answers follow, and the question gives away what it should."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from sightline.errors import UserError
from sightline.tasks import ShapesTask, load_task
from sightline.tasks.shapes.canvas import PALETTE, SIDE, number_mask
from sightline.tasks.shapes.response import Role
from sightline.tasks.shapes2 import EVEN, LEVELS, Shapes2Task
from sightline.tasks.shapes2.charts import BASELINE, UNIT, chart_variations
from sightline.tasks.shapes2.dials import QUARTER, dial_variations
from sightline.tasks.shapes2.example import CELL_COLOURS, CELL_CONTENTS
from sightline.tasks.shapes2.objects import ObjectScene, object_variations
from sightline.tasks.shapes2.vocabulary import PHRASES, SUBJECTS, WORDS

COUNT = 120


def examples(level: int = 2, count: int = COUNT, split: Any = "train") -> list[Any]:
    return Shapes2Task(level).examples(split, count, 5)[:]


def drawn(draw: Any, count: int = COUNT) -> list[Any]:
    random, even = Random(3), replace(LEVELS[2], prior=None)
    return [draw(random, even).example(random) for _ in range(count)]


def content(problem) -> tuple:
    return problem.id, problem.question, problem.answer, problem.kind, problem.images[0].tobytes()


@pytest.mark.parametrize("name", ["shapes-2", "shapes-2:3", "shapes-2:4"])
def test_every_level_has_its_name_and_repeats_itself(name):
    task, again = load_task(name), load_task(name)
    assert task.name == name
    for split in ("train", "dev", "test"):
        first, second = getattr(task, split)(8, 3), getattr(again, split)(8, 3)
        assert [content(p) for p in first] == [content(p) for p in second]
        assert content(getattr(task, split)(20, 3)[7]) == content(first[7])
        assert content(getattr(task, split)(8, 4)[0]) != content(first[0])
        assert first[0].id == f"{name}/{split}/3/0"


def test_other_levels_are_refused_in_one_line():
    with pytest.raises(UserError, match="2, 3, 4"):
        Shapes2Task(5)
    with pytest.raises(UserError, match="unknown task"):
        load_task("shapes-2:9")


def test_no_image_is_in_two_splits():
    task = Shapes2Task()
    images = {split: set() for split in ("train", "dev", "test")}
    for split, seen in images.items():
        for seed in (0, 1, 99):
            for problem in getattr(task, split)(30, seed):
                assert task.world.split_of(problem.images[0]) == split
                seen.add(problem.images[0].tobytes())
        assert len(seen) == 90
    assert not images["train"] & images["dev"]
    assert not images["train"] & images["test"]
    assert not images["dev"] & images["test"]


def test_the_warm_start_learns_on_training_images_of_this_world():
    sides = Counter(Shapes2Task().world.split_of(p.image) for p in drawn(chart_variations, 400))
    assert set(sides) == {"train", "dev", "test"}
    assert sides["train"] == pytest.approx(300, abs=40)
    assert EVEN.held_out == Shapes2Task().world.held_out


def test_dev_of_the_first_world_keeps_away_from_train_and_from_the_test_that_is_reported():
    task = ShapesTask()
    dev = {p.images[0].tobytes() for p in task.dev(60, 0)}
    assert {task.world.split_of(p.images[0]) for p in task.dev(60, 0)} == {"test"}
    assert not dev & {p.images[0].tobytes() for p in task.test(None, 0)}


@pytest.mark.parametrize("level", [2, 3, 4])
def test_answers_chains_lengths_and_words_are_those_described(level):
    known = set(WORDS)
    lengths, steps = [], []
    for example in examples(level):
        puzzle = example.puzzle
        values = [fact.value for fact in puzzle.facts]
        late = values[-1] if puzzle.sign == "+" else -values[-1]
        assert example.answer == puzzle.answer == sum(values[:-1]) + late
        assert 0 <= example.answer <= 180 and puzzle.usual_answer >= 0
        read = [int(w.text) for w in example.reasoning if w.role is Role.READ and w.text.isdecimal()]
        assert sorted(read[:-1]) == sorted(values[:-1]) and read[-1] == values[-1]
        assert example.response_text.endswith(f"{example.answer} . </think> \\boxed{{ {example.answer} }}")
        said = f"{example.question} {example.response_text} {example.caption}"
        assert set(said.split()) <= known
        assert all(c.colour in CELL_COLOURS and c.content in CELL_CONTENTS for c in example.cells)
        lengths.append(len(example.response) + 1)
        steps.append(sum(any(w.role is not Role.TEMPLATE for w in s) for s in sentences(example.reasoning)))
    assert 60 <= np.mean(lengths) <= 110 and max(lengths) < 160
    assert np.percentile(steps, 5) >= 5 and np.mean(steps) <= 12


def sentences(words):
    found = [[]]
    for word in words:
        found[-1].append(word)
        if word.text == ".":
            found.append([])
    return found


def test_the_arithmetic_is_right_and_the_last_fact_is_read_after_it():
    for example in examples():
        told = " ".join(word.text for word in example.reasoning)
        for left, sign, right, result in re.findall(r"(\d+) ([+-]|plus|minus) (\d+) (?:=|is) (\d+)", told):
            assert int(result) == int(left) + int(right) * (1 if sign in ("+", "plus") else -1)
        roles = [word.role for word in example.reasoning]
        last_read = max(i for i, role in enumerate(roles) if role is Role.READ)
        assert roles[:last_read].count(Role.DERIVED) >= 3


def test_steps_are_said_in_many_ways_and_reading_orders_differ():
    example = examples()[0]
    told = {example.puzzle.reasoning(Random(seed)) for seed in range(200)}
    assert len(told) == 200
    orders = {tuple(w.text for w in words if w.role is Role.READ) for words in told}
    assert len(orders) > 1


def test_only_readings_name_something_in_the_image():
    from sightline.tasks.shapes2 import phrases

    silent = (
        *phrases.OPENINGS, *phrases.CONNECTIVES, *phrases.FILLERS, *phrases.SUMS, *phrases.DIFFERENCES,
        *phrases.BRIDGES, *phrases.ENDINGS,
    )  # fmt: skip
    assert not [phrase for phrase in silent if set(phrase.split()) & SUBJECTS]
    assert all(len(set(ways)) >= 7 for ways in (phrases.COUNTS, phrases.LEGENDS, phrases.BARS, phrases.SUMS))
    assert len(set(PHRASES)) >= 70


@pytest.mark.parametrize("level", [2, 3, 4])
def test_the_question_alone_is_right_in_a_third_of_the_problems(level):
    found: list[Any] = list(Shapes2Task(level).examples("train", 800, 0))
    right = np.mean([e.puzzle.answer == e.puzzle.usual_answer for e in found])
    assert 0.30 < right < 0.40


def test_no_better_guess_than_the_usual_answer_hides_in_the_question():
    """Nor is a single number right more often than the prior, whatever is asked."""
    answers = Counter(e.answer for e in Shapes2Task().examples("train", 800, 0))
    assert max(answers.values()) / 800 < 0.2


def nearest_colour(pixel) -> str:
    return min(PALETTE, key=lambda name: np.abs(np.array(PALETTE[name]) - pixel).sum())


def test_bars_stand_as_high_as_the_chart_says_and_legends_show_their_colours():
    for example in drawn(chart_variations):
        image = np.asarray(example.image).astype(int)
        for bar in example.scene:
            column = image[:BASELINE, SIDE // 4 * bar.slot + 6]
            saturated = column[14:].max(axis=1) - column[14:].min(axis=1) > 40
            assert saturated.sum() == UNIT * bar.height
            assert nearest_colour(column[-1]) == bar.colour
            mark = image[4:9, SIDE // 4 * bar.legend_slot : SIDE // 4 * (bar.legend_slot + 1)]
            coloured = mark[mark.max(axis=2) - mark.min(axis=2) > 60]
            assert nearest_colour(np.median(coloured, axis=0)) == bar.colour


def test_hands_point_at_their_hours():
    for example in drawn(dial_variations):
        image = np.asarray(example.image).astype(int)
        for dial in example.scene:
            row, column = divmod(dial.quarter, 2)
            part = image[QUARTER * row : QUARTER * (row + 1), QUARTER * column : QUARTER * (column + 1)]
            spread = part.max(axis=2) - part.min(axis=2)
            middle = np.argwhere(spread > 60).mean(axis=0)
            grey = np.argwhere((part.max(axis=2) < 150) & (spread < 12)) - middle
            far = grey[np.argsort(-np.hypot(*grey.T))[:5]].mean(axis=0)
            angle = np.degrees(np.arctan2(far[1], -far[0])) % 360
            off = (angle - 30 * dial.hour + 180) % 360 - 180
            assert abs(off) < 29, (dial, angle)


def test_objects_are_where_the_scene_says_and_the_tag_covers_none():
    for example in drawn(object_variations):
        assert isinstance(example.scene, ObjectScene)
        assert example.scene.tag_cell not in example.scene.objects
        *early, late = example.puzzle.facts
        for fact in early:
            colour, shape = fact.name.split()
            assert fact.value == example.scene.count((colour, shape))
        assert (late.name, late.value) == ("tag", example.scene.tag)
        image = np.asarray(example.image).astype(int)
        row, column = divmod(example.scene.tag_cell, 4)
        tag = image[16 * row : 16 * (row + 1), 16 * column : 16 * (column + 1)]
        assert (tag == 255).all(axis=2).sum() == number_mask(late.value).sum()
        coloured = image[image.max(axis=2) - image.min(axis=2) > 60]
        shown = {nearest_colour(pixel) for pixel in np.unique(coloured // 8 * 8, axis=0)}
        assert {colour for colour, _ in example.scene.objects.values()} <= shown


def test_harder_levels_are_harder_to_see():
    two, three, four = (LEVELS[number] for number in (2, 3, 4))
    for name in ("wander", "slack", "speckle"):
        assert getattr(two, name) < getattr(three, name) < getattr(four, name)
    assert two.radius[0] > three.radius[0] > four.radius[0]
    assert max(two.slack, three.slack, four.slack) < 15
