"""VEPO (arXiv 2606.03937): the gradient goes to uncertain tokens that a noised image changes."""

from __future__ import annotations

from typing import Any

from ..objectives import Term, sampled_entropy
from ..objectives import objective as make_objective
from ..shaping import shaping
from ..value_checks import one_of
from .method import MIN_RANGE, Method, view_for

VIEW: dict[str, dict[str, Any]] = {
    "paper": {"name": "diffusion", "step": 500},
    "released": {"name": "noise", "sigma": 138.0, "per": "prompt"},
}


def vepo(
    *,
    keep: float = 0.2,
    balance: float = 0.7,
    form: str = "D",
    view: Any = None,
    objective: Any = "grpo",
    variant: str = "paper",
    min_range: float = MIN_RANGE,
) -> Method:
    """The mean over the ceil(k·T_i) tokens of largest s = [1 − (1 − j)^a (1 − d)^(1−a)]·h.

    Args:
        keep: k, the share of a rollout's tokens that keep their gradient; in (0, 1].
        balance: a, the divergence's part against that of the change of entropy; in [0, 1].
        form: how divergence, change of entropy and entropy make one score: "D"; or "C", "E", "F", "G" of the
            authors' code.
        view: the noised view, with its options; None: the variant's, diffusion at step 500, or Gaussian noise
            if released.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released": kept tokens weighed alike over the batch, an entropy bonus of 1e-3.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.
    """
    one_of("paper", "released")("variant of vepo", variant)
    released = variant == "released"
    weight = shaping(
        "joint_fraction",
        ("jensen_shannon", "entropy", "other_entropy"),
        keep=keep,
        balance=balance,
        form=form,
        over_batch=released,
    )
    return Method(
        name="vepo",
        variant=variant,
        objective=make_objective(objective),
        view=view_for((weight,), view, VIEW[variant]),
        shapings=(weight,),
        terms=(Term("sampled_entropy", -1e-3, sampled_entropy),) if released else (),
        min_range=min_range,
    )
