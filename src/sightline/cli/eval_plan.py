"""`sightline eval --plan POINTS [A [B]]`: how many problems and samples find a difference of that size."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..evaluation.report.plan import CORRELATION, SAMPLES, assumed_plan, plan_from
from ..evaluation.run.results_folder import ResultsFolder
from ..rewards import PROTOCOLS
from . import DONE, screen
from .arguments import VerbParser
from .score import check_complete


def main(argv: Sequence[str]) -> int:
    """Plan an evaluation from the command line."""
    args = parser().parse_args(list(argv))
    found = _plan(args)
    if args.json:
        print(json.dumps(found))
    else:
        _print(found)
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "eval --plan POINTS",
        "How many problems, at how many samples each, find a true difference of POINTS between two models "
        "with 80 % power at 5 %, two-sided, paired over problems. Variances are measured on one or two "
        "earlier runs (such as one with --limit 100 --samples 4), or assumed.",
        "sightline eval --plan 2 runs/eval-before runs/eval-after",
    )
    options.add_argument("--plan", metavar="POINTS", type=_points, required=True, help="such as 2")
    options.add_argument("runs", metavar="RUN", nargs="*", help="up to two results folders to measure on")
    options.add_argument("--protocol", choices=sorted(PROTOCOLS), default="strict", help="whose verdicts")
    options.add_argument(
        "--correlation", type=_share, help="of the two models' problem means, for less than two runs "
        f"(default {CORRELATION}; Miller 2024)"
    )  # fmt: skip
    options.add_argument("--accuracy", type=_share, help="without a run (default 0.5, the worst case)")
    options.add_argument(
        "--sampling", type=_share, help="without a run: share of a single sample's variance that comes from "
        "sampling (default 0.5; 0 for greedy answers)"
    )  # fmt: skip
    options.add_argument("--partial", action="store_true", help="measure on interrupted runs as they are")
    options.add_argument("--json", action="store_true", help="print the plan as JSON")
    return options


def _plan(args: argparse.Namespace) -> dict[str, Any]:
    if len(args.runs) > 2:
        raise UserError(f"--plan measures on up to two runs, got {len(args.runs)}")
    if not args.runs:
        return assumed_plan(args.plan / 100, args.accuracy, args.sampling, args.correlation)
    given = [name for name in ("accuracy", "sampling") if getattr(args, name) is not None]
    given += ["correlation"] if len(args.runs) == 2 and args.correlation is not None else []
    if given:
        raise UserError(f"--{given[0]} is measured on the runs; leave it out, or the runs")
    folders = [ResultsFolder(Path(run)) for run in args.runs]
    for folder in folders:
        check_complete(folder, args.partial)
    return plan_from(folders, args.plan / 100, args.protocol, args.correlation)


def _points(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected points, such as 2, got {text!r}") from None
    if not 0.1 <= value <= 100:
        raise argparse.ArgumentTypeError(
            f"expected a difference of 0.1 to 100 points, such as 2 for 50 % against 52 %, got {text}"
        )
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text!r}") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text}")
    return value


def _print(found: Mapping[str, Any]) -> None:
    rows = []
    for name, one in found["benchmarks"].items():
        rows.append([f"{name}, problems needed", *(f"{one['problems'][str(k)]:,}" for k in SAMPLES)])
        if one["has"]:
            finds = (f"{100 * one['detectable'][str(k)]:.1f}" for k in SAMPLES)
            rows.append([f"{name}, points found with its {one['has']:,}", *finds])
    screen.print_table(
        f"A difference of {100 * found['difference']:g} points, 80 % power, by samples of a problem",
        ["", *(str(k) for k in SAMPLES)],
        rows,
    )
    for note in found["notes"]:
        screen.say(note)
