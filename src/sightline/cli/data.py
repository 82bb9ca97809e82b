"""`sightline data check SOURCE` and `sightline data preview SOURCE`: look at a set before training on it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..analysis.pages.base import printable
from ..errors import UserError, unknown_name
from ..plain_files import parse_json
from ..run_folder import fresh_name, write_text
from ..tasks import TASKS, DataOptions, load_task
from ..tasks.dataset_check import SplitCheck, check_split, mark_overlap, sample_rows, spread
from ..tasks.dataset_task import DatasetTask
from ..tasks.loading.sources import OpenedSource, parse_source
from ..tasks.mixture import Mixture
from ..tasks.prompt_length_filter import CountTokens
from ..tasks.rows.row_errors import NOTES, row_list
from . import DONE, FOUND_PROBLEMS, WRONG_USE, screen
from .arguments import VerbParser, positive, with_actions
from .data_preview import page, shown
from .task_argument import FORMS, read_task

USAGE = """usage: sightline data check SOURCE [options]
       sightline data preview SOURCE [options]

Look at a set before training on it. SOURCE is the task of a training: a hub id, a file or folder, a mapping
or list as JSON or YAML, or a .yaml file that holds a task or a recipe.

  check    walk the whole set; count and number every problem; exit code 1 if there are any
  preview  write a page with samples as a model gets them

example: sightline data check hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct"""


def parser() -> argparse.ArgumentParser:
    """The options of the verb, action by action."""
    return with_actions("data", {"check": check_parser(), "preview": preview_parser()})


def main(argv: Sequence[str]) -> int:
    """Check or preview a set from the command line."""
    actions: dict[str, Callable[[list[str]], int]] = {"check": check, "preview": preview}
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return DONE if argv else WRONG_USE
    if argv[0] not in actions:
        raise unknown_name("action of sightline data:", argv[0], actions)
    return actions[argv[0]](list(argv[1:]))


# --- check -----------------------------------------------------------------------------------------


def check(argv: list[str]) -> int:
    """Walk every split of a set, or of every set of a mixture; 1 if there are problems."""
    args = check_parser().parse_args(argv)
    recipe = _recipe(args)
    if args.max_prompt_length and not args.model:
        raise UserError("--max_prompt_length counts tokens; name the model that splits them with --model")
    if recipe.max_prompt_length and not args.model:
        screen.say("max_prompt_length of the recipe counts tokens: not checked without --model")
    look = partial(
        _walk,
        limit=args.limit,
        count_tokens=_model_counter(args.model, args.trust_remote_code) if args.model else None,
        max_prompt_length=args.max_prompt_length or recipe.max_prompt_length,
    )
    reports = []
    for task in _dataset_tasks(recipe, args.test):
        found = task.opened(task.source)
        walked = [
            look(task, found, split) for split in ([found.chosen([])] if task.source.split else found.splits)
        ]
        held_out = [look(task, *task.held_out())] if task.source.test else []
        if not sum(result.rows for result in walked):
            raise UserError(f"{task.name} has no rows")
        _mark_overlaps(task, walked, held_out)
        reports.append((task, [*walked, *held_out]))
    bad = sum(result.bad for _, walked in reports for result in walked)
    if args.json:
        unit = "tokens" if args.model else "characters"
        sets = [_as_dict(task, walked) for task, walked in reports]
        print(json.dumps({"bad_rows": bad, "prompt_length_unit": unit, "sets": sets}))
    else:
        for task, walked in reports:
            _print(task, walked, "tokens" if args.model else "characters; --model counts tokens")
    return FOUND_PROBLEMS if bad else DONE


def check_parser() -> VerbParser:
    """The options of `data check`."""
    options = _parser("check", "Walk a whole set and count every problem in it.", "--test data/test.parquet")
    options.add_argument("--test", metavar="SOURCE", help="held-out set; rows that are in both are a problem")
    options.add_argument("--model", help="measure prompts in tokens of this model (default: in characters)")
    options.add_argument("--max_prompt_length", type=positive, help="longest prompt in tokens; needs --model")
    options.add_argument(
        "--trust_remote_code", action="store_true", help="run code that comes with the model (off by default)"
    )
    return options


def _walk(
    task: DatasetTask, found: OpenedSource, split: str, limit: int | None, **options: Any
) -> SplitCheck:
    rows = len(found.table(split))
    name = f"{found.source.title}/{split}"
    with tqdm(total=min(rows, limit or rows), desc=name, unit="row", dynamic_ncols=True) as bar:
        return check_split(task, found, split, limit=limit, progress=bar.update, **options)


def _mark_overlaps(task: DatasetTask, walked: list[SplitCheck], held_out: list[SplitCheck]) -> None:
    """Mark rows of the split that is trained on that are also in another split or in the held-out set."""
    split = task.source.known.train if task.source.known else "train"
    named = [result for result in walked if result.name.endswith(f"/{split}")]
    for trained in named or walked[:1]:
        mark_overlap(trained, [other for other in (*walked, *held_out) if other is not trained])


def _as_dict(task: DatasetTask, walked: list[SplitCheck]) -> dict[str, Any]:
    found = task.opened(task.source)
    splits = {result.name: result.as_dict() for result in walked}
    return {"source": str(task.source.source), "revision": found.revision, "splits": splits}


def _print(task: DatasetTask, walked: list[SplitCheck], unit: str) -> None:
    found = task.opened(task.source)
    at = f" at {found.revision}" if found.revision else ""
    columns = ["", *(result.name for result in walked)]
    rows = [
        ["rows", *(f"{result.rows:,}" for result in walked)],
        ["rows with a problem", *(f"{result.bad:,}" for result in walked)],
        ["images", *(f"{len(result.images):,}" for result in walked)],
        ["width", *(_range([width for width, _ in result.images]) for result in walked)],
        ["height", *(_range([height for _, height in result.images]) for result in walked)],
        ["resized into the pixel budget", *(f"{result.resized:,}" for result in walked)],
        [f"prompt length ({unit})", *(_range(result.lengths) for result in walked)],
    ]
    kinds = list(dict.fromkeys(kind for result in walked for kind, _ in result.answers.most_common()))
    rows += [[f"answers: {kind}", *(f"{result.answers[kind]:,}" for result in walked)] for kind in kinds]
    screen.print_table(f"{task.source.source}{at}", columns, rows)
    problems = [
        [str(fault), result.name, f"{len(bad):,}", row_list([b.row for b in bad])]
        for result in walked
        for fault, bad in result.faults.items()
    ]
    if problems:
        screen.print_table("problems", ["", "split", "count", "which"], problems)
        for result in walked:
            for fault, bad in result.faults.items():
                note = " (a note: the row is used)" if fault in NOTES else ""
                print(
                    f"{fault}, for example {result.name} row {bad[0].row}: {printable(bad[0].detail)}{note}"
                )
    total = sum(result.bad for result in walked)
    print(f"{total:,} rows with a problem" if total else "no row with a problem")


def _range(numbers: Sequence[int]) -> str:
    found = spread(numbers)
    return "–" if found is None else f"{found['min']:,} … {found['median']:,} … {found['max']:,}"


def _model_counter(model: str, trust_remote_code: bool) -> CountTokens:
    from ..models.loading import resolve
    from ..models.processors import load_processor
    from ..models.prompt_lengths import token_counter

    screen.quiet()

    return token_counter(load_processor(resolve(model), trust_remote_code=trust_remote_code))


# --- preview ---------------------------------------------------------------------------------------


def preview(argv: list[str]) -> int:
    """Write a page of sampled rows."""
    args = preview_parser().parse_args(argv)
    recipe = _recipe(args)
    task, *others = _dataset_tasks(recipe, None)
    if others:
        screen.say(f"{args.source} is a mixture; only its first set is shown")
    found = task.opened(task.source)
    split = task.train_split()
    table, reader = task.read(found, split)
    rows = len(table) if args.limit is None else min(args.limit, len(table))
    samples = []
    for number, problem, fault in sample_rows(table, reader, rows, args.count, args.seed):
        messages = [] if problem is None else shown(task, problem)
        answer, kind = (None, "") if problem is None else (problem.answer, problem.kind)
        samples.append({"row": number, "messages": messages, "answer": answer, "kind": kind, "fault": fault})
    output = Path(args.output or f"{fresh_name('preview')}.html")
    if output.exists() and not args.overwrite:
        raise UserError(f"{output} exists; give --overwrite to replace it, or another --output")
    text = page(
        title=reader.name, source=str(task.source.source), rows=len(table), samples=samples, seed=args.seed
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, text)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from error
    faults = sum(sample["fault"] is not None for sample in samples)
    if args.json:
        print(json.dumps({"page": str(output), "samples": len(samples), "unusable": faults}))
    else:
        print(f"{len(samples)} rows of {reader.name}, {faults} of them unusable: {output}")
    return DONE


def preview_parser() -> VerbParser:
    """The options of `data preview`."""
    options = _parser("preview", "Write a page with samples as a model gets them.", "--count 12")
    options.add_argument("--count", type=positive, default=24, help="rows shown (default 24)")
    options.add_argument("--seed", type=int, default=0, help="which rows are drawn (default 0)")
    options.add_argument("--output", metavar="FILE", help="the page (default: a fresh one under runs/)")
    options.add_argument("--overwrite", action="store_true", help="replace the page at --output")
    return options


# --- what is looked at -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    """What a recipe, or the command line alone, says about data."""

    task: Any
    options: DataOptions
    max_prompt_length: int | None


def _parser(action: str, description: str, more: str) -> VerbParser:
    parser = VerbParser(f"data {action}", description, f"sightline data {action} data/train.parquet {more}")
    parser.add_argument("source", metavar="SOURCE", help=FORMS)
    parser.add_argument("--split", help="only this split")
    parser.add_argument("--revision", help="commit of a hub set")
    parser.add_argument(
        "--columns", type=_columns, help="such as question=problem,images=image,answer=answer"
    )
    parser.add_argument("--image_dir", help="folder that image paths are relative to")
    parser.add_argument("--prompt_template", help="papers (default), plain, boxed, or a Jinja file")
    parser.add_argument("--system_prompt", help="text of the system turn")
    parser.add_argument("--min_pixels", type=positive, help="smaller images are enlarged to this many pixels")
    parser.add_argument("--max_pixels", type=positive, help="larger images are reduced to this many pixels")
    parser.add_argument(
        "--allow_urls", action="store_true", default=None, help="fetch images behind addresses"
    )
    parser.add_argument("--limit", type=positive, help="look at the first N rows only")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _columns(text: str) -> dict[str, str]:
    """`question=problem,answer=gold`, or a JSON mapping."""
    try:
        if text.lstrip().startswith("{"):
            return dict(parse_json(text))
        return dict(pair.split("=", 1) for pair in text.split(",") if pair)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected question=problem,answer=answer, got {text!r}") from None


def _recipe(args: argparse.Namespace) -> _Recipe:
    """The task and options of SOURCE; flags go over a recipe's own settings."""
    given = read_task(args.source)
    names = [entry.name for entry in fields(DataOptions)]
    flags = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    task = given.task
    place = {key: getattr(args, key) for key in ("revision", "split", "image_dir") if getattr(args, key)}
    if isinstance(task, str) and task not in TASKS:
        task = {"source": task, **place}
    elif isinstance(task, Mapping):
        task = {**task, **place}
    elif place:
        raise UserError(f"{args.source} is no single set; --{min(place)} belongs to one")
    return _Recipe(task, DataOptions(**{**given.options, **flags}), given.max_prompt_length)


def _dataset_tasks(recipe: _Recipe, test: str | None) -> list[DatasetTask]:
    """The sets of a recipe, each with `test` as its held-out set if one is named."""
    task = load_task(recipe.task, recipe.options)
    tasks = task.tasks if isinstance(task, Mixture) else [task]
    found = [part for part in tasks if isinstance(part, DatasetTask)]
    if not found:
        raise UserError(f"task {task.name} is drawn, not read: there is no set to look at")
    if test is None:
        return found
    return [DatasetTask(replace(part.source, test=parse_source(test)), recipe.options) for part in found]
