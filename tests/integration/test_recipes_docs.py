"""The page for people from EasyR1: every setting it names exists."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from trl.trainer.model_config import ModelConfig

from sightline.engines.trl.settings.config import TrainConfig
from sightline.methods import METHODS
from sightline.objectives import GroupSelection, Objective
from sightline.tasks.loading.sources import Source
from sightline.views.images import Patches

PAGE = (Path(__file__).parents[2] / "docs" / "from-easyr1.md").read_text()

KINDS = (TrainConfig, ModelConfig, Objective, GroupSelection, Source, Patches)
NAMES = {item.name for kind in KINDS for item in fields(kind)}
NAMES |= {option for method in METHODS.values() for option in inspect.signature(method).parameters}
NAMES |= {"question", "answer", "images", "name", "informative_groups", "format", "accuracy"}
VALUES = {"papers", "plain", "grpo", "dapo", "gspo", "keep", "error", "entropy", "union", "step", "linear"}
VALUES |= {"exponential", "released", "wandb", "constant", "patches", "split", "file", "py", "function"}
VALUES |= {"true", "false", "none"}


def rows(page: str) -> list[list[str]]:
    """The cells of every table but the last, whose second column holds names of metrics."""
    lines = page.split("## Names in the logs")[0].splitlines()
    cells = [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("| ") and not after.startswith("|---")
    ]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in cells]


@pytest.mark.parametrize("row", rows(PAGE), ids=lambda row: row[0][:60])
def test_every_setting_of_ours_exists(row: list[str]) -> None:
    for code in re.findall(r"`([^`]+)`", row[1]):
        if code.startswith(("sightline ", "accelerate ", "recipes/", "output_dir/", "metrics.jsonl")):
            continue
        for word in re.findall(r"[A-Za-z_]\w*", code.removeprefix("--")):
            assert word in NAMES | VALUES, f"{word} of {code}"
