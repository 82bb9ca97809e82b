"""`sightline train --config FILE`: measure, train, measure again, report."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from . import DONE, INTERRUPTED, screen

screen.prepare()

import yaml  # noqa: E402

from ..analysis import write_report  # noqa: E402
from ..engines.trl.settings import Settings, parse  # noqa: E402
from ..engines.trl.train import Trained, train  # noqa: E402
from ..evaluation.before_after import MODES, BeforeAfter  # noqa: E402
from ..models.loading import LoadedModel, load_model  # noqa: E402
from ..provenance import provenance  # noqa: E402
from ..runs import RunFolder, open_run, write_text  # noqa: E402
from ..tasks import load_task  # noqa: E402


def main(argv: Sequence[str]) -> int:
    """Run one training from the command line."""
    started = time.perf_counter()
    settings = parse(argv)
    args = settings.train
    task = load_task(args.task)
    loaded = _load(settings)
    folder = open_run(str(args.output_dir), overwrite=args.overwrite, resume=args.resume)
    screen.quiet()
    screen.log_to(folder.log)
    write_text(folder.config, yaml.safe_dump(_config(settings), sort_keys=True, allow_unicode=True))
    screen.say(settings.describe_method())
    evaluation = BeforeAfter(
        folder,
        task,
        args.eval_problems,
        args.report_problems,
        args.seed,
        int(args.max_completion_length or 256),
    )
    if args.eval_problems:
        screen.say(f"measuring {args.eval_problems} held-out problems, before and after training")
    try:
        evaluation.measure("before", loaded)
        training = time.perf_counter()
        trained = train(settings, loaded, task, task.train(args.limit, args.seed), folder)
        seconds = {"training": time.perf_counter() - training}
    except KeyboardInterrupt:
        return _interrupted(None, folder, argv)
    if trained.interrupted_by is not None:
        return _interrupted(trained, folder, argv)
    _save_model(trained.model, folder)
    evaluation.measure("after", trained.model)
    write_report(folder.path)
    seconds["all"] = time.perf_counter() - started
    _print_results(evaluation, settings, folder, seconds)
    return DONE


def _load(settings: Settings) -> LoadedModel:
    wanted = settings.model
    return load_model(
        str(wanted.model_name_or_path),
        wanted.dtype or "float32",
        trust_remote_code=settings.train.trust_remote_code,
        revision=wanted.model_revision,
        **({"attn_implementation": wanted.attn_implementation} if wanted.attn_implementation else {}),
    )


def _config(settings: Settings) -> dict[str, Any]:
    return settings.as_dict() | provenance() | {"set_by": settings.set_by}


def _interrupted(trained: Trained | None, folder: RunFolder, argv: Sequence[str]) -> int:
    again = shlex.join(
        [*_without(argv, "--resume", "--overwrite", "--output_dir"), "--output_dir", str(folder.path)]
    )
    saved = trained.checkpoint if trained is not None else None
    state = f"saved {saved}" if saved is not None else "no checkpoint was due yet"
    screen.say(f"interrupted after step {trained.steps if trained else 0}; {state}")
    screen.say(f"continue with: sightline train {again} --resume true")
    by = trained.interrupted_by if trained is not None else signal.SIGINT
    return INTERRUPTED if by == signal.SIGINT else 128 + int(by or signal.SIGTERM)


def _without(argv: Sequence[str], *flags: str) -> list[str]:
    """The command line without `flags` and their values."""
    kept: list[str] = []
    skip = False
    for word in argv:
        if word.startswith("--"):
            name, given, _ = word.partition("=")
            skip = name in flags and not given
            if name in flags:
                continue
        elif skip:
            continue
        kept.append(word)
    return kept


def _save_model(loaded: LoadedModel, folder: RunFolder) -> None:
    """The model whole or not at all."""
    part = folder.path / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    loaded.model.save_pretrained(part)
    loaded.processor.save_pretrained(part)
    shutil.rmtree(folder.model, ignore_errors=True)
    part.rename(folder.model)


def _print_results(
    evaluation: BeforeAfter, settings: Settings, folder: RunFolder, seconds: dict[str, float]
) -> None:
    if settings.train.json:
        print(json.dumps({"output_dir": str(folder.path), "seconds": seconds, **evaluation.measured}))
        return
    rows = []
    for mode in MODES:
        pair = [evaluation.value(moment, mode) for moment in ("before", "after")]
        if all(pair):
            rows.append([f"{mode} accuracy", *map(str, pair)])
    if rows:
        title = (
            f"{settings.method.name} on {settings.train.task}, {len(evaluation.problems)} held-out problems"
        )
        screen.print_table(title, ["", "before", "after"], rows)
    print(f"training {seconds['training']:.0f} s, all {seconds['all']:.0f} s; report: {folder.report}")
    sys.stdout.flush()
