r"""Ranges and dates, which look like subtractions: `20-30 years`, `9:00 to 10:30`, `2024-01-02`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ..latex import flat, split
from ..numbers.units import quantity
from .comparison import Comparison, Match

_MINUS = "-"
_TO = r"\to"
_JOINED = re.compile(
    r"\\text\s*\{\s*(?:to|-{1,2}|until)\s*\}|\\sim(?![A-Za-z])|(?<![A-Za-z\\])to(?![A-Za-z])|(?<=[0-9])\s*[至到]"
)
_TO_IN_TEXT = re.compile(r"\\text\s*\{([^{}]*?)\s+to\s*\}")
_BETWEEN = re.compile(r"(?:\\text\s*\{\s*)?(between|from)\s*\}?\s+(?=[-0-9\\$])", re.IGNORECASE)
_AND = re.compile(r"\s*(?:\\text\s*\{\s*and\s*\}|(?<![A-Za-z])and(?![A-Za-z]))\s*")
_LITERAL = r"(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)"
_END = re.compile(
    rf"\s*(?P<money>(?:-\s*)?(?:\\\$|[€£¥])?\s*)(?P<number>-?\s*(?:\\frac\s*(?:\{{\s*[0-9]+\s*\}}|[0-9])\s*"
    rf"(?:\{{\s*[0-9]+\s*\}}|[0-9])|[0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}})?|{_LITERAL}(?:\s*/\s*[0-9]+)?))(?P<unit>.*)",
    re.DOTALL,
)
_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")
_BARE = re.compile(r"[0-9.]+")
_YEAR_AND_MORE = re.compile(r"(?:1[0-9]|20)[0-9]{2}\s*-\s*[0-9]{2}")
_DEGREE = r"^\circ"

_DIGITS = re.compile(r"[0-9]+(?:([-/.])[0-9]+)(?:\1[0-9]+)+")
_MONTHS = {
    name: number
    for number, names in enumerate(
        ["january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul",
         "august aug", "september sep sept", "october oct", "november nov", "december dec"], 1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "(?P<month>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:\s*(?:st|nd|rd|th))?"
_YEAR = "(?P<year>[0-9]{4})"
_SPOKEN = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_MONTH}\s+{_DAY}(?:\s*,\s*|\s+){_YEAR}",
        rf"{_DAY}\s+(?:of\s+)?{_MONTH}(?:\s*,\s*|\s+){_YEAR}",
        rf"{_MONTH}(?:\s*,\s*|\s+){_YEAR}",
        r"(?P<year>[0-9]{4})\s*年\s*(?P<month>[0-9]{1,2})\s*月(?:\s*(?P<day>[0-9]{1,2})\s*[日号])?",
    )
]
_YEAR_FIRST = re.compile(
    r"(?P<year>[0-9]{4})([-/.])(?P<month>[0-9]{1,2})\2(?P<day>[0-9]{1,2})|(?P<year2>[0-9]{4})-(?P<month2>[0-9]{1,2})"
)
_YEAR_LAST = re.compile(r"(?P<a>[0-9]{1,2})([-/.])(?P<b>[0-9]{1,2})\2(?P<year>[0-9]{4})")
_MAY_BE_DATE = re.compile(r"[0-9]{4}")


def date(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Dates and other digits in groups (`2024-01-02`, `555-12-34`) are compared part by part."""
    ours, theirs = _date(answer), _date(gold)
    if ours and theirs:
        return comparison.verdict(ours == theirs, "text")
    mine, wanted = _groups(answer), _groups(gold)
    if wanted or theirs:
        return comparison.verdict(mine == wanted and mine is not None, "text")
    return comparison.differs("text") if ours and quantity(gold) else None


def span(answer: str, gold: str, comparison: Comparison) -> Match | None:
    r"""Ranges `20-30 years`, `10\% \to 20\%`, `9:00-10:30` are compared by their ends; no number is one."""
    wanted, given = _range(gold), _range(answer)
    if wanted and given:
        if not (wanted.certain or given.certain):
            return None
        same = all(
            comparison.inner(ours, theirs).same for ours, theirs in zip(given.ends, wanted.ends, strict=True)
        )
        return comparison.verdict(same, "list")
    if wanted:
        return comparison.differs("list") if wanted.certain and wanted.rises else None
    if given and given.certain and given.rises and (given.unit or given.joined) and quantity(gold):
        return comparison.differs("list")
    return None


@dataclass(frozen=True)
class _Range:
    low: str
    high: str
    unit: str
    """As it is written behind (or, for money, in front of) the ends; both have the same."""
    certain: bool
    """Whether it can be no subtraction: it is joined by a word, or has a unit."""
    rises: bool
    joined: bool
    """Whether a word or an arrow stands between the ends."""

    @property
    def ends(self) -> tuple[str, str]:
        """Both ends with their unit."""
        return _with_unit(self.low, self.unit), _with_unit(self.high, self.unit)


def _with_unit(number: str, unit: str) -> str:
    return f"{unit}{number}" if unit in (r"\$", "€", "£", "¥") else f"{number}{unit}"


def _range(text: str) -> _Range | None:
    """The range that `text` is, the whole of it."""
    if not any(sign in text for sign in ("-", "to", "至", "到", "sim", "and")):
        return None
    spoken = _BETWEEN.match(text)
    if spoken:
        text = text[spoken.end() :]
        if spoken[1].lower() == "between":
            text = _AND.sub(lambda _: rf"{_TO} ", text, count=1)
    text = _TO_IN_TEXT.sub(lambda low: rf"\text{{{low[1]}}}{_TO} ", text)
    text = _JOINED.sub(lambda _: rf"{_TO} ", text)
    ends = split(text, {_TO})
    joined = len(ends) == 2
    if not joined:
        ends = _around_minus(text)
    if len(ends) != 2:
        return None
    return _of_ends(ends[0], ends[1], joined, text)


def _of_ends(first: str, second: str, joined: bool, text: str) -> _Range | None:
    low, high = _END.fullmatch(first), _END.fullmatch(second)
    if not low or not high:
        return None
    units = [_unit(end) for end in (low, high)]
    if len({unit.strip() for unit in units if unit}) == 2 and quantity(f"1{units[0]}") != quantity(
        f"1{units[1]}"
    ):
        return None
    unit = units[1] or units[0]
    begin, end = _signed(low), _signed(high)
    values = [_value(number) for number in (begin, end)]
    if values[0] is None or values[1] is None or not _measured(end, unit):
        return None
    rises = values[0] <= values[1]
    timed = _TIME.fullmatch(begin) is not None
    if not joined and _DEGREE in unit and not rises:
        return None  # 90° - 40° is an angle
    certain = joined or bool(unit.strip()) or timed
    if not certain:
        certain = _bare(begin, end, text)
    rises = rises or _YEAR_AND_MORE.fullmatch(text.strip()) is not None
    return _Range(begin, end, unit, certain, rises, joined or timed)


def _bare(begin: str, end: str, text: str) -> bool:
    """Whether numbers without a unit are a range: 20-30 and 1990-95, not 10-3 and not 1/2-1/3."""
    if _YEAR_AND_MORE.fullmatch(text.strip()):
        return True
    return bool(_BARE.fullmatch(begin) and _BARE.fullmatch(end)) and len(begin) <= len(end)


def _measured(end: str, unit: str) -> bool:
    """Whether what stands behind the numbers is a unit, and no variable."""
    if not unit.strip():
        return True
    found = quantity(_with_unit("1" if _TIME.fullmatch(end) else end, unit))
    return found is not None and bool(found.unit) and not found.uncertain


def _unit(end: re.Match[str]) -> str:
    return end["money"].replace("-", "").strip() or end["unit"].rstrip()


def _signed(end: re.Match[str]) -> str:
    number = re.sub(r"\s+", "", end["number"])
    return f"-{number}" if "-" in end["money"] else number


def _value(number: str) -> Fraction | None:
    """The size of an end; a time counts as its minutes."""
    if _TIME.fullmatch(number):
        hours, minutes, *_ = number.split(":")
        return Fraction(60 * int(hours) + int(minutes))
    found = quantity(number)
    return found.number.rational if found else None


def _around_minus(text: str) -> list[str]:
    """`text` cut at its one minus between two ends; `--` is a dash, a minus in front is a sign."""
    parts = split(text, {_MINUS})
    if parts and not parts[0]:
        parts = [f"-{parts[1]}", *parts[2:]] if len(parts) > 2 else parts
    if len(parts) == 3 and not parts[1]:
        parts = [parts[0], f"-{parts[2]}" if parts[0].startswith("-") else parts[2]]
    return parts if len(parts) == 2 else []


def _date(text: str) -> tuple[int, int, int] | None:
    """(year, month, day) of a date that reads one way; day 0 if there is none."""
    if not _MAY_BE_DATE.search(text):
        return None
    text = flat(text).strip()
    found = _YEAR_FIRST.fullmatch(text)
    if found:
        year, month, day = (found["year"] or found["year2"], found["month"] or found["month2"], found["day"])
        return _valid(int(year), int(month), int(day or 0))
    last = _YEAR_LAST.fullmatch(text)
    if last:
        a, b = int(last["a"]), int(last["b"])
        if a != b and a <= 12 and b <= 12:
            return None  # 01/02/2024 reads two ways
        return _valid(int(last["year"]), *((b, a) if a > 12 else (a, b)))
    for pattern in _SPOKEN:
        if spoken := pattern.fullmatch(text):
            month = spoken["month"].lower()
            number = int(month) if month.isdigit() else _MONTHS[month]
            return _valid(int(spoken["year"]), number, int(spoken.groupdict().get("day") or 0))
    return None


def _valid(year: int, month: int, day: int) -> tuple[int, int, int] | None:
    if not 1000 <= year <= 2999 or not 1 <= month <= 12 or not 0 <= day <= 31:
        return None
    return year, month, day


def _groups(text: str) -> tuple[str, ...] | None:
    """The parts of three or more groups of digits with one sign between them; None for anything else."""
    text = text.strip()
    found = _DIGITS.fullmatch(text)
    if found is None or (found[1] == "/" and not re.search("[0-9]{4}$|^[0-9]{4}", text)):
        return None
    return (found[1], *(part.lstrip("0") or "0" for part in text.split(found[1])))
