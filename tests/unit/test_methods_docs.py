"""The method pages name functions that exist, and every method has one."""

import importlib
import re
from pathlib import Path

import pytest

from sightline.methods import METHODS

PAGES = sorted((Path(__file__).parents[2] / "docs" / "methods").glob("*.md"))
NAMES = re.compile(r"`(signals|shaping|objectives|views)\.(\w+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_functions_exist(page):
    for room, name in NAMES.findall(page.read_text()):
        found = getattr(importlib.import_module(f"sightline.{room}"), name)
        assert found.__doc__, f"{room}.{name} is not documented"


def test_every_method_has_a_page_that_says_where_it_departs():
    text = {page.stem: page.read_text() for page in PAGES}
    for name in set(METHODS) - {"custom"}:
        page = text.get(name, text["baselines"])
        assert "## Departures" in page
        assert "egenerate" in page
    assert all(f"({page.name})" in text["README"] for page in PAGES if page.stem != "README")


@pytest.mark.parametrize(
    "room", ["masked", "options", "views", "signals", "shaping", "objectives", "methods"]
)
def test_every_public_name_is_documented(room):
    module = importlib.import_module(f"sightline.{room}")
    for name in getattr(module, "__all__", dir(module)):
        found = getattr(module, name)
        if callable(found) and getattr(found, "__module__", "").startswith("sightline"):
            assert found.__doc__, f"{room}.{name}"
