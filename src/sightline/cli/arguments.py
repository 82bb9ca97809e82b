"""Arguments that mean the same for every verb."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import NoReturn

from ..errors import UserError


class OneLineParser(argparse.ArgumentParser):
    """A parser for which wrong use is one clear line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


class VerbParser(OneLineParser):
    """A parser whose `--help` ends with an example."""

    def __init__(self, verb: str, description: str, example: str):
        super().__init__(
            prog=f"sightline {verb}",
            description=description,
            epilog=f"example: {example}",
            allow_abbrev=False,
        )

    def add_model(self) -> None:
        """MODEL and how it is loaded."""
        self.add_argument("model", metavar="MODEL", help="a folder, a hub id, or `embedded` or `embedded-2`")
        self.add_argument(
            "--dtype", default="auto", help="float32, bfloat16, or auto: the saved one (default)"
        )
        self.add_argument(
            "--trust_remote_code",
            action="store_true",
            help="run code that comes with the model (off by default)",
        )

    def add_results(self, limit: str) -> None:
        """Where results go, how many there are, and the seed."""
        self.add_argument("--limit", type=positive, help=limit)
        self.add_argument(
            "--seed", type=int, default=0, help="seed of sampling and of random views (default 0)"
        )
        self.add_argument("--output_dir", help="where results go (default: a fresh folder under runs/)")
        self.add_argument("--overwrite", action="store_true", help="replace the results in output_dir")
        self.add_argument("--json", action="store_true", help="print the results as JSON")


def with_actions(verb: str, actions: Mapping[str, argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """One parser of several: `sightline VERB ACTION ...`."""
    whole = OneLineParser(prog=f"sightline {verb}".strip(), allow_abbrev=False)
    added = whole.add_subparsers(dest="action", required=True, parser_class=argparse.ArgumentParser)
    for name, parser in actions.items():
        added.add_parser(
            name, parents=[parser], add_help=False, help=parser.description, conflict_handler="resolve"
        )
    return whole


def positive(text: str) -> int:
    """An integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value
