"""`import sightline`: the public nouns, and nothing heavy behind them."""

from __future__ import annotations

import subprocess
import sys

import sightline

HEAVY = ("transformers", "trl", "accelerate", "datasets", "matplotlib", "sympy", "math_verify", "rich")


def test_nothing_heavy_is_imported() -> None:
    light = [name for name in sightline.__all__ if name != "Trainer"]
    code = f"import sys, sightline; [getattr(sightline, name) for name in {light!r}]; "
    code += f"print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_room_is_imported_when_it_is_asked_for() -> None:
    code = "import sys, sightline; "
    code += "print('torch' in sys.modules, sightline.methods.METHODS is sightline.METHODS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    assert {"method", "rewards"} <= set(dir(sightline))


def test_a_verb_is_imported_after_the_screen_is_prepared() -> None:
    """What is set later than its import a library no longer reads; `--help` waits for none of it."""
    code = (
        "import os, sys; key = 'TRANSFORMERS_VERBOSITY'\n"
        "from sightline import cli\n"
        "cli.main(['--help'])\n"
        "loaded = [name for name in ('logging', 'rich', 'torch') if name in sys.modules]\n"
        "cli.importlib.import_module = lambda name: print(name, os.environ[key], loaded)\n"
        "cli.main(['score'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "sightline.cli.score error []" in done.stdout, done.stderr


def test_every_exported_name_exists_and_is_documented() -> None:
    assert sorted(sightline.__all__) == [
        "METHODS", "Method", "Needs", "OBJECTIVES", "Objective", "Rollouts", "SIGNALS", "Signal", "Trainer",
        "UserError", "VIEWS", "Verdict", "View", "grade", "grade_many", "group_advantages", "method", "view",
    ]  # fmt: skip
    for name in sightline.__all__:
        thing = getattr(sightline, name)
        assert isinstance(thing, dict) or (thing.__doc__ and not thing.__doc__.startswith("dict(")), name
