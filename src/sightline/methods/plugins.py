"""Rules of a user's own: modules that add to the tables of signals, shapings, terms, views, methods.

A plugin is a module's name (`my_package.rules`) or a file (`rules.py`); importing it adds its rows, as
`SHAPINGS["mine"] = Rule(mine)`. Installed packages name theirs as entry points of the group
`sightline.plugins`, which load before the first method is built. Plugins are code of whoever runs this, and
run as such.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, MutableMapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..objectives import OBJECTIVES, TERMS
from ..shaping import ADJUSTMENTS, SHAPINGS
from ..signals import SIGNALS
from ..views import VIEWS

GROUP = "sightline.plugins"
TABLES: dict[str, MutableMapping[str, Any]] = {
    "signal": SIGNALS,
    "shaping": SHAPINGS,
    "adjustment": ADJUSTMENTS,
    "term": TERMS,
    "view": VIEWS,
    "objective": OBJECTIVES,
}
"""What a plugin may add to, by what an entry is called; `methods` adds its own."""


def plugin_names(given: Any) -> list[str]:
    """The plugins of a setting: a name, several separated by commas, or a list of names."""
    listed = given.split(",") if isinstance(given, str) else given or []
    if not isinstance(listed, Sequence) or not all(isinstance(one, str) for one in listed):
        raise UserError(f"plugins must be module names or files, as my_package.rules, got {given!r}")
    return [one.strip() for one in listed if one.strip()]


def absolute_plugins(given: Any) -> list[str]:
    """The plugins of a setting, files by their whole path: for a process that runs in another folder."""
    return [str(Path(name).resolve()) if name.endswith(".py") else name for name in plugin_names(given)]


def load_plugins(given: Any) -> list[str]:
    """Load plugins in order, each once a process; the names that were given.

    Raises:
        UserError: one cannot be imported (file, line, what), or gives a name that is taken.
    """
    names = plugin_names(given)
    for name in names:
        _load(name, functools.partial(_imported, name))
    return names


@functools.cache
def load_installed() -> None:
    """Load the plugins of installed packages, once a process.

    Raises:
        UserError: as `load_plugins`, with the package's name.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        owner = point.dist.name if point.dist is not None else point.value
        _load(f"{point.value} of package {owner}", point.load)


def _load(name: str, load: Callable[[], Any]) -> None:
    before = {kind: dict(table) for kind, table in TABLES.items()}
    try:
        load()
    except UserError as error:
        _restore(before)
        raise UserError(f"plugin {name}: {error}") from error
    except BaseException as error:
        _restore(before)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UserError(f"plugin {name} cannot be imported: {_where(error)}") from error
    for kind, table in TABLES.items():
        taken = [key for key, value in before[kind].items() if table.get(key) is not value]
        if taken:
            _restore(before)
            raise UserError(f"plugin {name} replaces the {kind} {taken[0]}; give yours another name")


def _restore(before: dict[str, dict[str, Any]]) -> None:
    for kind, table in TABLES.items():
        table.clear()
        table.update(before[kind])


def _imported(name: str) -> Any:
    path = Path(name)
    if path.suffix != ".py":
        return importlib.import_module(name)
    whole = path.resolve()
    module_name = f"sightline_plugin_{hashlib.sha256(str(whole).encode()).hexdigest()[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    if not whole.is_file():
        raise FileNotFoundError(f"there is no file {whole}")
    spec = importlib.util.spec_from_file_location(module_name, whole)
    assert spec is not None and spec.loader is not None
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _where(error: BaseException) -> str:
    """File, line and what of an exception, from the plugin's own frame where there is one."""
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {what}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {what}" if frames else what
