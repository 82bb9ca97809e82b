"""The TRL engine: settings, a model and a task -> a trained model, by a subclass of GRPOTrainer.

The functions without an underscore are those of `sightline.engines.Engine`, and `make_trainer`.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl.trainer.utils import get_peft_config

from ...models.families import placeholder_words
from ...models.loading import LoadedModel
from ...run_folder import RunFolder
from ...tasks.problem import Problem, Task
from ..adapters import describe_adapters
from ..checkpoints import StoppedError, last_checkpoint
from ..disk_space import trouble
from ..freezing import freeze_vision
from ..heartbeats import Heartbeat
from ..hub_upload import hub_of
from ..image_placeholders import without_placeholders
from ..model_card import model_card
from ..progress import CleanStop, MetricsFile, Moment, ProgressBar, Watcher
from ..ranks import Ranks
from ..registry import Credit, Trained
from ..sampler_distribution import reshaped_by
from ..saved_model import saved_where_it_fits
from ..side_files import mend_metrics
from ..starting_point import starting_point
from ..validation import Validation
from .callbacks import HubCallback, StopCallback, WatcherCallback
from .data.dataset import training_rows
from .preflight import check_fit
from .ranks import AccelerateRanks
from .settings.resolve import Settings, parse, parser
from .settings.rewards import rewards_of
from .state.model_export import TrainedWeights, load_policy, trained_weights
from .trainer.trainer import TokenCreditTrainer
from .trainer.vllm_sampling import ignored_generation_config

__all__ = ["check_fit", "load_policy", "make_trainer", "parse", "parser", "ranks", "train"]

log = logging.getLogger(__name__)


def ranks(settings: Settings) -> Ranks:
    """The processes of the run, of which this is one."""
    return AccelerateRanks(settings.train)


def make_trainer(
    settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem], **kwargs: Any
) -> TokenCreditTrainer:
    """A trainer ready to run. Multimodal placeholders are banned from sampling on every path.

    Raises:
        UserError: settings, model and data do not fit together (`check_fit`).
    """
    args: Any = settings.train
    config: Any = loaded.model.config
    asked = reshaped_by(args)  # before bans are added, which every run has
    args.generation_kwargs = without_placeholders(args, config, loaded.processor.tokenizer)  # pyright: ignore
    check_fit(settings, loaded, task, problems)
    rewards, args.reward_weights = rewards_of(settings)
    trainer = TokenCreditTrainer(
        method=settings.method,
        args=args,
        model=loaded.model,
        reward_funcs=rewards,
        train_dataset=training_rows(task, problems, placeholder_words(loaded.processor, config)),
        processing_class=loaded.processor,
        peft_config=get_peft_config(settings.model),
        model_revision=settings.model.model_revision,
        resolved=True,
        reshaped=asked,
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
    watch: Watcher | None = None,
    credit: Credit | None = None,
    validation: Validation | None = None,
    callbacks: Sequence[Any] = (),
) -> Trained:
    """Train `loaded.model` in place (`sightline.engines.Engine.train`); `callbacks` are transformers' own."""
    processes = ranks(settings)
    say = say if processes.main else log.debug
    start = _resumed_checkpoint(folder.path, settings.train, processes, say)
    if processes.main and start is not None and (mended := mend_metrics(folder.metrics, start)):
        say(mended)
    stop = CleanStop(processes.any)
    heartbeat = Heartbeat(folder.path, processes.index, processes.count)
    quiet = settings.train.disable_tqdm and "disable_tqdm" in settings.set_by
    bar = watch or (Watcher() if quiet else ProgressBar(settings.method.name))
    watchers = [MetricsFile(folder.metrics), bar, heartbeat]
    called: list[Any] = [StopCallback(stop), WatcherCallback(watchers), *callbacks]
    if settings.train.push_to_hub:
        called.append(HubCallback(hub_of(settings.train, folder.path), say))
    trainer = make_trainer(settings, loaded, task, problems, callbacks=called, credit=credit)
    trainer.say, trainer.validation, trainer.stopping = say, validation, lambda: stop.requested is not None
    say(settings.describe_sharing(trainer.sharing.reason))
    if (adapted := describe_adapters(trainer.accelerator.unwrap_model(trainer.model))) is not None:
        say(adapted)
    if settings.train.use_vllm and (line := ignored_generation_config(loaded.model)):
        say(line)

    def card() -> str:
        step, described = trainer.state.global_step, settings.describe_method()
        return model_card(settings.as_dict(), settings.method, described, folder, step, len(problems))

    trainer.card = card
    try:
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
        if settings.train.load_best_model_at_end:
            trainer.use_best_step()
    except BaseException as error:
        bar.end(Moment(step=trainer.state.global_step, steps=trainer.state.max_steps))
        if why := trouble(error, folder.path):
            raise StoppedError(why, folder.path) from error
        raise
    finally:
        stop.restore()
    interrupted = None if stop.requested is None else signal.Signals(stop.requested)
    finished = trainer.state.global_step >= trainer.state.max_steps
    stopped = None if finished else interrupted
    trained = loaded if stopped is not None else _saved(trainer, settings, loaded, folder, say)
    step, saved = trainer.state.global_step, last_checkpoint(folder.path)
    return Trained(step, stopped, saved, trained, model_step=trainer.model_step)


def _saved(
    trainer: Any, settings: Settings, loaded: LoadedModel, folder: RunFolder, say: Callable[[str], None]
) -> LoadedModel:
    """The trained model as it lies in `model/`, or in `spare_dir` where the run's disk stays full.

    Rank 0 writes it and waits for room; the others wait for rank 0, however long that takes. The model of
    sharded weights is of use on rank 0 only.

    Raises:
        StoppedError: it fits nowhere; on every rank.
    """
    weights = trained_weights(trainer, settings, loaded)
    trainer.ranks.wait()  # all are here: what they wait for below connects without rank 0's disk
    written, problem = loaded, None
    if trainer.ranks.main:
        try:
            written = _written(weights, settings, folder, say)
        except OSError as error:
            problem = f"the trained model is not saved in {error.filename}: {error.strerror}"
    trainer.ranks.wait()
    if problem := trainer.ranks.from_main(problem):
        raise StoppedError(problem, folder.path)
    return written


def _written(
    weights: TrainedWeights, settings: Settings, folder: RunFolder, say: Callable[[str], None]
) -> LoadedModel:
    args = settings.train
    needed = sum(one.numel() * one.element_size() for one in weights.loaded.model.parameters())
    return saved_where_it_fits(
        lambda place: weights.write(settings, place), folder, args.spare_dir, needed, args.wait_for_disk, say
    )


def _resumed_checkpoint(folder: Path, args: Any, ranks: Ranks, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to resume from, found by rank 0; None to begin at the beginning."""
    given = args.resume_from_checkpoint
    return ranks.from_main(starting_point(folder, args.resume, say, given) if ranks.main else None)
