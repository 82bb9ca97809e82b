"""NoisyRollout (arXiv 2504.13055): half of each group is sampled from a noised image, annealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..objectives import Term, sampled_entropy
from ..objectives import objective as make_objective
from ..value_checks import one_of
from .method import Method
from .noised_rollouts import NoisedRollouts, noised_rollouts

ROLLOUTS: dict[str, Any] = {
    "view": {"name": "diffusion", "step": 500},
    "share": 0.5,
    "anneal": {"kind": "sigmoid", "steepness": 30, "middle": 2 / 3},
}


def noisyrollout(
    *,
    rollouts: Mapping[str, Any] | NoisedRollouts | None = None,
    objective: Any = "grpo",
    variant: str = "paper",
) -> Method:
    """GRPO over groups of which the last share is sampled from a noised image: Eq. 2, 3.

    Args:
        rollouts: settings over {view: {name: diffusion, step: 500}, share: 0.5, anneal: {kind: sigmoid,
            steepness: 30, middle: 2/3}}; the share at least 0 and below 1.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released", which adds the scripts' entropy bonus of 1e-3.
    """
    one_of("paper", "released")("variant of noisyrollout", variant)
    chosen = {**ROLLOUTS, **rollouts} if isinstance(rollouts, Mapping) else rollouts or ROLLOUTS
    return Method(
        name="noisyrollout",
        variant=variant,
        objective=make_objective(objective),
        terms=(Term("sampled_entropy", -1e-3, sampled_entropy),) if variant == "released" else (),
        rollouts=noised_rollouts(chosen),
    )
