"""`sightline completion SHELL`: what a shell needs to complete verbs, flags and file names."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

import shtab

from ..errors import UserError
from . import DONE, VERBS, screen
from .arguments import OneLineParser, VerbParser, with_actions

SHELLS = {
    "bash": "sightline completion bash > ~/.local/share/bash-completion/completions/sightline",
    "zsh": 'sightline completion zsh > "${fpath[1]}/_sightline"',
    "fish": "sightline completion fish > ~/.config/fish/completions/sightline.fish",
}
"""Each shell, and what puts the script where it looks: read from a file, since making it takes seconds."""


def main(argv: Sequence[str]) -> int:
    """Print the script of one shell, and on standard error where it belongs."""
    shell = parser().parse_args(list(argv)).shell
    print(shtab.complete(whole(), shell=shell))
    screen.say(f"keep it where {shell} looks: {SHELLS[shell]}")
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "completion",
        "Print a script with which a shell completes verbs, flags and file names; those of the installed "
        "engine's library are in it. Make it again after an upgrade.",
        "sightline completion bash",
    )
    options.add_argument("shell", choices=sorted(SHELLS), help="whose script")
    return options


def whole() -> argparse.ArgumentParser:
    """Every verb's options as one parser; without an engine, `train` has none."""
    verbs = {}
    for name, what in VERBS.items():
        try:
            verbs[name] = importlib.import_module(f".{name}", __package__).parser()
        except UserError:  # no engine is installed
            verbs[name] = OneLineParser()
        verbs[name].description = what
    found = with_actions("", verbs)
    for action in _options(found):
        if action.dest in _FILES:
            action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
        elif action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY  # pyright: ignore[reportAttributeAccessIssue]
    return found


_FILES = {"config", "benchmark_file", "image", "plugins", "prompt_template", "source", "test", "output"}
_FOLDERS = {"output_dir", "run", "runs", "a", "b", "model", "data_dir", "image_dir", "spare_dir"}


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Every option of a parser and of its actions."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [one for inner in action.choices.values() for one in _options(inner)]
        else:
            found.append(action)
    return found
