"""`sightline world`: make an embedded checkpoint again, or measure a model in its world."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from . import DONE, screen
from .arguments import OneLineParser

BUILD_EXAMPLE = "example: sightline world build --output_dir runs/world --seed 1"
MEASURE_EXAMPLE = "example: sightline world measure embedded-2 --task shapes-2 --limit 256"


def parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    whole = OneLineParser(
        prog="sightline world",
        description="The embedded worlds and the small models that live in them.",
        epilog=BUILD_EXAMPLE,
    )
    actions = whole.add_subparsers(dest="action", required=True, metavar="build|measure")
    build = actions.add_parser(
        "build",
        help="train an embedded model and write its checkpoint",
        description="Train an embedded model, write its checkpoint, and measure it on held-out problems. "
        "Level 1 (`embedded`, task `shapes`) is made from nothing in five to ten minutes on one core; "
        "level 2 (`embedded-2`, task `shapes-2`) from the shipped model of level 1 in about twice the time.",
        epilog=BUILD_EXAMPLE,
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
    measure = actions.add_parser(
        "measure",
        help="say how often a model is right in its world, what it misreads, and where looking counts",
        description="Ask held-out problems greedily, once at temperature 1 and once on black images; "
        "tell accuracies, and by the role of each sampled token its share of the tokens and of the KL.",
        epilog=MEASURE_EXAMPLE,
    )
    measure.add_argument("model", metavar="MODEL", help="`embedded`, `embedded-2`, or a trained model")
    measure.add_argument(
        "--task", default="shapes", help="shapes (default), shapes-2, shapes-2:3, shapes-2:4"
    )
    measure.add_argument("--split", default="test", choices=("train", "dev", "test"))
    measure.add_argument("--seed", type=int, default=0, help="of the problems and of the samples (default 0)")
    measure.add_argument("--limit", type=int, default=256, metavar="N", help="problems (default 256)")
    measure.add_argument("--max_new_tokens", type=int, default=160, metavar="N", help="default 160")
    measure.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return whole


def main(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = parser().parse_args(argv)
    return {"build": _build, "measure": _measure}[options.action](options)


def _build(options: argparse.Namespace) -> int:
    from ..models.embedded.build import build
    from ..run_folder import fresh_name

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


def _measure(options: argparse.Namespace) -> int:
    from ..evaluation.measure_world import measure_world
    from ..models.loading import load_model
    from ..tasks import load_task

    screen.quiet()
    task = load_task(options.task)
    loaded = load_model(options.model, dtype="float32")
    found = measure_world(loaded, task, options.split, options.limit, options.seed, options.max_new_tokens)
    if options.json:
        print(json.dumps(asdict(found)))
        return DONE
    prior = {} if found.prior is None else {"prior": found.prior}
    shares = {**found.accuracy, **prior, **found.greedy_by_kind, "wrong by misreading": found.misread}
    title = f"{options.model} on {task.name}, {found.problems} problems of {options.split}"
    screen.print_table(title, list(shares), [[f"{value:.3f}" for value in shares.values()]])
    columns = ["role", "tokens", "share of KL", "mean KL", "mean entropy"]
    rows = [
        [name, f"{one.tokens:.3f}", f"{one.kl:.3f}", f"{one.mean_kl:.3f}", f"{one.mean_entropy:.3f}"]
        for name, one in found.roles.items()
    ]
    screen.print_table(f"{found.length:.1f} tokens a sampled response", columns, rows)
    return DONE
