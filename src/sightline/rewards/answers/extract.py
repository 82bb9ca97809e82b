"""The final answer of a response: what follows the thinking, and its last box."""

from __future__ import annotations

import re

# An escape such as \{ or \\ is read as one symbol, so that its brace does not count.
# Two backslashes in front of a box are a slip of escaping, not a line break.
_SYMBOL = re.compile(
    r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\(?=\\(?:boxed|fbox)\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL
)


def after_thinking(response: str) -> str:
    """What follows the last `</think>`; the whole response if there is none."""
    return response.rpartition("</think>")[2]


def boxes(text: str) -> list[tuple[int, int, str]]:
    r"""Every balanced `\boxed{…}`, `\boxed {…}` or `\fbox{…}` that stands in no other: (start, end, content).

    One pass over the text, so the time is linear in its length. A box that is never closed is not
    a box, and does not hide one that opens and closes inside it.
    """
    found: list[tuple[int, int, int, int]] = []  # start, start and end of the content, end
    opened: list[tuple[int, int]] = []  # start (-1: a plain brace), start of the content
    for symbol in _SYMBOL.finditer(text):
        if symbol["box"]:
            opened.append((symbol.start(), symbol.end()))
        elif symbol["open"]:
            opened.append((-1, symbol.end()))
        elif symbol["close"] and opened:
            start, content = opened.pop()
            if start < 0:
                continue
            while found and found[-1][0] > start:
                found.pop()
            found.append((start, content, symbol.start(), symbol.end()))
    return [(start, end, text[content:close]) for start, content, close, end in found]


def last_box(text: str) -> str | None:
    r"""The content of the last balanced box, without surrounding white space; None if there is none.

    Nested boxes count as the outer one: `\boxed{\boxed{5}}` gives `\boxed{5}`.
    """
    found = boxes(text)
    return found[-1][2].strip() if found else None
