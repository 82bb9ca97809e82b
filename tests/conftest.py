"""Shapes are checked in tests only: every call of a rule goes through beartype.

The rules are hooked, not the modules that read what a user wrote: those check it themselves, with
errors that name the option, and tests assert these.
"""

from collections.abc import Iterator

import pytest
import torch
from jaxtyping import install_import_hook

RULES = [
    "sightline.masked",
    "sightline.signals.dependency",
    "sightline.signals.focus",
    "sightline.signals.tiled",
    "sightline.shaping.compensation",
    "sightline.shaping.mass",
    "sightline.shaping.tokens",
    "sightline.shaping.trajectories",
    "sightline.objectives.advantages",
    "sightline.objectives.terms",
    "sightline.methods.inputs",
    "sightline.methods.statistics",
    "sightline.views.view",
]
install_import_hook(RULES, "beartype.beartype")


@pytest.fixture(autouse=True)
def nothing_left_switched_on() -> Iterator[None]:
    """A test, and the code it runs, gives back torch's precision as it found it."""
    yield
    assert not torch.is_autocast_enabled("cpu"), "autocast was left on"
    assert torch.get_default_dtype() == torch.float32
