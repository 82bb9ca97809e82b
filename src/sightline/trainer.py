"""`sightline.Trainer`: one training run from Python, with objects of your own.

What `sightline train` does, without its command line: the settings have the same names and defaults, the run
leaves the same folder. docs/python.md has examples.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .analysis.readers.metrics import read_metrics
from .cli import screen
from .cli.train import finished_line, prepare, spare_dir
from .engines import engine
from .engines.command_line import chosen_engine
from .engines.finished_runs import last_step, trained_model
from .engines.ranks import Ranks
from .engines.registry import USUAL, Trained
from .engines.run_settings import data_options
from .errors import UserError
from .methods import Method
from .models.loading import LoadedModel, load_model
from .run_folder import RunFolder
from .tasks import DataOptions, Task, load_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Reward = Callable[..., Any]
"""A function with TRL's signature: `f(completions, **columns)` -> one number for each completion."""


class Trainer:
    """A run that is ready to train.

    Args:
        model: a folder, a hub id, `"embedded"`, a `LoadedModel`, or a model of transformers with its
            `processor`. None: what the config names.
        task: a task's name, a file, a hub id, a mapping with `source`; or an object: a `datasets.Dataset`,
            or your own `Task`.
        method: a method's name, its options in `method_options`; or a `Method` of your own. Its objective
            sets clip range, loss and advantages, unless they are given here or in the config.
        rewards: a name such as `"accuracy"`, a function, a list of names and functions, or a mapping of
            either to weights.
        config: a YAML with settings, such as `recipes/demo.yaml`.
        callbacks: `transformers.TrainerCallback`s, for the TRL engine.
        processor: of `model`, where that is a model of transformers.
        settings: any setting of `sightline train` under its name, before the config's.

    Raises:
        UserError: a setting is unknown or out of its range, nothing is found under a name, or settings, model
            and data do not fit together. Nothing is written yet.
    """

    def __init__(
        self,
        model: str | LoadedModel | PreTrainedModel | None = None,
        task: Any = None,
        method: str | Method | None = None,
        rewards: str | Reward | Sequence[str | Reward] | Mapping[str | Reward, float] | None = None,
        *,
        config: str | Path | None = None,
        callbacks: Sequence[Any] = (),
        processor: Any = None,
        **settings: Any,
    ):
        given, own_rewards = _named_rewards(rewards)
        given |= {"method": method} if method is not None else {}
        given |= {"model": _model_name(model)} if model is not None else {}
        given |= {"task": _task_record(task)} if task is not None else {}
        words = [] if config is None else ["--config", str(config)]
        name = str(settings.get("engine") or chosen_engine(words) or USUAL)
        self.engine: Any = engine(name)
        _check_engine(name, method, own_rewards, callbacks)
        self.settings: Any = self.engine.parse(words, given | settings)
        if own_rewards:
            self.settings = replace(self.settings, own_rewards=own_rewards)
        if self.settings.train.output_dir is None:
            raise UserError("Trainer needs an output_dir, such as output_dir='runs/first'")
        self.ranks: Ranks = self.engine.ranks(self.settings)
        own_task = None if task is None else _task(task, DataOptions(**data_options(self.settings.train)))
        self._ready = prepare(
            self.engine,
            self.settings,
            self.ranks,
            task=own_task,
            loaded=_loaded(model, processor),
            callbacks=tuple(callbacks),
        )
        self.loaded: LoadedModel = self._ready.loaded
        self.folder = RunFolder(Path(str(self.settings.train.output_dir)))
        self.results: dict[str, Any] = {}
        """Held-out accuracies and rewards before and after training, with intervals, as in eval.json."""

    @property
    def model(self) -> Any:
        """The model: before training what was loaded, afterwards what was trained."""
        return self.loaded.model

    @property
    def processor(self) -> Any:
        """What feeds the model."""
        return self.loaded.processor

    @property
    def metrics(self) -> dict[str, Any]:
        """The run's metrics so far by name, one number a step, with `step` itself: a table for pandas."""
        found = read_metrics(self.folder.metrics)
        return {"step": found.steps, **found.columns}

    def train(self) -> Trained:
        """Measure, train, save, measure again, and write report.html; the run's folder has it all.

        Ctrl-C (an interrupted cell) saves a checkpoint and returns; `resume=True` goes on from it. A run that
        is finished already is said to be, and its model is loaded.

        Raises:
            UserError: the folder holds another run; give `overwrite=True`, or another `output_dir`.
            StoppedError: the run cannot continue.
        """
        if line := finished_line(self.settings):
            screen.say(line)
            model = trained_model(self.folder, spare_dir(self.settings.train)) or self.folder.model
            self.loaded = load_model(str(model), self.loaded.model.dtype)
            return Trained(last_step(self.folder), None, None, self.loaded)
        run = self._ready.begin([], time.perf_counter())
        try:
            run.introduce()
            run.go()
        finally:
            run.folder.release()
        assert run.trained is not None
        self.loaded, self.results = run.trained.model, run.evaluation.measured
        return run.trained


def _check_engine(name: str, method: Any, rewards: Mapping[str, Reward], callbacks: Sequence[Any]) -> None:
    """Refuse objects that only the TRL engine can take: verl's workers are other processes."""
    if name == USUAL:
        return
    objects = {"a Method": isinstance(method, Method), "a reward function": rewards, "callbacks": callbacks}
    if asked := [what for what, here in objects.items() if here]:
        raise UserError(
            f"the {name} engine trains in other processes, which cannot be given {asked[0]}; name it "
            "instead: method by its name (plugins: my_rules.py), rewards as file.py:function"
        )


def _named_rewards(rewards: Any) -> tuple[dict[str, Any], dict[str, Reward]]:
    """The setting `rewards` as plain data, and the functions behind its names.

    Raises:
        UserError: two functions have one name.
    """
    if rewards is None or isinstance(rewards, str):
        return ({} if rewards is None else {"rewards": rewards}), {}
    weights = dict(rewards) if isinstance(rewards, Mapping) else _each_once(rewards)
    named: dict[str, float] = {}
    own: dict[str, Reward] = {}
    for reward, weight in weights.items():
        name = reward if isinstance(reward, str) else getattr(reward, "__name__", type(reward).__name__)
        if name in named:
            raise UserError(f"two rewards are called {name}; give one of them another __name__")
        named[name] = weight
        if not isinstance(reward, str):
            own[name] = reward
    return {"rewards": named}, own


def _each_once(rewards: Any) -> dict[Any, float]:
    chosen = [rewards] if callable(rewards) else list(rewards)
    return dict.fromkeys(chosen, 1.0)


def _model_name(model: Any) -> str:
    """What config.yaml and the card call the model."""
    if isinstance(model, str | Path):
        return str(model)
    return str(getattr(model, "name", "") or getattr(model, "name_or_path", "") or type(model).__name__)


def _loaded(model: Any, processor: Any) -> LoadedModel | None:
    """A model that is given as an object; None for a name."""
    if model is None or isinstance(model, str | Path | LoadedModel):
        return model if isinstance(model, LoadedModel) else None
    if processor is None:
        raise UserError(
            f"a {type(model).__name__} needs its processor: Trainer(model, processor=AutoProcessor...)"
        )
    return LoadedModel(model, processor, _model_name(model))


def _task_record(task: Any) -> Any:
    """What config.yaml says of the task: plain data, or the name of an object that only this process has."""
    if isinstance(task, Mapping) and "source" in task:  # and no DatasetDict, which is a mapping too
        return {key: value if _is_plain(value) else _described(value) for key, value in task.items()}
    return task if _is_plain(task) else {"source": _described(task), "name": _described(task)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | Path)


def _described(value: Any) -> str:
    name, kind = getattr(value, "name", None), type(value).__name__
    if isinstance(name, str):
        return name
    counted = hasattr(value, "__len__") and not isinstance(value, Mapping)
    return f"{kind} of {len(value):,} rows" if counted else kind


def _task(task: Any, options: DataOptions) -> Task:
    if _is_plain(task) or (isinstance(task, Mapping) and "source" in task):
        return load_task(str(task) if isinstance(task, Path) else task, options)
    own: Any = task
    parts = ("train", "test", "messages")
    if all(inspect.ismethod(getattr(own, part, None)) for part in parts):
        return own
    return load_task({"source": own}, options)
