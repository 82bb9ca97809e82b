"""Two views to scores `[B, T]`: how much each token depends on the image, or looks at it."""

from .table import SIGNALS, Signal, signal

__all__ = ["SIGNALS", "Signal", "signal"]
