"""The name under which Sightline is installed, and what it says it needs. It is imported as `sightline`.

The name `sightline` on PyPI is another project's.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Any

DISTRIBUTION = "sightline-rl"
VERSION = "0.1.0"


def install(extra: str) -> str:
    """The command that installs an extra, such as an engine."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def requirement_lines() -> list[str]:
    """What Sightline needs, extras with their markers; if it is not installed, by its pyproject.toml."""
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        project = _project()
        named = project.get("optional-dependencies", {}).items()
        extras = [f'{line}; extra == "{name}"' for name, lines in named for line in lines]
        return [*project.get("dependencies", []), *extras]


def needed_python() -> str:
    """The Python versions that it runs on."""
    try:
        found = metadata(DISTRIBUTION)["Requires-Python"]
    except PackageNotFoundError:
        found = _project().get("requires-python")
    return found or ">=3.11"


def _project() -> dict[str, Any]:
    """The table `project` of the checkout around this file; empty where there is none."""
    file = Path(__file__).resolve().parents[2] / "pyproject.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))["project"] if file.is_file() else {}
