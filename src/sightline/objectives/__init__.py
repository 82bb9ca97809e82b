"""How a weighted advantage becomes a loss: settings, group advantages, extra terms, group selection."""

from .advantages import group_advantages, informative_groups, overlong_penalty
from .settings import OBJECTIVES, GroupSelection, Objective, objective
from .terms import Term, masked_entropy, perception_kl, sampled_entropy

__all__ = [
    "OBJECTIVES",
    "GroupSelection",
    "Objective",
    "Term",
    "group_advantages",
    "informative_groups",
    "masked_entropy",
    "objective",
    "overlong_penalty",
    "perception_kl",
    "sampled_entropy",
]
