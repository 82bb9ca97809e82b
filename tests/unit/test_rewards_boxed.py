"""The last box of a response, whatever stands around and inside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.rewards.answers.extract import after_thinking, boxes, last_box


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{5}", "5"),
        (r"\boxed {5}", "5"),
        ("\\boxed\n{ 5 }", "5"),
        (r"\fbox{5}", "5"),
        (r"\\boxed{5}", "5"),
        (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a\}b}", r"a\}b"),
        (r"\boxed{3} then \boxed{5}", "5"),
        (r"\boxed{5} then \boxed{6", "5"),
        (r"\boxed{3 \boxed{5}", "5"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}"),
        (r"} } \boxed{5}", "5"),
        (r"{ \boxed{5}", "5"),
        (r"\boxed{}", ""),
        (r"\boxed{5", None),
        (r"\boxed{5\}", None),
        ("boxed{5}", None),
        (r"\boxed 5", None),
        (r"\unboxed{5}", None),
        ("", None),
    ],
)
def test_last_box(text, content):
    assert last_box(text) == content


def test_thinking_is_cut_after_its_last_end():
    assert after_thinking("<think>a</think>b</think>c") == "c"
    assert after_thinking("no thinking") == "no thinking"
    assert last_box(after_thinking(r"<think>\boxed{3}</think> no box")) is None


@given(st.text(alphabet="\\{}boxed fx5 ", max_size=60))
def test_boxes_lie_in_the_text_in_order_and_apart(text):
    end = 0
    for start, stop, content in boxes(text):
        assert end <= start < stop <= len(text)
        assert text[start:stop].endswith(content + "}")
        end = stop


def test_hostile_texts_are_read_once():
    for piece in (r"\boxed{", r"\boxed ", "{", "}", "\\", r"\boxed{}", r"\boxed{{"):
        last_box(piece * 50_000)
    nested = r"\boxed{" * 20_000 + "}" * 20_000
    assert boxes(nested)[0][:2] == (0, len(nested))
