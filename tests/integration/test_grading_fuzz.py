"""Random and mutated answers: no crash, no hang, no process left, memory flat.

1,000 mutated and 300 random strings here; `benchmarks/grading.py` runs the full 10,000.
"""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.rewards import HOWS, Pool, grade, grade_many

PAIRS = Path(__file__).parents[1] / "golden" / "answer_pairs.jsonl"
LATEX = r"\frac \sqrt \text{ \boxed{ \int \begin{cases} \left( \pm \infty \to { } ( ) [ ] \{ \} ^ _ ^{9} \\ &"
OTHERS = "% 9 1e999 /0 ** ! | = : , x π √ ½ – 𝟗 ' < or and"
PIECES = [*LATEX.split(), *OTHERS.split(), " ", " or ", "\x00", "\ud800"]


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=2, seconds=0.5) as pool:
        yield pool


def mutated(text, random):
    for _ in range(random.randint(1, 6)):
        place = random.randint(0, len(text))
        if random.random() < 0.6:
            text = text[:place] + random.choice(PIECES) * random.choice([1, 1, 1, 30]) + text[place:]
        else:
            text = text[:place] + text[place + random.randint(1, 4) :]
    return text


def test_mutated_latex(pool):
    seeds = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    generator = random.Random(0)
    items = []
    for _ in range(1000):
        seed = generator.choice(seeds)
        choices = ["5", "x", "B"] if generator.random() < 0.2 else None
        items.append((mutated(seed["pred"], generator), seed["gold"], choices))
    verdicts = grade_many(items, pool=pool)
    assert len(verdicts) == len(items)
    assert {verdict.how for verdict in verdicts} <= set(HOWS)
    assert all(verdict.correct == (verdict.why_not is None) for verdict in verdicts)
    assert pool.counts["crash"] == 0


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=200), st.text(max_size=50), st.none() | st.lists(st.text(max_size=10), max_size=5))
def test_random_text(pool, answer, gold, choices):
    for response in (answer, f"\\boxed{{{answer}}}"):
        verdict = grade(response, gold, choices, pool=pool)
        assert verdict.how in HOWS
        assert verdict.correct == (verdict.why_not is None)
