"""What `sightline train` measures beside training, and how it prints that."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from ..engines import Settings
from ..engines.reward_settings import reward_weights
from ..engines.validation import check_metric
from ..evaluation.before_after import AFTER, BEFORE, MODES, BeforeAfter
from ..evaluation.run.run_rewards import TOTAL, RunRewards
from ..evaluation.statistics.intervals import Measured
from ..evaluation.validation import HeldOut
from ..models.loading import LoadedModel
from ..models.processors import response_opening
from ..run_folder import RunFolder
from ..tasks.problem import Problem
from ..tasks.prompt_length_filter import outline
from ..tasks.task_names import task_name
from . import screen


def longest_answer(args: Any) -> int:
    """The longest answer, in tokens."""
    return int(args.max_completion_length or 256)


def template_of(args: Any) -> dict[str, Any]:
    """Further arguments of the chat template, which not every engine has."""
    return dict(getattr(args, "chat_template_kwargs", None) or {})


def run_rewards(settings: Settings, loaded: LoadedModel) -> RunRewards:
    """The run's rewards, for answers that are not trained on."""
    args = settings.train
    template = template_of(args)
    weights = reward_weights(args.rewards, args.reward_weights)
    own = getattr(settings, "own_rewards", None)
    return RunRewards(weights, response_opening(loaded.processor, **template), own)


def run_validation(
    settings: Settings, task: Any, held_out: Sequence[Problem], rewards: RunRewards
) -> HeldOut | None:
    """The held-out problems, if they are to be measured during training.

    Raises:
        UserError: the best checkpoint is chosen by a metric that is not measured.
    """
    args = settings.train
    wanted = getattr(args, "eval_strategy", "no")
    if getattr(wanted, "value", wanted) == "no":
        return None
    graded = any(outline(held_out, place)[0].gold is None for place in range(len(held_out)))
    longest, template = longest_answer(args), template_of(args)
    validation = HeldOut(task, held_out, rewards, args.seed, longest, graded, template)
    check_metric(args.metric_for_best_model, validation)
    return validation


def _reward_title(name: str) -> str:
    return "reward, weighted sum" if name == TOTAL else f"reward {name}"


def _number(measured: Measured) -> str:
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"


def print_results(
    evaluation: BeforeAfter, settings: Settings, folder: RunFolder, seconds: dict[str, float]
) -> None:
    """Accuracies and rewards before and after training, as a table or as JSON."""
    if settings.train.json:
        print(json.dumps({"output_dir": str(folder.path), "seconds": seconds, **evaluation.measured}))
        return
    rows = []
    for mode in MODES:
        pair = [evaluation.value(moment, mode) for moment in (BEFORE, AFTER)]
        if all(pair):
            rows.append([f"{mode} accuracy", *map(str, pair)])
    rewards = [evaluation.reward_values(moment) for moment in (BEFORE, AFTER)]
    for name in [name for name in rewards[0] if name in rewards[1]]:
        rows.append([_reward_title(name), *(_number(of[name]) for of in rewards)])
    if rows:
        task = task_name(settings.train.task)
        title = f"{settings.method.name} on {task}, {len(evaluation.problems)} held-out problems"
        screen.print_table(title, ["", "before", "after"], rows)
    print(f"training {seconds['training']:.0f} s, all {seconds['all']:.0f} s; report: {folder.report}")
    sys.stdout.flush()
