"""Two views to scores: how much each token depends on the image, or looks at it.

`SIGNALS` describes each by name; the functions beside it compute the numbers.
"""

from .dependency import (
    abs_log_ratio,
    entropy,
    exact_kl,
    jensen_shannon,
    sampled_entropy_term,
    sampled_k3,
    sampled_symmetric,
    symmetric_kl,
    top_probability_drop,
)
from .distribution import Distribution, Words
from .focus import hidden_similarity, image_state, mean_direction, visual_focus
from .nucleus import top_p_entropy
from .table import SIGNALS, Signal, signal, split_view
from .tiled import token_statistics

__all__ = [
    "SIGNALS",
    "Distribution",
    "Signal",
    "Words",
    "abs_log_ratio",
    "entropy",
    "exact_kl",
    "hidden_similarity",
    "image_state",
    "jensen_shannon",
    "mean_direction",
    "sampled_entropy_term",
    "sampled_k3",
    "sampled_symmetric",
    "signal",
    "split_view",
    "symmetric_kl",
    "token_statistics",
    "top_p_entropy",
    "top_probability_drop",
    "visual_focus",
]
