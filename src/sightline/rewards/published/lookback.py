r"""The rule of Look-Back's evaluation, which VGPO reports under.

An answer is right if **it contains the gold, a single capital letter, once it is in capitals**, or if
mathruler says so, or if math-verify does of both as bare text. So "NONE", which stands for the answer
of a response without a box, is right for E, N and O, and any `\frac` for A, C, F and R.
"""

from __future__ import annotations

import re

_LETTER = re.compile(r"[A-Z]")


def contained(answer: str, gold: str) -> bool:
    """Whether the gold is one capital letter that the answer, in capitals, contains."""
    return _LETTER.fullmatch(gold) is not None and gold in answer.upper()
