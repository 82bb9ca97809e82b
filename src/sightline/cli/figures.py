"""`sightline figures RUN ...`: the papers' figures from saved runs, and a page that compares runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..analysis import write_comparison, write_figures
from ..run_folder import fresh_name
from . import DONE, screen
from .arguments import VerbParser


def main(argv: Sequence[str]) -> int:
    """Draw figures from the command line."""
    args = parser().parse_args(list(argv))
    folders = [Path(run) for run in dict.fromkeys(args.runs)]
    target = Path(args.output_dir or _default(folders))
    files, notes = write_figures(folders, target)
    page = write_comparison(folders, target / "comparison.html") if len(folders) > 1 else None
    for note in notes:
        screen.say(note)
    if args.json:
        report = {"output_dir": str(target), "files": [str(path) for path in files], "notes": notes}
        print(json.dumps(report | {"comparison": None if page is None else str(page)}))
        return DONE
    figures = sorted(path.stem for path in files if path.suffix == ".svg")
    print(f"{len(figures)} figures in {target}, each as .svg, .png and .csv: {', '.join(figures)}")
    if page is not None:
        print(f"comparison: {page}")
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "figures",
        "Draw the papers' figures from what runs and inspections left, as SVG, PNG and CSV. Runs that "
        "differ only in their seed are drawn as one curve with a band.",
        "sightline figures runs/vgpo-0 runs/vgpo-1 runs/grpo-0 --output_dir runs/figures",
    )
    options.add_argument("runs", nargs="+", metavar="RUN", help="folders of `train` or `inspect`")
    options.add_argument(
        "--output_dir", help="where figures go (default: RUN/figures, or a fresh folder for several)"
    )
    options.add_argument("--json", action="store_true", help="print the names of all files as JSON")
    return options


def _default(folders: Sequence[Path]) -> str:
    return str(folders[0] / "figures") if len(folders) == 1 else fresh_name("figures")
