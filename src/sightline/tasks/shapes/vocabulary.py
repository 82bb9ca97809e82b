"""Every word that questions, captions and responses of the Shapes world may hold."""

from __future__ import annotations

COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("circle", "square", "triangle")
NUMBERS = tuple(str(number) for number in range(181))

NOTHING = "none"
"""What a caption says of an empty cell."""

CAPTION_QUESTION = "list all ?"
"""The request for a caption of everything in the image; only the warm start asks it."""

_FORMAT = ("<think>", "</think>", "\\boxed{", "}")
_PUNCTUATION = ("?", ".", "+", "-", "=")
_SENTENCES = """
how many more than and i see what is the bar much taller sum of other angle right top angles are
list all
"""

WORDS: tuple[str, ...] = (
    *_FORMAT,
    *_PUNCTUATION,
    *_SENTENCES.split(),
    *COLOURS,
    *SHAPES,
    NOTHING,
    *NUMBERS,
)
"""The whole vocabulary, one token a word, in the order of the token ids after the special tokens."""
