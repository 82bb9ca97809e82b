r"""Ways of scoring the same response, by name, so that published figures can be put beside ours.

- `strict`: Sightline's own. After the last `</think>`, the last balanced box, the rule of `decision`.
- `mathruler`: EasyR1's training reward, and so that of VGPO, VPPO, PAPO and PGPO.
- `papo`: PAPO-Eval, which is the same rule.
- `lookback`: Look-Back's evaluation: the same, or math-verify's verdict, or a gold letter that the
  answer contains.

All but the first reproduce the graders they are named after; what these accept wrongly is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sightline.errors import unknown_name

from .answers.decision import MAX_LENGTH, decide, unreadable
from .answers.extract import after_thinking, last_box
from .answers.rules.comparison import Symbolic
from .published import mathruler
from .published.lookback import contained
from .verdict import Verdict

Decide = Callable[[str, str, Sequence[str], Symbolic], Verdict]


@dataclass(frozen=True)
class Protocol:
    """One way of scoring."""

    extract: Callable[[str], str | None]
    """What it takes for the answer of a response; None if the response gives none."""
    decide: Decide
    """Its verdict on an answer."""
    no_box: str | None = None
    """The text that it grades where there is no answer."""


def extract(response: str, protocol: str) -> str | None:
    """What a protocol takes for the answer; None if the response gives none."""
    return _known(protocol).extract(response)


def decide_by(protocol: str, answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    """The verdict of a protocol on the content of a box; raises `Undecided` if `symbolic` does."""
    return _known(protocol).decide(answer, gold, choices, symbolic)


def without_box(protocol: str, gold: str) -> Verdict:
    """The verdict on a response that gives no answer: wrong, but where the stand-in for it is the gold."""
    stand_in = _known(protocol).no_box
    if stand_in is not None:
        verdict = decide_by(protocol, stand_in, gold, (), lambda *_: False)
        if verdict.correct:
            return Verdict(True, None, verdict.how, None)
    return Verdict(False, None, "no box", "the response holds no balanced box after its thinking")


def _mathruler(answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    if mathruler.same_plain_form(answer, gold):
        return Verdict(True, answer, "text", None)
    if refused := _too_long(answer, gold):
        return refused
    asked: list[tuple[str, str]] = []

    def difference(wanted: str, given: str) -> bool:
        asked.append((wanted, given))
        return symbolic(wanted, given)

    same = mathruler.same(answer, gold, difference)
    return Verdict(same, answer, "symbolic" if asked else "text", None if same else f"{answer} is not {gold}")


def _lookback(answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    if contained(answer, gold):
        return Verdict(True, answer, "letter", None)
    if mathruler.same_plain_form(answer, gold):
        return Verdict(True, answer, "text", None)
    if refused := _too_long(answer, gold):
        return refused
    if mathruler.spoken_form(answer) == mathruler.spoken_form(gold):
        return Verdict(True, answer, "text", None)
    same = symbolic(gold, answer)
    return Verdict(same, answer, "symbolic", None if same else f"{answer} is not {gold}")


def _too_long(answer: str, gold: str) -> Verdict | None:
    """Refused as by `unreadable`, but for empty sides, which the published graders compare."""
    long = max(len(answer), len(gold)) > MAX_LENGTH
    refused = unreadable(answer, gold) if long or (answer.strip() and gold.strip()) else None
    return refused if refused is not None and refused.how == "too long" else None


def _known(protocol: str) -> Protocol:
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol]


_BY_MATHRULER = Protocol(mathruler.extract, _mathruler, mathruler.NO_BOX)

PROTOCOLS: dict[str, Protocol] = {
    "strict": Protocol(lambda response: last_box(after_thinking(response)), decide),
    "papo": _BY_MATHRULER,
    "lookback": Protocol(mathruler.boxed, _lookback, mathruler.NO_BOX),
    "mathruler": _BY_MATHRULER,
}

OF_EVERY_RUN = ("strict", "papo", "lookback")
"""By which an evaluation is graded unasked; "mathruler" is the rule of "papo" under its other name."""
