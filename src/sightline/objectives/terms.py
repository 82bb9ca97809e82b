"""Extra loss terms: log-probs of both views `[B, T]` and the mask to values `[B, T]`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .. import masked
from ..errors import UserError
from ..value_checks import between, check_options, known_names, named

TermFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Term:
    """One addition to the loss: `loss + coefficient · aggregate(function(...))`.

    The aggregate is the objective's own. A coefficient of 0 is still worth logging.
    """

    name: str
    coefficient: float
    function: TermFunction
    """`(log_probs, other_log_probs, mask) -> [B, T]`, 0 at padding."""
    view: str | None = None
    """Which of several second views `other_log_probs` are of; None where there is one."""

    def plain(self) -> dict[str, Any]:
        """The term as plain data, from which `term` builds it again if its name is in `TERMS`."""
        named = {} if self.view is None else {"view": self.view}
        return {"name": self.name, "coefficient": self.coefficient, **named}

    @property
    def reads_view(self) -> bool:
        """Whether it reads a second view's log-probs."""
        return self.function is not sampled_entropy


def perception_kl(
    log_probs: Float[Tensor, "B T"], other_log_probs: Float[Tensor, "B T"], mask: Shaped[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """k3 estimate of KL[π_θ ‖ π_θ^masked] at the sampled tokens, d = log π^masked − log π (PAPO).

    d is clamped to ±20 and the value to [0, 10]; the gradient is 0 where either holds. The paper
    prints the inverse ratio; this is the code's form, which is the KL of the text.
    """
    difference = (masked.clean(other_log_probs, mask) - masked.clean(log_probs, mask)).clamp(-20.0, 20.0)
    return masked.clean((difference.expm1() - difference).clamp(0.0, 10.0), mask)


def robustness_kl(
    log_probs: Float[Tensor, "B T"], other_log_probs: Float[Tensor, "B T"], mask: Shaped[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """`perception_kl`, to a view that should change nothing: DVRP lowers it where it raises the other."""
    return perception_kl(log_probs, other_log_probs, mask)


def sampled_entropy(
    log_probs: Float[Tensor, "B T"], other_log_probs: Float[Tensor, "B T"], mask: Shaped[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """−log π_θ at the sampled tokens, whose mean estimates the entropy H[π_θ]."""
    return -masked.clean(log_probs, mask)


def masked_entropy(
    log_probs: Float[Tensor, "B T"], other_log_probs: Float[Tensor, "B T"], mask: Shaped[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """−log π_θ^masked at the sampled tokens, for H[π_θ^masked]; no gradient if these carry none."""
    return -masked.clean(other_log_probs, mask)


def bounded_reference(
    log_probs: Float[Tensor, "B T"], reference: Float[Tensor, "B T"], bound: float
) -> Float[Tensor, "B T"]:
    """The reference policy's log-probs, moved so that k3 = exp(d) − d − 1, d = reference − log_probs, is at
    most `bound` > 0 and has no gradient beyond it.

    Where k3 exceeds the bound the result is log_probs + d*, with k3(d*) = `bound`: d no longer depends on
    log_probs. EasyR1 and PAPO bound the KL to the reference by 10 at each token, so that its gradient ends
    at d = 2.61; without, it is 1 − exp(d), −54 at d = 4 and −2,980 at d = 8.
    """
    furthest = _distance(bound)
    difference = (reference - log_probs).detach()
    beyond = (difference > furthest) | (difference.expm1() - difference > bound)
    return torch.where(beyond, log_probs + furthest, reference)


def _distance(bound: float) -> float:
    """d* > 0 with exp(d*) − d* − 1 = `bound`, by Newton's method from above."""
    distance = min(math.sqrt(2 * bound), 2 * math.log1p(max(bound, 1.0)))
    for _ in range(60):
        distance -= (math.expm1(distance) - distance - bound) / math.expm1(distance)
    return distance


TERMS: dict[str, TermFunction] = {
    "perception_kl": perception_kl,
    "robustness_kl": robustness_kl,
    "sampled_entropy": sampled_entropy,
    "masked_entropy": masked_entropy,
}


def term(description: Mapping[str, Any] | Term) -> Term:
    """A term from plain data, a `name` in `TERMS`, a `coefficient` and the `view` it reads where there are
    several; unchanged if it is one."""
    if isinstance(description, Term):
        return description
    name, options = named("term", description)
    known_names("term", [name], TERMS)
    view = options.pop("view", None)
    if not isinstance(view, str | None):
        raise UserError(f"{name}: view must be the name of a view, got {view!r}")
    coefficient = check_options(name, options, {"coefficient": between(-math.inf)})["coefficient"]
    return Term(name, float(coefficient), TERMS[name], view)
