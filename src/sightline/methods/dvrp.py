"""DVRP (arXiv 2601.06801): away from the policy under a masked image, close to that under a noised one."""

from __future__ import annotations

from typing import Any

from ..objectives import Term, perception_kl, robustness_kl
from ..objectives import objective as make_objective
from ..value_checks import between, check_options
from ..views import view as make_view
from .method import Method

MASKED = {"name": "patches", "probability": 0.6, "per": "prompt", "stage": "original"}
NOISED = {
    "name": "diffusion",
    "step": 500,
    "anneal": {"kind": "sigmoid", "steepness": 10, "middle": 0.5},
}


def dvrp(
    *,
    necessity: float = 0.01,
    robustness: float = 0.01,
    masked: Any = None,
    noised: Any = None,
    objective: Any = "grpo",
) -> Method:
    """loss − λ_nec·mean k3(masked) + λ_rob·mean k3(noised); every token has weight 1: Eq. 4, 6.

    Args:
        necessity: λ_nec, how much the KL to the masked view is raised; in [0, ∞).
        robustness: λ_rob, how much the KL to the noised view is lowered; in [0, ∞).
        masked: the masked view, with its options; None: patches of 14 with probability 0.6, one per prompt.
        noised: the noised view, with its options; None: diffusion, annealed from step 496 to 3.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
    """
    coefficients = {"necessity": necessity, "robustness": robustness}
    chosen = check_options("dvrp", coefficients, dict.fromkeys(coefficients, between(0)))
    return Method(
        name="dvrp",
        objective=make_objective(objective),
        options={
            "masked": make_view(MASKED if masked is None else masked),
            "noised": make_view(NOISED if noised is None else noised),
        },
        views={
            "masked": make_view(MASKED if masked is None else masked),
            "noised": make_view(NOISED if noised is None else noised),
        },
        terms=(
            Term("perception_kl", -chosen["necessity"], perception_kl, "masked"),
            Term("robustness_kl", chosen["robustness"], robustness_kl, "noised"),
        ),
    )
