"""Our own answer pairs, hostile ones among them, decided by mathematics and by what an option is.

What reads two ways (`1:2` and 1/2, `five` and 5) is left out: either verdict may be defended.
"""

import json
from pathlib import Path

import pytest

from sightline.rewards import Pool, grade_many

LINES = (Path(__file__).parent / "own_pairs.jsonl").read_text().splitlines()
PAIRS = [json.loads(line) for line in LINES]


@pytest.fixture(scope="module")
def verdicts():
    with Pool(workers=2) as pool:
        return grade_many([(pair["pred"], pair["gold"], pair["choices"]) for pair in PAIRS], pool=pool)


@pytest.mark.parametrize(
    "expected", [False, True], ids=["nothing wrong is accepted", "nothing right is refused"]
)
def test_own_pairs(verdicts, expected):
    missed = [
        (pair["pred"][:100], pair["gold"], pair["choices"], verdict.why_not)
        for pair, verdict in zip(PAIRS, verdicts, strict=True)
        if pair["expected"] == expected != verdict.correct
    ]
    assert not missed


def test_every_verdict_says_why_not(verdicts):
    assert all((verdict.why_not is None) == verdict.correct for verdict in verdicts)
    assert not [verdict for verdict in verdicts if verdict.how == "crash"]


def test_the_docs_tell_the_counts_of_the_files() -> None:
    docs = (Path(__file__).parents[2] / "docs/grading.md").read_text()
    lines = (Path(__file__).parent / "answer_pairs.jsonl").read_text().splitlines()
    published = [json.loads(line) for line in lines]
    for name, pairs in (("published pairs", published), ("our own pairs, hostile ones among them", PAIRS)):
        right = sum(pair["expected"] for pair in pairs)
        assert f"| {name} | {len(pairs):,} | {right:,} | {len(pairs):,} |" in docs
