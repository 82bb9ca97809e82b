"""One answer against one gold: letters and choices first, then values.

This runs in two places: in the user's own process, where `symbolic` raises `Undecided`, and then, for
the few answers that need it, in a worker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..verdict import Verdict
from .choices import Letters, gold_letters, letter_of, letters, option_letters, unlabelled
from .equality import match
from .latex import canonical, depth
from .rules.comparison import Match, Symbolic

MAX_LENGTH = 2000
"""Characters of an answer or a gold that are read; a longer one is scored wrong."""
_MAX_NESTING = 40


def decide(answer: str, gold: str, choices: Sequence[str], symbolic: Symbolic) -> Verdict:
    """The verdict on the content of a box; `choices` empty if there are none.

    Raises `Undecided` if `symbolic` does.
    """
    refused = unreadable(answer, gold)
    if refused:
        return refused
    if choices:
        return _by_choice(answer, gold, unlabelled(choices), symbolic)
    wanted = gold_letters(canonical(gold))
    given = letters(canonical(answer))
    if wanted is None:
        return _by_value_or_small_letter(answer, gold, given, symbolic)
    if given is None and (wanted.rest or (len(wanted.names) > 1 and "," not in gold)):
        return _by_value(answer, wanted.rest or gold, symbolic)
    return _by_letters(answer, given, wanted)


def unreadable(answer: str, gold: str) -> Verdict | None:
    """The verdict without looking further: an empty, overlong or absurdly nested side."""
    if not gold.strip():
        return Verdict(False, answer, "no gold", "the gold answer is empty")
    if not answer.strip():
        return Verdict(False, answer, "empty", "the box is empty")
    for name, text in (("answer", answer), ("gold", gold)):
        if len(text) > MAX_LENGTH:
            reason = f"the {name} has {len(text)} characters, more than {MAX_LENGTH}"
            return Verdict(False, answer[:MAX_LENGTH], "too long", reason)
        if depth(text) > _MAX_NESTING:
            return Verdict(False, answer, "too long", f"the {name} nests more than {_MAX_NESTING} deep")
    return None


def _by_value(answer: str, gold: str, symbolic: Symbolic) -> Verdict:
    decided = match(answer, gold, symbolic)
    return Verdict(decided.same, answer, decided.how, decided.why_not)


def _by_value_or_small_letter(answer: str, gold: str, given: Letters | None, symbolic: Symbolic) -> Verdict:
    """A gold such as `b` may be a variable or an option, so either is accepted for it."""
    option = letters(canonical(gold)) if re.fullmatch(r"\(?[a-j]\)?", canonical(gold)) else None
    if option and given:
        return _by_letters(answer, given, option)
    return _by_value(answer, gold, symbolic)


def _by_letters(answer: str, given: Letters | None, wanted: Letters) -> Verdict:
    if given is None:
        reason = f"the gold is {wanted}, the answer no letter, and the choices are not known"
        return Verdict(False, answer, "letter", reason)
    if given.hedged:
        return Verdict(False, answer, "letter", "the answer names more than one option")
    same = given.names == wanted.names
    return Verdict(same, str(given), "letter", None if same else f"{given} is not {wanted}")


def _by_choice(answer: str, gold: str, values: list[str], symbolic: Symbolic) -> Verdict:
    """Both sides as options where they are any: by letter, or by the one choice of the same value."""
    given, wanted = option_letters(canonical(answer), values), option_letters(canonical(gold), values)
    if given is not None:
        contradiction = _contradiction(given, values, symbolic)
        if contradiction:
            return Verdict(False, answer, "letter", contradiction)
        if wanted is None:
            wanted = _option(gold, values, symbolic)
        if wanted is None:
            value = values[ord(str(given)) - ord("A")] if len(given.names) == 1 else answer
            return _by_value(value, gold, symbolic)
        return _by_letters(answer, Letters(given.names), wanted)
    if wanted is None:
        decided = match(answer, gold, symbolic)
        if decided.same:
            return Verdict(True, answer, decided.how, None)
        wanted = _option(gold, values, symbolic)
    option = _option(answer, values, symbolic)
    if option is None or wanted is None:
        return Verdict(False, answer, "choice", "the answer is not the value of exactly one choice")
    same = option.names == wanted.names
    return Verdict(same, str(option), "choice", None if same else f"the answer is {option}, not {wanted}")


def _contradiction(given: Letters, values: list[str], symbolic: Symbolic) -> str | None:
    """Why the text beside a letter speaks against it; None if it does not."""
    if not given.rest:
        return None
    own = values[ord(str(given)) - ord("A")]
    if match(given.rest, own, symbolic).same:
        return None
    if given.hedged:
        return "the answer names more than one option"
    others = [value for value in values if value != own and match(given.rest, value, symbolic).same]
    return f"the answer says {given}, but gives the value of another option" if others else None


def _option(text: str, values: list[str], symbolic: Symbolic) -> Letters | None:
    """The one option whose value is `text`; None if there is none, or more than one."""
    found = [index for index, value in enumerate(values) if _is_value(text, value, symbolic)]
    return Letters(frozenset(letter_of(found[0]))) if len(found) == 1 and found[0] < 26 else None


def _is_value(text: str, value: str, symbolic: Symbolic) -> bool:
    decided: Match = match(text, value, symbolic)
    return decided.same
