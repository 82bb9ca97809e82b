"""What counts as the same value; all of it decided without a worker process."""

import pytest

from sightline.rewards.answers.decision import decide


def undecided(gold, answer):
    raise AssertionError(f"{answer!r} against {gold!r} should not need the symbolic engine")


def correct(answer, gold):
    return decide(answer, gold, (), undecided).correct


SAME = [
    # numbers
    ("042", "42"), ("+5", "5"), ("−5", "-5"), ("５", "5"), (".5", "0.5"), ("12.", "12"), ("-0", "0"),
    (r"\frac12", "0.5"), (r"\dfrac{1}{2}", "1/2"), ("½", "0.5"), ("2½", "2.5"), ("1 1/2", r"\frac{3}{2}"),
    (r"1\frac{1}{2}", "1.5"), (r"-1\frac{1}{2}", "-1.5"), (r"\frac{1}{-2}", r"-\frac{1}{2}"),
    (r"\sqrt{18}", r"3\sqrt{2}"), ("2√3", r"2 \sqrt { 3 }"), ("sqrt(12)", r"2\sqrt{3}"),
    (r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}"), (r"\sqrt3/3", r"\frac{\sqrt{3}}{3}"),
    (r"\sqrt[3]{8}", "2"), ("2**10", "1024"), ("10^10", "1e10"), ("5!", "120"), ("12π", r"12\pi"),
    ("2pi", r"2\pi"), ("1.2×10³", "1200"), ("1.2 x 10^3", "1200"), ("1.5e-3", "0.0015"), ("2+3", "5"),
    (r"2\cdot3", "6"), ("2(3)", "6"), ("-(-5)", "5"), (r"\frac{1+\sqrt5}{2}", r"\frac{\sqrt{5}}{2}+0.5"),
    (r"0.\overline{3}", r"\frac{1}{3}"), (r"0.1\overline{6}", "1/6"), (r"(3, +\infty)", r"(3, \infty)"),
    (r"7\,", "7"), (r"7\;", "7"), (r"12\,.", "12"), ("7,;", "7"),
    # digits in groups
    ("1,234", "1234"), (r"1{,}234", "1234"), (r"1\,234\,567", "1234567"), ("12 345", "12345"),
    ("1,234.50", "1234.5"), ("100, 200, 300", "100,200,300"),
    # decimals of values that have none
    ("0.333333", r"\frac{1}{3}"), ("1.41421356", r"\sqrt{2}"), ("3.14159265", r"\pi"),
    ("2.4", "2.4000000000000004"), ("14.142136", "14.142135623730951"),
    # units
    ("12 cm", "12"), ("12", "12 cm"), (r"12\,\mathrm{cm}^2", "12"),
    ("12 square centimeters", r"12\text{ cm}^2"),
    ("3 apples", "3"), ("45°", "45"), (r"45 \text{ degrees}", r"45^{\circ}"), ("20℃", "20"), ("30^o", "30"),
    ("$13", "13"),
    (r"\$13.00", "13"), ("5^{th}", "5"), (r"5\ \frac{\text{m}}{\text{s}}", "5 m/s"), ("2m", "2"),
    # percent
    (r"25\%", "25"), (r"25\%", "0.25"), ("0.25", r"25\%"), ("25 percent", r"25\%"),
    (r"12.5\%", r"\frac{1}{8}"),
    # lists, sets, intervals
    (r"6 \text{ and } 5", "5, 6"), (r"\pm 5", "5, -5"), (r"x=1 \text{ or } x=2", "1, 2"),
    (r"2\pm\sqrt3", r"2+\sqrt{3}, 2-\sqrt{3}"), ("1,2", "(1,2)"), ("(1, 2)", r"\left(1,2\right)"),
    (r"\{2,1\}", r"\{1,2\}"), ("5", r"\{5\}"), ("(3,4), (1,2)", "(1,2),(3,4)"),
    (r"\langle1,2\rangle", "(1,2)"),
    ("x=3, y=4", "(3,4)"), ("y=4, x=3", "(3,4)"), ("3, 4", "x=3, y=4"), ("P(1,2)", "(1,2)"),
    (r"x \in (1,2)", "(1,2)"), ("(1,2)", "1<x<2"), (r"[5, \infty)", r"x \ge 5"), ("[5,7)", r"7 > x \ge 5"),
    ("3 to 5", "3-5"), ("3–5", "3-5"), ("05:30", "5:30"), ("03:05 PM", "3:05"),
    ("1 : 2", "1:2"), ("5:30 pm", "5:30"),
    # equations
    ("x=7", "7"), ("7=x", "7"), ("7", "x=7"), ("= 7", "7"), ("a+b=7", "7"), (r"\text{Area} = 12", "12"),
    (r"A = \frac{1}{2} \cdot 4 \cdot 6 = 12", "12"), (r"m\angle ABC = 45^\circ", "45"), ("2+3=5", "5"),
    (r"\frac{1}{3} \approx 0.333", r"\frac{1}{3}"), (r"\frac{1}{3} \approx 0.33", "0.33"),
    (r"\approx 3.14", "3.14"),
    ("y=2x+3", "2x+3"), ("2x+3=y", "y=2x+3"), ("2y=4x+6", "y=2x+3"), ("f(x)=x^2", "x^2"),
    # polynomials
    ("y + x", "x+y"), ("(x+1)^2", "x^2+2x+1"), ("2(x+3)", "2x+6"), (r"\frac{2x}{4}", "x/2"),
    ("a/b", r"\frac{a}{b}"),
    (r"\pi r^2", "r^2 π"), ("0.5x", r"\frac{1}{2}x"), ("ab", "ba"),
    # figures
    (r"\angle CBA", r"\angle ABC"), (r"\measuredangle{ABC}", r"\angle ABC"),
    (r"\overline{BA}", r"\overline{AB}"),
    (r"\triangle BCA", r"\triangle ABC"), (r"\angle CBA=50", r"\angle ABC=50"),
    (r"\angle BCD+\angle CBA", r"\angle ABC+\angle BCD"),
    # words
    ("may.", "May"), (r"\text{Yes}", "yes"), ("no solution", r"\text{No solution}"),
    ("the triangle", "triangle"),
    (r"\text{The answer is } 7", "7"), (r"\text{Answer: }\frac12", "0.5"),
    ("The answer is 5", "5"), ("**5**", "5"), ('"5"', "5"), (r"\boxed{5}", "5"), ("$5$", "5"),
]  # fmt: skip

DIFFERENT = [
    # numbers
    ("-5", "5"), ("0.5", "-0.5"), ("15", "5"), ("51", "5"), ("0.333", r"\frac{1}{3}"),
    (r"0.\overline{3}", "0.3"), ("3.14", r"\pi"),
    ("22/7", r"\pi"), ("1000001", "1000000"), ("0.0000002", "0.0000001"), ("1", "0.9999999"), ("5!", "5"),
    (r"\frac{1}{2}", r"1\frac{1}{2}"), (r"\frac{1}{3}", r"\frac{3}{1}"), (r"\sqrt{2}", "2"), (r"5\pi", "5"),
    ("10^2", "10"), ("5^0", "5"), ("5_0", "5"), (r"\infty", "5"), ("nan", "5"), ("101_2", "101"),
    ("five", "5"), ("5...", "5"), ("5?", "5"), ("~ 5 or so", "5"), ("1\x002", "12"), ("1$4", "14.5"),
    # digits in groups, decimal commas
    ("1.234", "1234"), ("1,5", "1.5"), ("12,34", "1234"), ("1,00", "1,000"), ("1.234.567", "1234567"),
    ("0,5", "0.5"),
    # units and percent
    ("1.2 m", "120 cm"), (r"12\text{ cm}", r"12\text{ cm}^2"), ("5 km", "5 m"), ("5 m", "5 m/s"),
    ("20℃", "20℉"),
    (r"45^\circ", r"\frac{\pi}{4}"), (r"45^\circ", r"45\text{ rad}"), ("€5", r"\$5"),
    ("3 apples", "3 oranges"),
    ("5 million", "5"), ("3 quarters", "3"), ("5 squared", "5"), ("5 factorial", "5"), ("5 is wrong", "5"),
    ("2", "2m"), (r"0.25\%", "25"), (r"0.5\%", "0.5"), (r"0.25\%", r"25\%"), ("100", "1"), ("45° 30'", "45°"),
    # lists
    ("5 or 6", "5"), ("5, 6", "5"), (r"\pm 5", "5"), ("5", r"\pm 5"), ("5,6,7", "5,6"), ("5", "5,6"),
    ("(2,1)", "(1,2)"), ("2,1", "(1,2)"), ("[1,2]", "(1,2)"), ("(1,2)", "[1,2)"), (r"\{1,2\}", "(1,2)"),
    ("(1,2)", r"\{1,2\}"), ("[3,2,1]", "[1,2,3]"), ("(2t,5)", "(2,5)"), ("x=4, y=3", "(3,4)"),
    ("4, 3", "x=3, y=4"),
    ("x=4, y=3", "x=3, y=4"), ("Q(1,2)", "P(1,2)"), ("2:1", "1:2"), ("0.5", "1:2"), ("5:30 am", "5:30 pm"),
    ("12:30", "12:03"), ("3:5", "3:05"), ("3:5", "3:05 PM"), ("3:05", "3:5"), (r"\phantom{5}", "5"),
    (r"7\hphantom{x}", "7x"), ("-2", "3-5"), (r"(5, \infty)", r"x \ge 5"), (r"(-\infty, 5)", "x>5"),
    ("x=5, y=6", "x=6"),
    # equations
    ("5 = 7", "7"), ("x = 5 = 7", "7"), ("2x = 14", "14"), ("-x = 7", "7"), ("x^2 = 49", "49"),
    ("y=7", "x=7"),
    ("5", "x+y=5"), ("5", "x>5"), ("x>5", "5"), (r"\neq 5", "5"), (r"x \neq 5", "5"), ("not x = 5", "5"),
    (r"5 \approx 7", "7"), (r"6.2 \approx 7", "7"), ("f(x)=2x", "f'(x)=2x"), ("y=3x+2", "y=2x+3"), ("=", "5"),
    # figures
    (r"\angle BAC", r"\angle ABC"), (r"\angle ACB=50", r"\angle ABC=50"),
    (r"\widehat{ACB}", r"\widehat{ABC}"),
    (r"\vec{BA}", r"\vec{AB}"), (r"\triangle ABC", r"\angle ABC"),
    (r"\triangle ABC \cong \triangle DFE", r"\triangle ABC \cong \triangle DEF"),
    # polynomials and letters
    ("5x", "5"), ("x", "5"), ("2X", "2x"), ("R^2", "r^2"), ("x-1", "x+1"), ("b/a", r"\frac{a}{b}"),
    ("x_1", "x_2"),
    (r"1\frac{1}{2}x", r"\frac{1}{2}x"), ("x^2", "2x"),
    # words
    ("dog", "god"), ("not", "no"), ("no", "yes"), ("Blue", "Brown"), ("not isosceles", "isosceles"),
    ("isosceles triangle", "isosceles"), ("I am not sure but 5", "5"), ("The area is not 5", "5"),
    ("correct", "5"),
    ("__import__('os').getcwd()", "0"), (r"\overline{AB}", "AB = 5"), (r"\text{is } 5", "5"),
    (r"\text{The answer is not } 5", "5"), (r"\text{Answer: }6", "5"),
    ("5 \\text{ (or 6)}", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_same_value(answer, gold):
    assert correct(answer, gold)


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_different_value(answer, gold):
    assert not correct(answer, gold)


@pytest.mark.parametrize("gold", sorted({gold for _, gold in SAME + DIFFERENT}))
def test_every_gold_accepts_itself(gold):
    assert correct(gold, gold)


@pytest.mark.parametrize(
    "number",
    ["9^{9^{9^{9}}}", "10^{10^{10}}!", "99999999!", "1e999999", "1" * 1500, "2^{2^{2^{2^{2^2}}}}"],
)
def test_a_number_beyond_all_measure_is_refused_at_once(number):
    verdict = decide(number, "5", (), undecided)
    assert (verdict.correct, verdict.how) == (False, "number")


@pytest.mark.parametrize(
    "answer", [r"\sin(9^{9^{9}})", r"\ln 2 + 99999999!", r"\sqrt{2 + \sqrt{3}}^{2^{9^9}}"]
)
def test_an_expression_that_holds_such_a_number_is_too(answer):
    verdict = decide(answer, r"\cos 1", (), undecided)
    assert (verdict.correct, verdict.how) == (False, "number")


@pytest.mark.parametrize("answer", ["5" * 2001, "{" * 50 + "5" + "}" * 50, "((" * 100])
def test_what_is_too_long_or_too_deep_is_not_read(answer):
    assert decide(answer, "5", (), undecided).how == "too long"


def test_empty_sides_are_named():
    assert decide("5", "  ", (), undecided).how == "no gold"
    assert decide(" ", "5", (), undecided).how == "empty"
    assert decide("\\text{}", "5", (), undecided).correct is False
