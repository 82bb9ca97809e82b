"""DUPL, first called VOGUE (arXiv 2510.01444v3): right answers are pushed more, wrong ones less, on uncertain
tokens."""

from __future__ import annotations

from typing import Any

from ..objectives import objective as make_objective
from ..shaping import shaping
from ..value_checks import one_of
from .method import MIN_RANGE, Method, view_for
from .noisy_rows import noisy_choice

SIGNALS = {"paper": ("entropy", "symmetric_kl"), "released": ("sampled_entropy_term", "sampled_symmetric")}
VIEW: dict[str, dict[str, Any]] = {
    "paper": {"name": "augmented", "sigma": 0.4},
    "released": {"name": "augmented", "sigma": 0.2},
}


def dupl(
    *,
    entropy_scale: float = 0.4,
    entropy_cap: float = 2.0,
    divergence_scale: float = 1.0,
    divergence_cap: float = 2.0,
    noisy: str | float = "linear",
    view: Any = None,
    objective: Any = "grpo",
    variant: str = "paper",
    min_range: float = MIN_RANGE,
) -> Method:
    """A + min(|A|/b_o, a_o·u_out) + z·min(|A|/b_p, a_p·u_per), as a weight on A: Eq. 1 and Alg. 1.

    Args:
        entropy_scale: a_o; in [0, 1e+06]. 0 turns the entropy's bonus off.
        entropy_cap: b_o, the bonus is at most |A|/b_o; in (0, 1e+06]. 1/b_o + 1/b_p is at most 1.
        divergence_scale: a_p; in [0, 1e+06]. 0 turns the bonus for divergence off.
        divergence_cap: b_p; in (0, 1e+06].
        noisy: the probability with which z is 1, "linear": 1 − progress, or a number; in [0, 1].
        view: the augmented view, with its options; None: the variant's, noise 0.4, or 0.2 if released. Turn
            its `flip` off where answers depend on left and right.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released": both divergence and entropy of the sampled token alone, and caps in
            sequence, so that weights are from 1/4 to 9/4.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.
    """
    one_of("paper", "released")("variant of dupl", variant)
    noisy = noisy_choice("dupl: noisy", noisy)  # pyright: ignore[reportAssignmentType]
    weight = shaping(
        "advantage_bonus",
        SIGNALS[variant],
        entropy_scale=entropy_scale,
        entropy_cap=entropy_cap,
        divergence_scale=divergence_scale,
        divergence_cap=divergence_cap,
        in_sequence=variant == "released",
    )
    return Method(
        name="dupl",
        variant=variant,
        objective=make_objective(objective),
        view=view_for((weight,), view, VIEW[variant]),
        shapings=(weight,),
        noisy=noisy,
        min_range=min_range,
    )
