"""Settings, a model and a task -> a trained model. The only place that knows how TRL is driven."""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback
from trl.trainer.utils import get_peft_config

from ...errors import UserError
from ...models.families import placeholder_words
from ...models.loading import LoadedModel
from ...run_folder import RunFolder
from ...tasks.problem import Problem, Task
from ..checkpoints import checkpoints, clean, last_checkpoint, newest_whole
from ..freezing import freeze_vision
from ..image_placeholders import without_placeholders
from ..model_card import model_card
from ..stopped import StoppedError
from .callbacks import CleanStop, MetricsFile, Progress
from .data.dataset import training_rows
from .preflight import check_fit
from .ranks import Ranks
from .settings.resolve import Settings
from .settings.rewards import rewards_of
from .state.model_export import save_trained
from .trainer.perception import Credit, PerceptionTrainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """How training ended."""

    steps: int
    interrupted_by: signal.Signals | None
    checkpoint: Path | None
    """The last checkpoint, if any was saved."""
    model: LoadedModel
    """The trained model as it was saved, adapters merged; if interrupted, whatever it was given."""


def make_trainer(
    settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem], **kwargs: Any
) -> PerceptionTrainer:
    """A trainer ready to run. Multimodal placeholders are banned from sampling on every path.

    Raises:
        UserError: settings, model and data do not fit together (`check_fit`).
    """
    args: Any = settings.train
    config: Any = loaded.model.config
    args.generation_kwargs = without_placeholders(args, config, loaded.processor.tokenizer)  # pyright: ignore
    check_fit(settings, loaded, task, problems)
    rewards, args.reward_weights = rewards_of(settings)
    trainer = PerceptionTrainer(
        method=settings.method,
        args=args,
        model=loaded.model,
        reward_funcs=rewards,
        train_dataset=training_rows(task, problems, placeholder_words(loaded.processor, config)),
        processing_class=loaded.processor,
        peft_config=get_peft_config(settings.model),
        **kwargs,
    )
    if args.freeze_vision:
        freeze_vision(trainer.model)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def train(
    settings: Settings,
    loaded: LoadedModel,
    task: Task,
    problems: Sequence[Problem],
    folder: RunFolder,
    say: Callable[[str], None] = log.info,
    *,
    watch: TrainerCallback | None = None,
    credit: Credit | None = None,
) -> Trained:
    """Train `loaded.model` in place, leaving checkpoints, metrics.jsonl and model/ in `folder`.

    `say` gets the few lines that the person who runs this should see; rank 0 alone calls it. `watch`
    follows the training in place of the progress bar; `credit` weights tokens beside the method.

    Raises:
        UserError: `resume` is set and every checkpoint is damaged.
        StoppedError: the run cannot go on.
    """
    ranks = Ranks(settings.train)
    say = say if ranks.main else log.debug
    start = _resumed_checkpoint(folder.path, settings.train.resume, ranks, say)
    stop = CleanStop()
    callbacks = [stop, MetricsFile(folder.metrics), watch or Progress(settings.method.name)]
    trainer = make_trainer(settings, loaded, task, problems, callbacks=callbacks, credit=credit)
    stop.any_rank, trainer.say = trainer.any_rank, say
    trainer.card = lambda: model_card(settings, folder, trainer.state.global_step, len(problems))
    try:
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoppedError(f"the disk is full ({error})", folder.path) from error
        raise
    finally:
        stop.restore()
    interrupted = None if stop.requested is None else signal.Signals(stop.requested)
    finished = trainer.state.global_step >= trainer.state.max_steps
    stopped = None if finished else interrupted
    trained = save_trained(trainer, settings, loaded, folder) if stopped is None else loaded
    return Trained(trainer.state.global_step, stopped, last_checkpoint(folder.path), trained)


def _resumed_checkpoint(folder: Path, resume: bool, ranks: Ranks, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from: the newest whole one; None to begin at the beginning."""
    found: Path | None = None
    if ranks.main:
        clean(folder)
        if resume:
            found, damaged = newest_whole(folder)
            for line in damaged:
                say(f"{line}; it is not used")
            if found is None and checkpoints(folder):
                raise UserError(f"no checkpoint of {folder} can be resumed: {'; '.join(damaged)}")
            say(f"resuming from {found}" if found else f"{folder} has no checkpoint yet; starting anew")
    return ranks.from_main(found)
