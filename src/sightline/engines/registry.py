"""What an engine offers, and how to get one by its name."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from ..distribution import DISTRIBUTION, install
from ..errors import UserError, unknown_name
from ..run_folder import RunFolder

if TYPE_CHECKING:  # a verb that reads files asks for no torch, and one without a model for no transformers
    from torch import Tensor

    from ..methods import Method
    from ..models.loading import LoadedModel
    from ..rollouts import Rollouts
    from ..tasks.problem import Problem, Task
    from .memory.run_plan import RunPlan
    from .progress import Watcher
    from .ranks import Ranks
    from .validation import Validation

Credit: TypeAlias = "Callable[[Sequence[dict[str, Any]], Rollouts], Tensor]"
"""Rows and their rollouts -> weights [B, T] beside the method's own, such as labels that a study has."""


class Settings(Protocol):
    """A run's resolved settings, as an engine's `parse` returns them."""

    @property
    def train(self) -> Any:
        """The settings by name: an object with `output_dir`, `task`, `limit`, `seed`, `model`, `device`,
        `eval_problems`, `report_problems`, `max_prompt_length`, `max_completion_length`, `resume`, `force`,
        `overwrite`, `json`, and the fields of `tasks.DataOptions`."""
        ...

    @property
    def method(self) -> Method:
        """The method, built from its options."""
        ...

    @property
    def set_by(self) -> Mapping[str, str]:
        """Setting -> "flag", "yaml" or "method"; what is not named has its default."""
        ...

    def describe_method(self) -> str:
        """One line: what the method set, and what overrode it."""
        ...

    def describe_sharing(self) -> str:
        """One line: how many prompt tokens training does not run again, then after "; " how more could be."""
        ...

    def longest_prompt(self, positions: int | None) -> int | None:
        """The longest prompt that a run takes, in tokens, of a model with so many positions; None: any."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Every setting as plain data, for config.yaml and the model card."""
        ...


@dataclass(frozen=True)
class Trained:
    """How training ended."""

    steps: int
    interrupted_by: signal.Signals | None
    checkpoint: Path | None
    """The last checkpoint, if any was saved."""
    model: LoadedModel
    """The trained model as it was saved, adapters merged; if interrupted, whatever it was given."""
    model_step: int | None = None
    """The step whose weights it has, where that is not the last one."""


class Engine(Protocol):
    """What `engines/NAME/engine.py` defines. A run calls the functions in this order, but for `parser`."""

    def parser(self) -> argparse.ArgumentParser:
        """Every setting as a flag, for completion and for checks of what is printed."""
        ...

    def parse(self, argv: Sequence[str], given: Mapping[str, Any] | None = None, /) -> Settings:
        """The settings of a command line: flags over `given` from Python over `--config FILE` over the
        method's over defaults.

        Raises:
            UserError: anything is unknown, of a wrong type, or out of its range.
        """
        ...

    def ranks(self, settings: Any) -> Ranks:
        """The processes of the run, of which this is one."""
        ...

    def load_policy(self, settings: Any) -> LoadedModel:
        """The model that is to be trained.

        Raises:
            UserError: nothing is found under that name, or it is not a vision-language model.
        """
        ...

    def check_fit(self, settings: Any, loaded: LoadedModel, task: Task, problems: Sequence[Problem]) -> None:
        """Refuse what would fail later; nothing is written yet.

        Raises:
            UserError: settings, model and data do not fit together.
        """
        ...

    def train(
        self,
        settings: Any,
        loaded: LoadedModel,
        task: Task,
        problems: Sequence[Problem],
        folder: RunFolder,
        say: Callable[[str], None] = ...,
        *,
        watch: Watcher | None = None,
        credit: Credit | None = None,
        validation: Validation | None = None,
    ) -> Trained:
        """Train, leaving checkpoints, metrics.jsonl and model/ in `folder`.

        `say` gets the few lines that the person who runs this should see; rank 0 alone calls it. `watch`
        follows the training in place of the progress bar; `credit` weights tokens beside the method;
        `validation` are held-out problems to measure where the settings ask for it.

        Raises:
            UserError: `resume` is set and every checkpoint is damaged.
            StoppedError: the run cannot continue.
        """
        ...


@dataclass(frozen=True)
class EngineFacts:
    """What is known of an engine without importing it."""

    library: str
    """The distribution it runs on; its import name too."""
    vllm: tuple[str, str]
    """The vLLM releases that the library supports, both ends included."""


ENGINES: dict[str, EngineFacts] = {
    "trl": EngineFacts(library="trl", vllm=("0.22.0", "0.31.0")),
    "verl": EngineFacts(library="verl", vllm=("0.18.0", "0.24.0")),
}
"""Engines by name: the folder beside this file."""
USUAL = "trl"
"""The engine of a run that names none."""


def engine(name: str = USUAL) -> Engine:
    """The engine of that name, imported now.

    Raises:
        UserError: there is no such engine, or its library is not installed.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    library = ENGINES[name].library
    if find_spec(library) is None:
        raise UserError(
            f"the {name} engine needs {library}, which is not installed; {install(name)}{_others(name)}"
        )
    return cast(Engine, import_module(f".{name}.engine", __package__))


def plan_of(name: str, argv: Sequence[str], gpus: int | None, card: float) -> RunPlan:
    """The run that a command line describes, on paper; the engine of that name reads it.

    `gpus` None: as many as the settings say, or one.

    Raises:
        UserError: there is no such engine, the settings are wrong, or they do not bound the memory.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == "trl":  # whose settings are the library's own; verl's are read without verl
        engine(name)
    return import_module(f".{name}.settings.plan", __package__).plan(argv, gpus, card)


def _others(name: str) -> str:
    """Which other engines are here, or that there is none and what the other choice is."""
    others = [one for one in ENGINES if one != name]
    here = [one for one in others if find_spec(ENGINES[one].library) is not None]
    if here:
        return f", or train with --engine {here[0]}"
    choice = " or ".join(f"'{DISTRIBUTION}[{one}]'" for one in others)
    return f" (no engine is installed yet; the other choice is {choice}, in an environment of its own)"
