"""The embedded checkpoint, from nothing: warm start, half precision, files and model card."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import Qwen3VLForConditionalGeneration

from ...errors import UserError
from .accuracies import accuracies
from .architecture import fresh_model, grown_model
from .level import LEVELS, Level, Stage, shipped
from .processor import SPECIAL_TOKENS, processor
from .warm_start import teach

WEIGHTS, CARD = "model.safetensors", "README.md"
TESTED_PROBLEMS = 512
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow")


@dataclass(frozen=True)
class BuiltCheckpoint:
    """A finished checkpoint folder, the accuracies of its weights as saved, and their checksum."""

    folder: Path
    accuracies: dict[str, float]
    sha256: str


def sha256_of(file: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one thread: the same in every run, and not slowed down by other processes on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shortened(stages: tuple[Stage, ...], steps: int | None) -> tuple[Stage, ...]:
    """The stages with `steps` steps in all, in their proportion, at least one each; None: as they are."""
    if steps is None:
        return stages
    if steps < len(stages):
        raise UserError(f"steps must be at least {len(stages)}, one for each stage; got {steps}")
    total = sum(stage.steps for stage in stages)
    first = [max(1, steps * stage.steps // total) for stage in stages[:-1]]
    counts = [*first, steps - sum(first)]
    return tuple(replace(stage, steps=count) for stage, count in zip(stages, counts, strict=True))


def warm_started_model(
    level: Level, seed: int, stages: tuple[Stage, ...], progress: bool = False
) -> Qwen3VLForConditionalGeneration:
    """A fresh or grown model taught through the stages, then rounded to bfloat16.

    Equal seeds and stages give equal weights on one machine; another processor may round differently.
    """
    model: Any = fresh_model(seed, len(SPECIAL_TOKENS) + len(level.words), level.longest_response)
    if level.grown_from is not None:
        grown_model(model, Qwen3VLForConditionalGeneration.from_pretrained(shipped(level.grown_from)))
    with one_thread(), tqdm(total=sum(stage.steps for stage in stages), disable=not progress) as bar:
        for stage in stages:
            teach(model, level, stage, seed, bar)
    return model.to(torch.bfloat16)


def build(
    folder: Path,
    level: int = 1,
    seed: int = 0,
    steps: int | None = None,
    problems: int = TESTED_PROBLEMS,
    overwrite: bool = False,
    progress: bool = False,
) -> BuiltCheckpoint:
    """Make a level's checkpoint and write it to `folder`, whole or not at all.

    `problems` held-out problems measure it. Files of an earlier build are replaced when
    `overwrite` says so; other files in the folder stay.

    Raises:
        UserError: there is no such level, the folder is not empty, or cannot be written, or `steps` or
            `problems` is too small.
    """
    if level not in LEVELS:
        raise UserError(f"models are built for the levels {', '.join(map(str, LEVELS))}; got {level}")
    chosen = LEVELS[level]
    stages = shortened(chosen.stages, steps)
    if problems < 1:
        raise UserError(f"the model is measured on at least one problem; --limit is {problems}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise UserError(f"{folder} exists and is not empty; pass --overwrite or another --output_dir")
    try:
        with whole_or_nothing(folder) as made:
            model = warm_started_model(chosen, seed, stages, progress)
            results, checksum = _write(made, model, chosen, seed, steps, problems)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; choose another --output_dir") from error
    return BuiltCheckpoint(folder, results, checksum)


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[Path]:
    """A place for new files, which move into the folder at the end, or vanish when anything goes wrong."""
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as made:
            yield Path(made)
            for file in Path(made).iterdir():
                file.chmod(0o644)
                os.replace(file, folder / file.name)
    except BaseException:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _write(
    folder: Path,
    model: Qwen3VLForConditionalGeneration,
    level: Level,
    seed: int,
    steps: int | None,
    problems: int,
) -> tuple[dict[str, float], str]:
    model.save_pretrained(folder)
    reader = processor(level.words)
    reader.save_pretrained(folder)
    with one_thread():
        tested = level.task.test(problems, seed=0)
        results = accuracies(model.float(), reader, level.task, tested, level.longest_response)
    checksum = sha256_of(folder / WEIGHTS)
    (folder / CARD).write_text(card(level, results, problems, checksum, seed, steps))
    return results, checksum


def card(
    level: Level, results: dict[str, float], problems: int, checksum: str, seed: int, steps: int | None
) -> str:
    """The model card: what it is, the command that made it, versions, accuracies, checksum."""
    command = "sightline world build" + ("" if level.number == 1 else f" --level {level.number}")
    command += f" --output_dir DIR --seed {seed}"
    command += "" if steps is None else f" --steps {steps}"
    plan = " then ".join(f"{s.steps} steps of {s.batch} ({s.name})" for s in shortened(level.stages, steps))
    origin = "" if level.grown_from is None else " from the model of level 1"
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in results.items())
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# Sightline's embedded model

A Qwen3-VL of a million parameters for the task `{level.task.name}`: {level.title},
in 64x64 images. It can see, but was taught to guess without looking more often than
not, so that reinforcement learning has something to teach. It is of no use for anything else.

Made by `{command}`{origin}: {plan}, one thread, all data drawn by the program.
Python {platform.python_version()} on {platform.machine()}; {libraries}.

| accuracy on {problems} held-out problems | |
|---|---|
{rows}

"sampled" is at temperature 1, "blind" is greedy on black images.

`{WEIGHTS}` has SHA-256 `{checksum}`.
"""
