"""ToR (arXiv 2603.25077): credit to tokens that reason or that look, none to the rest of the batch."""

from __future__ import annotations

from typing import Any

from ..objectives import objective as make_objective
from ..shaping import shaping
from ..value_checks import between
from .method import MIN_RANGE, Method, view_for


def tor(
    *,
    reasoning_share: float = 0.3,
    perception_share: float = 0.3,
    reasoning_weight: float = 1.0,
    perception_weight: float = 0.5,
    top_p: float = 0.95,
    view: Any = None,
    objective: Any = "grpo",
    min_range: float = MIN_RANGE,
) -> Method:
    """γ_r for the batch's top α_r by entropy, else γ_p for its top α_p by |log-ratio|, else 0: Eq. 5 to 9.

    Args:
        reasoning_share: α_r, of the batch's tokens by entropy; in [0, 1].
        perception_share: α_p, of the batch's tokens by how much the image changes them; in [0, 1].
        reasoning_weight: γ_r; in [0, 1e+06].
        perception_weight: γ_p; in [0, 1e+06].
        top_p: of the set whose entropy counts; in (0, 1]. 1: the entropy of all words.
        view: the view without an image, with its options; None: text_only.
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.
    """
    top_p = between(0, 1, above=True)("tor: top_p", top_p)
    entropy = {0.95: "top_p_entropy", 1.0: "entropy"}.get(top_p, f"top_p_entropy@{top_p!r}")
    weight = shaping(
        "batch_top_shares",
        (entropy, "abs_log_ratio"),
        share=reasoning_share,
        other_share=perception_share,
        weight=reasoning_weight,
        other_weight=perception_weight,
    )
    return Method(
        name="tor",
        objective=make_objective(objective),
        view=view_for((weight,), view, "text_only"),
        shapings=(weight,),
        min_range=min_range,
    )
