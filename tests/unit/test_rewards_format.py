"""The two format checks against their definitions."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.rewards import papers_format, strict_format

PATTERN = re.compile(r"<think>.*</think>.*\\boxed\{.*\}.*", re.DOTALL)


def by_definition(response):
    return PATTERN.fullmatch(re.sub(r"\s*(<|>|/)\s*", r"\1", response)) is not None


PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "< think >",
        "< / think >",
        "\\boxed{",
        "}",
        "{",
        "5",
        " ",
        "\n",
        "<",
        ">",
        "/",
        "\\boxed {",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
@example("<think>\n</think>\n\\boxed{}")
def test_papers_format_is_the_papers_pattern(response):
    assert papers_format(response) == by_definition(response)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("<think>a</think>\\boxed{5}", True),
        (" \n<think>\na\n</think>\n\n\\boxed{\\frac{1}{2}}\n", True),
        ("<think> </think>\\boxed{5}", False),
        ("<think>a</think>", False),
        ("<think>a</think>\\boxed{}", False),
        ("<think>a</think>The answer is \\boxed{5}", False),
        ("<think>a</think>\\boxed{5}.", False),
        ("<think>a</think>\\boxed{5}\\boxed{5}", False),
        ("<think>a</think>\\boxed{5", False),
        ("<think>a<think>b</think>\\boxed{5}", False),
        ("<think>a</think></think>\\boxed{5}", False),
        ("a<think>a</think>\\boxed{5}", False),
        ("\\boxed{5}", False),
        ("", False),
    ],
)
def test_strict_format(response, expected):
    assert strict_format(response) is expected


@pytest.mark.parametrize("piece", ["<", " ", "\n", "< ", "/ ", "<think>", "</think>", "\\boxed{", "}", "\\"])
def test_hostile_text_of_a_hundred_thousand_characters(piece):
    for text in (piece * 100_000, "<think>" + piece * 100_000, "<think>a</think>" + piece * 100_000):
        papers_format(text[:100_000])
        strict_format(text[:100_000])
