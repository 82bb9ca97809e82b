"""`push_to_hub` and `sightline push`, against a small hub on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
import short_runs
from hub import hub

from sightline.cli import main

SHORT = ("--max_steps", "2", "--push_to_hub", "true")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("strategy", "checkpoints"),
    [
        ("end", set()),
        ("checkpoint", {"last-checkpoint"}),
        ("all_checkpoints", {"checkpoint-1", "checkpoint-2"}),
    ],
)
def test_the_finished_model_arrives_with_its_card(
    strategy: str, checkpoints: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, there = tmp_path / "run", tmp_path / "hub"
    with hub(there) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        flags = [*SHORT, "--hub_model_id", "me/looks", "--hub_token", "hf_secret", "--hub_strategy", strategy]
        assert main(["train", *short_runs.flags(run, *flags)]) == 0
    sent = there / "me" / "looks"
    assert files(sent) == files(run / "model") | {
        f"{name}/{file}"
        for name in checkpoints
        for file in files(run / name.replace("last-checkpoint", "checkpoint-2"))
    }
    for file in files(run / "model"):
        assert (sent / file).read_bytes() == (run / "model" / file).read_bytes()
    assert "trained with vgpo" in (sent / "README.md").read_text()
    kept = [file for file in run.rglob("*") if file.is_file()]
    assert not any(b"hf_secret" in file.read_bytes() for file in kept)


def test_a_hub_that_refuses_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with hub(tmp_path / "hub") as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert main(["train", *short_runs.flags(run, *SHORT, "--hub_model_id", "forbidden/looks")]) == 2
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["train", *short_runs.flags(run, *SHORT, "--hub_model_id", "me/looks")]) == 2
    said = capsys.readouterr().err
    assert said.count("send the finished run later: sightline push") == 2 and "Traceback" not in said
    assert not run.exists()


def test_a_hub_that_is_gone_at_the_end_gets_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sightline.engines import hub_upload

    run, there, send = tmp_path / "run", tmp_path / "hub", hub_upload.Hub.send_model

    def gone(*args: object, **kwargs: object) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        send(*args, **kwargs)  # pyright: ignore

    with hub(there) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(hub_upload.Hub, "send_model", gone)
        flags = [*SHORT, "--hub_model_id", "me/looks", "--hub_strategy", "end", "--save_strategy", "no"]
        assert main(["train", *short_runs.flags(run, *flags)]) == 1
        assert "send it later: sightline push" in capsys.readouterr().err
        monkeypatch.setattr(hub_upload.Hub, "send_model", send)
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert main(["push", str(run)]) == 0
    assert files(there / "me" / "looks") == files(run / "model")
    assert main(["push", str(tmp_path)]) == 2
