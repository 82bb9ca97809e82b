"""PGPO (arXiv 2604.01840): a rollout's weight moved from tokens the image does not touch to those it does."""

from __future__ import annotations

from typing import Any

from ..objectives import objective as make_objective
from ..shaping import shaping
from ..value_checks import one_of
from .method import MIN_RANGE, Method, view_for


def pgpo(
    *,
    threshold: float = 0.4,
    boost: float = 2.0,
    signal: str = "sampled_k3",
    view: Any = None,
    objective: Any = "dapo",
    variant: str = "paper",
    min_range: float = MIN_RANGE,
) -> Method:
    """A·ω̃_t: Eq. 1 to 8.

    Args:
        threshold: τ, the importance from which a token gains weight; in [0, 1].
        boost: β, how much the most important token gains; in [0, 1e+06].
        signal: what scores a token; a name in `SIGNALS`.
        view: the second view, for a signal that compares views (None: text_only), with its options.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "snapshot", the authors' development code.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.

    `variant="snapshot"`, the authors' development code: τ is a quantile of each rollout, damped
    weights are at least 0.1, and the mass is not conserved. No code of PGPO was ever released.
    """
    one_of("paper", "snapshot")("variant of pgpo", variant)
    if variant == "paper":
        gate = shaping("mass_conserving_gate", signal, threshold=threshold, boost=boost)
    else:
        gate = shaping("quantile_gate", signal, threshold=threshold, boost=boost, floor=0.1)
    return Method(
        name="pgpo",
        variant=variant,
        objective=make_objective(objective, informative_groups={"key": "overall"}),
        view=view_for([gate], view, "text_only"),
        shapings=(gate,),
        min_range=min_range,
    )
