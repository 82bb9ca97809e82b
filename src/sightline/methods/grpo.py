"""The baselines, which weight every token alike: GRPO, DAPO, GSPO and Dr. GRPO are their objectives."""

from __future__ import annotations

from typing import Any

from ..objectives import objective as make_objective
from .method import Method


def grpo(*, objective: Any = "grpo") -> Method:
    """GRPO (arXiv 2402.03300): clip 0.2/0.2, mean over rollouts of token means.

    Args:
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
    """
    return Method("grpo", make_objective(objective))


def dapo(*, objective: Any = "dapo") -> Method:
    """DAPO (arXiv 2503.14476): clip 0.2/0.28, token mean, only groups neither all right nor all wrong.

    Args:
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
    """
    return Method("dapo", make_objective(objective))


def gspo(*, objective: Any = "gspo") -> Method:
    """GSPO (arXiv 2507.18071): one ratio per response, its geometric mean, clip 3e-4/4e-4.

    Args:
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
    """
    return Method("gspo", make_objective(objective))


def dr_grpo(*, objective: Any = "dr_grpo") -> Method:
    """Dr. GRPO (arXiv 2503.20783): no division by the group's std, sum over a fixed length.

    Args:
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
    """
    return Method("dr_grpo", make_objective(objective))
