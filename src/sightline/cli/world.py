"""`sightline world build`: make an embedded checkpoint again from nothing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from . import DONE, screen

EXAMPLE = "example: sightline world build --output_dir runs/world --seed 1"


def parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    whole = argparse.ArgumentParser(
        prog="sightline world",
        description="The embedded worlds and the small models that live in them.",
        epilog=EXAMPLE,
    )
    actions = whole.add_subparsers(dest="action", required=True, metavar="build")
    build = actions.add_parser(
        "build",
        help="train an embedded model and write its checkpoint",
        description="Train an embedded model, write its checkpoint, and measure it on held-out problems. "
        "Level 1 (`embedded`, task `shapes`) is made from nothing in five to ten minutes on one core; "
        "level 2 (`embedded-2`, task `shapes-2`) from the shipped model of level 1 in about twice the time.",
        epilog=EXAMPLE,
    )
    build.add_argument("--output_dir", type=Path, metavar="DIR", help="default: a fresh folder under runs/")
    build.add_argument("--level", type=int, default=1, help="the world: 1 (default) or 2")
    build.add_argument("--seed", type=int, default=0, help="of the weights and of the lessons (default 0)")
    build.add_argument("--steps", type=int, metavar="N", help="a shorter warm start, to try it out")
    build.add_argument(
        "--limit", type=int, default=512, metavar="N", help="held-out problems to measure on (default 512)"
    )
    build.add_argument("--overwrite", action="store_true", help="replace the files of an earlier build")
    build.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return whole


def main(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = parser().parse_args(argv)
    screen.prepare()
    from ..models.embedded.build import build
    from ..runs import fresh_name

    screen.quiet()
    folder = options.output_dir or Path(fresh_name("world"))
    built = build(
        folder,
        options.level,
        options.seed,
        options.steps,
        options.limit,
        options.overwrite,
        not options.json,
    )
    if options.json:
        result = {"output_dir": str(folder), "accuracy": built.accuracies, "sha256": built.sha256}
        print(json.dumps(result))
    else:
        columns = ["accuracy on held-out problems", *built.accuracies]
        row = [f"n = {options.limit}", *(f"{value:.3f}" for value in built.accuracies.values())]
        screen.print_table(str(folder), columns, [row])
    return DONE
