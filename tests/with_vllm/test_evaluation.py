"""`sightline eval --backend vllm` beside `--backend hf`: the same prompts, the same greedy answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli import main
from sightline.evaluation.run.jsonl_records import read_generations

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_qwen

    path = tmp_path_factory.mktemp("model")
    tiny_qwen.build(path)
    return path


def evaluated(model: Path, run: Path, backend: str, *more: str) -> tuple[dict[str, Any], list[Any]]:
    """Results and generations of a run on the drawn shapes."""
    shown = ["--benchmarks", "shapes", "--limit", "12", "--max_new_tokens", "12", "--dtype", "float32"]
    where = ["--device", "cpu", "--backend", backend, "--output_dir", str(run)]
    assert main(["eval", str(model), *shown, *where, *more]) == 0
    results = json.loads((run / "results.json").read_text())
    return results["benchmarks"]["shapes"], read_generations(run / "generations.jsonl")


def test_both_backends_ask_and_answer_the_same(model: Path, tmp_path: Path) -> None:
    ours, told = evaluated(model, tmp_path / "hf", "hf", "--blind", "black")
    theirs, said = evaluated(model, tmp_path / "vllm", "vllm", "--blind", "black")
    assert [(one.key, one.prompt) for one in told] == [(one.key, one.prompt) for one in said]
    same = sum(one.token_ids == other.token_ids for one, other in zip(told, said, strict=True))
    assert same >= 22  # random weights: two next tokens may be as likely as each other
    assert {one.failed for one in said} == {None}
    assert theirs["views"]["sighted"]["tokens"] == pytest.approx(ours["views"]["sighted"]["tokens"], rel=0.1)
    assert theirs["tokens"] is None


def test_samples_of_vllm_are_seeded_and_resumed(model: Path, tmp_path: Path) -> None:
    sampled = ("--samples", "3", "--temperature", "1")
    _, first = evaluated(model, tmp_path / "a", "vllm", *sampled)
    assert len({tuple(one.token_ids) for one in first}) > 12
    kept = (tmp_path / "a/generations.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "a/generations.jsonl").write_bytes(b"".join(kept[:17]) + kept[17][:40])
    _, again = evaluated(model, tmp_path / "a", "vllm", *sampled, "--resume")
    assert [(one.key, one.token_ids) for one in again] == [(one.key, one.token_ids) for one in first]


def test_a_folder_with_names_that_vllm_does_not_know_is_evaluated(tmp_path: Path) -> None:
    """LLaVA as transformers 5.17 and later save it: the tower's weights without `vision_model`."""
    import families

    model = tmp_path / "llava"
    families.build("llava", model)
    _, told = evaluated(model, tmp_path / "hf", "hf", "--limit", "4")
    _, said = evaluated(model, tmp_path / "vllm", "vllm", "--limit", "4")
    assert {one.failed for one in said} == {None}
    assert sum(one.token_ids == other.token_ids for one, other in zip(told, said, strict=True)) >= 3
