"""`sightline train` from end to end on the embedded model: what it leaves, and that it repeats exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import short_runs
import torch
import yaml
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from sightline.cli import main
from sightline.errors import UserError

DEMO = str(Path(__file__).parents[2] / "recipes" / "demo.yaml")
SMALL = (
    "--max_steps",
    "2",
    "--per_device_train_batch_size",
    "32",
    "--eval_problems",
    "24",
    "--report_problems",
    "3",
)


def train(folder: Path, *flags: str) -> int:
    return main(["train", "--config", DEMO, "--output_dir", str(folder), *SMALL, *flags])


def metrics(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "run"
    assert train(folder) == 0
    return folder


def test_metrics_of_every_step(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        assert {"loss", "reward", "accuracy", "seconds", "weights/mean", "scores/visual_focus/mean"} <= set(
            row
        )
        assert row["seconds"] > 0
        assert row["reward"] == row["accuracy"]


def test_accuracy_before_and_after(run: Path) -> None:
    found = json.loads((run / "eval.json").read_text())
    assert set(found) == {"before", "after"}
    for moment in found.values():
        assert set(moment) == {"greedy", "sampled", "blind"}
        for measured in moment.values():
            assert measured["n"] == 24
            assert 0 <= measured["low"] <= measured["value"] <= measured["high"] <= 1


def test_config_says_what_set_what(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["method"] == "vgpo"
    assert config["method_options"]["strength"] == 0.3
    assert config["epsilon_high"] == 0.28
    assert config["set_by"]["epsilon_high"] == "method"
    assert config["set_by"]["max_steps"] == "flag"
    assert config["set_by"]["learning_rate"] == "yaml"
    assert config["versions"]["torch"] == torch.__version__
    assert "git_revision" in config


def test_the_model_is_trained_and_loads_with_transformers(run: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(run / "model")
    start = AutoModelForImageTextToText.from_pretrained(
        Path(main.__code__.co_filename).parents[1] / "models" / "embedded" / "checkpoint", dtype=model.dtype
    )
    AutoTokenizer.from_pretrained(run / "model")
    AutoImageProcessor.from_pretrained(run / "model")
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    assert any(not torch.equal(trained, untrained) for trained, untrained in pairs)


def test_report_shows_the_run(run: Path) -> None:
    text = (run / "report.html").read_text()
    assert "vgpo" in text
    assert text.count("data:image/png;base64,") >= 3
    samples = json.loads((run / "samples.json").read_text())
    assert len(samples) == 3
    for sample in samples:
        for moment in ("before", "after"):
            tokens = sample[moment]["tokens"]
            assert all(len(scores) == len(tokens) for scores in sample[moment]["scores"].values())


def test_eval_reads_the_trained_model(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--limit", "16", "--blind", "black", "--json", "--output_dir", str(tmp_path / "eval")]
    assert main(["eval", str(run / "model"), "--benchmarks", "shapes", *words]) == 0
    json.loads(capsys.readouterr().out)
    assert (tmp_path / "eval" / "results.json").is_file()


def test_the_same_seed_repeats_exactly_and_another_does_not(run: Path, tmp_path: Path) -> None:
    """Sampling, views, shuffling and updates: every number of every step."""
    assert train(tmp_path / "again", "--eval_problems", "0") == 0
    assert metrics(tmp_path / "again") == metrics(run)
    assert train(tmp_path / "other", "--eval_problems", "0", "--seed", "1") == 0
    assert metrics(tmp_path / "other") != metrics(run)


@pytest.mark.parametrize("method", ["grpo", "vppo", "pgpo", "papo"])
def test_every_method_trains(method: str, tmp_path: Path) -> None:
    assert train(tmp_path / method, "--eval_problems", "0", "--max_steps", "1", "--method", method) == 0
    (row,) = metrics(tmp_path / method)
    assert row["grad_norm"] > 0


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with the time it was last written and its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, short = tmp_path / "run", ("--save_strategy", "no", "--max_steps", "1", "--eval_problems", "8")
    assert train(folder, *short) == 0
    before = contents(folder)
    assert not list(folder.glob("checkpoint-*")) and "model/model.safetensors" in before
    for again in (["--resume"], ["--resume", "--force"], ["--resume", "--overwrite"]):
        capsys.readouterr()
        assert train(folder, *short, *again) == 0
        assert "is finished after step 1; nothing is left to do" in capsys.readouterr().err
        assert contents(folder) == before
    for other, says in (
        ("--seed", "seed 0 -> 5"),
        ("--max_steps", "kept no checkpoint, so it cannot be made"),
    ):
        assert train(folder, *short, other, "5", "--resume") == 2
        assert says in capsys.readouterr().err
        assert contents(folder) == before

    # stopped while the end was measured: the trained model is measured, not trained again
    for name in ("finished.json", "report.html"):
        (folder / name).unlink()
    measured = json.loads((folder / "eval.json").read_text())
    (folder / "eval.json").write_text(json.dumps({"before": measured["before"]}))
    assert train(folder, *short, "--resume") == 0
    assert json.loads((folder / "eval.json").read_text())["after"] == measured["after"]
    for name in ("model/model.safetensors", "metrics.jsonl"):
        assert contents(folder)[name] == before[name]
    assert (folder / "report.html").is_file()

    # and an engine that is asked directly does not begin anew either
    with pytest.raises(UserError, match="is trained and no checkpoint is left"):
        short_runs.run(folder, "--resume")


def test_a_run_s_own_config_repeats_it(tmp_path: Path) -> None:
    flags = ("--method", "pgpo", "--method_options", "{threshold: 0.3}", "--max_steps", "2", "--seed", "7")
    assert train(tmp_path / "a", *flags, "--eval_problems", "8") == 0
    config = ["--config", str(tmp_path / "a" / "config.yaml")]
    assert main(["train", *config, "--output_dir", str(tmp_path / "b")]) == 0
    assert metrics(tmp_path / "b") == metrics(tmp_path / "a")
    for name in ("eval.json", "model/model.safetensors"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_labels_credit_only_what_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, says in (
        (("--credit", "raed"), "unknown credit 'raed'"),
        (("--credit", "read", "--method", "papo"), "papo has loss terms"),
    ):
        assert train(tmp_path / "run", *flags) == 2
        assert says in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
