"""Cutting answers into tokens, and scores into shades."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patient import patient

from sightline.analysis.readers.samples import SavedAnswer
from sightline.analysis.tokens.strips import LEVELS, Shade, align, shades, strip


def answer(tokens, text=None, **scores):
    return SavedAnswer("".join(tokens) if text is None else text, True, tuple(tokens), scores)


def parts(tokens, text):
    return [(index, part) for index, part, _ in align(tokens, text)]


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (["I", " see", " 3"], "I see 3", [(0, "I"), (1, " see"), (2, " 3")]),
        (["i", "see", "3"], "i see 3", [(0, "i"), (None, " "), (1, "see"), (None, " "), (2, "3")]),
        (["5", "<|im_end|>"], "5", [(0, "5"), (1, "<|im_end|>")]),
        ([" 5", "\n\n"], "5", [(0, "5"), (1, "\n\n")]),
        (["90", "\ufffd", "\ufffd", " +"], "90° +", [(0, "90"), (1, "°"), (3, " +")]),
        (["a", "\ufffd", "<eos>"], "aé", [(0, "a"), (2, "<eos>"), (1, "é")]),
        ([], "no tokens", [(None, "no tokens")]),
        (["x"], "something else", [(0, "x"), (None, "something else")]),
        ([], "", []),
    ],
)
def test_tokens_are_found_in_the_text(tokens, text, expected):
    assert parts(tokens, text) == expected


@patient()
@given(st.lists(st.text(max_size=4), max_size=12), st.text(max_size=40))
def test_no_text_is_lost_whatever_the_tokens(tokens, text):
    shown = "".join(part for _, part, extra in align(tokens, text) if not extra)
    assert text.startswith(shown)
    assert not text[len(shown) :].strip()


@patient()
@given(st.lists(st.text(max_size=4), max_size=12))
def test_tokens_that_spell_the_text_come_back_one_by_one(tokens):
    found = [(index, part) for index, part in parts(tokens, "".join(tokens)) if part]
    assert found == [(index, token) for index, token in enumerate(tokens) if token]


def test_levels_grow_with_the_score_and_end_at_the_range():
    shade = Shade("a", "exact_kl", 0.0, 0.8)
    assert [shade.level(value) for value in (-1.0, 0.0, 0.4, 0.8, 9.0)] == [0, 0, LEVELS // 2, LEVELS, LEVELS]
    assert shade.level(None) is None
    assert [value for _, value in shade.legend][:: LEVELS // 2] == ["0", "0.4", "0.8"]


def test_one_range_for_the_whole_page_and_one_extreme_does_not_bleach_it():
    values = tuple(i / 100 for i in range(100))
    (scale,) = shades([answer(["x"] * 100, exact_kl=values), answer(["x"], exact_kl=(1000.0,))])
    assert scale.low == 0.0
    assert 0.9 < scale.high < 2
    (signed,) = shades([answer(["x"] * 3, visual_focus=(-0.1, 0.0, 0.1))])
    assert signed.low < 0


def test_constant_and_absent_scores_shade_nothing():
    constant = answer(["a", "b"], visual_focus=(0.5, 0.5))
    (scale,) = shades([constant])
    assert {piece.classes for piece in strip(constant, [scale]).pieces} == {"t"}
    assert shades([answer(["a"], visual_focus=(None,)), answer(["b"])]) == ()


def test_pieces_carry_level_and_value_of_every_score():
    one = answer(["look", "3", "end"], "look 3", exact_kl=(0.0, 1.0), visual_focus=(None, 0.2, 0.1))
    scales = shades([one])
    shown = strip(one, scales)
    look, gap, three, end = shown.pieces
    assert (look.text, gap.text, three.text, end.text) == ("look", " ", "3", "end")
    assert gap.classes == ""
    assert three.classes == f"t a{LEVELS} b{LEVELS}"
    assert look.classes == "t bn"
    assert end.classes.startswith("t extra an")
    assert three.label == "exact KL 1 · visual focus 0.2"
    _, mean, highest = shown.summaries[0]
    assert (mean, highest[0]) == ("0.5", ("3", "1"))


def test_very_long_answers_are_cut_and_said():
    tokens = ["x"] * 5000
    shown = strip(answer(tokens, exact_kl=(0.1,) * 5000), ())
    assert shown.hidden == 1000
    assert shown.long
