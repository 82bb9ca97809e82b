"""`import sightline`: the public nouns, and nothing heavy behind them."""

from __future__ import annotations

import subprocess
import sys

import sightline

HEAVY = ("transformers", "trl", "accelerate", "datasets", "matplotlib", "sympy", "math_verify", "rich")


def test_nothing_heavy_is_imported() -> None:
    code = f"import sys, sightline; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_exported_name_exists_and_is_documented() -> None:
    assert sorted(sightline.__all__) == [
        "METHODS", "Method", "Needs", "OBJECTIVES", "Objective", "Rollouts", "SIGNALS", "Signal",
        "UserError", "VIEWS", "Verdict", "View", "grade", "grade_many", "group_advantages", "method", "view",
    ]  # fmt: skip
    for name in sightline.__all__:
        thing = getattr(sightline, name)
        assert isinstance(thing, dict) or (thing.__doc__ and not thing.__doc__.startswith("dict(")), name
