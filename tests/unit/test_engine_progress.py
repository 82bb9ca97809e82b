"""What watchers of a training write, show and hear."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sightline.engines.progress import CleanStop, MetricsFile, Moment, ProgressBar


def test_a_line_per_logged_step_and_none_from_other_ranks(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.begin(Moment(0, 9))
    file.step_begins(Moment(0, 9))
    file.step_ends(Moment(1, 9))
    file.logged(Moment(1, 9), {"loss": float("nan"), "reward": 0.5, "epoch": 0.1, "step_time": 3})
    file.logged(Moment(1, 9, main=False), {"loss": 1.0})
    file.logged(Moment(1, 9), {"train_runtime": 3.0})  # the summary at the end is no step
    (line,) = file.path.read_text().splitlines()
    row = json.loads(line)
    assert row.pop("seconds") >= 0 and row == {"step": 1, "loss": None, "reward": 0.5}


def test_held_out_metrics_stand_in_the_line_of_their_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.logged(Moment(0, 9), {"eval_accuracy": 0.25, "epoch": 0.0})
    for step in (1, 2):
        file.logged(Moment(step, 9), {"loss": 0.5})
    file.logged(Moment(2, 9), {"eval_accuracy": 0.5, "eval_accuracy/low": float("nan")})
    MetricsFile(path).logged(Moment(2, 9), {"eval_reward": 1.0})  # after a resume
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows[0] == {"step": 0, "eval_accuracy": 0.25}
    held_out = {"eval_accuracy": 0.5, "eval_accuracy/low": None, "eval_reward": 1.0}
    assert {name: rows[2][name] for name in held_out} == held_out and rows[2]["loss"] == 0.5


def test_lines_behind_the_resumed_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    MetricsFile(path).begin(Moment(2, 9, main=False))
    assert len(path.read_text().splitlines()) == 4
    MetricsFile(path).begin(Moment(2, 9))
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_the_bar_shows_reward_accuracy_and_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    bar = ProgressBar("vgpo")
    bar.begin(Moment(2, 8))
    bar.logged(Moment(3, 8, tokens=500.0), {"reward": 0.25, "accuracy": None})
    bar.step_ends(Moment(3, 8))
    bar.end(Moment(3, 8))
    assert "vgpo" in screen.getvalue() and "3/8" in screen.getvalue()
    assert "reward 0.25" in screen.getvalue() and "accuracy" not in screen.getvalue()
    assert "tokens/s" in screen.getvalue()
    bar = ProgressBar("vgpo")
    bar.begin(Moment(2, 8))
    bar.logged(Moment(3, 8), {"reward": 0.75})
    bar.logged(Moment(3, 8), {"eval_accuracy": 0.613, "eval_reward": 0.4})
    assert "reward 0.75, held out 61.3 %" in screen.getvalue()
    bar.logged(Moment(4, 8), {"reward": 0.5})
    bar.logged(Moment(4, 8), {"eval_reward": 0.4})
    bar.end(Moment(4, 8))
    assert "reward 0.50, held out 0.40" in screen.getvalue()
    other = ProgressBar("vgpo")
    other.begin(Moment(0, 8, main=False))
    assert other.bar is None


def test_a_signal_is_heard_once_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    before = signal.getsignal(signal.SIGTERM)
    stop = CleanStop()
    stop.listen()
    try:
        assert not stop.wanted()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wanted() and stop.requested == signal.SIGTERM
        assert "stopping after this step" in screen.getvalue()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.getsignal(signal.SIGTERM)
    finally:
        stop.restore()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_to_another_rank_stops_this_one_too() -> None:
    stop = CleanStop(any_rank=lambda flag: True)
    assert stop.wanted() and stop.requested == signal.SIGTERM
