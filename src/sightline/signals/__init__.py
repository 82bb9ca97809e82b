"""Two views to scores: how much each token depends on the image, or looks at it.

`SIGNALS` describes each by name; the functions beside it compute the numbers.
"""

from .dependency import entropy, exact_kl, jensen_shannon, sampled_k3, top_probability_drop
from .focus import image_state, visual_focus
from .table import SIGNALS, Signal, signal
from .tiled import token_statistics

__all__ = [
    "SIGNALS",
    "Signal",
    "entropy",
    "exact_kl",
    "image_state",
    "jensen_shannon",
    "sampled_k3",
    "signal",
    "token_statistics",
    "top_probability_drop",
    "visual_focus",
]
