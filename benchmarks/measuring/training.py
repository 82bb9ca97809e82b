"""Trainers on the embedded model whose optimizer steps can be timed one by one."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from trl import GRPOTrainer

from sightline.engines.reward_settings import reward_weights
from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.engine import make_trainer
from sightline.engines.trl.settings.resolve import Settings, parse
from sightline.engines.trl.settings.rewards import reward_functions
from sightline.models.families import placeholder_ids
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask, load_task


class Turns:
    """Lets several trainings go on in one process, one optimizer step of each at a time."""

    def __init__(self, count: int):
        self.waiting = threading.Condition()
        self.running = [True] * count
        self.current = 0

    def pass_on(self, number: int) -> None:
        """Let the next training that still runs have a step."""
        with self.waiting:
            order = [(number + ahead) % len(self.running) for ahead in range(1, len(self.running) + 1)]
            self.current = next((n for n in order if self.running[n]), -1)
            self.waiting.notify_all()

    def wait(self, number: int) -> None:
        """Until it is `number`'s turn."""
        with self.waiting:
            self.waiting.wait_for(lambda: self.current == number)

    def end(self, number: int) -> None:
        """`number` takes no more steps."""
        self.running[number] = False
        self.pass_on(number)


class Clock(transformers.TrainerCallback):
    """CPU seconds of each optimizer step, rollouts included; equal steps draw equal random numbers."""

    def __init__(self, turns: Turns, number: int):
        self.turns, self.number = turns, number
        self.steps: list[float] = []
        self.started = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step:
            self.turns.pass_on(self.number)
            self.turns.wait(self.number)
        torch.manual_seed(state.global_step)
        self.started = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.steps.append(time.process_time() - self.started)


def settings(
    method: str, prompts: int, group: int, steps: int, micro: int | None = None, **options: Any
) -> Settings:
    """One optimizer step per rollout batch, whole groups as they come, a learning rate of nothing."""
    rows = prompts * group
    micro = micro or rows
    return parse(
        [
            *("--model", "embedded", "--method", method, "--output_dir", tempfile.mkdtemp()),
            *("--method_options", json.dumps({"objective": "grpo"} | options)),
            *(
                "--per_device_train_batch_size",
                str(micro),
                "--gradient_accumulation_steps",
                str(rows // micro),
            ),
            *("--num_generations", str(group), "--max_completion_length", "40", "--temperature", "1.0"),
            *("--learning_rate", "0", "--max_steps", str(steps), "--save_strategy", "no", "--use_cpu"),
            *("--bf16", "false", "--no_gradient_checkpointing", "--disable_tqdm", "true", "--seed", "0"),
            *("--report_to", "none"),
        ]
    )


def study_settings(recipe: Path, arm: str, steps: int, *more: str) -> Settings:
    """A study's training of one arm, of so many steps and with a learning rate of nothing."""
    study = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    wanted = study["train"] | study["arms"][arm] | {"learning_rate": 0, "max_steps": steps, "seed": 0}
    words = [word for name, value in wanted.items() for word in (f"--{name}", str(value))]
    run = ("--output_dir", tempfile.mkdtemp(), "--disable_tqdm", "true", "--report_to", "none")
    return parse([*words, *run, *more])


def ours(chosen: Settings, clock: Clock, prompts: int) -> Any:
    """Sightline's trainer."""
    task = load_task(chosen.train.task)
    problems = task.train(prompts * int(chosen.train.max_steps), 0)
    loaded = load_model(str(chosen.train.model), torch.float32)
    return make_trainer(chosen, loaded, task, problems, callbacks=[clock])


def stock(chosen: Settings, clock: Clock, prompts: int) -> Any:
    """TRL's own trainer with the same settings, model, rows and reward."""
    task, args = ShapesTask(), chosen.train
    loaded = load_model("embedded", torch.float32)
    args.generation_kwargs = {"suppress_tokens": placeholder_ids(loaded.model.config)}
    rewards, args.reward_weights = reward_functions(
        reward_weights(args.rewards), chosen.method.objective, args.max_completion_length
    )
    trainer = GRPOTrainer(
        model=loaded.model,
        args=args,
        reward_funcs=rewards,
        train_dataset=training_rows(task, task.train(prompts * int(args.max_steps), 0)),
        processing_class=loaded.processor,
        callbacks=[clock],
    )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    return trainer


def steps_in_turns(makers: Sequence[Callable[[Clock], Any]]) -> list[list[float]]:
    """Seconds of every step of each training but the first, one step of each after the other."""
    turns = Turns(len(makers))
    clocks = [Clock(turns, number) for number in range(len(makers))]
    trainers = [make(clock) for make, clock in zip(makers, clocks, strict=True)]
    failed: list[BaseException] = []

    def run(number: int) -> None:
        turns.wait(number)
        try:
            trainers[number].train()
        except BaseException as error:
            failed.append(error)
        finally:
            turns.end(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(makers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return [clock.steps[1:] for clock in clocks]
