"""The image shows what the scene says, and the answer follows from the scene."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from sightline.tasks.shapes import SHAPES, Example, Examples, draw_variations
from sightline.tasks.shapes.bars import BASELINE, UNIT, BarChart, bar_variations
from sightline.tasks.shapes.canvas import PALETTE, SIDE, number_mask
from sightline.tasks.shapes.counting import THINGS, ShapeGrid, counting_variations
from sightline.tasks.shapes.example import CELL_COLOURS, CELL_CONTENTS, CELLS_PER_SIDE, EMPTY_CELL
from sightline.tasks.shapes.response import Role, text_of
from sightline.tasks.shapes.triangles import Triangle, triangle_variations
from sightline.tasks.shapes.vocabulary import COLOURS, WORDS

CELL = SIDE // CELLS_PER_SIDE
COUNT = 150


def examples(draw, seed: int = 0) -> list[Example]:
    random = Random(seed)
    return [draw(random).example(random) for _ in range(COUNT)]


def pixels(example: Example) -> np.ndarray:
    return np.asarray(example.image).astype(int)


def nearest_colour(pixel: np.ndarray) -> str:
    return min(PALETTE, key=lambda name: np.abs(np.array(PALETTE[name]) - pixel).sum())


def asked_things(question: str) -> list[tuple[str, str]]:
    words = question.split()
    pairs = [(a, b) for a, b in pairwise(words) if (a, b) in THINGS]
    assert pairs
    return pairs


def test_counting_answers_are_recounts_of_the_grid():
    for example in examples(counting_variations):
        scene = example.scene
        assert isinstance(scene, ShapeGrid)
        counts = [
            sum(thing == asked for thing in scene.objects.values())
            for asked in asked_things(example.question)
        ]
        expected = counts[0] - counts[1] if "more" in example.question.split() else sum(counts)
        assert example.answer == expected >= 0
        assert [int(word.text) for word in example.reasoning if word.role is Role.READ] == counts


def test_every_object_is_drawn_in_its_cell_in_its_colour_and_nowhere_else():
    for example in examples(counting_variations):
        image = pixels(example)
        assert isinstance(example.scene, ShapeGrid)
        for cell in range(16):
            row, column = divmod(cell, CELLS_PER_SIDE)
            patch = image[CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1)]
            if cell in example.scene.objects:
                colour, _ = example.scene.objects[cell]
                coloured = patch[patch.max(axis=2) - patch.min(axis=2) > 60]
                assert nearest_colour(np.median(coloured, axis=0)) == colour
            else:
                inside = patch[2:-2, 2:-2]  # a large neighbour may reach a pixel into the cell
                assert (inside == inside[0, 0]).all()


def test_bar_answers_follow_from_the_heights():
    for example in examples(bar_variations):
        scene = example.scene
        assert isinstance(scene, BarChart)
        asked = [word for word in example.question.split() if word in COLOURS]
        heights = [scene.heights[colour] for colour in asked]
        expected = heights[0] - heights[1] if "taller" in example.question else sum(heights)
        assert example.answer == expected >= 0
        assert [int(word.text) for word in example.reasoning if word.role is Role.READ] == heights


def test_bars_are_as_high_in_pixels_as_the_chart_says():
    for example in examples(bar_variations):
        image = pixels(example)
        assert isinstance(example.scene, BarChart)
        for colour, height in example.scene.heights.items():
            column = image[:BASELINE, CELL * example.scene.slots[colour] + 7]
            saturated = column.max(axis=1) - column.min(axis=1) > 40
            assert saturated.sum() == UNIT * height
            assert nearest_colour(column[-1]) == colour


def test_angles_answers_and_the_numbers_written_in_the_image():
    for example in examples(triangle_variations):
        scene = example.scene
        assert isinstance(scene, Triangle)
        assert example.answer == (90 if scene.right else 180) - sum(scene.angles) > 0
        image = pixels(example)
        for angle in scene.angles:
            assert any_place_shows(image, number_mask(angle)), angle
            assert not any_place_shows(image, number_mask(179))


def any_place_shows(image: np.ndarray, mask: np.ndarray) -> bool:
    """Somewhere all pixels of the mask have one colour that nearly none around it has (a side may cross)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, mask.shape, axis=(0, 1))
    ink, paper = windows[..., mask], windows[..., ~mask]
    one_ink = (ink == ink[..., :1]).all(axis=(2, 3))
    other_paper = (paper != ink[..., :1]).any(axis=2).mean(axis=2) > 0.8
    return bool((one_ink & other_paper).any())


@pytest.mark.parametrize("draw", [counting_variations, bar_variations, triangle_variations])
def test_the_arithmetic_in_the_reasoning_is_right_and_ends_in_the_answer(draw):
    for example in examples(draw, seed=1):
        reasoning = text_of(example.reasoning)
        equations = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", reasoning)
        assert reasoning.count("=") == len(equations)
        for left, sign, right, result in equations:
            assert int(result) == int(left) + int(right) * (1 if sign == "+" else -1)
        last = equations[-1][-1] if equations else re.findall(r"\d+", reasoning)[-1]
        assert int(last) == example.answer
        assert example.response_text == f"<think> {reasoning} </think> \\boxed{{ {example.answer} }}"


def test_every_number_is_read_or_derived_and_nothing_else_is():
    for example in examples(draw_variations):
        for word in example.response:
            assert word.text.isdigit() == (word.role is not Role.TEMPLATE)
        assert 1 <= example.reads <= 3
        assert 11 <= len(example.response) <= 34


def test_every_word_is_in_the_vocabulary_once():
    assert len(set(WORDS)) == len(WORDS)
    for example in examples(draw_variations):
        said = f"{example.question} {example.response_text} {example.caption or ''}"
        assert set(said.split()) <= set(WORDS)


def test_cell_labels_and_captions_list_what_is_drawn():
    for example in examples(draw_variations):
        assert len(example.cells) == 16
        assert all(c.colour in CELL_COLOURS and c.content in CELL_CONTENTS for c in example.cells)
        filled = [cell for cell in example.cells if cell != EMPTY_CELL]
        if isinstance(example.scene, ShapeGrid):
            assert sorted(filled) == sorted(example.scene.objects.values())
            assert example.caption == " ".join(
                "none" if cell == EMPTY_CELL else f"{cell.colour} {cell.content}" for cell in example.cells
            )
        elif isinstance(example.scene, BarChart):
            heights = example.scene.heights
            assert filled == [(colour, f"height {height}") for colour, height in heights.items()]
            assert example.caption == " ".join(f"{colour} {height}" for colour, height in heights.items())
        else:
            assert isinstance(example.scene, Triangle)
            assert [cell.content for cell in filled] == [f"angle {angle}" for angle in example.scene.angles]
            assert example.caption is None


def test_kinds_come_in_their_shares():
    kinds = [example.kind for example in Examples(SHAPES, "train", "0", 1000)]
    assert set(kinds) == {"count", "bar chart", "triangle"}
    assert 0.45 < kinds.count("count") / 1000 < 0.55
    assert 0.2 < kinds.count("bar chart") / 1000 < 0.3
