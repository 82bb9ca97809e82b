"""`sightline study METHOD ...`: methods under one budget over the same seeds, and what that shows."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import UserError
from ..laboratory.results.pages import write_study
from ..laboratory.results.table import difference_rows, main_rows
from ..laboratory.study.folder import StudyFolder
from ..laboratory.study.lab_yaml import read_plan
from ..laboratory.study.plan import Plan
from ..laboratory.study.schedule import Job, run_all
from ..plain_files import Refused, parse_yaml
from ..run_folder import finite, open_run
from . import DONE, FOUND_PROBLEMS, INTERRUPTED, screen
from .arguments import VerbParser, positive


def main(argv: Sequence[str]) -> int:
    """Run a study from the command line, or go on with one."""
    options = parser()
    own, settings = _settings(argv, options)
    args = options.parse_args(own)
    plan = read_plan(args.config, args.methods, args.seeds, settings)
    target = args.output_dir or f"runs/study-{Path(args.config).stem}"
    run = open_run(target, overwrite=args.overwrite, resume=args.resume)
    folder = StudyFolder(run.path)
    try:
        whole = folder.begin(plan)
        if args.gradient:
            return _gradient(folder, whole, args.json)
        jobs = [
            (arm.name, seed)
            for seed in plan.run_seeds
            for arm in plan.arms
            if not folder.run(arm.name, seed).finished
        ]
        if jobs:
            _check(whole, folder)
        interrupted_by = _run(folder, plan, jobs, args.jobs)
        results = write_study(folder, whole)
    finally:
        run.release()
    if interrupted_by is not None:
        again = [word for word in argv if word not in ("--overwrite", "--resume")]
        again += [] if args.output_dir else ["--output_dir", target]
        screen.say(f"interrupted; go on with: sightline study {shlex.join([*again, '--resume'])}")
        return INTERRUPTED if interrupted_by == signal.SIGINT else 128 + int(interrupted_by)
    return _tell(results, folder, args.json)


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "study",
        "Train every METHOD from the same start on the same data with the same budget, seed by seed, and "
        "compare them with paired intervals. Any setting of sightline train may be given for all of them, as "
        "--max_steps 40.",
        "sightline study grpo vgpo --seeds 8 --config recipes/lab/main.yaml",
    )
    add = options.add_argument
    add(
        "methods",
        nargs="*",
        metavar="METHOD",
        help="names of methods, or of arms in the config (default: its own)",
    )
    add("--config", required=True, help="a lab's YAML: methods, arms, seeds, train, evaluate")
    add("--seeds", type=positive, help="runs per method, from first_seed on (default: the config's)")
    add("--jobs", type=positive, default=1, help="runs at once, one thread each on a CPU (default 1)")
    add("--gradient", action="store_true", help="do not train: hold the methods' gradients at the start "
        "against each other, on the same rollout batches")  # fmt: skip
    add("--output_dir", help="the study's folder (default: runs/study-CONFIG)")
    add(
        "--resume",
        action="store_true",
        help="go on with the study in output_dir; failed runs are tried again",
    )
    add("--overwrite", action="store_true", help="replace the study in output_dir")
    add("--json", action="store_true", help="print the results as JSON")
    return options


def _settings(argv: Sequence[str], options: VerbParser) -> tuple[list[str], dict[str, Any]]:
    """The words that are the study's own, and the other `--name value` as settings of sightline train.

    Taken out before the parser sees them, for which a value would look like a METHOD. Values are YAML.
    """
    known = {option for action in options._actions for option in action.option_strings}
    own: list[str] = []
    found: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        name, given, value = word.partition("=")
        if not name.startswith("--") or name in known:
            own.append(word)
            continue
        if not given:
            if not words or words[0].startswith("--"):
                raise UserError(f"{name} needs a value, as {name} 40; see sightline study --help")
            value = words.pop(0)
        try:
            found[name[2:]] = parse_yaml(value)
        except Refused as error:
            raise UserError(f"{name} cannot be {value}: it {error}") from error
    return own, found


def _check(plan: Plan, folder: StudyFolder) -> None:
    """Find what is wrong with the settings of any arm before the first run starts."""
    from ..laboratory.study.check import check_plan

    check_plan(plan, folder)


def _run(folder: StudyFolder, plan: Plan, jobs: Sequence[Job], workers: int) -> signal.Signals | None:
    """Run the jobs under one progress bar; the signal that interrupted it, if one did."""
    steps = int(plan.train.get("max_steps", 0))
    runs = len(plan.arms) * plan.seeds
    done = runs - len(jobs)
    previous = signal.signal(signal.SIGTERM, _terminated)
    bar = tqdm(
        total=runs * steps,
        initial=done * steps,
        desc="study",
        unit="step",
        dynamic_ncols=True,
        file=sys.stderr,
    )
    left, seen = len(jobs), dict.fromkeys(jobs, 0)

    def step(job: Job) -> None:
        seen[job] += 1
        bar.update(1)

    def ended(job: Job) -> None:
        nonlocal left
        left -= 1
        bar.update(steps - seen[job])
        error = folder.run(*job).failed
        if error is not None:
            with tqdm.external_write_mode(file=sys.stderr):
                screen.say(f"{job[0]}, seed {job[1]} failed: {error}; the study goes on")
        bar.set_postfix_str(f"{runs - left} of {runs} runs, last {job[0]} {job[1]}")

    try:
        run_all(folder, jobs, workers, step, ended)
    except _Terminated:
        return signal.SIGTERM
    except KeyboardInterrupt:
        return signal.SIGINT
    finally:
        bar.close()
        signal.signal(signal.SIGTERM, previous)
    return None


class _Terminated(KeyboardInterrupt):
    """SIGTERM ends a study as Ctrl-C does."""


def _terminated(*_: Any) -> None:
    raise _Terminated


def _gradient(folder: StudyFolder, plan: Plan, as_json: bool) -> int:
    """Measure the gradients unless they are there, and tell what they say."""
    if not (folder.path / "products.npz").is_file():
        _check(plan, folder)
    from ..laboratory.gradient_test.run import gradient_results, measure_gradients
    from ..laboratory.gradient_test.table import weighting_rows, write_gradient

    if not (folder.path / "products.npz").is_file():
        screen.quiet()
        with tqdm(total=plan.gradient.batches, desc="gradients", unit="batch", file=sys.stderr) as bar:
            measure_gradients(folder, plan, lambda done: bar.update(done - bar.n))
    results = gradient_results(folder, plan)
    write_gradient(folder, results)
    if as_json:
        print(json.dumps(finite({**results, "output_dir": str(folder.path)})))
        return DONE
    screen.print_table(f"{results['batches']} batches, ± jackknife standard error", *weighting_rows(results))
    print(f"page: {folder.path / 'gradient.html'}")
    return DONE


def _tell(results: dict[str, Any], folder: StudyFolder, as_json: bool) -> int:
    failed = any(found["failed"] for found in results["arms"].values())
    code = FOUND_PROBLEMS if failed else DONE
    if as_json:
        print(json.dumps(finite({**results, "output_dir": str(folder.path)})))
        return code
    for note in results["notes"]:
        screen.say(note)
    headings, rows = main_rows(results)
    shown = [0, 1, 2, 3, 4, 5]
    screen.print_table(
        "Means over seeds ± half of the 95 % interval, per cent",
        [headings[place] for place in shown],
        [[row[place] for place in shown] for row in rows],
    )
    headings, rows = difference_rows(results, "differences", ("sampled area", "sampled final"))
    if rows:
        screen.print_table("Paired differences at equal steps, in points", headings, rows)
    print(f"page: {folder.page}")
    return code
