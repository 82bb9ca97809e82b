"""The papers' protocols beside ours."""

from __future__ import annotations

from sightline.rewards import grade


def test_a_wrong_answer_is_reported_as_what_was_answered() -> None:
    """Look-Back tries gold and answer both ways round; the verdict still names the answer."""
    verdict = grade(r"\boxed{7}", "5", protocol="lookback")
    assert not verdict.correct
    assert verdict.answer == "7"
