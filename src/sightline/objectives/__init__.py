"""How a weighted advantage becomes a loss: settings, group advantages, extra terms, group selection."""

from .advantages import group_advantages, informative_groups, overlong_penalty
from .settings import OBJECTIVES, GroupSelection, Objective, objective
from .terms import (
    TERMS,
    Term,
    bounded_reference,
    masked_entropy,
    perception_kl,
    robustness_kl,
    sampled_entropy,
    term,
)

__all__ = [
    "OBJECTIVES",
    "TERMS",
    "GroupSelection",
    "Objective",
    "Term",
    "bounded_reference",
    "group_advantages",
    "informative_groups",
    "masked_entropy",
    "objective",
    "overlong_penalty",
    "perception_kl",
    "robustness_kl",
    "sampled_entropy",
    "term",
]
