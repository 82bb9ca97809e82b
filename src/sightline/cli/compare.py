"""`sightline compare A B`: is run B better than run A, and is the difference more than noise?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.pages.results import write_comparison_page
from ..evaluation.report.comparison import compare, headline
from ..evaluation.report.tables import comparison_table, interval, points, probability
from ..evaluation.run.results_folder import ResultsFolder
from ..rewards import PROTOCOLS
from ..run_folder import finite, fresh_name, open_run, write_json, write_text
from . import DONE, screen
from .arguments import VerbParser
from .score import check_complete


def main(argv: Sequence[str]) -> int:
    """Compare two results folders from the command line."""
    args = parser().parse_args(list(argv))
    first, second = _folders(args.a), _folders(args.b)
    for folder in (*first, *second):
        check_complete(folder, args.partial)
    protocol = headline(first, second, args.protocol)
    found = compare(first, second, protocol, seed=args.seed, partial=args.partial)
    run = open_run(args.output_dir or fresh_name("compare"), overwrite=args.overwrite)
    write_json(run.path / "comparison.json", found)
    write_json(run.results, {"kind": "comparison", "a": args.a, "b": args.b})
    write_text(run.path / "comparison.md", comparison_table(found))
    page = write_comparison_page(run.path)
    if args.json:
        print(json.dumps(finite({**found, "output_dir": str(run.path)})))
        return DONE
    for note in found["notes"]:
        screen.say(note)
    _print(found)
    for remark in found["remarks"]:
        screen.say(remark)
    print(f"page: {page}")
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "compare",
        "Paired differences between two runs of sightline eval over the same problems, B minus A.",
        "sightline compare runs/eval-before runs/eval-after",
    )
    several = "; several runs of one method with other seeds: their folders with commas between"
    options.add_argument("a", metavar="A", help=f"a results folder{several}")
    options.add_argument("b", metavar="B", help="the one to hold against it, or several")
    options.add_argument(
        "--protocol", choices=sorted(PROTOCOLS), help="whose verdicts to compare (default: the runs' own)"
    )
    options.add_argument(
        "--partial",
        action="store_true",
        help="compare what is there of runs that were interrupted, or lack more than 2 %% of their samples",
    )
    options.add_argument("--seed", type=int, default=0, help="seed of the sign flips (default 0)")
    options.add_argument("--output_dir", help="where results go (default: a fresh folder under runs/)")
    options.add_argument("--overwrite", action="store_true", help="replace the results in output_dir")
    options.add_argument("--json", action="store_true", help="print the comparison as JSON")
    return options


def _folders(given: str) -> list[ResultsFolder]:
    """The results folders of one side."""
    paths = [given] if Path(given).exists() else [part for part in given.split(",") if part.strip()]
    return [ResultsFolder(Path(path.strip())) for path in paths or [given]]


def _print(found: Mapping[str, Any]) -> None:
    rows = [
        [
            name,
            str(entry["problems"]),
            interval(entry["a"]),
            interval(entry["b"]),
            points(entry["difference"]),
            probability(entry["difference"]["p"]),
            probability(entry["difference"]["p_corrected"]),
            f"{entry['only_a']} / {entry['only_b']}",
        ]
        for name, entry in found["benchmarks"].items()
    ]
    if average := found["average"]:
        figures = (f"{100 * average[run]:.1f}" for run in ("a", "b"))
        rows.append(["mean", "", *figures, points(average), probability(average["p"]), "", ""])
    screen.print_table(
        f"B against A, protocol {found['protocol']}, per cent with 95 % intervals",
        ["", "problems", "A", "B", "B - A", "p", _corrected(found), "only A / only B"],
        rows,
    )
    if across := found["across"]:
        _print_across(across)


def _corrected(found: Mapping[str, Any]) -> str:
    count = found["corrections"]["benchmarks"]
    return f"p, for {count} benchmark{'s' if count != 1 else ''}"


def _print_across(across: Mapping[str, Any]) -> None:
    middle = across["interquartile_mean"]
    improved = across["probability_of_improvement"]
    screen.print_table(
        f"{across['runs'][0]} runs of A and {across['runs'][1]} of B on {across['benchmarks']} benchmarks, "
        "95 % bootstrap intervals over runs",
        ["", "A", "B", "B - A"],
        [
            [
                "interquartile mean",
                interval(middle["a"]),
                interval(middle["b"]),
                points(middle["difference"]),
            ],
            ["chance that B beats A", "", interval(improved), ""],
        ],
    )
