"""YAML and JSON that anyone may have written, read with limits on size, depth and repetition.

A run folder may come from somebody else. 300 bytes of nested YAML aliases stand for millions of values, and
64 MB of `[],[],` for gigabytes of lists; here both are refused in the time that it takes to read them.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 64_000_000
"""Of a JSON file; larger ones are not read whole."""
MOST_YAML_BYTES = 128_000
"""Settings take some kilobytes; YAML is read at about 100 kB a second."""
MOST_VALUES = 5_000_000
"""Values of a JSON text."""
MOST_YAML_VALUES = 50_000
"""Values of a YAML text, those of an alias counted wherever it stands."""
DEEPEST = 64
_LARGEST_INTEGER = 10**100
_MERGE = "tag:yaml.org,2002:merge"


class Refused(ValueError):  # noqa: N818 (not always an error)
    """A file is damaged, or more than a file of ours would be; says in a few words what is wrong."""


def read_plain(path: Path, most: int = MOST_BYTES) -> Any:
    """What a YAML or JSON file holds, by its name's ending.

    Raises `Refused` for what `parse_plain` refuses and for what is no plain file, `FileNotFoundError` and
    other `OSError`s as reading does.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would keep us waiting
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused("is no plain file")
        return parse_plain(path.name, file.read(most + 1), most)


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds that a user names, whatever its name ends in.

    Raises `Refused` for what `parse_yaml` refuses, too much or no UTF-8, and `OSError`s as reading does.
    """
    with open(path, "rb") as file:
        content = file.read(MOST_YAML_BYTES + 1)
    if len(content) > MOST_YAML_BYTES:
        raise Refused(f"has more than {MOST_YAML_BYTES:,} bytes")
    try:
        return parse_yaml(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(f"is no UTF-8 text ({error.reason} at byte {error.start:,})") from None


def parse_plain(name: str, content: bytes, most: int = MOST_BYTES) -> Any:
    """YAML or JSON by the file's name. Raises `Refused` for what is neither, too large, or too deep."""
    text = content.decode("utf-8", "replace")
    is_yaml = name.endswith((".yaml", ".yml"))
    limit = min(most, MOST_YAML_BYTES) if is_yaml else most
    if len(content) > limit:
        raise Refused(f"has more than {limit:,} bytes")
    try:
        return parse_yaml(text) if is_yaml else parse_json(text)
    except RecursionError:
        raise Refused("is nested too deeply") from None


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises `Refused`."""
    if text.count(",") + text.count("[") + text.count("{") > MOST_VALUES:
        raise Refused(f"holds more than {MOST_VALUES:,} values")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"is no JSON ({str(error)[:80]})") from None


def parse_yaml(text: str) -> Any:
    """The value of a YAML text, without tags that construct objects.

    Raises `Refused`, also for a key that a mapping names twice: the first of its values would be lost.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise Refused("is nested too deeply") from None
    except yaml.YAMLError as error:
        raise Refused(f"is not valid YAML ({_where(error)})") from None
    except Refused:
        raise
    except (ValueError, TypeError, OverflowError) as error:  # a date that is none, an unhashable key
        raise Refused(f"is not valid YAML ({str(error)[:80]})") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses repeated keys, and deep nesting before it has cost anything."""

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 (PyYAML's)
        if self.flow_level >= DEEPEST:
            raise Refused(f"is nested more than {DEEPEST} deep")
        super().fetch_flow_collection_start(TokenClass)

    def construct_yaml_int(self, node: Any) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) > _LARGEST_INTEGER:
            raise Refused("holds an integer that is no setting")
        return value

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Refused(f"is nested more than {DEEPEST} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node: Any = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _MERGE:
                continue
            key: Any = self.construct_object(key_node)
            if key in seen:
                what = f"the key {key!r:.40} is given twice; keep one of them"
                raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
            seen.add(key)
        return node


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """How many values a node stands for, its aliases written out, and how deep they are nested."""
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise Refused("holds an alias that contains itself")
        return found
    known[id(node)] = None
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = list(node.value)
    parts = [_measure(part, known) for part in inner]
    count, depth = 1 + sum(size for size, _ in parts), 1 + max((deep for _, deep in parts), default=0)
    if count > MOST_YAML_VALUES or depth > DEEPEST:
        raise Refused(f"stands for more than {MOST_YAML_VALUES:,} values, or more than {DEEPEST} deep")
    known[id(node)] = count, depth
    return count, depth


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or type(error).__name__
    return f"line {mark.line + 1}: {what[:80]}" if mark is not None else str(what)[:80]
