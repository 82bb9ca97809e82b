"""The distribution's name is in one place, and hints, metadata and pyproject.toml agree on it."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import sightline
from sightline import UserError, distribution
from sightline.cli.doctor_checks import engine_requirements, requirements
from sightline.engines import registry

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_name_is_that_of_the_project() -> None:
    assert PROJECT["name"] == distribution.DISTRIBUTION
    assert PROJECT["version"] == distribution.VERSION == sightline.__version__
    assert distribution.install("trl") == f"pip install '{PROJECT['name']}[trl]'"
    old = [
        str(path.relative_to(ROOT))
        for folder in ("src", "docs", "recipes", "examples", "README.md", "Makefile", "pyproject.toml")
        for path in ([ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".md", ".yaml", ".ipynb", ".toml", "") and path.is_file()
        and "sightline[" in path.read_text(encoding="utf-8")
    ]  # fmt: skip
    assert old == [], "another project's name in a hint"


def test_what_is_needed_is_known_installed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(distribution, "requires", absent)
    monkeypatch.setattr(distribution, "metadata", absent)
    assert distribution.needed_python() == PROJECT["requires-python"]
    assert {str(one) for one in requirements()} == {str(Requirement(one)) for one in PROJECT["dependencies"]}
    assert {name: str(one.specifier) for name, one in engine_requirements().items()} == {
        "trl": "<1.17,>=1.16", "verl": "<0.10,>=0.9.1",
    }  # fmt: skip


def test_a_missing_engine_is_asked_for_by_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'sightline-rl\[trl\]'"):
        registry.engine("trl")
