"""Every word of Shapes-2: those of Shapes, in their order, and those of the phrases behind them."""

from __future__ import annotations

from ..shapes.vocabulary import COLOURS, SHAPES
from ..shapes.vocabulary import WORDS as FIRST_WORDS
from . import phrases

MARKS = (*SHAPES, "diamond")
"""What a legend may put beside a colour."""

LEGEND, BAR, DIAL, TAG = "legend", "bar", "dial", "tag"

SUBJECTS = frozenset({*COLOURS, *MARKS, LEGEND, BAR, DIAL, TAG})
"""Words that name something in the image."""

PHRASES: tuple[str, ...] = (
    *phrases.QUESTIONS["+"],
    *phrases.QUESTIONS["-"],
    *phrases.OPENINGS,
    *phrases.CONNECTIVES,
    *phrases.FILLERS,
    *phrases.COUNTS,
    *phrases.TAGS,
    *phrases.LEGENDS,
    *phrases.BARS,
    *phrases.DIALS,
    *phrases.SUMS,
    *phrases.DIFFERENCES,
    *phrases.BRIDGES,
    *phrases.ENDINGS,
)

_SAID = {word for phrase in PHRASES for word in phrase.split() if not word.startswith("{")}

WORDS: tuple[str, ...] = (*FIRST_WORDS, *sorted((_SAID | SUBJECTS) - set(FIRST_WORDS)))
"""The whole vocabulary, one token a word; ids of the first world's words stay what they are."""
