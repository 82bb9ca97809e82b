"""The gold of a row: taken out of its wrapper, and refused if no option could match it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from ...errors import UserError
from ...rewards import grade_many
from ...rewards.answers.extract import boxes
from .row_errors import Fault, UnusableRow

_TAGGED = re.compile(r".*<answer>(.*?)</answer>\s*", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile(r"(?:.*\n)?\s*####\s*([^\n]+?)\s*", re.DOTALL)
_NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_SPELLED = re.compile(r"([0-9]{1,2})\s*\(\s*([A-Za-z]+)\s*\)|([A-Za-z]+)\s*\(\s*([0-9]{1,2})\s*\)")


def unwrapped(gold: str) -> str:
    r"""The gold out of `<answer>…</answer>`, `#### …`, a sentence with one `\boxed{…}`, and `3 (three)`."""
    text = gold.strip()
    if "<answer>" in text.lower() and (tagged := _TAGGED.fullmatch(text)):
        text = tagged[1].strip()
    if "####" in text and (marked := _HASHES.fullmatch(text)):
        text = marked[1]
    if "boxed" in text or "fbox" in text:
        found = boxes(text)
        if len(found) == 1 or (found and len({content.strip() for _, _, content in found}) == 1):
            text = found[-1][2].strip()
    if "(" in text and (spelled := _SPELLED.fullmatch(text)):
        digits, word = spelled[1] or spelled[4], (spelled[2] or spelled[3]).lower()
        if int(digits) < len(_NUMBER_WORDS) and _NUMBER_WORDS[int(digits)] == word:
            text = digits
    return text


def resolved(gold: str, choices: Sequence[str], answer_is: str | None, is_number: bool) -> str:
    """The gold beside options: a letter for `answer_is: index`, else as it is, if one option earns it.

    Raises:
        UnusableRow: it is no index, letter or text of an option, or could be an index as well.
    """
    if answer_is == "index":
        if not gold.isdecimal() or int(gold) >= len(choices):
            raise UnusableRow(
                Fault.UNMATCHED_GOLD, f"{gold[:60]!r} is no index of {len(choices)} options (0 is the first)"
            )
        return ascii_uppercase[int(gold)]
    letters = [ascii_uppercase[place] for place, choice in enumerate(choices) if choice]
    same = [place for place, choice in enumerate(choices) if choice and choice.strip() == gold]
    if answer_is != "text" and gold.strip("() .") in letters and (answer_is == "letter" or not same):
        return gold
    if answer_is == "letter":
        raise UnusableRow(Fault.UNMATCHED_GOLD, f"{gold[:60]!r} is no letter of {', '.join(letters)}")
    if len(same) == 1:
        could_be_index = is_number and gold.isdecimal() and int(gold) < len(choices) and same[0] != int(gold)
        if could_be_index and answer_is is None:
            raise UnusableRow(
                Fault.UNMATCHED_GOLD,
                f"the number {gold} is an option and could be the index of another; set answer_is: text or "
                "answer_is: index",
            )
        return gold
    if len(gold) > 1 and re.fullmatch(r"[A-Z](?:\s*[,;&]?\s*(?:and\s+)?[A-Z])*", gold):
        return gold  # several letters, or a name in capitals
    accepted = _earning(gold, choices)
    if len(accepted) != 1:
        hint = "; if it is an index, set answer_is: index" if gold.isdecimal() else ""
        earned = f"options {', '.join(accepted)} earn" if accepted else "no option earns"
        raise UnusableRow(Fault.UNMATCHED_GOLD, f"{earned} the gold {gold[:60]!r}{hint}")
    return gold


def _earning(gold: str, choices: Sequence[str]) -> list[str]:
    """The letters that are accepted for a gold.

    Raises:
        UserError: that was kept from being found out, for which a row must not be left out.
    """
    letters = [ascii_uppercase[place] for place, choice in enumerate(choices) if choice]
    verdicts = grade_many([(f"\\boxed{{{letter}}}", gold, choices) for letter in letters])
    if any(verdict.correct is None for verdict in verdicts):
        raise UserError(
            f"whether an option earns the gold {gold[:60]!r} was not judged: this machine stops or kills "
            "the processes that grade; look for what uses up its memory, then try again"
        )
    return [letter for letter, verdict in zip(letters, verdicts, strict=True) if verdict.correct]
