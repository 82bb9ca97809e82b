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
from ..run_folder import fresh_name, open_run, write_json, write_text
from . import DONE, screen
from .arguments import VerbParser
from .score import check_complete


def main(argv: Sequence[str]) -> int:
    """Compare two results folders from the command line."""
    parser = VerbParser(
        "compare",
        "Paired differences between two runs of sightline eval over the same problems, B minus A.",
        "sightline compare runs/eval-before runs/eval-after",
    )
    parser.add_argument("a", metavar="A", help="a results folder")
    parser.add_argument("b", metavar="B", help="the one to hold against it")
    parser.add_argument(
        "--protocol", choices=sorted(PROTOCOLS), help="whose verdicts to compare (default: the runs' own)"
    )
    parser.add_argument(
        "--partial", action="store_true", help="compare runs that were interrupted as they are"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sign flips (default 0)")
    parser.add_argument("--output_dir", help="where results go (default: a fresh folder under runs/)")
    parser.add_argument("--overwrite", action="store_true", help="replace the results in output_dir")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    args = parser.parse_args(list(argv))
    first, second = ResultsFolder(Path(args.a)), ResultsFolder(Path(args.b))
    for folder in (first, second):
        check_complete(folder, args.partial)
    found = compare(first, second, headline(first, second, args.protocol), seed=args.seed)
    run = open_run(args.output_dir or fresh_name("compare"), overwrite=args.overwrite)
    write_json(run.path / "comparison.json", found)
    write_json(run.results, {"kind": "comparison", "a": str(first.path), "b": str(second.path)})
    write_text(run.path / "comparison.md", comparison_table(found))
    page = write_comparison_page(run.path)
    if args.json:
        stored = json.loads((run.path / "comparison.json").read_text())
        print(json.dumps({**stored, "output_dir": str(run.path)}))
        return DONE
    for note in found["notes"]:
        screen.say(note)
    _print(found)
    print(f"page: {page}")
    return DONE


def _print(found: Mapping[str, Any]) -> None:
    rows = [
        [
            name,
            str(entry["problems"]),
            interval(entry["a"]),
            interval(entry["b"]),
            points(entry["difference"]),
            probability(entry["difference"]["p"]),
            f"{entry['only_a']} / {entry['only_b']}",
        ]
        for name, entry in found["benchmarks"].items()
    ]
    if average := found["average"]:
        figures = (f"{100 * average[run]:.1f}" for run in ("a", "b"))
        rows.append(["mean", "", *figures, points(average), probability(average["p"]), ""])
    screen.print_table(
        f"B against A, protocol {found['protocol']}, per cent with 95 % intervals",
        ["", "problems", "A", "B", "B - A", "p", "only A / only B"],
        rows,
    )
