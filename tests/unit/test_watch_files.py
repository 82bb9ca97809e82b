"""What `sightline watch` reads: growing, rewritten and cut-off files, and nothing outside its folder."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patient import patient
from pyarrow import parquet
from saved_run import ATTACK, metrics, write_run

from sightline.analysis.readers.confined_files import names_inside, open_inside
from sightline.analysis.readers.incidents import incidents, stall
from sightline.analysis.readers.metrics import Metrics, read_metrics
from sightline.analysis.watch.completions import newest_completions
from sightline.analysis.watch.followed_run import FollowedRun
from sightline.analysis.watch.metrics_tail import MetricsTail
from sightline.analysis.watch.page import state, watch_page

NONE = Metrics(np.zeros(0), {})


def line(step, **values):
    return json.dumps({"step": step, "reward": step / 10, **values}) + "\n"


def append(folder, text):
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(text)


# --- the tail --------------------------------------------------------------------------------------


def test_lines_are_read_as_they_come(tmp_path):
    tail = MetricsTail(tmp_path)
    assert len(tail.read().steps) == 0
    append(tmp_path, line(1) + line(2))
    assert tail.read().steps.tolist() == [1, 2]
    append(tmp_path, line(3, loss=1.0))
    found = tail.read()
    assert found.steps.tolist() == [1, 2, 3]
    assert found.recorded("loss")[0].tolist() == [3]


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path):
    tail = MetricsTail(tmp_path)
    whole = line(2)
    append(tmp_path, line(1) + whole[:9])
    assert tail.read().steps.tolist() == [1]
    assert tail.read().notes == ()
    append(tmp_path, whole[9:])
    assert tail.read().steps.tolist() == [1, 2]
    assert tail.read().notes == ()


def test_every_line_is_read_only_once(tmp_path, monkeypatch):
    tail = MetricsTail(tmp_path)
    append(tmp_path, "".join(line(step) for step in range(50)))
    tail.read()
    seen = []
    feed = tail._reader.feed
    monkeypatch.setattr(tail._reader, "feed", lambda lines: (seen.extend(lines), feed(lines)))
    append(tmp_path, line(50))
    assert len(tail.read().steps) == 51
    assert tail.read() is tail.read()
    assert seen == [line(50).rstrip()]


@pytest.mark.parametrize("longer", [False, True])
def test_a_file_that_was_rewritten_is_read_anew(tmp_path, longer):
    """A resumed run drops what came after its checkpoint, and may have grown past the old end since."""
    tail = MetricsTail(tmp_path)
    append(tmp_path, "".join(line(step) for step in range(1, 10)))
    tail.read()
    kept = "".join(line(step) for step in range(1, 5))
    again = "".join(line(step, reward=7.0) for step in range(5, 40 if longer else 6))
    (tmp_path / "metrics.jsonl").write_text(kept + again)
    found = tail.read()
    assert found.steps.tolist() == list(range(1, 40 if longer else 6))
    assert found.recorded("reward")[1][4] == 7.0


def test_a_folder_that_was_emptied_and_filled_again_is_followed(tmp_path):
    tail = MetricsTail(tmp_path)
    append(tmp_path, line(1) + line(2))
    tail.read()
    (tmp_path / "metrics.jsonl").unlink()
    assert len(tail.read().steps) == 0
    append(tmp_path, line(1))
    assert tail.read().steps.tolist() == [1]


@patient()
@given(
    st.lists(st.sampled_from([line(1), line(2), line(3), "{\n", "\n", "\x00\n", '{"step": 4']), max_size=8)
)
def test_following_ends_where_reading_at_once_does(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("run")
    tail = MetricsTail(folder)
    for part in parts:
        append(folder, part)
        tail.read()
    append(folder, "\n")
    found, whole = tail.read(), read_metrics(folder / "metrics.jsonl")
    np.testing.assert_array_equal(found.steps, whole.steps)
    assert found.notes == whole.notes
    for name in whole.columns:
        np.testing.assert_array_equal(found.columns[name], whole.columns[name])


def test_a_file_without_any_end_of_line_does_not_hold_the_server(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b"x" * (9 << 20))
    assert len(MetricsTail(tmp_path).read().steps) == 0


# --- inside the folder -----------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    folder = tmp_path / "run"
    (folder / "inner").mkdir(parents=True)
    (folder / "plain.txt").write_text("plain")
    (folder / "inner" / "plain.txt").write_text("plain")
    (folder / "link.txt").symlink_to(secret)
    (folder / "inside-link.txt").symlink_to(folder / "plain.txt")
    (folder / "inner-link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize("name", ["plain.txt", "inner/plain.txt"])
def test_plain_files_are_opened(outside, name):
    with open_inside(outside, name) as file:
        assert file.read() == b"plain"


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "inner/../../secret.txt", "/etc/passwd", "link.txt", "inside-link.txt", "pipe",
     "inner-link/secret.txt", "inner", "", ".", "no\0name", "nowhere", "plain.txt/x", "inner//plain.txt"],
)  # fmt: skip
def test_everything_else_is_not(outside, name):
    assert open_inside(outside, name) is None


def test_names_of_a_linked_folder_are_not_listed(outside):
    assert names_inside(outside, "inner") == ["plain.txt"]
    assert names_inside(outside, "inner-link") == []
    assert names_inside(outside, "plain.txt") == []


def test_links_out_of_a_run_show_nothing_of_what_they_lead_to(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(line(1) + "2026-01-01 10:00:00 WARNING sightline: the secret\n")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("metrics.jsonl", "log.txt", "config.yaml", "samples.json", "eval.json"):
        (run / name).symlink_to(secret)
    (run / "incidents").symlink_to(tmp_path)
    (run / "completions").symlink_to(tmp_path)
    text = watch_page(FollowedRun(run).now(), [], 3)
    assert "the secret" not in text and "0.1" not in text.split("<main")[1]


# --- a moment --------------------------------------------------------------------------------------


def test_what_a_run_is_doing_is_said(tmp_path):
    run = write_run(tmp_path / "run", steps=10)
    assert state(FollowedRun(run).now()) == "finished"
    saved = json.loads((run / "eval.json").read_text())
    (run / "eval.json").write_text(json.dumps({"before": saved["before"]}))
    assert state(FollowedRun(run).now()) == "measuring after training"
    rows = [json.dumps(row) + "\n" for row in metrics(10)]
    (run / "metrics.jsonl").write_text("".join(rows[:4]))
    now = FollowedRun(run).now()
    assert state(now) == "training"
    assert (now.step, now.planned) == (4, 10)
    assert now.seconds_left == pytest.approx(6 * now.seconds_per_step)
    long_ago = 1_000_000_000
    os.utime(run / "metrics.jsonl", (long_ago, long_ago))
    now = FollowedRun(run).now()
    assert state(now) == "no new steps"
    assert now.stalled.startswith("No step for ")
    (run / "metrics.jsonl").unlink()
    assert state(FollowedRun(run).now()) == "waiting for the first step"


def test_a_stall_is_far_more_than_a_slow_step():
    found = Metrics(np.arange(3.0), {"seconds": np.array([30.0, 31.0, 29.0])})
    assert stall(found, 290.0) is None
    assert "one usually takes 30.0 s" in stall(found, 400.0)
    assert stall(Metrics(np.arange(3.0), {"seconds": np.full(3, 0.1)}), 100.0) is None
    assert stall(NONE, 1e9) is None


def test_a_moment_reads_only_what_changed(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", samples=2)
    followed = FollowedRun(run)
    first, stamp = followed.now(), followed.stamp()
    assert followed.stamp() == stamp
    assert followed.now().run.samples is first.run.samples
    assert followed.now().run.config is first.run.config
    append(run, line(41))
    assert followed.stamp() != stamp
    assert followed.now().step == 41


@pytest.mark.parametrize("name", ["config.yaml", "eval.json", "samples.json", "metrics.jsonl", "log.txt"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b"null", b"- - -\n"])
def test_no_file_can_stop_the_page(tmp_path, name, content):
    run = write_run(tmp_path / "run", samples=1)
    (run / name).write_bytes(content)
    assert "</html>" in watch_page(FollowedRun(run).now(), [], 3)


def test_a_folder_that_is_gone_is_no_crash(tmp_path):
    followed = FollowedRun(tmp_path / "gone")
    assert "waiting for the first step" in watch_page(followed.now(), [], 3)


# --- incidents and rollouts ------------------------------------------------------------------------


def test_incidents_come_from_the_folder_the_log_and_the_metrics(tmp_path):
    step = tmp_path / "incidents" / "step-7"
    step.mkdir(parents=True)
    (step / "incident-0.json").write_text(
        json.dumps({"step": 7, "not_finite": ["loss", ATTACK], "scores": ["p: why"]})
    )
    (tmp_path / "incidents" / "step-x").mkdir()
    broken = tmp_path / "incidents" / "step-12"
    broken.mkdir()
    (broken / "incident-1.json").write_text("{")
    (tmp_path / "log.txt").write_text(
        "2026-01-01 10:00:00,1 WARNING sightline.engines: twice\n"
        "2026-01-01 11:00:00,1 WARNING transformers: not ours\n"
        "2026-01-01 12:00:00,1 ERROR sightline.cli: worse\n"
        "2026-01-01 13:00:00,1 WARNING sightline.engines: twice\n"
        "2026-01-01 14:00:00,1 INFO sightline.engines: nothing\nsightline: garbage\n"
    )
    found = incidents(
        tmp_path, Metrics(np.array([1.0, 2.0]), {"incidents/rows_left_out": np.array([0.0, 3.0])})
    )
    assert [(one.when, one.what.split(".")[0]) for one in found] == [
        ("step 2", "rows left out: 3 (above 0 in 1 logged step)"),
        ("step 12", "Skipped: loss or gradient not finite"),
        ("step 7", f"Skipped: loss and {ATTACK} not finite; p: why"),
        ("2026-01-01 13:00:00", "twice"),
        ("2026-01-01 12:00:00", "worse"),
    ]


def test_incidents_of_a_healthy_run_are_none(tmp_path):
    assert incidents(tmp_path, NONE) == []


def test_the_newest_rollouts_are_shown(tmp_path):
    pandas = pytest.importorskip("pandas")
    folder = tmp_path / "completions"
    folder.mkdir()
    for step in (9, 10):
        rows = [
            {
                "step": step,
                "prompt": f"asked {step}",
                "completion": f"told {i}",
                "accuracy": i % 2 * 1.0,
                "advantage": None,
            }
            for i in range(20)
        ]
        pandas.DataFrame(rows).to_parquet(folder / f"completions_{step:05d}.parquet")
    (folder / "completions_00011.parquet.part").write_bytes(b"")
    step, rows = newest_completions(tmp_path)
    assert (step, len(rows), rows[0].prompt, rows[0].text) == ("10", 8, "asked 10", "told 0")
    assert rows[1].numbers[0] == ("accuracy", "0")
    (folder / "completions_00012.parquet").write_bytes(b"PAR1 not really")
    assert newest_completions(tmp_path) == ("12", [])


def test_rollouts_that_unpack_to_gigabytes_are_shown_in_little_memory(tmp_path):
    """A million rows of one long text: 8 GB if they were all unpacked, a few kB on the disk."""
    texts = pa.array(["x" * 8000])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, dtype=np.int32)), texts)
    (tmp_path / "completions").mkdir()
    path = tmp_path / "completions/completions_00001.parquet"
    parquet.write_table(pa.table({"completion": column}), path, store_schema=False)
    assert path.stat().st_size < 100_000
    step, rows = newest_completions(tmp_path)
    assert step == "1"
    assert [row.text for row in rows] == ["x" * 4000] * 8


def test_rollouts_that_cannot_be_read_are_said(tmp_path):
    write_run(tmp_path)
    (tmp_path / "completions").mkdir()
    (tmp_path / "completions/completions_00003.parquet").write_bytes(b"PAR1 nothing PAR1")
    html = watch_page(FollowedRun(tmp_path).now(), [], 3)
    assert "The rollouts logged at step 3 could not be read" in html


def test_settings_that_stand_for_millions_are_refused_and_said(tmp_path):
    write_run(tmp_path)
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 8)}]}}" for n in range(1, 10)]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    moment = FollowedRun(tmp_path).now()
    assert any("config.yaml could not be read: it stands for more than" in note for note in moment.run.notes)
    assert moment.step == 40


def test_a_table_of_metrics_has_a_size(tmp_path, monkeypatch):
    """A million short lines and then one with many quantities would be a table of gigabytes."""
    monkeypatch.setattr("sightline.analysis.readers.metrics.MOST_CELLS", 1000)
    rows = [*({"step": n} for n in range(400)), {"step": 400, **dict.fromkeys("abcdef", 1)}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for found in (read_metrics(tmp_path / "metrics.jsonl"), MetricsTail(tmp_path).read()):
        assert len(found.steps) * max(len(found.columns), 1) <= 1000
        assert any("larger than any of a run of ours" in note for note in found.notes)


def test_an_endless_line_is_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": 1, "loss": 1}, {"step": 2, "x": "x" * 9_000_000}, {"step": 3}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_metrics(path)
    assert found.steps.tolist() == [1, 3]
    assert any("unreadable" in note for note in found.notes)


def test_chat_messages_are_read_as_their_texts(tmp_path):
    pandas = pytest.importorskip("pandas")
    (tmp_path / "completions").mkdir()
    asked = [{"role": "user", "content": "how many ?"}]
    pandas.DataFrame([{"prompt": asked, "completion": asked}]).to_parquet(
        tmp_path / "completions" / "completions_1.parquet"
    )
    _, (row,) = newest_completions(tmp_path)
    assert (row.prompt, row.text) == ("how many ?", "how many ?")
