"""The options that a question lists in its own text: "Choices:\\nA:40°\\nB:50°", "... (A) x (B) y"."""

from __future__ import annotations

import re
from string import ascii_uppercase

from .choices import gold_letters
from .latex import canonical

_MARK = re.compile(
    r"(?:^|(?<=[\s;,；，。?？:：]))(?:[(（]([A-Z])[)）]\s*[.:：]?|([A-Z])\s?[.:：．)、）])\s*(?=\S)"
)


def options_in(question: str, gold: str) -> tuple[str, ...]:
    """The values of A, B, ... that end a question, if its gold is one or several of these letters; else ().

    The marks have to follow each other from A on, and each value ends where the next mark begins, the last
    one at its line's end. Two options of the same text are none.
    """
    wanted = gold_letters(canonical(gold))
    if wanted is None or wanted.rest:
        return ()
    marks = list(_MARK.finditer(question))
    letters = [mark[1] or mark[2] for mark in marks]
    begin = next((place for place in range(len(marks) - 1, -1, -1) if letters[place] == "A"), None)
    if begin is None:
        return ()
    chosen = [marks[begin]]
    for mark, letter in zip(marks[begin + 1 :], letters[begin + 1 :], strict=True):
        if letter == ascii_uppercase[len(chosen)] and bool(mark[1]) == bool(chosen[0][1]):
            chosen.append(mark)
    ends = [mark.start() for mark in chosen[1:]]
    last = question.find("\n", chosen[-1].end())
    ends.append(last if last >= 0 else len(question))
    values = [question[mark.end() : end].strip(" \n\t;；,，") for mark, end in zip(chosen, ends, strict=True)]
    known = frozenset(ascii_uppercase[: len(values)])
    if len(values) < 2 or not all(values) or len(set(values)) < len(values) or not wanted.names <= known:
        return ()
    return tuple(values)
