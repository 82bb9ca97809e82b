"""Numbers as text, in one manner on every page."""

from __future__ import annotations

import math
from typing import Any

MISSING = "–"
"""What stands where no number was recorded."""

LARGEST = 1e100
"""Magnitudes beyond this are no measurement; arithmetic on them would overflow."""


def number(value: Any) -> float | None:
    """`value` as a float; None for anything that is not a finite number up to `LARGEST` (bool included)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= LARGEST else None


def numeral(value: float | None, digits: int = 4) -> str:
    """A number with up to `digits` significant digits and a true minus: `0.3633`, `1,234`, `−2e−6`."""
    if value is None or not math.isfinite(value):
        return MISSING
    if 1e4 <= abs(value) < 1e7:
        text = f"{value:,.0f}"
    elif value and not 1e-3 <= abs(value) < 1e4:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        text = f"{float(mantissa):g}e{int(exponent)}"
    else:
        text = f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.4g}"
    return text.replace("-", "−")


def percent(share: float | None, unit: str = "\u202f%") -> str:
    """A share of 1 in per cent with one decimal: 0.36328 is `36.3 %`."""
    return MISSING if share is None else f"{100 * share:.1f}{unit}".replace("-", "−")


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, with its sign: `+23.8`."""
    if difference is None:
        return MISSING
    tenths = round(1000 * difference)
    return f"{tenths / 10:+.1f}".replace("-", "−") if tenths else "0.0"


def counted(count: int, thing: str) -> str:
    """`1 line`, `3 lines`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time span in its two largest units: `1.8 s`, `2 min 3 s`, `5 h 10 min`, `2 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
