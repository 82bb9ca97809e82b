"""`sightline eval MODEL --benchmarks shapes`: accuracy with intervals, and blind tests."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from . import DONE, screen

screen.prepare()

from tqdm import tqdm  # noqa: E402

from ..errors import unknown_name  # noqa: E402
from ..evaluation.answers import answer  # noqa: E402
from ..evaluation.benchmarks import BENCHMARKS, benchmark  # noqa: E402
from ..evaluation.statistics import Measured  # noqa: E402
from ..models.generation import Decoding  # noqa: E402
from ..models.loading import LoadedModel, load_model  # noqa: E402
from ..provenance import provenance  # noqa: E402
from ..runs import fresh_name, open_run, write_json  # noqa: E402
from ..views import VIEWS, PixelView, view  # noqa: E402
from .arguments import VerbParser, positive  # noqa: E402


def main(argv: Sequence[str]) -> int:
    """Evaluate one model from the command line."""
    args = _parser().parse_args(list(argv))
    names = _names(args.benchmarks, BENCHMARKS, "benchmark")
    blind: dict[str, Any] = {name: view(name) for name in _names(args.blind, BLIND_VIEWS, "blind view")}
    screen.quiet()
    loaded = load_model(args.model, args.dtype, trust_remote_code=args.trust_remote_code)
    folder = open_run(args.output_dir or fresh_name("eval"), overwrite=args.overwrite)
    screen.log_to(folder.log)
    started = time.perf_counter()
    measured = {name: _measure(loaded, name, blind, args) for name in names}
    seconds = round(time.perf_counter() - started, 2)
    report = {"arguments": vars(args), **provenance(), "seconds": seconds, "benchmarks": _plain(measured)}
    write_json(folder.results, report)
    if args.json:
        print(json.dumps(report | {"output_dir": str(folder.path)}))
        return DONE
    rows = [
        [f"{name}, {mode}", str(m), str(m.n)] for name, modes in measured.items() for mode, m in modes.items()
    ]
    screen.print_table(str(args.model), ["", "accuracy [95 % interval]", "problems"], rows)
    print(f"{seconds:.0f} s; results: {folder.results}")
    return DONE


BLIND_VIEWS = {name: kind for name, kind in VIEWS.items() if issubclass(kind, PixelView)}


def _parser() -> VerbParser:
    parser = VerbParser(
        "eval",
        "Measure a model's accuracy on benchmarks, with 95 % intervals.",
        "sightline eval embedded --benchmarks shapes --limit 128 --blind black",
    )
    parser.add_model()
    parser.add_argument(
        "--benchmarks", default="shapes", help=f"names with commas between: {', '.join(BENCHMARKS)}"
    )
    parser.add_argument(
        "--blind", default="", help=f"also measure with the picture as: {', '.join(BLIND_VIEWS)}"
    )
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy (default)")
    parser.add_argument("--max_new_tokens", type=positive, help="longest answer (default: the benchmark's)")
    parser.add_argument(
        "--batch_size", type=positive, default=128, help="problems generated at once (default 128)"
    )
    parser.add_results("use only the first N problems of each benchmark")
    return parser


def _names(given: str, known: Iterable[str], kind: str) -> list[str]:
    """Names separated by commas, each once and each known."""
    names = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    for name in names:
        if name not in list(known):
            raise unknown_name(kind, name, known)
    return names


def _measure(
    loaded: LoadedModel, name: str, blind: dict[str, PixelView], args: argparse.Namespace
) -> dict[str, Measured]:
    """Accuracy on one benchmark as it is, then under every blind view."""
    chosen = benchmark(name)
    task = chosen.make()
    problems = task.test(args.limit or chosen.problems, 0)
    decoding = Decoding(args.max_new_tokens or chosen.max_new_tokens, args.temperature, seed=args.seed)
    views: dict[str, PixelView | None] = {"greedy" if args.temperature == 0 else "sampled": None}
    views |= {f"blind ({label})": shown for label, shown in blind.items()}
    measured = {}
    with tqdm(total=len(problems) * len(views), desc=name, unit="answer", dynamic_ncols=True) as bar:
        for mode, shown in views.items():
            advance: Any = bar.update
            answered = answer(
                loaded, task, problems, decoding, blind=shown, batch_size=args.batch_size, progress=advance
            )
            measured[mode] = answered.accuracy
    return measured


def _plain(measured: dict[str, dict[str, Measured]]) -> dict[str, Any]:
    return {name: {mode: m.as_dict() for mode, m in modes.items()} for name, modes in measured.items()}
