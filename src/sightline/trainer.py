"""`sightline.Trainer`: one training run from Python, with objects of your own.

What `sightline train` does, without its command line: the settings have the same names and defaults, the run
leaves the same folder. docs/python.md has examples.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .analysis import write_report
from .analysis.readers.metrics import read_metrics
from .engines import engine
from .engines.command_line import chosen_engine
from .engines.ranks import Ranks
from .engines.registry import USUAL, Trained
from .engines.run_settings import data_options
from .errors import UserError
from .evaluation.before_after import AFTER, BEFORE, MODES, BeforeAfter
from .methods import Method
from .models.loading import LoadedModel
from .models.threads import one_thread_if_small
from .provenance import provenance
from .run_folder import RunFolder, open_run, write_text
from .tasks import DataOptions, Task, load_task
from .tasks.problem import Problem

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
        say: shows the person who runs this one line; `print` by default.
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
        say: Callable[[str], None] = print,
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
        self.callbacks, self.say = tuple(callbacks), say
        self.ranks: Ranks = self.engine.ranks(self.settings)
        args = self.settings.train
        self.task: Task = _task(args.task if task is None else task, DataOptions(**data_options(args)))
        self.problems: Sequence[Problem] = self.task.train(args.limit, args.seed)
        self.held_out = self.task.test(args.eval_problems, 0) if args.eval_problems else []
        self.loaded: LoadedModel = _loaded(self.engine, self.settings, model, processor)
        one_thread_if_small(self.loaded, args.device)
        self.engine.check_fit(self.settings, self.loaded, self.task, self.problems)
        self.folder = RunFolder(Path(str(args.output_dir)))
        self.evaluation: BeforeAfter | None = None

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

        Ctrl-C (an interrupted cell) saves a checkpoint and returns; `resume=True` goes on from it.

        Raises:
            UserError: the folder holds another run; give `overwrite=True`, or another `output_dir`.
            StoppedError: the run cannot continue.
        """
        folder = self._open()
        try:
            return self._train(folder)
        finally:
            folder.release()

    def _train(self, folder: RunFolder) -> Trained:
        args = self.settings.train
        longest = int(args.max_completion_length or 256)
        shown = args.report_problems
        self.evaluation = BeforeAfter(folder, self.task, self.held_out, shown, args.seed, longest)
        self._tell(self.settings.describe_method())
        self._measure(BEFORE)
        more = {"callbacks": self.callbacks} if self.callbacks else {}
        trained = self.engine.train(
            self.settings, self.loaded, self.task, self.problems, folder, self._tell, **more
        )
        if trained.interrupted_by is not None:
            self._tell(f"interrupted after step {trained.steps}; resume=True goes on")
            return trained
        self.loaded = trained.model
        self._measure(AFTER)
        if self.ranks.main:
            write_report(folder.path)
            self._tell(f"report: {folder.report}")
        return trained

    def _measure(self, moment: str) -> None:
        """Held-out accuracy on rank 0, while the others wait."""
        if self.ranks.main and self.evaluation is not None and len(self.held_out):
            self._tell(f"measuring {len(self.held_out)} held-out problems, {moment} training")
            self.loaded.model.to(self.settings.train.device)
            self.evaluation.measure(moment, self.loaded)
            found = [f"{mode} {self.evaluation.value(moment, mode)}" for mode in MODES]
            self._tell(f"{moment}: {', '.join(found)}")
        self.ranks.wait()

    def _open(self) -> RunFolder:
        """The run's folder with its config.yaml, on rank 0."""
        args = self.settings.train
        if not self.ranks.main:
            self.ranks.wait()
            return self.folder
        folder = open_run(self.folder.path, overwrite=args.overwrite, resume=args.resume)
        record = self.settings.as_dict() | provenance() | {"set_by": dict(self.settings.set_by)}
        write_text(folder.config, yaml.safe_dump(record, sort_keys=True, allow_unicode=True))
        self.ranks.wait()
        self.folder = folder
        return folder

    def _tell(self, text: str) -> None:
        if self.ranks.main:
            self.say(text)


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


def _loaded(engine: Any, settings: Any, model: Any, processor: Any) -> LoadedModel:
    """The model that is to be trained."""
    if isinstance(model, LoadedModel):
        return model
    if model is None or isinstance(model, str | Path):
        return engine.load_policy(settings)
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
