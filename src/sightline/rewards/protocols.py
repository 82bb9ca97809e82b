r"""Three ways of scoring the same response, by name, so that published figures can be put beside ours.

- `strict`: Sightline's own. After the last `</think>`, the last balanced box, the rule of `decision`.
- `papo`: the last `\boxed{` anywhere, equality as text, number or expression; letters in any brackets
  and case, but in their order.
- `lookback`: the same with the sides swapped as well, or **the gold letter contained in the upper-cased
  answer**. It accepts an answer without a box for gold E ("NONE"), and any `\frac` for A, C, F and R.

The last two follow the published descriptions, not their code; what they accept wrongly is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from sightline.errors import unknown_name

from .answers.choices import letters
from .answers.decision import decide, unreadable
from .answers.extract import after_thinking, boxes, last_box
from .answers.latex import canonical, compact
from .answers.numbers.units import quantity, same_quantity
from .answers.rules.comparison import Symbolic
from .answers.words import is_expression
from .verdict import Verdict

_NAMED = re.compile(r"[A-Za-z]\s*=\s*([^=]+)")

Decide = Callable[[str, str, Sequence[str], Symbolic], Verdict]


def extract(response: str, protocol: str) -> str | None:
    """What a protocol takes for the answer; None if the response gives none."""
    if _known(protocol) is decide:
        return last_box(after_thinking(response))
    start = response.rfind("\\boxed{")
    found = boxes(response[start:]) if start >= 0 else []
    return found[0][2].strip() if found and found[0][0] == 0 else None


def decide_by(protocol: str, answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    """The verdict of a protocol on the content of a box; raises `Undecided` if `symbolic` does."""
    return _known(protocol)(answer, gold, choices, symbolic)


def without_box(protocol: str, gold: str) -> Verdict:
    """The verdict on a response that gives no answer: wrong, but for Look-Back's containment in "None"."""
    if _known(protocol) is _lookback and _contained("None", gold):
        return Verdict(True, None, "letter", None)
    return Verdict(False, None, "no box", "the response holds no balanced box after its thinking")


def _papo(answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    refused = unreadable(answer, gold)
    if refused:
        return refused
    same, how = _plainly_equal(answer, gold, symbolic)
    return Verdict(same, answer, how, None if same else f"{answer} is not {gold}")


def _lookback(answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    if _contained(answer, gold):
        return Verdict(True, answer, "letter", None)
    verdict = _papo(answer, gold, choices, symbolic)
    if verdict.correct or unreadable(answer, gold):
        return verdict
    swapped = _papo(gold, answer, choices, symbolic)
    return replace(swapped, answer=answer) if swapped.correct else verdict


def _plainly_equal(answer: str, gold: str, symbolic: Symbolic) -> tuple[bool, str]:
    ours, theirs = canonical(answer), canonical(gold)
    if compact(ours) == compact(theirs):
        return True, "text"
    if letters(theirs):
        return _symbols(ours) == _symbols(theirs), "letter"
    ours, theirs = _values(ours, theirs)
    one, other = quantity(ours), quantity(theirs)
    if one and other:
        return same_quantity(one, other), "number"
    if is_expression(ours) and is_expression(theirs):
        return symbolic(theirs, ours), "symbolic"
    return False, "text"


def _symbols(text: str) -> str:
    """Letters as a symbolic matcher reads them: no brackets, no case, but in their order."""
    return re.sub(r"[()\[\]\s]", "", text).lower()


def _values(ours: str, theirs: str) -> tuple[str, str]:
    """Both sides, without the `x =` that one of them has in front."""
    named = [_NAMED.fullmatch(text) for text in (ours, theirs)]
    if (named[0] is None) == (named[1] is None):
        return ours, theirs
    return named[0][1] if named[0] else ours, named[1][1] if named[1] else theirs


def _contained(answer: str, gold: str) -> bool:
    return len(gold.strip()) == 1 and gold.strip().isalpha() and gold.strip().upper() in answer.upper()


def _known(protocol: str) -> Decide:
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol]


PROTOCOLS: dict[str, Decide] = {"strict": decide, "papo": _papo, "lookback": _lookback}
