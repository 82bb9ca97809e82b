r"""Responses in the house format, `<think> ... </think> \boxed{ 5 }`, word by word with each word's role."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """Where a word of an ideal response comes from."""

    TEMPLATE = "template"
    """Known from the question alone."""
    READ = "read"
    """A number read off the image."""
    DERIVED = "derived"
    """A number that follows from the words before it."""


class Word(NamedTuple):
    """One word of a response, which is one token, and its role."""

    text: str
    role: Role


Words = tuple[Word, ...]


def read(number: int) -> Words:
    """A number read off the image."""
    return (Word(str(number), Role.READ),)


def derived(number: int) -> Words:
    """A number that follows from earlier words."""
    return (Word(str(number), Role.DERIVED),)


def say(*parts: str | Words) -> Words:
    """Join parts into one passage; a plain string is template, split at its spaces."""
    words: list[Word] = []
    for part in parts:
        words += [Word(text, Role.TEMPLATE) for text in part.split()] if isinstance(part, str) else part
    return tuple(words)


def join(passages: list[Words], link: str) -> Words:
    """Passages with a linking word between them: `join([a, b], "and")` reads "a and b"."""
    return say(*[part for passage in passages for part in (link, passage)][1:])


def equation(left: int, sign: str, right: int) -> Words:
    """`3 + 2 = 5`; `sign` is "+" or "-", every number counts as derived."""
    result = left + right if sign == "+" else left - right
    return say(derived(left), sign, derived(right), "=", derived(result))


def running_sum(values: list[int]) -> Words:
    """`3 + 2 = 5 . 5 + 1 = 6` for two values or more; empty for one."""
    totals = [sum(values[: end + 1]) for end in range(len(values))]
    steps = [equation(total, "+", value) for total, value in zip(totals, values[1:], strict=False)]
    return join(steps, ".")


def house_response(reasoning: Words, answer: int) -> Words:
    """The whole response: the reasoning between think tags, then the boxed answer."""
    return say("<think>", reasoning, "</think> \\boxed{", derived(answer), "}")


def text_of(words: Words) -> str:
    """The words with a space between them, as the tokenizer decodes them."""
    return " ".join(word.text for word in words)
