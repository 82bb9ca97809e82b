"""Rows of one prompt side by side within an optimizer step, and nothing else moved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.utils import split_pixel_values_by_grid

from sightline.engines.trl.data.micro_batches import (
    PROMPT,
    by_prompt,
    repeated_prompts,
    together,
    whole_prompts,
)

PATCHES = {0: 4, 1: 8, 2: 0, 3: 12}
"""Rows of pixels of each prompt's images; prompt 2 has none."""


def batch(prompts: list[int], first: int) -> dict[str, Any]:
    """A micro-batch in which everything tells which row it belongs to."""
    rows = torch.arange(first, first + len(prompts))
    grids = [[1, 2, PATCHES[p] // 2] for p in prompts if PATCHES[p]]
    pixels = [torch.full((PATCHES[p], 3), float(row)) for p, row in zip(prompts, rows, strict=True)]
    return {
        "completion_ids": rows[:, None].expand(-1, 5).clone(),
        "pixel_values": torch.cat(pixels),
        "image_grid_thw": torch.tensor(grids).view(-1, 3),
        "num_images": [int(PATCHES[p] > 0) for p in prompts],
        "names": [f"row {row}" for row in rows.tolist()],
        PROMPT: torch.tensor(prompts),
        "num_items_in_batch": torch.tensor(float(first)),
    }


BATCHES = [batch([3, 0, 1], 0), batch([0, 2, 3], 3), batch([1, 1, 0], 6), batch([2, 3, 0], 9)]


def rows(found: list[dict[str, Any]]) -> list[list[int]]:
    return [one["completion_ids"][:, 0].tolist() for one in found]


def test_a_step_keeps_its_rows_and_brings_prompts_together() -> None:
    found = together(BATCHES, per_step=2)
    assert rows(found) == [[1, 3, 2], [4, 0, 5], [8, 11, 6], [7, 9, 10]]
    assert [one[PROMPT].tolist() for one in found] == [[0, 0, 1], [2, 3, 3], [0, 0, 1], [1, 2, 3]]


def test_everything_of_a_row_moves_with_it() -> None:
    for one, before in zip(together(BATCHES, per_step=4), BATCHES, strict=True):
        numbers = one["completion_ids"][:, 0].tolist()
        assert one["names"] == [f"row {number}" for number in numbers]
        assert one["num_items_in_batch"] is before["num_items_in_batch"]
        split: Any = split_pixel_values_by_grid(one)
        for number, pixels, prompt in zip(numbers, split["pixel_values"], one[PROMPT].tolist(), strict=True):
            assert pixels.shape == (PATCHES[prompt], 3)
            assert (pixels == number).all()


def test_steps_that_do_not_divide_the_batch_stay_as_they_are() -> None:
    for per_step in (1, 3):
        assert rows(together(BATCHES, per_step)) == rows(BATCHES)
    without = [{name: value for name, value in one.items() if name != PROMPT} for one in BATCHES]
    assert rows(together(without, per_step=2)) == rows(BATCHES)
    assert rows(together(BATCHES, per_step=8)) == rows(together(BATCHES, per_step=4))


def test_inputs_are_not_changed() -> None:
    before = [one["completion_ids"].clone() for one in BATCHES]
    together(BATCHES, per_step=4)
    assert all(torch.equal(one["completion_ids"], kept) for one, kept in zip(BATCHES, before, strict=True))


def prompts_of(found: list[dict[str, Any]]) -> list[list[int]]:
    return [one[PROMPT].tolist() for one in found]


def test_steps_and_micro_batches_take_whole_prompts() -> None:
    """Twelve rows of four prompts; the shuffle names them in the order 3, 0, 1, 2."""
    assert prompts_of(by_prompt(BATCHES, 1)) == [[3, 3, 3], [1, 1, 1], [0, 2, 2], [0, 0, 0]]
    assert prompts_of(by_prompt(BATCHES, 2)) == [[1, 1, 1], [3, 3, 3], [2, 2, 0], [0, 0, 0]]
    assert prompts_of(by_prompt(BATCHES, 4)) == [[1, 1, 1], [2, 2, 0], [0, 0, 0], [3, 3, 3]]


def test_a_shuffle_of_prompts_keeps_every_row_and_what_is_of_it() -> None:
    found = by_prompt(BATCHES, 2)
    assert sorted(row for one in rows(found) for row in one) == list(range(12))
    for one in found:
        split: Any = split_pixel_values_by_grid(one)
        numbers = one["completion_ids"][:, 0].tolist()
        for number, pixels in zip(numbers, split["pixel_values"], strict=True):
            assert (pixels == number).all()


@pytest.mark.parametrize("size", [8, 16, 32])
def test_groups_that_fit_are_never_cut(size: int) -> None:
    numbers = torch.randperm(64, generator=torch.Generator().manual_seed(size)).remainder(8).tolist()
    arranged = [numbers[row] for row in whole_prompts(numbers, size, 1)]
    parts = [set(arranged[start : start + size]) for start in range(0, 64, size)]
    assert all(len(part) == size // 8 for part in parts)
    first = list(dict.fromkeys(numbers))
    assert parts == [set(first[start : start + size // 8]) for start in range(0, 8, size // 8)], "a shuffle"


def test_how_often_a_prompt_is_not_run_again() -> None:
    groups = [row // 8 for row in range(32)]
    assert repeated_prompts(groups, 8, 4) == repeated_prompts(groups, 32, 1) == 28
    assert repeated_prompts(groups, 4, 8) == 24
    assert repeated_prompts(groups, 1, 32) == 0
    assert repeated_prompts([row // 8 for row in range(4, 28)], 8, 3) == 20, (
        "4, 8, 8 and 4 rows: the fours meet"
    )
