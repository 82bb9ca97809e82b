"""Views that keep the image where it is and change what attention makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..value_checks import between, one_of, settle
from .view import Per, Stage, View


@dataclass(frozen=True, kw_only=True)
class TextOnly(View):
    """The same ids and positions with every image token hidden from attention (PGPO App. A.1).

    Not a removed or a blank image: positions are those of the full sequence, and the vision start and
    end markers stay visible. Only the description is here; the mechanics belong to the model.
    """

    name = "text_only"
    kind = "attention"
    per: Per = "prompt"
    stage: Stage = "model"

    def __post_init__(self) -> None:
        one_of("prompt")("view text_only: per", self.per)
        one_of("model")("view text_only: stage", self.stage)


@dataclass(frozen=True, kw_only=True)
class Counterfactual(View):
    """Image tokens that are attended to most replaced, inside every layer, by a mean image value (CFPO).

    In each decoder layer the attention of positions after the image to image tokens that lies above its mean
    plus `deviations` standard deviations, over all heads together, reads the mean value in place of its own.
    Only the description is here; the mechanics belong to the model (`models/scoring/counterfactual.py`).
    """

    name = "counterfactual"
    kind = "attention"
    per: Per = "prompt"
    stage: Stage = "model"
    deviations: float = 2.0
    """Standard deviations above the mean from which attention is replaced, in [0, 1e+06]."""
    mean: str = "scalar"
    """"scalar": the mean over image tokens and features, one number a head, as the code; "vector": over image
    tokens alone, as the paper."""

    def __post_init__(self) -> None:
        one_of("prompt")("view counterfactual: per", self.per)
        one_of("model")("view counterfactual: stage", self.stage)
        checks = {"deviations": between(0, 1e6), "mean": one_of("scalar", "vector")}
        settle(self, "view counterfactual: ", checks)
