r"""A number with its unit: `12 \text{ cm}^2`, `45^\circ`, `25\%`, `\$13.00`, `3 apples`.

A unit may be left out on either side; if both sides name one, they must name the same one. Nothing is
converted: 1.2 m is not 120 cm. A percentage equals its fraction, and the bare number if that is at
least one: 25 % is 0.25 and 25, but 0.5 % is not 0.5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ..latex import FUNCTIONS, flat
from ..words import is_functional
from .chinese_units import CHINESE, COUNTED_IN_CHINESE
from .exact_numbers import NotANumber, TooLarge
from .parser import NumberParser
from .polynomials import Number, equal, read

_ALIASES = {
    "°": "degree degrees deg ^\\circ", "%": "\\% percent percentage pct",
    "mm": "millimeter millimeters millimetre millimetres",
    "cm": "centimeter centimeters centimetre centimetres cms",
    "dm": "decimeter decimeters decimetre decimetres", "m": "meter meters metre metres",
    "km": "kilometer kilometers kilometre kilometres kms", "in": "inch inches", "ft": "foot feet",
    "yd": "yard yards yds", "mi": "mile miles", "mg": "milligram milligrams", "g": "gram grams gm",
    "kg": "kilogram kilograms kgs kilo kilos", "lb": "lbs pound pounds", "oz": "ounce ounces",
    "t": "ton tons tonne tonnes", "ml": "mL milliliter milliliters millilitre millilitres",
    "l": "L liter liters litre litres \\ell", "ms": "millisecond milliseconds",
    "s": "sec secs second seconds", "min": "mins minute minutes", "h": "hr hrs hour hours", "day": "days",
    "week": "weeks", "month": "months", "year": "years yr yrs", "N": "newton newtons", "J": "joule joules",
    "kJ": "kilojoule kilojoules", "W": "watt watts", "kW": "kilowatt kilowatts", "V": "volt volts",
    "Ω": "\\Omega ohm ohms", "Pa": "pascal pascals", "Hz": "hertz", "kPa": "kilopascal kilopascals",
    "mol": "mole moles", "°C": "celsius ^\\circC", "°F": "fahrenheit ^\\circF",
    "rad": "radian radians rads", "mi/h": "mph", "km/h": "kmh kmph kph", "acre": "acres", "unit": "units",
    "$": "\\$ dollar dollars usd USD", "€": "euro euros EUR", "£": "GBP", "¥": "yuan RMB rmb yen",
    "¢": "cent cents", "am": "a.m. a.m AM A.M.", "pm": "p.m. p.m PM P.M.", "th": "st nd rd",
}  # fmt: skip
_UNITS = {
    **{alias: unit for unit, aliases in _ALIASES.items() for alias in (unit, *aliases.split())},
    **{alias: unit for unit, aliases in CHINESE.items() for alias in aliases.split()},
    **{counter: counter for counter in COUNTED_IN_CHINESE.split()},
}
_AS_VARIABLE = frozenset("mgsthlLNJWV")
"""Units that are a single letter: written without a space or a font, they may be a variable."""
_RATHER_VARIABLE = frozenset("htl")
"""Those that are one in an answer to a bare number (`2t`, `5h`)."""
_NOT_COUNTED = """
    a about above alpha and another approximately are at away base be below beta billion but by choose
    correct cubed dozen dozens double equals even factor factorial false for fraction from gamma greater
    half halves hundred if in incorrect infinity is isn its lambda less maybe million minus mod modulo
    more nan negative neither no none nor not odd of off omega on or other otherwise over per perhaps phi
    plus positive power quarter quarters root roughly sigma smaller squared tenth tenths than the then
    theta third thirds thousand times to trillion triple true twice under undefined unknown unless wrong
    with zero
"""
_NO_UNIT = frozenset(_NOT_COUNTED.split())
"""Words behind a number that change or doubt it (5 million, 3 quarters, 5 or), and so are no unit."""
_POWER = re.compile(r"(.*?)\s*(?:\^\s*\{?\s*([23])\s*\}?|([23]))")
_AREA_IN_CHINESE = re.compile("(平方|立方)(.+)")
_AREA = re.compile(r"(sq|square|cu|cubic)\.?\s+(.*)")
_FRACTION = re.compile(r"\\frac\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_UNIT_TAIL = re.compile(
    r"\s*(\\text\s*\{[^{}]{1,40}\}|\^\s*\\circ(?![A-Za-z]))(\s*\^\s*(?:[23]|\{\s*[23]\s*\}))?$"
)
_LITERAL_BEGINS = re.compile(r"(?<![0-9.])[0-9]")
_INVERSE = re.compile(r"\s*(?<![A-Za-z])([A-Za-z]+) ?\^ ?-1(?![0-9])")
_MONEY = re.compile(r"\s*([+-]?)\s*(\\\$|€|£|¥|\\text\s*\{\s*(?:\\\$|€|£|¥)\s*\}|(?:USD|RMB)(?![A-Za-z]))\s*")


@dataclass(frozen=True)
class Quantity:
    """A number and the one name of its unit, empty if none was given."""

    number: Number
    unit: str
    uncertain: bool
    """Whether the unit is a bare letter that could as well be a variable (`5m`)."""


@lru_cache(maxsize=2048)
def quantity(text: str) -> Quantity | None:
    """The quantity that canonical `text` is, the whole of it; None if it is none."""
    sign, money = "", ""
    prefix = _MONEY.match(text)
    if prefix:
        sign, money = prefix[1], flat(prefix[2])
        text = sign + text[prefix.end() :]
    try:
        number, rest = read(text)
    except NotANumber:
        return None
    unit = _unit(rest)
    if unit is None or (money and unit not in ("", _UNITS.get(money, money))):
        return None
    bare = rest.strip()
    return Quantity(
        number, _UNITS.get(money, money) if money else unit, bare in _AS_VARIABLE and not rest.startswith(" ")
    )


def exceeds_size_limit(text: str) -> bool:
    """Whether canonical `text` is a number too large to be written out; no gold is."""
    try:
        read(text)
    except TooLarge:
        return True
    except NotANumber:
        return False
    return False


def holds_oversized_number(text: str) -> bool:
    r"""Whether some number in canonical `text` is too large to be written out: `\\sin(9^{9^{9}})`."""
    for literal in _LITERAL_BEGINS.finditer(text):
        reader = NumberParser(text, variables=False)
        reader.position = literal.start()
        try:
            reader.power(0)
        except TooLarge:
            return True
        except NotANumber:
            continue
    return False


def same_quantity(answer: Quantity, gold: Quantity) -> bool:
    """Whether two quantities are the same; a unit may be missing, a percentage may be a fraction."""
    doubtful = answer.uncertain and answer.unit in _RATHER_VARIABLE and not gold.unit
    if doubtful or (gold.uncertain and not answer.unit):
        return False
    if "%" in (answer.unit, gold.unit) and {answer.unit, gold.unit} <= {"%", ""}:
        return _same_share(answer, gold)
    if answer.unit and gold.unit and answer.unit != gold.unit:
        return False
    return equal(answer.number, gold.number)


def without_unit(text: str) -> tuple[str, str]:
    r"""An expression and the unit behind it (`2x \text{ cm}`), "" if there is none."""
    if is_functional(text):
        return text, ""  # the degrees of \sin 30^\circ are its argument's
    tail = _UNIT_TAIL.search(text)
    unit = _unit(tail[1] + (tail[2] or "")) if tail and tail.start() else None
    return (text[: tail.start()].rstrip(), unit) if tail and unit else (text, "")


def _same_share(answer: Quantity, gold: Quantity) -> bool:
    if answer.unit == gold.unit:
        return equal(answer.number, gold.number)
    share, bare = (answer.number, gold.number) if answer.unit else (gold.number, answer.number)
    hundredth = tuple((key, value / 100) for key, value in share.terms)
    if equal(Number(hundredth, share.decimal, share.rounded), bare):
        return True
    value = share.rational
    return equal(share, bare) and (value is None or abs(value) >= 1)


def _unit(rest: str) -> str | None:
    """The name of the unit that `rest` writes; "" for nothing, None if it is no unit."""
    if not rest.strip():
        return ""
    worded = r"\text" in rest
    rest = _FRACTION.sub(r"\1/\2", rest)
    text = flat(rest).replace(r"\cdot", " ").replace(r"\mu", "μ")
    text = _INVERSE.sub(r"/\1", text)
    text = re.sub(r"\^\s*\\circ\s*(?=[CF]$)", r"^\\circ", text).strip(" .-")
    parts = [_factor(part.strip(), worded or rest[0] == " ") for part in re.split(r"/| per |每", text)]
    if not all(parts) or len(parts) > 3:
        return None
    return "/".join(part for part in parts if part)


def _factor(text: str, words_allowed: bool) -> str | None:
    """One factor of a unit, with its power: `square feet` and `ft^2` are both `ft2`."""
    if text in _UNITS:
        return _UNITS[text]
    if (area := _AREA_IN_CHINESE.match(text)) and (base := _factor(area[2], False)):
        return base + ("2" if area[1] == "平方" else "3")
    area = _AREA.fullmatch(text)
    if area and (base := _factor(area[2], words_allowed)):
        return base + ("2" if area[1].startswith("sq") else "3")
    power = _POWER.fullmatch(text)
    if power and power[1] in _UNITS:
        return _UNITS[power[1]] + (power[2] or power[3])
    if text.lower() in _UNITS and len(text) > 2:
        return _UNITS[text.lower()]
    return _counted(text) if words_allowed else None


def _counted(text: str) -> str | None:
    """What is counted (`apples`, `small cubes`), without the plural's s."""
    words = text.split()
    if not 1 <= len(words) <= 3 or not all(re.fullmatch(r"[A-Za-z]{3,20}", word) for word in words):
        return None
    if any(word.lower() in _NO_UNIT or word.lower() in FUNCTIONS.split("|") for word in words):
        return None
    return " ".join(word.lower().removesuffix("s") for word in words)
