"""CFPO (arXiv 2606.23206): PAPO's term against attention that loses what it looked at most."""

from __future__ import annotations

from typing import Any

from ..objectives import Term, perception_kl, sampled_entropy
from ..objectives import objective as make_objective
from ..value_checks import between, check_options, one_of
from ..views import view as make_view
from .method import Method

COEFFICIENTS = {"grpo": {"gamma": 0.02, "eta": 0.0}, "dapo": {"gamma": 0.01, "eta": 0.03}}
"""γ and η by objective."""
MEAN = {"paper": "vector", "released": "scalar"}


def cfpo(
    *,
    gamma: float | None = None,
    eta: float | None = None,
    view: Any = None,
    objective: Any = "grpo",
    variant: str = "paper",
) -> Method:
    """loss − γ·mean k3(counterfactual) + η·mean(−log π); every token has weight 1.

    Args:
        gamma: γ, how much the KL to the counterfactual view is raised; in [0, ∞). None: the objective's, 0.02
            under "grpo" and else 0.01.
        eta: η of the entropy, which it lowers; in [0, ∞). None: the objective's, 0 under "grpo", else 0.03.
        view: the counterfactual view, with its options; None: two standard deviations, and the variant's mean
            image value, a vector, or one number a head if released.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released", the authors' code.
    """
    one_of("paper", "released")("variant of cfpo", variant)
    name = make_objective(objective).name
    usual = {"clip_high": 0.3, "reference_kl": 0.01} if name == "grpo" else {}
    chosen: dict[str, Any] = dict(COEFFICIENTS.get(name, COEFFICIENTS["dapo"]))
    chosen |= {key: value for key, value in {"gamma": gamma, "eta": eta}.items() if value is not None}
    check_options("cfpo", chosen, {"gamma": between(0), "eta": between(0)})
    return Method(
        name="cfpo",
        variant=variant,
        options=chosen,
        objective=make_objective(objective, **usual),
        view=make_view({"name": "counterfactual", "mean": MEAN[variant]} if view is None else view),
        terms=(
            Term("perception_kl", -chosen["gamma"], perception_kl),
            Term("sampled_entropy", chosen["eta"], sampled_entropy),
        ),
    )
