"""The verl engine: settings, a model and a task -> a trained model, by a plug-in of an unchanged verl.

The functions without an underscore are those of `sightline.engines.Engine`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ...errors import UserError
from ...models.loading import LoadedModel, load_model
from ...models.scoring.hidden_states import layer_index
from ...rewards.chosen import chosen_rewards
from ...run_folder import RunFolder
from ...tasks.problem import Problem, Task
from ..checkpoints import facts, last_checkpoint
from ..disk_space import check_space
from ..finished_runs import models_written, trained_model
from ..freezing import vision_tower
from ..preflight import check_adapters, check_images, check_rows
from ..progress import CleanStop, Moment, ProgressBar, Watcher
from ..ranks import Ranks
from ..registry import Credit, Trained
from ..reward_settings import reward_weights
from ..side_files import mend_metrics
from ..starting_point import starting_point
from ..validation import Validation
from .launch import compose, environment, run
from .run_signals import RunSignals
from .sections import sections_of, total_steps
from .settings.checks import check_libraries
from .settings.cluster import check_cluster
from .settings.resolve import Settings, parse, parser
from .upstream_contract import check_contract

__all__ = ["check_fit", "load_policy", "parse", "parser", "ranks", "train"]

log = logging.getLogger(__name__)


def ranks(settings: Settings) -> Ranks:
    """One process: verl's own are started, and followed, by it."""
    check_libraries()
    check_cluster(settings.train.ray_address)
    return Ranks()


def load_policy(settings: Settings) -> LoadedModel:
    """The model that is to be trained, in this process, to measure it; workers load their own."""
    train = settings.train
    dtype = torch.bfloat16 if train.bf16 else torch.float32
    return load_model(str(train.model), dtype, trust_remote_code=train.trust_remote_code)


def check_fit(settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse what would fail in a worker, minutes later.

    Raises:
        UserError: too few rows, no images for a method that reads them, an unknown reward, a layer that the
            model does not have, or overrides of verl's that it refuses.
    """
    check_rows(_Sizes(settings), task, problems)
    check_images(settings.method, task, problems)
    layer_index(loaded.model, settings.method.layer)
    if settings.train.freeze_vision:
        vision_tower(loaded.model)
    check_adapters(_Adapters(settings), loaded.model)
    _check_disk(settings.train, loaded)
    chosen_rewards(reward_weights(settings.train.rewards, settings.train.reward_weights))
    os.environ.update(environment(settings.train.use_cpu))
    _composed(settings, {"sightline": {}, "data": {}}, Path("."), None)


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
) -> Trained:
    """Train with verl (`sightline.engines.Engine.train`); `loaded` is let go of, its memory is verl's."""
    if credit is not None:
        raise UserError("weights beside the method's own are not supported by the verl engine; use trl")
    if validation is not None:
        raise UserError(
            "held-out problems are measured during training by verl itself here; leave eval_strategy out and "
            "give -- trainer.test_freq=N"
        )
    check_libraries()
    os.environ.update(environment(settings.train.use_cpu))
    check_contract()
    start, step = _resumed_checkpoint(folder.path, settings.train.resume, say)
    if start is not None and (mended := mend_metrics(folder.metrics, start.parent)):
        say(mended)
    for one in settings.overrides():
        if set(one.setting.split(", ")) & settings.set_by.keys():
            say(f"  {one.setting} → {one}")
    sections = sections_of(settings, loaded, folder, len(problems), start)
    name, steps = loaded.name, total_steps(settings, len(problems))
    del loaded
    _free_memory()
    config = _composed(settings, sections, folder.path, start)
    signals = RunSignals(folder.path)
    signals.clear()
    stop = CleanStop()
    stop.listen()
    before = models_written(folder, settings.train.spare_dir)
    try:
        bar = watch or ProgressBar(settings.method.name)
        run(config, folder, stop, bar, Moment(step=step, steps=steps), say)
        whole = bool(models_written(folder, settings.train.spare_dir) - before)  # the last step came first
        stopped = stop.requested if signals.stop_wanted() and not whole else None
    finally:
        stop.restore()
        signals.remove()
    interrupted = None if stopped is None else signal.Signals(stopped)
    saved = last_checkpoint(folder.path)
    if interrupted is not None:
        done = step if saved is None else int(facts(saved)["step"])
        return Trained(done, interrupted, saved, load_model(name, torch.float32))
    model = trained_model(folder, settings.train.spare_dir) or folder.model
    return Trained(steps, None, saved, load_model(str(model), "auto"))


def _check_disk(train: Any, loaded: LoadedModel) -> None:
    """Refuse a disk on which nothing fits; say it where not all of it does."""
    keeps = train.save_strategy != "no"
    note = check_space(Path(str(train.output_dir)), loaded.model, keeps, train.save_total_limit)
    if note is not None:
        log.warning("%s", note)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _Sizes:
    """The sizes of a rollout batch, as `check_rows` reads them."""

    def __init__(self, settings: Settings):
        self.generation_batch_size: Any = settings.train.batch_rollouts
        self.num_generations: Any = settings.train.num_generations


class _Adapters:
    """What PEFT is asked for, as `check_adapters` reads it."""

    def __init__(self, settings: Settings):
        train = settings.train
        self.use_peft, self.lora_r = train.use_peft, train.lora_r
        whole = train.lora_target_modules == ["all-linear"]
        self.lora_target_modules: Any = "all-linear" if whole else train.lora_target_modules


def _composed(settings: Settings, sections: dict[str, Any], folder: Path, start: Path | None) -> Any:
    """verl's configuration: ours, what resuming needs, then what was given behind `--`."""
    resume = []
    if start is not None:
        resume = ["trainer.resume_mode=resume_path", f'trainer.resume_from_path="{start}"']
    steps = sections["sightline"].get("total_steps")
    if steps is not None:
        resume.append(f"trainer.total_training_steps={steps}")
    ours = [str(one) for one in settings.overrides()]
    variables = environment(settings.train.use_cpu)
    return compose([*ours, *resume, *settings.given], sections, variables, settings.train.ray_address)


def _resumed_checkpoint(folder: Path, resume: bool, say: Callable[[str], None]) -> tuple[Path | None, int]:
    """verl's folder in the newest whole checkpoint, and its optimizer step; None and 0 to begin anew."""
    found = starting_point(folder, resume, say)
    if found is None:
        return None, 0
    inner = next(found.glob("global_step_*"), None)
    if inner is None:
        raise UserError(
            f"{found} is not a checkpoint of the verl engine; resume it with the engine that made it"
        )
    return inner.absolute(), int(facts(found)["step"])
