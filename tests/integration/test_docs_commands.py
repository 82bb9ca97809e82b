"""Every command printed in README and docs/ is one that its verb takes; the cheap ones are run as printed."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sightline.cli import VERBS, main
from sightline.engines.command_line import flags_given, split_config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?:.* -m |\.venv/bin/)?sightline ")


@dataclass(frozen=True)
class Command:
    """One call of `sightline`, its comment left out."""

    page: str
    words: tuple[str, ...]

    @property
    def needs(self) -> str | None:
        """What it needs that a test does not have; None if it is run here."""
        verb, line = self.words[0], " ".join(self.words)
        if verb in ("plan", "completion"):
            return None
        reasons = {
            "a set or a model of a hub": r"(?<!runs/)\b[A-Z]\w+/\w|--suite|--benchmarks geometry",
            "a GPU": r"recipes/(?!demo|lab)|vgpo-24gb\.yaml|--use_cpu false",
            "a model of the reader's": r"\bMODEL\b",
            "a run or a set of the reader's": r"\b(shared/)?(runs|data)/",
            "hours": r"recipes/lab|--max_steps (40|60)",
            "another environment": r"demo-verl|^doctor",
        }
        found = [what for what, sign in reasons.items() if re.search(sign, line)]
        return found[0] if found else None


def commands() -> list[Command]:
    """In the order in which they are printed."""
    found = []
    for page in PAGES:
        for language, body in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language not in ("", "console", "bash", "sh"):
                continue
            for line in body.replace("\\\n", " ").splitlines():
                call = CALL.match(line.strip().removeprefix("$ "))
                if call and not line.startswith("sightline: "):
                    rest = line.strip().removeprefix("$ ")[call.end() :]
                    words = shlex.split(rest, comments=True)
                    found.append(Command(str(page.relative_to(ROOT)), tuple(words)))
    return list(dict.fromkeys(found))


ALL = commands()


@cache
def parser(verb: str) -> Any:
    return import_module(f"sightline.cli.{verb}").parser()


def check_settings(words: list[str]) -> None:
    """Flags of `train`, which a config may stand beside."""
    flags, file = split_config(words)
    options = parser("train")
    given = flags_given(flags, options._actions)
    _, rest = options.parse_known_args(flags)
    assert not rest, f"words without a flag: {rest}"
    if file is not None and file.startswith("recipes/"):
        assert (ROOT / file).is_file(), file
    assert given or file


def test_there_are_commands() -> None:
    assert len(ALL) > 50
    assert {command.words[0] for command in ALL} <= set(VERBS)


@pytest.mark.parametrize("command", ALL, ids=lambda command: shlex.join(command.words)[:60])
def test_a_printed_command_is_one_that_its_verb_takes(command: Command) -> None:
    verb, *words = [word for word in command.words if word != "$flags"]
    if "--" in words:  # the other engine's library reads the rest
        words = words[: words.index("--")]
    if verb == "train":
        return check_settings(words)
    if verb == "eval" and "--plan" in words:
        verb = "eval_plan"
    if verb == "study":
        words, settings = import_module("sightline.cli.study")._settings(words, parser(verb))
        known = {action.dest for action in parser("train")._actions}
        assert set(settings) <= known
    given, rest = parser(verb).parse_known_args(words)
    if verb == "plan":
        return check_settings(rest)
    assert not rest, f"unknown: {rest}"
    config = getattr(given, "config", None)
    assert config is None or not config.startswith("recipes/") or (ROOT / config).is_file()
    return None


@pytest.mark.parametrize(
    "command",
    [command for command in ALL if command.needs is None],
    ids=lambda command: shlex.join(command.words)[:60],
)
def test_a_cheap_command_runs_as_printed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder with the recipes and the README's example; on fewer problems where it measures a model."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    example = (ROOT / "README.md").read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "vgpo-24gb.yaml").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    less = {
        "eval": ["--limit", "2"],
        "inspect": ["--limit", "1", "--occlusion", "1", "--max_new_tokens", "16"],
    }
    assert main([*command.words, *less.get(command.words[0], [])]) == 0


def test_what_is_run_here() -> None:
    """A command that is printed anew is either run, or says by its words what it needs."""
    run = [shlex.join(command.words) for command in ALL if command.needs is None]
    assert "inspect embedded --task shapes --limit 64 --occlusion 3" in run
    assert "eval embedded --benchmarks shapes --blind black" in run
    assert "plan --config vgpo-24gb.yaml --card 24" in run


PYTHON = [
    (page.name, number, body)
    for page in (ROOT / "README.md", ROOT / "docs" / "python.md", ROOT / "docs" / "from-trl.md")
    for number, (language, body) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
    if language == "python"
]


@pytest.mark.parametrize(("page", "number", "body"), PYTHON, ids=[f"{page}-{n}" for page, n, _ in PYTHON])
def test_python_runs_as_printed(
    page: str, number: int, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    exec(compile(body, f"{page}, block {number}", "exec"), {"__name__": "page"})
