"""What the command line prints: lines and tables; other libraries' warnings go to a log file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from logging.handlers import MemoryHandler
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import spelled

_HELD = 100_000
"""Log records kept until there is a file for them."""


def prepare() -> None:
    """Set what transformers, datasets and trl read when they are imported: call it before a verb is."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    warnings.simplefilter("ignore")
    logging.captureWarnings(True)


def quiet() -> None:
    """Turn off progress bars and chatter of transformers and datasets once they are imported."""
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def hold_log() -> None:
    """Keep log records and warnings in memory until `log_to` says where they go."""
    logging.getLogger().addHandler(MemoryHandler(_HELD, flushLevel=logging.CRITICAL + 1))


class _LogFile(logging.FileHandler):
    """Goes without the lines that a full disk does not take: the run itself says that it is full."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def log_to(path: Path) -> None:
    """Send every library's log records and warnings to a file instead of the screen."""
    handler = _LogFile(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        if isinstance(old, MemoryHandler):
            old.setTarget(handler)
            old.close()
        elif isinstance(old, logging.FileHandler):
            old.close()
    root.addHandler(handler)
    for name in ("transformers", "datasets", "accelerate", "huggingface_hub", "trl"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def say(text: str) -> None:
    """One line to the person who runs this; standard output stays free for results."""
    print(spelled(text), file=sys.stderr, flush=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A small table on standard output; control characters in texts are spelled out."""
    table = Table(title=Text(spelled(title)), title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        justify = "left" if index == 0 else "right"
        table.add_column(Text(spelled(column)), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(spelled(cell)) for cell in row))
    console = Console(file=sys.stdout)
    if not console.is_terminal:  # a file or a pipe has room for every cell
        console = Console(file=sys.stdout, width=Console(width=10_000).measure(table).maximum)
    console.print(table)
