"""PAPO (arXiv 2507.06448): an extra loss term that pushes the two views' policies apart."""

from __future__ import annotations

from typing import Any

from ..objectives import Term, masked_entropy, perception_kl, sampled_entropy
from ..objectives import objective as make_objective
from ..value_checks import between, check_options, one_of, switch
from ..views import view as make_view
from .method import Method

COEFFICIENTS = {"grpo": {"gamma": 0.02, "eta": 0.0}, "dapo": {"gamma": 0.01, "eta": 0.03}}
"""γ and η by objective; GRPO at 7B has η 0.05."""
PATCHES = {"name": "patches", "probability": 0.6, "per": "prompt", "stage": "original"}


def papo(
    *,
    gamma: float | None = None,
    eta: float | None = None,
    masked_eta: float | None = None,
    second_grad: bool = False,
    view: Any = None,
    objective: Any = "dapo",
    variant: str = "paper",
) -> Method:
    """loss − γ·mean k3 + η₁·mean(−log π) + η₂·mean(−log π^masked); every token has weight 1.

    Args:
        gamma: γ, how much the KL to the masked view is raised; in [0, ∞). None: the objective's, 0.02 under
            "grpo" and else 0.01. 0.04 collapses.
        eta: η₁ of the entropy with the image; in [0, ∞). None: the objective's, 0 under "grpo", else 0.03.
        masked_eta: η₂ of the entropy under the masked view; in [0, ∞). None: `eta`.
        second_grad: False takes π^masked from the scoring pass without a gradient, as the authors' runs did,
            so η₂ has no effect; True differentiates both views in one forward, as the paper prints it.
        view: the masked view, with its options; None: patches with probability 0.6 on the original image.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released", the authors' code.

    A reference KL (`beta`) is bounded by 10 at each token, as in the code.
    `variant="released"` adds the code's dual clip.
    """
    one_of("paper", "released")("variant of papo", variant)
    name = make_objective(objective).name
    usual: dict[str, Any] = {"reference_kl_bound": 10.0}
    usual |= {"clip_high": 0.3, "reference_kl": 0.01} if name == "grpo" else {}
    chosen: dict[str, Any] = dict(COEFFICIENTS.get(name, COEFFICIENTS["dapo"]))
    chosen |= {key: value for key, value in {"gamma": gamma, "eta": eta}.items() if value is not None}
    chosen |= {"masked_eta": chosen["eta"] if masked_eta is None else masked_eta, "second_grad": second_grad}
    limits = {"gamma": between(0), "eta": between(0), "masked_eta": between(0), "second_grad": switch}
    check_options("papo", chosen, limits)
    return Method(
        name="papo",
        variant=variant,
        options=chosen,
        objective=make_objective(objective, dual_clip=3.0 if variant == "released" else None, **usual),
        view=make_view(PATCHES if view is None else view),
        terms=(
            Term("perception_kl", -chosen["gamma"], perception_kl),
            Term("sampled_entropy", chosen["eta"], sampled_entropy),
            Term("masked_entropy", chosen["masked_eta"], masked_entropy),
        ),
        second_view_gradient=second_grad,
    )
