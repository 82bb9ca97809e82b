"""Files that anyone may have written: what is read, what is refused, and how soon."""

import json
import os
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from patient import patient

from sightline.cli.data import main as data
from sightline.engines.trl.settings.resolve import parse
from sightline.errors import UserError
from sightline.evaluation.benchmarks.user_yaml import read_benchmarks
from sightline.laboratory.study.lab_yaml import read_plan
from sightline.plain_files import MOST_YAML_BYTES, Refused, parse_json, parse_plain, parse_yaml, read_plain
from sightline.structure import ANY, COUNT, NUMBER, TEXT, Each, Either, Many, Maybe, Optional, fault

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text("ab:#-\n é", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@patient()
@given(PLAIN)
def test_what_we_write_is_read_as_yaml_reads_it(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text) == yaml.safe_load(text) == value
    assert parse_json(json.dumps(value)) == value


def test_aliases_and_merges_in_measure_are_read():
    text = "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n"
    assert parse_yaml(text) == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}]}


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "x: {'a': 1, a: 1}", "16: 0\n0x10: 0", "- {a: 1, a: }"])
def test_a_key_given_twice_is_refused(text):
    with pytest.raises(Refused, match="given twice"):
        parse_yaml(text)


def test_a_key_may_be_given_over_a_merged_one():
    text = "z: &z {x: 0, y: 0}\ntop: {deep: &a {<<: *z, x: 1}}\nb: {<<: *a, y: 2}\n"
    assert parse_yaml(text)["top"]["deep"] == {"x": 1, "y": 0}
    assert parse_yaml(text)["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    "read",
    [
        lambda file: parse(["--config", file]),
        lambda file: read_plan(file, [], None, {}),
        read_benchmarks,
        lambda file: data(["check", file]),
    ],
)
@pytest.mark.parametrize("content", [b"a: 1\na: 2", b"- " * 60_000, b"a: b\n" * MOST_YAML_BYTES, b"a: \xff"])
def test_yaml_that_a_user_names_is_read_with_the_same_limits(read, content, tmp_path):
    (tmp_path / "given.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"given\.yaml.* (is|has|given twice)") as told:
        read(str(tmp_path / "given.yaml"))
    assert "\n" not in str(told.value) and len(str(told.value)) < 400


def merges(levels):
    """Each level merges eight times the one before."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 8)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "merges": merges(8),
    "aliases": "a0: &a0 [x]\n"
    + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)),
    "a chain of aliases": "a0: &a0 x\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 3000)),
    "itself": "a: &a [*a]",
    "flow": "[" * 100_000,
    "blocks": "- " * 60_000,
    "keys": "? " * 60_000,
    "large": "a: b\n" * MOST_YAML_BYTES,
    "integer": "a: 0x" + "f" * 4000,
    "clock": "a: 1" + ":1" * 4000,
    "date": "a: 2020-99-99",
    "tag": "!!python/object/apply:os.getcwd []",
    "no text": "\x00",
    "key": "? [a]\n: b",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_in_no_time(name):
    started = time.process_time()
    with pytest.raises(Refused):
        parse_plain("config.yaml", HOSTILE[name].encode())
    assert time.process_time() - started < 20  # it took hours


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "[]," * 2_000_000, '{"a": ' + "9" * 5000 + "}", "nope"]
)
def test_json_that_is_none_or_too_much_is_refused(text):
    with pytest.raises(Refused):
        parse_json(text)


def test_only_plain_files_of_some_size_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert read_plain(path) == [1, 2]
    with pytest.raises(Refused, match="more than 3 bytes"):
        read_plain(path, 3)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(Refused, match="no plain file"):
        read_plain(tmp_path / "pipe.json")
    with pytest.raises(OSError):
        read_plain(tmp_path / "gone.json")


WANTED = {"name": TEXT, "runs": Many({"n": COUNT}, 1), "by": Each(Maybe(NUMBER)), "why": Optional(TEXT)}
GOOD = {"name": "a", "runs": [{"n": 1, "more": []}], "by": {"x": 0.5, "y": None}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"name": 5}, "name is a whole number, expected a text"),
        ({"runs": []}, "runs has 0 items, expected 1"),
        ({"runs": [{}]}, r"runs[0].n is missing"),
        ({"runs": [{"n": True}]}, r"runs[0].n is true or false, expected a whole number"),
        ({"runs": {}}, "runs is a mapping, expected a list"),
        ({"by": []}, "by is a list, expected fields"),
        ({"by": {"x": float("inf")}}, "by.x is inf, expected a number"),
        ({"by": {"x": 10**200}}, "by.x is a whole number, expected a number"),
        ({"why": 5}, "why is a whole number, expected a text"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(change, said):
    assert fault({**GOOD, **change}, WANTED) == said


def test_a_value_of_any_kind():
    for value in (True, None, 1e300, "x", [1], {"a": 1}):
        assert fault({"a": value}, {"a": ANY}) is None
    assert fault({}, {"a": ANY}) == "a is missing"


def test_either_of_two_structures():
    assert fault({"a": 1}, Either(NUMBER, {"a": COUNT})) is None
    assert fault(1, Either(NUMBER, {"a": COUNT})) is None
    assert fault("x", Either(NUMBER, TEXT)) is None
    assert fault([], Either(NUMBER, TEXT), "it") == "it is a list, expected a text"
