"""`sightline score RUN --protocol NAME`: stored answers graded again, without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.pages.results import write_results_page
from ..errors import UserError
from ..evaluation.report.tables import headline, interval, percent, points
from ..evaluation.run.jsonl_records import SIGHTED, read_generations
from ..evaluation.run.results import write_results
from ..evaluation.run.results_folder import ResultsFolder
from ..rewards import PROTOCOLS
from ..run_folder import finite
from . import DONE, screen
from .arguments import VerbParser

_MOST_UNDECIDED = 0.01


def main(argv: Sequence[str]) -> int:
    """Score a results folder from the command line."""
    args = parser().parse_args(list(argv))
    folder = ResultsFolder(Path(args.run))
    check_complete(folder, args.partial)
    results = write_results(folder, args.protocol, partial=args.partial)
    write_results_page(folder.path)
    if args.json:
        print(json.dumps(finite({**results, "output_dir": str(folder.path)})))
    else:
        print_results(results, folder)
    say_undecided(results, folder)
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "score",
        "Grade the stored answers of a run again and write its results anew; nothing is generated.",
        "sightline score runs/eval-20260101-120000 --protocol papo",
    )
    options.add_argument("run", metavar="RUN", help="a folder that sightline eval wrote")
    options.add_argument(
        "--protocol", choices=sorted(PROTOCOLS), default="strict", help="whose verdicts are the run's"
    )
    options.add_argument(
        "--partial",
        action="store_true",
        help="give figures of a run that was interrupted, or that lacks over 2 %% of its samples",
    )
    options.add_argument("--json", action="store_true", help="print the results as JSON")
    return options


def check_complete(folder: ResultsFolder, partial: bool = False) -> None:
    """Raise for a run that has not answered everything, unless part of it is enough."""
    wanted = int(folder.settings().get("expected_samples", 0))
    there = len(read_generations(folder.generations))
    if there > wanted:
        raise UserError(f"{folder.path} holds {there} samples of {wanted}; it mixes two runs")
    if not there:
        raise UserError(f"{folder.path} holds no answers yet; expected {wanted}")
    if there < wanted and not partial:
        raise UserError(
            f"{folder.path} was interrupted: {there} of {wanted} samples are there. Go on with its "
            "sightline eval command and --resume, or give --partial to score what is there"
        )


def print_results(results: Mapping[str, Any], folder: ResultsFolder, took: str = "") -> None:
    """The main figures as tables, and where the rest lies."""
    rows = []
    for name, found in results["benchmarks"].items():
        for view, measured in found["views"].items():
            lost = found["blind"].get(view)
            label = name if view == SIGHTED else f"{name}, blind ({view})"
            rates = measured["rates"]
            rows.append(
                [
                    label,
                    headline(measured["accuracy"], results["withheld"].get(name)),
                    points(lost["difference"]) if lost and name not in results["withheld"] else "",
                    str(measured["accuracy"]["n"]),
                    str(measured["accuracy"]["clusters"]),
                    *(percent(rates[rate]) for rate in ("no_box", "truncated", "timeout", "failed")),
                ]
            )
    if results["mean_accuracy"] is not None:
        rows.append(["mean of the benchmarks", percent(results["mean_accuracy"]), *[""] * 7])
    screen.print_table(
        f"{results['model']}, protocol {results['protocol']}, per cent with 95 % intervals",
        ["", "accuracy", "image gains", "answers", "clusters", "no box", "cut", "time-out", "failed"],
        rows,
    )
    for warning in results["warnings"]:
        screen.say(warning)
    _print_scores(results)
    _print_protocols(results)
    print(f"{took}page: {folder.report}; table: {folder.markdown}; figures: {folder.results}")


def say_undecided(results: Mapping[str, Any], folder: ResultsFolder) -> None:
    """A line if the machine kept more than 1 % of the answers from being judged."""
    views = [measured for found in results["benchmarks"].values() for measured in found["views"].values()]
    undecided = sum(measured["counts"]["undecided"] for measured in views)
    samples = sum(measured["samples"] for measured in views)
    if undecided > _MOST_UNDECIDED * samples:
        screen.say(
            f"{undecided} of {samples} answers could not be judged, since this machine stopped or killed the "
            "processes that grade; they count as neither right nor wrong. To judge them again: "
            f"sightline score {folder.path} --protocol {results['protocol']}"
        )


def _print_scores(results: Mapping[str, Any]) -> None:
    """The benchmarks' own scores, if any has one."""
    rows = []
    for name, found in results["benchmarks"].items():
        if name in results["withheld"]:
            continue
        for score, value in found["views"].get(SIGHTED, {}).get("scores", {}).items():
            if isinstance(value, Mapping):
                rows.append([f"{name}, {score}", interval(value), str(value["n"])])
    if rows:
        screen.print_table("the benchmarks' own scores", ["", "score", "of"], rows)


def _print_protocols(results: Mapping[str, Any]) -> None:
    """How the other protocols judge the same answers."""
    rows = []
    for name, found in results["benchmarks"].items():
        for protocol, other in found["protocols"].items():
            if protocol != results["protocol"]:
                counts = [str(other[key]) for key in ("differ", "accepts_more", "rejects_more")]
                rows.append([f"{name}, {protocol}", interval(other["accuracy"]), *counts])
    if any(row[2] != "0" for row in rows):
        screen.print_table(
            f"the same answers under other protocols, against {results['protocol']}",
            ["", "accuracy", "verdicts that differ", "accepted more", "rejected more"],
            rows,
        )
