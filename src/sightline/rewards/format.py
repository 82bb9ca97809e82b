"""Whether a response has the form it was asked for; both checks are linear in its length."""

from __future__ import annotations

import re

from .answers.extract import after_thinking, boxes

_OPEN, _CLOSE = "<think>", "</think>"
_OPENED = re.compile(r"<think>\s*\Z")


def opening_of(prompt: str) -> str:
    """The `<think>` that a prompt ends in and its response goes on from, white space included; else ""."""
    found = _OPENED.search(prompt)
    return found.group() if found else ""


def papers_format(response: str) -> bool:
    r"""The published runs' format: `<think>.*</think>.*\boxed{.*}.*` matches the whole response.

    The dot matches newlines, and white space around `<`, `>` and `/` is removed first. The pattern
    is looked up piece by piece, each at its first place, which accepts exactly the same responses
    and cannot backtrack.
    """
    text = close_up(response)
    if not text.startswith(_OPEN):
        return False
    position = 0
    for piece in (_OPEN, _CLOSE, r"\boxed{", "}"):
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def strict_format(response: str) -> bool:
    """One block of thinking that is not empty, then one balanced box that is not empty, nothing else.

    Only white space may stand before, between and after. What the thinking holds is not looked at,
    except that it holds no second tag.
    """
    text = response.strip()
    if not text.startswith(_OPEN) or text.count(_OPEN) != 1 or text.count(_CLOSE) != 1:
        return False
    thinking, _, answer = text.removeprefix(_OPEN).partition(_CLOSE)
    answer = answer.strip()
    found = boxes(answer)
    if not thinking.strip() or len(found) != 1:
        return False
    start, end, content = found[0]
    return start == 0 and end == len(answer) and bool(content.strip())


def boxed_format(response: str) -> bool:
    r"""Exactly one balanced `\boxed{}` that is not empty, after the thinking if there is any; the form of
    models that write no `<think>`."""
    found = boxes(after_thinking(response))
    return len(found) == 1 and bool(found[0][2].strip())


def close_up(text: str) -> str:
    """`text` without the white space that touches `<`, `>` or `/`; every run is looked at once."""

    def closed(run: re.Match[str]) -> str:
        before, after = text[run.start() - 1 : run.start()], text[run.end() : run.end() + 1]
        touches = (before and before in "<>/") or (after and after in "<>/")
        return "" if touches else run.group()

    return re.sub(r"\s+", closed, text)
