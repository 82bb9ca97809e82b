"""What starts with what: verbs that read files import neither transformers nor torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_fixtures import generation, item, results_folder

HEAVY = ("transformers", "trl", "torch", "datasets", "accelerate", "sympy", "pandas")


def imported(code: str) -> list[str]:
    """Which heavy libraries Python holds after it ran `code`."""
    code += f"\nimport sys; print('held:', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("held:")[2].split()


@pytest.mark.parametrize("verb", ["compare", "score", "watch", "push", "figures"])
def test_a_verb_that_reads_files(verb: str) -> None:
    code = f"from sightline import cli\ntry: cli.main([{verb!r}, '--help'])\nexcept SystemExit: pass"
    assert imported(code) == []


def test_help_version_and_mistakes() -> None:
    assert imported("from sightline import cli; [cli.main([word]) for word in ('--help', '--version')]") == []
    assert imported("from sightline import cli; cli.main(['trian'])") == []


def test_stored_answers_are_scored_and_compared_without_torch(tmp_path: Path) -> None:
    """The whole way through, where no tokens were scored."""
    problems = [item(number) for number in range(3)]
    runs = [tmp_path / "a", tmp_path / "b"]
    for run, right in zip(runs, ("4", "5"), strict=True):
        answers = [generation(one, rf"\boxed{{{right}}}") for one in problems]
        results_folder(run, problems, answers)
    out = str(tmp_path / "compared")
    code = "from sightline import cli\n" + "".join(f"cli.main(['score', {str(run)!r}])\n" for run in runs)
    code += f"cli.main(['compare', {str(runs[0])!r}, {str(runs[1])!r}, '--output_dir', {out!r}])"
    assert imported(code) == []
