"""`sightline train --config FILE`: measure, train, measure again, report."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from ..analysis import write_report
from ..engines import Engine, Settings, StoppedError, Trained, engine
from ..engines.checkpoints import given_checkpoint, last_checkpoint, newest_whole
from ..engines.command_line import chosen_engine
from ..engines.disk_space import trouble
from ..engines.finished_runs import finished, last_step, note_finished, only_model_left, trained_model
from ..engines.heartbeats import Heartbeat, is_lost_connection, lost_ranks
from ..engines.hub_upload import Hub, NotSentError, hub_of, send_run
from ..engines.model_card import model_card
from ..engines.ranks import Ranks
from ..engines.registry import USUAL, Credit
from ..engines.resume_settings import check_resumed
from ..engines.run_settings import data_options
from ..engines.side_files import COPIES, stored_settings
from ..errors import UserError
from ..evaluation.before_after import AFTER, BEFORE, BeforeAfter
from ..evaluation.run.run_rewards import RunRewards
from ..evaluation.validation import HeldOut
from ..models.families import longest_sequence
from ..models.loading import LoadedModel, load_model
from ..models.prompt_lengths import token_counter
from ..models.threads import one_thread_if_small
from ..provenance import RESIZING, provenance
from ..run_folder import RunFolder, open_run, write_text
from ..tasks import DataOptions, Task, load_task
from ..tasks.problem import Problem
from ..tasks.prompt_length_filter import fitting
from ..tasks.task_names import task_name
from . import DONE, FOUND_PROBLEMS, INTERRUPTED, screen
from .train_measures import longest_answer, print_results, run_rewards, run_validation, template_of

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The options of the verb, with those of the usual engine's library."""
    return engine().parser()


def main(argv: Sequence[str]) -> int:
    """Run one training from the command line, or one rank of it."""
    try:
        run = _prepared(argv, time.perf_counter())
    except RuntimeError as error:
        if int(os.environ.get("WORLD_SIZE") or 1) == 1 or not is_lost_connection(error):
            raise
        why = str(error).strip().splitlines()[0]
        screen.say(
            f"training stopped before it began: another rank does not answer, see what it said ({why})"
        )
        return FOUND_PROBLEMS
    if run is None:
        return DONE
    try:
        return run.go()
    except KeyboardInterrupt:
        return run.interrupted(None)
    except StoppedError as error:
        return run.stopped(error)
    except Exception as error:
        if why := trouble(error, run.folder.path):
            return run.without_disk(error, why)
        if run.ranks.count > 1 and is_lost_connection(error):
            return run.lost(error)
        raise
    finally:
        run.folder.release()


@dataclass(frozen=True)
class Ready:
    """A run whose settings, model and data fit together; nothing is written yet."""

    engine: Engine
    settings: Settings
    ranks: Ranks
    task: Task
    held_out: Sequence[Problem]
    loaded: LoadedModel
    problems: Sequence[Problem]
    left_out: Sequence[str]
    """A line if problems were left out."""
    credit: Credit | None
    rewards: RunRewards
    validation: HeldOut | None
    callbacks: Sequence[Any] = ()
    """transformers' own, from Python."""

    def begin(self, argv: Sequence[str], started: float) -> Run:
        """The run in its folder, which is opened last: wrong use is said before anything is written."""
        args, ranks = self.settings.train, self.ranks
        hub = _hub(args) if ranks.main else None
        folder = _open(self.settings) if ranks.main else RunFolder(Path(args.output_dir))
        if ranks.main:
            Heartbeat(folder.path, ranks.index, ranks.count).clear()  # those of a run that was killed here
        ranks.wait()
        return Run(self, folder, argv, started, hub)


def _prepared(argv: Sequence[str], started: float) -> Run | None:
    """The run; None if it is finished already."""
    trainer = engine(chosen_engine(argv) or USUAL)
    settings = trainer.parse(argv)
    ranks = trainer.ranks(settings)
    settings.train.output_dir = ranks.from_main(str(settings.train.output_dir))
    screen.quiet()
    if line := finished_line(settings):
        if ranks.main:
            screen.say(line)
        return None
    if ranks.main:
        screen.hold_log()
    ready = prepare(trainer, settings, ranks)
    run = ready.begin(argv, started)
    if ranks.main:
        screen.log_to(run.folder.log)
    run.introduce()
    return run


def finished_line(settings: Settings) -> str | None:
    """What to say of a run that is resumed and has nothing left to do."""
    args = settings.train
    if not args.resume:
        return None
    return finished(RunFolder(Path(args.output_dir)), settings.as_dict(), spare_dir(args))


def prepare(
    engine: Engine,
    settings: Settings,
    ranks: Ranks,
    *,
    task: Task | None = None,
    loaded: LoadedModel | None = None,
    callbacks: Sequence[Any] = (),
) -> Ready:
    """The run that settings describe, with a task and a model from Python in place of those they name.

    Raises:
        UserError: nothing is found under a name, or settings, model and data do not fit together.
    """
    args = settings.train
    task = task or load_task(args.task, DataOptions(**data_options(args)))
    held_out = task.test(args.eval_problems, 0) if args.eval_problems else []  # the same whatever the seed
    loaded = loaded or engine.load_policy(settings)
    one_thread_if_small(loaded, args.device)
    credit = _credit(settings, task, loaded)
    problems, left_out = _fitting(settings, task, loaded)
    rewards = run_rewards(settings, loaded)
    validation = run_validation(settings, task, held_out, rewards)
    engine.check_fit(settings, loaded, task, problems)
    return Ready(
        engine,
        settings,
        ranks,
        task,
        held_out,
        loaded,
        problems,
        left_out,
        credit,
        rewards,
        validation,
        callbacks,
    )


class Run:
    """The steps of a run: measure, train, save, measure again, report."""

    def __init__(
        self, ready: Ready, folder: RunFolder, argv: Sequence[str], started: float, hub: Hub | None = None
    ):
        self.ready, self.folder, self.argv, self.started, self.hub = ready, folder, argv, started, hub
        self.settings, self.ranks = ready.settings, ready.ranks
        self.trained: Trained | None = None
        """How training ended, once it has."""
        args = self.settings.train
        self.evaluation = BeforeAfter(
            folder,
            ready.task,
            ready.held_out,
            args.report_problems,
            args.seed,
            longest_answer(args),
            ready.rewards,
            template_of(args),
        )

    def introduce(self) -> None:
        """What the run is about to do."""
        args, method = self.settings.train, self.settings.method.name
        length = f"{args.max_steps} steps" if args.max_steps > 0 else f"{args.num_train_epochs:g} epochs"
        what = f"{args.model} on {task_name(args.task)} with {method}"
        self.say(f"training {what}, {length}; everything goes to {self.folder.path}")
        for line in (self.settings.describe_method(), *self.ready.left_out):
            self.say(line)
        if self.ready.held_out and (line := self.ready.rewards.describe_left_out()):
            self.say(line)

    def say(self, text: str) -> None:
        """One line to the person who runs this, from rank 0."""
        if self.ranks.main:
            screen.say(text)

    def go(self) -> int:
        """All of it; the exit code."""
        ready, loaded, problems = self.ready, self.ready.loaded, self.ready.problems
        heartbeat = Heartbeat(self.folder.path, self.ranks.index, self.ranks.count)
        heartbeat.beat("measuring before training")
        held_out = len(self.evaluation.problems)
        for line in self.evaluation.damaged if held_out else ():
            self.say(line)
        if held_out:
            self.say(f"measuring {held_out} held-out problems before and after: greedy, sampled, blind")
        self.measure(BEFORE, loaded)
        training = time.perf_counter()
        more: dict[str, Any] = {"callbacks": ready.callbacks} if ready.callbacks else {}
        trained = self.trained = self.already_trained(loaded) or ready.engine.train(
            self.settings,
            loaded,
            ready.task,
            problems,
            self.folder,
            self.say,
            credit=ready.credit,
            validation=ready.validation,
            **more,
        )
        seconds = {"training": time.perf_counter() - training}
        if trained.interrupted_by is not None:
            return self.interrupted(trained)
        heartbeat.beat("measuring after training")
        self.measure(AFTER, trained.model)
        heartbeat.clear()
        if self.ranks.main:
            config, described = self.settings.as_dict(), self.settings.describe_method()
            method, steps = self.settings.method, trained.steps
            of_step = trained.model_step or steps
            card = model_card(config, method, described, self.folder, of_step, len(problems))
            model = trained_model(self.folder, spare_dir(self.settings.train)) or self.folder.model
            write_text(model / "README.md", card)
            write_report(self.folder.path)
            note_finished(self.folder, config, steps)
            seconds["all"] = time.perf_counter() - self.started
            print_results(self.evaluation, self.settings, self.folder, seconds)
            return self.send()
        return DONE

    def send(self) -> int:
        """The trained model goes to the hub, if it should; the exit code."""
        if self.hub is None:
            return DONE
        try:
            self.say(f"sent to {send_run(self.hub, self.folder, spare_dir(self.settings.train))}")
        except NotSentError as error:
            self.say(f"{error}; send it later: sightline push {shlex.quote(str(self.folder.path))}")
            return FOUND_PROBLEMS
        return DONE

    def already_trained(self, loaded: LoadedModel) -> Trained | None:
        """How training ended before, where a run that kept no checkpoint was stopped while it measured."""
        model = only_model_left(self.folder, spare_dir(self.settings.train))
        if not self.settings.train.resume or model is None:
            return None
        self.say(f"{model} is trained; what is left is measured")
        return Trained(last_step(self.folder), None, None, load_model(str(model), loaded.model.dtype))

    def stopped(self, error: StoppedError) -> int:
        """Say why training ended early; the exit code."""
        if self.ranks.main:
            log.error("%s", error, exc_info=error)
        self.say(str(error))
        return FOUND_PROBLEMS

    def without_disk(self, error: Exception, why: str) -> int:
        """Say that the run's disk is full, or what else is wrong with it; the exit code."""
        log.error("%s", error, exc_info=error)
        self.say(f"{why}; put it right, then continue with --resume")
        return FOUND_PROBLEMS

    def lost(self, error: Exception) -> int:
        """Say which rank does not answer, once for all ranks that are left; the exit code."""
        lost = lost_ranks(self.folder.path, self.ranks.index, self.ranks.count)
        if lost.speaker == self.ranks.index:
            log.info("%s", error, exc_info=error)
            screen.say(str(StoppedError(lost.what, self.folder.path)))
        return FOUND_PROBLEMS

    def measure(self, moment: str, loaded: LoadedModel) -> None:
        """Held-out accuracy on rank 0, while the others wait."""
        if self.ranks.main and self.evaluation.problems:
            loaded.model.to(self.settings.train.device)
            total = self.evaluation.missing(moment)
            with tqdm(
                total=total, desc=f"measuring {moment} training", unit="answer", disable=not total
            ) as bar:
                self.evaluation.measure(moment, loaded, bar.update)
        self.ranks.wait()

    def interrupted(self, trained: Trained | None) -> int:
        """Say how to continue; the exit code."""
        again = shlex.join(
            [
                *_without(self.argv, "--resume", "--overwrite", "--output_dir", "--resume_from_checkpoint"),
                *("--output_dir", str(self.folder.path)),
            ]
        )
        saved = trained.checkpoint if trained is not None else last_checkpoint(self.folder.path)
        state = f"saved {saved}" if saved is not None else "no checkpoint was due yet"
        step = f" after step {trained.steps}" if trained is not None else ""
        self.say(f"interrupted{step}; {state}")
        self.say(f"continue with: sightline train {again} --resume")
        by = trained.interrupted_by if trained is not None else signal.SIGINT
        return INTERRUPTED if by == signal.SIGINT else 128 + int(by or signal.SIGTERM)


def _open(settings: Settings) -> RunFolder:
    """The run's folder with its config.yaml; a resumed one has to be the same run."""
    args = settings.train
    given = getattr(args, "resume_from_checkpoint", None)
    start = None if given is None else given_checkpoint(given, Path(args.output_dir))
    folder = open_run(str(args.output_dir), overwrite=args.overwrite, resume=args.resume)
    config = yaml.safe_dump(_config(settings), sort_keys=True, allow_unicode=True)
    before = _settings_before(folder, start) if args.resume or start is not None else None
    if before is not None:
        for line in check_resumed(before, yaml.safe_load(config), args.force):
            screen.say(f"resuming with {line}")
        versions = before.get("versions")
        for line in _other_versions(versions if isinstance(versions, dict) else {}):
            screen.say(f"resuming with {line}")
    try:
        write_text(folder.config, config)
    except OSError as error:
        raise UserError(f"cannot write {folder.config}: {error.strerror}; make room, or choose another "
                        "--output_dir") from error  # fmt: skip
    return folder


def spare_dir(args: Any) -> str | None:
    """The second folder for the trained model, which not every engine has."""
    return getattr(args, "spare_dir", None)


def _settings_before(folder: RunFolder, start: Path | None) -> Mapping[str, Any] | None:
    """What a run that is resumed began with; None if it never began, or nobody knows."""
    checkpoint = start or newest_whole(folder.path)[0]
    if start is not None and start.parent.resolve() != folder.path.resolve():
        folder = RunFolder(start / COPIES)
    if checkpoint is None and not folder.config.is_file():
        return None
    return stored_settings(folder, checkpoint, screen.say)


def _other_versions(before: dict[str, str]) -> list[str]:
    """The libraries that are not what they were, and what that does; those that resize images by name."""
    now = provenance()["versions"]
    lines = []
    for name in dict.fromkeys([*before, *(RESIZING if before else ())]):
        old, new = before.get(name), now.get(name)
        if old == new or (name not in RESIZING and new is None):
            continue
        effect = "images may be resized to other pixels, see docs/data.md" if name in RESIZING else (
            "the numbers may differ in their last digits"
        )  # fmt: skip
        lines.append(f"{name} {new or 'absent'} where {old or 'none'} began; {effect}")
    return lines


def _hub(args: Any) -> Hub | None:
    """Where the run is sent, reached once before time is spent.

    Raises:
        UserError: it cannot be reached, or refuses.
    """
    if not getattr(args, "push_to_hub", False):
        return None
    try:
        return hub_of(args, Path(args.output_dir)).prepare()
    except NotSentError as error:
        raise UserError(
            f"push_to_hub: {error}. Leave push_to_hub out and send the finished run later: sightline push "
            f"{args.output_dir}"
        ) from error


def _credit(settings: Settings, task: Any, loaded: LoadedModel) -> Credit | None:
    """Weights by an embedded world's labels, as an arm of a study may ask for."""
    part = getattr(settings.train, "credit", None)
    if part is None:
        return None
    from ..laboratory.gradient_test.token_classes import LabelCredit, check_credit

    check_credit(part, settings.method, task)
    return LabelCredit(part, loaded.processor.tokenizer)  # pyright: ignore[reportAttributeAccessIssue]


def _fitting(settings: Settings, task: Any, loaded: LoadedModel) -> tuple[Sequence[Problem], list[str]]:
    """The training problems whose prompts are short enough, and a line if others were left out."""
    args = settings.train
    problems = task.train(args.limit, args.seed)
    longest = settings.longest_prompt(longest_sequence(loaded.model.config))
    if longest is None:
        return problems, []
    kept = fitting(task, problems, token_counter(loaded.processor, **template_of(args)), longest)
    why = "" if longest == args.max_prompt_length else ", beside which vLLM has no room for a whole response"
    line = (
        f"left out {len(kept.left_out)} of {len(problems)} problems whose prompt has more than "
        f"{longest} tokens{why}"
    )
    return kept, [line] if kept.left_out else []


def _config(settings: Settings) -> dict[str, Any]:
    return settings.as_dict() | provenance() | {"set_by": settings.set_by}


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
