"""What no verl run can be made of is one line, before any process of verl starts."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sightline.engines.verl import engine
from sightline.engines.verl.settings.cluster import check_cluster
from sightline.engines.verl.settings.resolve import parse
from sightline.errors import UserError
from sightline.models.loading import load_model
from sightline.tasks import DataOptions, load_task

CPU = ["--model", "embedded", "--use_cpu", "true", "--bf16", "false"]


@pytest.fixture(scope="module")
def loaded() -> Any:
    return load_model("embedded")


def rows(folder: Path, count: int) -> Any:
    """A task of questions without images."""
    lines = [
        json.dumps({"question": f"{number} + 1 ?", "answer": str(number + 1)}) for number in range(count)
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return load_task(str(folder / "rows.jsonl"), DataOptions())


def fit(loaded: Any, task: Any, *flags: str) -> None:
    settings = parse([*CPU, *flags])
    engine.check_fit(settings, loaded, task, task.train(None, 0))


def test_a_text_only_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]})
    )
    settings = parse(["--model", str(tmp_path), *CPU[2:]])
    with pytest.raises(UserError, match="qwen2 model, not a vision-language model"):
        engine.load_policy(settings)


def test_data_without_images_under_a_method_that_needs_them(tmp_path: Path, loaded: Any) -> None:
    with pytest.raises(UserError, match=r"none of 16 problems .* has an image, and vgpo credits tokens"):
        fit(loaded, rows(tmp_path, 16), "--method", "vgpo", "--num_generations", "4")


def test_data_that_do_not_fill_a_batch(tmp_path: Path, loaded: Any) -> None:
    with pytest.raises(UserError, match=r"gives 3 training rows, but one rollout batch takes 4"):
        fit(loaded, rows(tmp_path, 3), "--num_generations", "4", "--per_device_train_batch_size", "16")


def test_an_unknown_reward_and_a_layer_that_is_not_there(loaded: Any) -> None:
    task = load_task("shapes", DataOptions())
    with pytest.raises(UserError, match="reward 'acuracy'"):
        fit(loaded, task, "--rewards", "acuracy", "--max_rounds", "1")
    with pytest.raises(UserError, match="layer"):
        fit(loaded, task, "--method", "vgpo", "--method_options", "{layer: 99}")


def test_a_disk_on_which_nothing_fits(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.engines.disk_space.free", lambda folder: 1000)
    with pytest.raises(UserError, match="make room, or choose another --output_dir"):
        fit(loaded, load_task("shapes", DataOptions()), "--output_dir", "runs/x")


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    note = tmp_path / "ray_current_cluster"
    with pytest.raises(UserError, match="none was started on this node; start one with `ray start --head`"):
        check_cluster("auto", note)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        there = "{}:{}".format(*listening.getsockname())
        note.write_text(there)
        check_cluster(there)
        check_cluster("auto", note)
    with pytest.raises(UserError, match=f"no Ray cluster answers at ray_address {there}"):
        check_cluster("auto", note)
    with pytest.raises(UserError, match="HOST:PORT"):
        check_cluster("somewhere")
    check_cluster(None)
    check_cluster("ray://head:10001")
