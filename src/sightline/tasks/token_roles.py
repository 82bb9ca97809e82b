"""Where every word of a response to an embedded world comes from: read, derived or template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import UserError
from .shapes.response import Role
from .shapes.vocabulary import COLOURS, SHAPES
from .shapes2.vocabulary import BAR, LEGEND, SUBJECTS

_FIRST_SUBJECTS = frozenset({*COLOURS, *SHAPES, BAR, "angle", "angles"})

_SUBJECTS = {
    **dict.fromkeys(("count", "bar chart", "triangle"), _FIRST_SUBJECTS),
    **dict.fromkeys(("objects", "chart", "dials"), SUBJECTS),
}
"""By kind of problem: the words that make a sentence a reading."""

_ENDS = (".", "</think>", "\\boxed{")


def token_roles(kind: str, words: Sequence[str]) -> list[Role]:
    """The role of each word of a response to a problem of Shapes or Shapes-2, whose `kind` is given.

    A number is READ in a sentence that names something in the image, whether it is right or
    wrong, and DERIVED in any other sentence and in the box. In Shapes-2 a colour is READ in a
    sentence about the legend, and DERIVED where a bar of a chart is called by it. Everything else,
    unknown words and special tokens too, is TEMPLATE. On ideal responses these are the roles
    that the drawer gave.

    Raises:
        UserError: the kind is of no embedded world.
    """
    if kind not in _SUBJECTS:
        raise UserError(
            f"roles are known for the kinds {', '.join(_SUBJECTS)} of the embedded worlds; "
            f"this problem is of kind {kind!r}"
        )
    subjects = _SUBJECTS[kind]
    roles: list[Role] = []
    for sentence in _sentences([word.strip() for word in words]):
        about = set(sentence)
        number = Role.READ if about & subjects else Role.DERIVED
        colour = _colour_role(kind, about)
        for word in sentence:
            roles.append(number if word.isdecimal() else colour if word in COLOURS else Role.TEMPLATE)
    return roles


def _sentences(words: list[str]) -> Iterator[list[str]]:
    """The words cut behind every full stop, end of thought and opening of the box."""
    start = 0
    for end, word in enumerate(words, start=1):
        if word in _ENDS or end == len(words):
            yield words[start:end]
            start = end


def _colour_role(kind: str, about: set[str]) -> Role:
    if kind == "chart" and LEGEND in about:
        return Role.READ
    return Role.DERIVED if kind == "chart" and BAR in about else Role.TEMPLATE
