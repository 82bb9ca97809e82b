"""`sightline VERB ...`: one file per verb, one manner for all.

A verb is a module of this package with `main(argv) -> int`. Exit codes: 0 done, 1 found
problems, 2 wrong use, 130 interrupted, 141 what reads the output has ended, as `| head` does.
"""

from __future__ import annotations

import errno
import importlib
import os
import select
import sys

from .. import __version__
from ..errors import UserError, spelled, unknown_name

VERBS = {
    "train": "train a vision-language model with a perception-grounded method",
    "plan": "say whether a run fits, on which GPUs, and how its batches divide, before anything is loaded",
    "eval": "measure a model on benchmarks, with intervals and blind tests",
    "score": "grade the stored answers of a run by another protocol",
    "compare": "paired differences between two runs of eval",
    "inspect": "see which words of an answer came from the image, as a page",
    "figures": "draw the papers' figures from runs, and compare runs",
    "watch": "follow a run in the browser while it trains",
    "push": "send a finished run's model to a hub",
    "study": "compare methods under one budget over many seeds",
    "data": "check a dataset from end to end, or preview it",
    "doctor": "check versions, GPU, vLLM, disk and hub, and train for two steps",
    "completion": "print what bash, zsh or fish needs to complete all this",
    "world": "build an embedded checkpoint again, or measure a model in its world",
}

_SLOW = ("train", "eval", "inspect", "study", "world", "doctor")
"""Verbs that import torch and transformers first, which takes some machines a minute."""

DONE, FOUND_PROBLEMS, WRONG_USE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


def usage() -> str:
    """The text of `sightline --help`."""
    verbs = "\n".join(f"  {verb:<10} {what}" for verb, what in VERBS.items())
    return (
        "usage: sightline VERB [options]\n\n"
        "Reinforcement learning for vision-language models that rewards looking.\n\n"
        f"verbs:\n{verbs}\n\n"
        "example: sightline train --config recipes/demo.yaml\n"
        "Each verb explains itself: sightline VERB --help; sightline --version"
    )


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # here, where a reader that has gone is known for what it is
    except UserError as error:
        print(f"sightline: {spelled(str(error))}", file=sys.stderr)
        return WRONG_USE
    except BrokenPipeError:
        if not _output_closed():
            raise
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" for {error.filename}" if error.filename else ""
        print(f"sightline: the disk is full{where}; make room, then give the command again", file=sys.stderr)
        return FOUND_PROBLEMS
    except KeyboardInterrupt:
        print("sightline: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return DONE if argv else WRONG_USE
    if argv[0] == "--version":
        print(f"sightline {__version__}")
        return DONE
    if argv[0] not in VERBS:
        if argv[0].endswith((".yaml", ".yml")):
            raise UserError(f"a verb comes first: sightline train --config {argv[0]}")
        raise unknown_name("verb", argv[0], VERBS)
    from . import screen  # after --help, which answers without it

    screen.prepare()
    if argv[0] in _SLOW and _is_shown(argv):
        screen.say(f"sightline {argv[0]}: loading torch and transformers, some seconds")
    return importlib.import_module(f"{__name__}.{argv[0]}").main(argv[1:])


def _output_closed() -> bool:
    """Whether the reader of stdout has gone, as `| head` does; what is left unsaid is then dropped."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    closed = any(event & select.POLLERR for _, event in watched.poll(0))
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed


def _is_shown(argv: list[str]) -> bool:
    """Whether a person waits for this process to begin: no other rank, no child of a study, no help."""
    asked = {"-h", "--help", "--help-all"} & {*argv}
    return not asked and os.environ.get("RANK", "0") == "0" and sys.stderr.isatty()
