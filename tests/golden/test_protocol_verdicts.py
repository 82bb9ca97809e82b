"""322 hard pairs with the verdicts of the original graders: mathruler 0.1.0 as EasyR1 and PAPO-Eval call it,
and Look-Back's evaluation. A run of the originals that did not end counts as wrong."""

import json
from pathlib import Path

import pytest

from sightline.rewards import Pool, grade_many

LINES = (Path(__file__).parent / "protocol_verdicts.jsonl").read_text().splitlines()
PAIRS = [json.loads(line) for line in LINES if line]


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=2) as pool:
        yield pool


def test_all_322_pairs_are_there():
    assert len(PAIRS) == 322


@pytest.mark.parametrize("protocol", ["papo", "lookback", "mathruler"])
def test_a_protocol_reproduces_the_grader_it_is_named_after(protocol, pool):
    verdicts = grade_many([(pair["pred"], pair["gold"]) for pair in PAIRS], protocol=protocol, pool=pool)
    differ = [
        (pair["pred"], pair["gold"])
        for pair, verdict in zip(PAIRS, verdicts, strict=True)
        if verdict.correct != pair[protocol]
    ]
    assert differ == []
