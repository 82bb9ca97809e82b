"""A run is resumed beside whole checkpoints although the files around them are damaged."""

import json
import shutil

import pytest
from short_runs import flags

from sightline.cli import main
from sightline.engines.checkpoints import MANIFEST, checkpoints, fault

SIZES = ("--max_steps", "4", "--eval_problems", "3", "--report_problems", "2", "--disable_tqdm", "true")


def without_seconds(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["train", *flags(folder, *SIZES)]) == 0
    return folder


@pytest.fixture
def killed(whole, tmp_path):
    """The run as a crash after its second step leaves it."""
    folder = tmp_path / "killed"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "model")
    for name in ("checkpoint-3", "checkpoint-4"):
        shutil.rmtree(folder / name)
    measured = json.loads((folder / "eval.json").read_text())
    (folder / "eval.json").write_text(json.dumps({"before": measured["before"]}))
    samples = json.loads((folder / "samples.json").read_text())
    (folder / "samples.json").write_text(json.dumps([{**row, "after": None} for row in samples]))
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines[:2]))
    return folder


DAMAGE = ["", "{", "[]", "null", "5", "\x00\x01", '{"before": {"greedy": 5}}', "a: [", None]


@pytest.mark.parametrize("text", DAMAGE)
def test_everything_beside_the_checkpoints_may_be_damaged(killed, whole, text, capsys):
    for name in ("config.yaml", "eval.json", "samples.json", "metrics.jsonl"):
        if text is None:
            (killed / name).unlink()
        else:
            (killed / name).write_text(text)
    assert main(["train", *flags(killed, *SIZES), "--resume"]) == 0
    said = capsys.readouterr().err
    assert "resuming from" in said
    assert "put back from checkpoint-2" in said
    if text is not None:
        assert "config.yaml is damaged" in said
        assert "measuring again" in said
    assert without_seconds(killed) == without_seconds(whole)
    assert json.loads((killed / "eval.json").read_text()) == json.loads((whole / "eval.json").read_text())
    weights = (killed / "model/model.safetensors").read_bytes()
    assert weights == (whole / "model/model.safetensors").read_bytes()


def test_settings_that_were_cut_are_taken_from_the_checkpoint(killed, capsys):
    text = (killed / "config.yaml").read_text()
    (killed / "config.yaml").write_text(text[: text.index("\nlearning_rate")])
    assert main(["train", *flags(killed, *SIZES, "--learning_rate", "1e-2"), "--resume"]) == 2
    said = capsys.readouterr().err
    assert "config.yaml is damaged (it lacks" in said
    assert "learning_rate" in said


def test_settings_are_held_against_those_in_the_checkpoint(killed, capsys):
    (killed / "config.yaml").write_text("")
    assert main(["train", *flags(killed, *SIZES, "--learning_rate", "1e-2"), "--resume"]) == 2
    said = capsys.readouterr().err
    assert "settings are taken from checkpoint-2" in said
    assert "learning_rate" in said


def test_single_lines_of_metrics_are_put_back(killed, whole, capsys):
    first, second = (killed / "metrics.jsonl").read_text().splitlines()
    (killed / "metrics.jsonl").write_text(f"{first[:20]}\n{second}\n")
    assert main(["train", *flags(killed, *SIZES), "--resume"]) == 0
    assert "metrics.jsonl: lines 1 unreadable, 1 put back from checkpoint-2" in capsys.readouterr().err
    assert without_seconds(killed) == without_seconds(whole)


def test_every_file_of_model_and_checkpoints_may_be_read_by_others(whole):
    for file in [*(whole / "model").iterdir(), *(whole / "checkpoint-4").rglob("*")]:
        assert file.is_dir() or file.stat().st_mode & 0o777 == 0o644, file


def test_the_tokenizer_carries_no_padding_of_the_last_batch(whole):
    for folder in ("model", "checkpoint-1", "checkpoint-4"):
        tokenizer = json.loads((whole / folder / "tokenizer.json").read_text())
        assert tokenizer["padding"] is tokenizer["truncation"] is None


@pytest.mark.parametrize("files", [{}, {"../../../etc/passwd": {"size": 1, "sha256": ""}}])
def test_a_manifest_that_lists_nothing_of_ours_is_damaged(killed, files):
    newest = checkpoints(killed)[-1]
    assert fault(newest) is None
    told = json.loads((newest / MANIFEST).read_text())
    (newest / MANIFEST).write_text(json.dumps({**told, "files": files}))
    assert "manifest.json" in (fault(newest) or "")
