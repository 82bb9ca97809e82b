"""VGPO (arXiv 2604.09349): credit to late tokens that still look, and to rollouts that look more."""

from __future__ import annotations

from typing import Any

from ..objectives import objective as make_objective
from ..shaping import Step, adjustment, shaping
from ..value_checks import check_options, one_of, switch
from .method import MIN_RANGE, Method, view_for


def vgpo(
    *,
    strength: float = 0.3,
    tail: float = 0.5,
    top: float = 0.2,
    schedule: str = "linear",
    compensate: bool = True,
    gate: bool = True,
    intra: bool = True,
    inter: bool = True,
    signal: str = "visual_focus",
    view: Any = None,
    layer: int = -1,
    objective: Any = "dapo",
    variant: str = "paper",
    min_range: float = MIN_RANGE,
) -> Method:
    """A·(1 + ψ)·(1 + φ): Eq. 4 to 12.

    Args:
        strength: β, how much late tokens are raised at the end of a rollout; in [0, 1e+06].
        tail: γ, the last share of a rollout in which tokens are raised; in [0, 1].
        top: κ, the share of that tail's tokens, those of largest score, that are raised; in [0, 1].
        schedule: how the raise grows along a rollout, "linear", "exponential" or "step".
        compensate: False raises no token.
        gate: False raises every token, not only those of `tail` and `top`.
        intra: False leaves 1 + ψ out, the weight of a token within its rollout.
        inter: False leaves 1 + φ out, the weight of a rollout within its prompt.
        signal: what scores a token; a name in `SIGNALS`.
        view: the second view, for a signal that compares views (None: patches), with its options.
        layer: which hidden states `visual_focus` compares, from 0, the embeddings; −1 is the last, after the
            norm. In [-1000, 1000].
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released", the authors' code.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.

    `variant="released"`: cosines min-maxed over the batch with padding as 0, t from 0, s over the
    min-maxed weights, 1 + ψ in [0.1, 2] and 1 + φ in [0.9, 2]; without `intra` its s is not compensated.
    """
    one_of("paper", "released")("variant of vgpo", variant)
    flags = {"compensate": compensate, "intra": intra, "inter": inter}
    check_options("vgpo", flags, dict.fromkeys(flags, switch))
    released = variant == "released"
    compensation = adjustment(
        "late_compensation",
        strength=strength,
        tail=tail,
        top=top,
        schedule=schedule,
        gate=gate,
        **({"from_zero": True} if released else {}),
    )
    adjustments: list[Step] = [adjustment("batch_min_max", padding_as_zero=True)] if released else []
    if compensate and (intra or not released):
        adjustments.append(compensation)
    tokens = {"low": 0.1, "high": 2.0} if released else {}
    rollouts = {"scale_rows": True, "low": 0.9, "high": 2.0} if released else {}
    shapings = [shaping("centered_token_weights", signal, **tokens)] if intra else []
    if inter:
        shapings.append(shaping("centered_rollout_weights", signal, **rollouts))
    return Method(
        name="vgpo",
        variant=variant,
        objective=make_objective(objective, **({"dual_clip": 3.0} if released else {})),
        view=view_for(shapings, view, "patches"),
        adjustments=tuple(adjustments),
        shapings=tuple(shapings),
        min_range=min_range,
        layer=layer,
    )
