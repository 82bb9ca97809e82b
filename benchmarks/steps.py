"""Whole training steps on the embedded model: `grpo` against stock TRL, each method against `grpo`.

python benchmarks/steps.py [--smallest] [--rounds 12] [--methods pepo vepo]

32 prompts x 8 rollouts and one optimizer step each, float32, one thread, a learning rate of 0 so that all
see the same policy. The trainings run in one process, one step of each in turns; equal steps of Sightline's
methods have equal rollouts. "per rollout" masks each rollout's image anew, as VPPO's released code does, so
that its second view shares nothing. The last row is a step of the main study on Shapes-2, 8 prompts x 8
rollouts of embedded-2. PEPO is without its reference KL, a forward of another model. `--methods`
measures those alone.
"""

from __future__ import annotations

import functools
import logging
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from measuring import Row, arguments, report
from measuring.training import ours, settings, steps_in_turns, stock, study_settings

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "grpo": ("grpo", {}),
    "vgpo": ("vgpo", {}),
    "vppo": ("vppo", {}),
    "vppo, per rollout": ("vppo", {"view": {"name": "patches", "per": "rollout"}}),
    "pgpo": ("pgpo", {}),
    "papo": ("papo", {}),
    "pepo": ("pepo", {"objective": {"name": "grpo", "reference_kl": 0.0}}),
    **{name: (name, {}) for name in ("vepo", "tor", "dupl")},
}
STUDY = Path(__file__).parents[1] / "recipes" / "lab" / "main-2.yaml"


def compare(name: str, mine: Sequence[float], other: Sequence[float]) -> Row:
    """Medians of steps, and the median ratio of steps taken one after the other."""
    ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
    return Row(name, statistics.median(mine), statistics.median(other), ratio, "s/step")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--methods", nargs="+", choices=[name for name in METHODS if name != "grpo"])
    parser.set_defaults(rounds=12)
    args = parser.parse_args()
    chosen = {name: METHODS[name] for name in METHODS if not args.methods or name in ["grpo", *args.methods]}
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    prompts, group, rounds = (2, 2, 1) if args.smallest else (32, 8, args.rounds)
    makers: list[Any] = [
        functools.partial(_make, ours, method, options, prompts, group, rounds)
        for method, options in chosen.values()
    ]
    if not args.methods:
        makers.append(functools.partial(_make, stock, "grpo", {}, prompts, group, rounds))
    names = [*chosen, *([] if args.methods else ["stock"])]
    measured = dict(zip(names, steps_in_turns(makers), strict=True))
    rows = [
        compare(f"{name} against grpo", measured[name], measured["grpo"]) for name in chosen if name != "grpo"
    ]
    if not args.methods:
        rows.insert(0, compare("grpo against stock TRL", measured["grpo"], measured["stock"]))
        rows.append(_study(2 if args.smallest else args.rounds + 1))
    report(args.out / "steps.json", rows, f"A training step, {prompts} prompts x {group} rollouts")


def _study(steps: int) -> Row:
    """DAPO as the main study on the second world trains it, with prompts shared and without."""
    makers: list[Any] = []
    for more in ((), ("--share_prompts", "false")):
        chosen: Any = study_settings(STUDY, "dapo", steps, *more)
        prompts = chosen.train.per_device_train_batch_size // chosen.train.num_generations
        makers.append(functools.partial(ours, chosen, prompts=prompts))
    return compare("main-2, dapo, against share_prompts: false", *steps_in_turns(makers))


def _make(
    kind: Any, method: str, options: dict[str, Any], prompts: int, group: int, rounds: int, clock: Any
) -> Any:
    return kind(settings(method, prompts, group, rounds + 1, **options), clock, prompts)


if __name__ == "__main__":
    main()
