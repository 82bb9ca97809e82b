"""What rewards are told of a response, and what becomes of their verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from sightline.engines.verl.data.dataset import TOLD
from sightline.engines.verl.data.messages import with_images
from sightline.engines.verl.data.rewards import SightlineRewards
from sightline.engines.verl.reward_names import UNJUDGED
from sightline.rewards.functions import may_be_undecided


def rewards(**functions: tuple[Callable[..., Any], float]) -> SightlineRewards:
    """Over these functions and weights, without verl's own set-up."""
    found = object.__new__(SightlineRewards)
    found.tokenizer = SimpleNamespace(decode=lambda ids, **_: " ".join(map(str, ids)))
    found.functions, found.opening, found.whole_rows = dict(functions), "<think>", True
    return found


def says(value: float | None) -> Callable[..., list[Any]]:
    return lambda completions, **columns: [value]


@pytest.mark.parametrize(
    ("decides", "other", "total"),
    [(1.0, 0.5, 1.25), (0.0, None, 0.0), (None, 1.0, None), (None, None, None)],
)
def test_a_response_counts_if_what_decides_could_and_anything_has_an_opinion(
    decides: float | None, other: float | None, total: float | None
) -> None:
    one = rewards(accuracy=(may_be_undecided(says(decides)), 1.0), other=(says(other), 0.5))
    found = one._graded([1], {TOLD: {"answer": "a"}, "raw_prompt": []})
    assert found["reward_score"] == (total or 0.0)
    extra = found["reward_extra_info"]
    assert extra[UNJUDGED] == float(total is None)
    assert math.isnan(extra["rewards/other"]) == (other is None)


def test_a_users_reward_is_told_the_row_the_images_and_what_the_prompt_began() -> None:
    seen: dict[str, Any] = {}

    def keep(completions: Any, **columns: Any) -> list[float]:
        seen.update(columns, text=completions[0][0]["content"])
        columns["log_metric"]("length", 3)
        return [1.0]

    chat = with_images([{"role": "user", "content": [{"type": "image"}]}], [Image.new("RGB", (3, 2), "red")])
    row = {TOLD: {"answer": [1, 2], "box": {"x": 4}}, "raw_prompt": chat}
    found = rewards(keep=(keep, 2.0))._graded([7, 8], row)
    assert found["reward_score"] == 2.0 and found["reward_extra_info"]["length"] == 3.0
    assert seen["answer"] == [[1, 2]] and seen["box"] == [{"x": 4}] and seen["opening"] == ["<think>"]
    assert seen["text"] == "7 8" and seen["completion_ids"] == [[7, 8]]
    assert [image.size for image in seen["images"][0]] == [(3, 2)]
    assert seen["prompts"] == [[{"role": "user", "content": [{"type": "image"}]}]], "without the bytes"
