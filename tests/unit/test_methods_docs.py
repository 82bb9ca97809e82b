"""The method pages name functions that exist, and every method has one."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from sightline.errors import UserError
from sightline.methods import METHODS, method
from sightline.shaping import ADJUSTMENTS, SHAPINGS

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
    "room", ["masked", "value_checks", "views", "signals", "shaping", "objectives", "methods"]
)
def test_every_public_name_is_documented(room):
    module = importlib.import_module(f"sightline.{room}")
    for name in getattr(module, "__all__", dir(module)):
        found = getattr(module, name)
        if callable(found) and getattr(found, "__module__", "").startswith("sightline"):
            assert found.__doc__, f"{room}.{name}"


# --- options: written down where they are defined ------------------------------------------------------

_script = importlib.util.spec_from_file_location("options", PAGES[0].parent / "options.py")
assert _script is not None and _script.loader is not None
options = importlib.util.module_from_spec(_script)
_script.loader.exec_module(options)
TABLES = {**SHAPINGS, **ADJUSTMENTS}


@pytest.mark.parametrize("name", METHODS)
def test_every_option_of_a_method_is_documented(name):
    assert list(options.documented(METHODS[name])) == list(inspect.signature(METHODS[name]).parameters)


@pytest.mark.parametrize("name", TABLES)
def test_every_option_of_a_rule_is_documented(name):
    rule = TABLES[name]
    assert set(options.documented(rule.function)) == {*rule.checks, *rule.optional}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_pages_hold_what_the_functions_say(page):
    text = page.read_text()
    assert options.written(text) == text, "run python docs/methods/options.py"


def test_every_method_and_rule_has_its_table():
    found = {name for page in PAGES for _, name, _ in options.BLOCK.findall(page.read_text())}
    assert found == (set(METHODS) | set(TABLES))


RANGE = re.compile(r"in ([\[(])(\S+), ([^\])]+)[\])]")


def ranges():
    """Every option whose entry names a range, with the least number outside it."""
    for name, function in options.functions().items():
        for option, said in options.documented(function).items():
            if found := RANGE.search(said):
                yield name, option, float(found[2]), found[1], said


@pytest.mark.parametrize(
    ("name", "option", "low", "bracket", "said"), list(ranges()), ids=lambda value: str(value)[:20]
)
def test_the_range_said_is_the_range_checked(name, option, low, bracket, said):
    rule = TABLES.get(name)
    value = low if bracket == "(" else low - 1
    with pytest.raises(UserError) as error:
        if rule is None:
            method(name, **{option: value, **({"variant": "released"} if "released only" in said else {})})
        else:
            {**rule.checks, **rule.optional}[option](option, value)
    told = RANGE.search(str(error.value))
    assert told is not None and told[0] == RANGE.search(said)[0], str(error.value)
