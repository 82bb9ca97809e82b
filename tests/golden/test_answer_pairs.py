"""The published answer pairs: what the grader must accept and refuse, and why."""

import json
from pathlib import Path

import pytest

from sightline.rewards import Pool, grade

LINES = (Path(__file__).parent / "answer_pairs.jsonl").read_text().splitlines()
PAIRS = [json.loads(line) for line in LINES if line]


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=2) as pool:
        yield pool


def test_all_72_pairs_are_there():
    assert len(PAIRS) == 72


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{i}-{pair['kind']}" for i, pair in enumerate(PAIRS)])
def test_answer_pair(pair, pool):
    verdict = grade(pair["pred"], pair["gold"], pair["choices"], pool=pool)
    assert verdict.correct == pair["expected"], pair["why"]
    assert (verdict.why_not is None) == verdict.correct
