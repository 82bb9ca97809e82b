"""Option letters: which answers name an option, and which only look like it."""

import pytest

from sightline.rewards.answers.decision import decide

DEGREES = ("120^\\circ", "140^\\circ", "160^\\circ", "180^\\circ")
SHAPES = ("a circle", "a triangle", "a square", "none of these")


def undecided(gold, answer):
    raise AssertionError("letters never need the symbolic engine")


def correct(answer, gold, choices=()):
    return decide(answer, gold, choices, undecided).correct


@pytest.mark.parametrize(
    "answer",
    ["B", "b", "(B)", "[B]", "B.", "B)", "B:", r"\text{B}", r"\textbf{(B)}", r"\mathrm{B}", "**B**",
    "Option B",
     "The answer is B", "The correct answer is option (B).", r"B. 140^\circ", r"\text{B: }140^\circ",
     "B) 140",
     "(B) a circle", "B 140", "B - 140", "Ｂ", r"\boxed{B}", "$B$", "B. Not enough information"],
)  # fmt: skip
def test_names_option_b(answer):
    assert correct(answer, "B")
    assert not correct(answer, "A")


@pytest.mark.parametrize(
    "answer",
    ["A circle", "A or B", "A/B", "A, B", "AB", "ABCD", "A B C D", "not A", "A?", "Apple", "Because",
    r"\frac{1}{2}",
     "NONE", "2.718281828", "A. 5 or B. 6", "A, not B", "A - B", "A = 5", "[A-D]", ".*", "", "E",
     "I think A"],
)  # fmt: skip
def test_does_not_name_option_a(answer):
    assert not correct(answer, "A")


@pytest.mark.parametrize(
    "answer", ["A, C", "C, A", "AC", "CA", "A and C", "(A), (C)", "(A)(C)", r"A \& C", "Both A and C"]
)
@pytest.mark.parametrize("gold", ["A, C", "AC", "A,C", "(A)(C)"])
def test_several_letters_are_a_set(answer, gold):
    assert correct(answer, gold)


@pytest.mark.parametrize("answer", ["A", "C", "A, B, C", "A or C", "A, A", "B, D"])
def test_another_set_is_wrong(answer):
    assert not correct(answer, "A, C")


@pytest.mark.parametrize(
    ("answer", "gold", "choices", "expected"),
    [
        (r"140^\circ", "B", DEGREES, True),
        ("140", "B", DEGREES, True),
        ("x = 140", "B", DEGREES, True),
        ("14", "B", DEGREES, False),
        ("1400", "B", DEGREES, False),
        ("140, 160", "B", DEGREES, False),
        ("E", "B", DEGREES, False),
        ("B", "140", DEGREES, True),
        ("A", "140", DEGREES, False),
        ("140", "140", DEGREES, True),
        ("B. 140", "B", DEGREES, True),
        ("B. 120", "B", DEGREES, False),
        ("a square", "C", SHAPES, True),
        ("square", "C", SHAPES, True),
        ("a squared circle", "C", SHAPES, False),
        ("not a square", "C", SHAPES, False),
        ("5", "A", ("5", "5.0", "6"), False),
        ("5", "A", ("5 cm", "5 m", "6"), False),
        ("Q", "B", ("P", "Q", "R"), True),
        ("B", "Q", ("P", "Q", "R"), True),
        ("P", "Q", ("P", "Q", "R"), False),
        ("a", "C", ("x", "y", "a", "b"), True),
        ("a", "A", ("x", "y", "a", "b"), False),
        ("A", "AB", ("AB", "BC", "CD"), True),
        ("AB", "A", ("AB", "BC", "CD"), True),
        ("B", "AB", ("AB", "BC", "CD"), False),
        ("5", "A", ("(A) 5", "(B) 6"), True),
        ("(A) 5", "A", ("(A) 5", "(B) 6"), True),
        ("D. Neither A nor B", "D", ("x", "y", "z", "Neither A nor B"), True),
        ("A and B", "D", ("1", "2", "3", "A and B"), True),
        ("B", "b", (), True),
        ("b", "(b)", (), True),
        ("C", "b", (), False),
        ("x", "X", (), True),
        ("140", "B. 140", (), True),
        ("120", "B. 140", (), False),
    ],
)
def test_choices(answer, gold, choices, expected):
    assert correct(answer, gold, choices) == expected


def test_a_value_without_choices_is_unscorable_and_says_so():
    verdict = decide("140", "B", (), undecided)
    assert not verdict.correct
    assert "choices are not known" in (verdict.why_not or "")


def test_the_verdict_gives_the_bare_letters():
    assert decide(r"\textbf{(B)}", "B", (), undecided).answer == "B"
    assert decide("CA", "A, C", (), undecided).answer == "A, C"
    assert decide("140", "B", DEGREES, undecided).answer == "B"
