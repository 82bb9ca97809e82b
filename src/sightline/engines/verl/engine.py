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
from ...methods import absolute_plugins
from ...models.families import placeholder_ids, placeholder_words
from ...models.loading import LoadedModel, load_model
from ...models.scoring.hidden_states import layer_index
from ...run_folder import RunFolder
from ...tasks.problem import Problem, Task
from ..checkpoints import facts, last_checkpoint
from ..preflight import check_images, check_rows
from ..progress import CleanStop, Moment, ProgressBar, Watcher
from ..ranks import Ranks
from ..registry import Credit, Trained
from ..reward_settings import accuracy_column, reward_weights
from ..run_settings import data_options
from ..starting_point import starting_point
from .launch import compose, environment, run
from .reward_names import REWARD
from .run_signals import RunSignals
from .settings.checks import check_libraries
from .settings.resolve import Settings, parse, parser
from .upstream_contract import check_contract

__all__ = ["check_fit", "load_policy", "parse", "parser", "ranks", "train"]

log = logging.getLogger(__name__)


def ranks(settings: Settings) -> Ranks:
    """One process: verl's own are started, and followed, by it."""
    check_libraries()
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
    from ...rewards import reward

    check_rows(_Sizes(settings), task, problems)
    check_images(settings.method, task, problems)
    layer_index(loaded.model, settings.method.layer)
    for name in reward_weights(settings.train.rewards, settings.train.reward_weights):
        reward(name)
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
) -> Trained:
    """Train with verl (`sightline.engines.Engine.train`); `loaded` is let go of, its memory is verl's."""
    if credit is not None:
        raise UserError("weights beside the method's own are not supported by the verl engine; use trl")
    check_libraries()
    os.environ.update(environment(settings.train.use_cpu))
    check_contract()
    start, step = _resumed_checkpoint(folder.path, settings.train.resume, say)
    for one in settings.overrides():
        if set(one.setting.split(", ")) & settings.set_by.keys():
            say(f"  {one.setting} → {one}")
    sections = _sections(settings, loaded, folder, len(problems), start)
    name, steps = loaded.name, _steps(settings, len(problems))
    del loaded
    _free_memory()
    config = _composed(settings, sections, folder.path, start)
    signals = RunSignals(folder.path)
    signals.clear()
    stop = CleanStop()
    stop.listen()
    try:
        bar = watch or ProgressBar(settings.method.name)
        run(config, folder, stop, bar, Moment(step=step, steps=steps), say)
        stopped = stop.requested if signals.stop_wanted() and not _whole(folder) else None
    finally:
        stop.restore()
        signals.remove()
    interrupted = None if stopped is None else signal.Signals(stopped)
    saved = last_checkpoint(folder.path)
    if interrupted is not None:
        done = step if saved is None else int(facts(saved)["step"])
        return Trained(done, interrupted, saved, load_model(name, torch.float32))
    return Trained(steps, None, saved, load_model(str(folder.model), "auto"))


def _whole(folder: RunFolder) -> bool:
    """Whether the trained model is there: its last step was done before a stop was heard."""
    return (folder.model / "config.json").is_file()


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _Sizes:
    """The sizes of a rollout batch, as `check_rows` reads them."""

    def __init__(self, settings: Settings):
        self.generation_batch_size: Any = settings.train.batch_rollouts
        self.num_generations: Any = settings.train.num_generations


def _steps(settings: Settings, problems: int) -> int:
    """Optimizer steps of the whole run."""
    train = settings.train
    if train.max_steps > 0:
        return train.max_steps
    batches = problems // (train.batch_rollouts // train.num_generations)
    return max(1, int(batches * train.num_train_epochs)) * train.updates


def _sections(
    settings: Settings, loaded: LoadedModel, folder: RunFolder, problems: int, start: Path | None
) -> dict[str, Any]:
    """What our parts of verl's processes are told, as plain data."""
    train, method = settings.train, settings.method
    rewards = reward_weights(train.rewards, train.reward_weights)
    config: Any = loaded.model.config
    groups = method.objective.informative_groups
    judged = groups is not None and groups.key == "accuracy" and train.max_rounds > 1
    chosen = list(rewards)[accuracy_column(list(rewards))] if judged else ""
    asked = {
        "method": method.name,
        "options": dict(method.options),
        "plugins": absolute_plugins(train.plugins),
        "seed": train.seed,
        "directory": os.getcwd(),
        "folder": str(folder.path.absolute()),
        "rewards": rewards,
        "accuracy": REWARD + chosen,
        "max_rounds": train.max_rounds,
        "updates": train.updates,
        "never_sampled": placeholder_ids(config),
        "max_skipped_steps": train.max_skipped_steps,
        "save_total_limit": train.save_total_limit,
        "resume_from": None if start is None else str(start),
        "described": settings.describe_method(),
        "problems": problems,
        "total_steps": _steps(settings, problems) // train.updates,
        "warn": {
            "warn_zero_rewards": train.warn_zero_rewards,
            "warn_zero_gradient": train.warn_zero_gradient,
            "warn_entropy": train.warn_entropy,
            "warn_drift": train.warn_drift,
            "generation_batch_size": train.batch_rollouts,
        },
    }
    data = {
        "directory": os.getcwd(),
        "task": train.task,
        "options": data_options(train),
        "limit": train.limit,
        "seed": train.seed,
        "eval_problems": 1,
        "max_prompt_length": train.max_prompt_length,
        "placeholders": placeholder_words(loaded.processor, config),
    }
    return {"sightline": asked, "data": data}


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
