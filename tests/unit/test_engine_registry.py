"""Which engine a run gets, and what is said where its library is missing."""

from collections.abc import Callable

import pytest

from sightline.engines import registry
from sightline.errors import UserError


def none_but(*here: str) -> Callable[[str], str | None]:
    return lambda library: library if library in here else None


def test_sightline_alone_says_which_engine_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", none_but())
    with pytest.raises(
        UserError, match=r"pip install 'sightline-rl\[trl\]'.*other choice is 'sightline-rl\[verl\]'"
    ):
        registry.engine()


def test_the_engine_that_is_here_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", none_but("trl"))
    with pytest.raises(UserError, match=r"'sightline-rl\[verl\]', or train with --engine trl"):
        registry.engine("verl")


def test_an_unknown_engine_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match="verl"):
        registry.engine("verll")
