"""Scales from values to positions, with ticks that people can read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .number_format import numeral


@dataclass(frozen=True)
class Axis:
    """A linear scale over [low, high]."""

    low: float
    high: float
    start: float
    """Position of `low`."""
    end: float
    """Position of `high`."""
    ticks: tuple[tuple[float, str], ...] = ()
    """Positions and labels."""

    def place(self, value: float) -> float:
        """The position of a value, to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def axis(
    low: float,
    high: float,
    start: float,
    end: float,
    *,
    ticks: int = 5,
    whole: bool = False,
    share: bool = False,
) -> Axis:
    """An axis over [low, high] with at least `ticks - 1` ticks, at 1, 2 or 5 times powers of ten.

    `whole` keeps ticks at integers (then there may be fewer), `share` labels them in per cent. A range
    without extent is widened around its value, one of a share to no more than 0 to 1.
    """
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-30):
        margin = max(1e-6 * abs(low), 0.5) if whole or abs(low) < 1e-12 else 0.1 * abs(low)
        low, high = low - margin, high + margin
        if share and low < 1.0 and high > 0.0:
            low, high = max(low, 0.0), min(high, 1.0)
    bare = Axis(low, high, start, end)
    step, values = _ticks(low, high, ticks, whole)
    return Axis(low, high, start, end, tuple((bare.place(v), _label(v, step, share)) for v in values))


def _ticks(low: float, high: float, wanted: int, whole: bool) -> tuple[float, list[float]]:
    """The widest readable step with enough ticks, and the ticks."""
    power = math.floor(math.log10(high - low))
    steps = [nice * 10.0**exponent for exponent in (power, power - 1) for nice in (5, 2, 1)]
    enough = [step for step in steps if len(_multiples(low, high, step)) >= wanted - 1]
    step = enough[0] if enough else steps[-1]
    step = max(step, 1.0) if whole else step
    beyond = 1e-6 * (high - low)
    values = (k * step for k in _multiples(low, high, step))
    return step, [value for value in values if low - beyond <= value <= high + beyond]


def _multiples(low: float, high: float, step: float) -> range:
    return range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)


def _label(value: float, step: float, share: bool) -> str:
    if share:
        value, step = 100 * value, 100 * step
    if step < 1e-4 or abs(value) >= 1e5:
        text = numeral(0.0 if abs(value) < step / 2 else value, 3)
    else:
        decimals = max(0, -math.floor(math.log10(step * 1.001)))
        text = f"{value + 0.0:.{decimals}f}".replace("-", "−")
    return f"{text}\u202f%" if share else text
