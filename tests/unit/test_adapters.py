"""What the start of a run says of its adapters: how many modules of which part, and what is frozen."""

from __future__ import annotations

from typing import Any

import pytest
from peft import LoraConfig, get_peft_model

from sightline.engines.adapters import describe_adapters
from sightline.engines.freezing import freeze_vision
from sightline.models.loading import load_model

DECODER = ".*language_model.*\\.(q|v)_proj"


def adapted(targets: Any) -> Any:
    return get_peft_model(load_model("embedded").model, LoraConfig(r=2, target_modules=targets))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("targets", "frozen", "says"),
    [
        (DECODER, False, "{d} modules of language_model (q_proj, v_proj), none of visual"),
        (["q_proj", "qkv"], False, "{h} modules of language_model (q_proj), {v} modules of visual (qkv)"),
        (
            ["q_proj", "qkv"],
            True,
            "{h} modules of language_model (q_proj), {v} modules of visual (qkv, all frozen)",
        ),
    ],
)
def test_the_modules_of_each_part_are_counted(targets: Any, frozen: bool, says: str) -> None:
    model = adapted(targets)
    if frozen:
        freeze_vision(model)
    config = model.config
    layers, blocks = config.text_config.num_hidden_layers, config.vision_config.depth
    assert describe_adapters(model) == "adapters on " + says.format(d=2 * layers, h=layers, v=blocks)


def test_a_model_without_adapters_has_no_line() -> None:
    assert describe_adapters(load_model("embedded").model) is None
