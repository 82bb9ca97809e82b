"""PEPO (arXiv 2603.22847): credit to tokens whose states are close to the image's, through a gate."""

from __future__ import annotations

from typing import Any

from ..objectives import objective as make_objective
from ..shaping import shaping
from ..value_checks import one_of
from .method import MIN_RANGE, Method

TEMPERATURE = {"paper": 1.0, "released": 1.8}


def pepo(
    *,
    gate: float = 0.05,
    temperature: float | None = None,
    schedule: str = "linear",
    layers: str = "all",
    objective: Any = "grpo",
    variant: str = "paper",
    min_range: float = MIN_RANGE,
) -> Method:
    """A·[(1 − λ) + λ·T_i·softmax_t(VS·(1 + α·tanh g)/τ)], λ = optimizer step / all steps.

    Args:
        gate: α, how much similarity and entropy together bend the similarity; in [0, 1e+06].
        temperature: τ of the softmax; in (0, 1e+06]. None: the variant's, 1, or 1.8 if released.
        schedule: "linear" lets λ grow from 0 to 1 over the training, so that the first step is plain GRPO;
            "none" keeps it at 1.
        layers: whose states are compared, "all": the embeddings, every layer, the last after the norm.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        variant: "paper" or "released", the authors' scripts.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.
    """
    one_of("paper", "released")("variant of pepo", variant)
    one_of("linear", "none")("schedule of pepo", schedule)
    one_of("all")("layers of pepo", layers)
    temperature = TEMPERATURE[variant] if temperature is None else temperature
    weight = shaping(
        "gated_softmax",
        ("hidden_similarity", "entropy"),
        gate=gate,
        temperature=temperature,
        ramp=schedule == "linear",
    )
    return Method(
        name="pepo",
        variant=variant,
        options={"temperature": temperature},
        objective=make_objective(objective, reference_kl=0.001),
        shapings=(weight,),
        min_range=min_range,
    )
