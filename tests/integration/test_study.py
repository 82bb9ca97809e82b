"""`sightline study` from end to end: two methods, two seeds, three steps; kills, failures, gradients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sightline.cli import main
from sightline.engines.trl.engine import train as train_run
from sightline.errors import UserError
from sightline.laboratory.gradient_test.gradients import (
    EVEN,
    GradientFile,
    batch_gradients,
    draw_batch,
    log_probs,
    scored,
    weightings,
)
from sightline.laboratory.gradient_test.token_classes import PARTS, LabelCredit, token_bins
from sightline.laboratory.study.check import check_plan
from sightline.laboratory.study.folder import StudyFolder
from sightline.laboratory.study.held_out import read_rights
from sightline.laboratory.study.lab_yaml import read_plan
from sightline.laboratory.study.plan import GradientTest
from sightline.laboratory.study.train_run import run_settings
from sightline.methods import method
from sightline.models.loading import LoadedModel, load_model
from sightline.rollouts import Rollouts
from sightline.run_folder import RunFolder
from sightline.tasks import ShapesTask

SMALL = {
    "methods": ["grpo", "vgpo"],
    "seeds": 2,
    "evaluate": {"every": 2, "problems": 16, "samples": 2, "scored": 4, "pairs": 4},
    "train": {
        "model": "embedded", "task": "shapes", "max_steps": 3, "num_generations": 4,
        "per_device_train_batch_size": 8, "max_completion_length": 24, "max_rounds": 1,
        "learning_rate": 1.0e-4, "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "save_strategy": "no",
    },
}  # fmt: skip


def lab(folder: Path, **changed: Any) -> str:
    """A small lab's YAML; `train` is changed setting by setting."""
    train = SMALL["train"] | changed.pop("train", {})  # pyright: ignore[reportOperatorIssue]
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump(SMALL | changed | {"train": train}))
    return str(path)


def outcome(folder: Path) -> dict[str, Any]:
    """What the runs measured, without their times."""
    found = {}
    for path in sorted(folder.rglob("evaluations.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found[str(path.parent.relative_to(folder))] = [
            {key: value for key, value in row.items() if "seconds" not in key} for row in rows
        ]
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods x two seeds x three steps."""
    folder = tmp_path_factory.mktemp("study")
    assert main(["study", "--config", lab(folder), "--output_dir", str(folder / "out")]) == 0
    return folder / "out"


def test_what_a_study_leaves(study: Path) -> None:
    results = json.loads((study / "results.json").read_text())
    assert {name: found["seeds"] for name, found in results["arms"].items()} == {
        "grpo": [0, 1],
        "vgpo": [0, 1],
    }
    assert results["arms"]["vgpo"]["differences"]["sampled area"]["seeds"] == 2
    found = outcome(study)
    assert [row["step"] for row in found["runs/grpo/seed-0"]] == [0, 2, 3]
    starts = [rows[0] for rows in found.values()]
    assert all(start == starts[0] for start in starts)
    assert found["runs/grpo/seed-0"] != found["runs/grpo/seed-1"]
    last = found["runs/grpo/seed-0"][-1]
    greedy, sampled = (read_rights(last[f"{curve}_right"]) for curve in ("greedy", "sampled"))
    assert len(greedy) == len(sampled) == 16
    assert sum(greedy) / 16 == last["greedy"] and sum(sampled) / 32 == last["sampled"]
    assert 0 <= last["relevant_pairs_right"] <= last["sensitivity"] <= 1
    both = results["arms"]["vgpo"]["two_sources"]["sampled final"]
    assert both["value"] == pytest.approx(results["arms"]["vgpo"]["differences"]["sampled final"]["value"])
    assert "answer changes when it must" in (study / "table.md").read_text()
    for name in ("table.md", "runs.csv", "study.html", "curves-held-out-problems.svg"):
        assert (study / name).is_file()
    kept = {path.name for path in (study / "runs" / "vgpo" / "seed-1").iterdir()}
    assert kept == {"evaluations.jsonl", "metrics.jsonl.gz", "run.json", "settings.yaml"}


def test_methods_of_one_seed_begin_with_the_same_rollouts(study: Path) -> None:
    folder = StudyFolder(study)
    for seed in (0, 1):
        first = [json.loads(folder.run(arm, seed).read_metrics()[0]) for arm in ("grpo", "vgpo")]
        for name in ("reward", "completions/mean_length", "num_tokens"):
            assert first[0][name] == first[1][name]


def test_a_finished_study_is_told_again_without_running(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = outcome(study)
    words = ["--config", str(study.parent / "lab.yaml"), "--output_dir", str(study)]
    assert main(["study", *words]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main(["study", *words, "--resume", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 4
    assert outcome(study) == before
    assert main(["study", *words, "--resume", "--learning_rate", "1.0e-5"]) == 2
    assert "other settings: learning_rate" in capsys.readouterr().err


def test_a_killed_study_goes_on_to_the_same_numbers(study: Path, tmp_path: Path) -> None:
    """Ctrl-C amid a run, then --resume: every measurement is that of the study that was left alone."""
    code = "import signal, sys; from sightline.cli import main; "
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); "  # ignored in a shell's background
    code += "sys.exit(main(['study', *sys.argv[1:]]))"
    words = ["--config", lab(tmp_path), "--output_dir", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    started = tmp_path / "out" / "runs" / "grpo" / "seed-0" / "evaluations.jsonl"
    end = time.monotonic() + 240
    while not (started.is_file() and started.stat().st_size):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert main(["study", *words, "--resume", "--jobs", "2"]) == 0
    assert outcome(tmp_path / "out") == outcome(study)


def test_a_run_that_fails_does_not_end_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rewards.py").write_text(
        "def reward(completions, id, **columns):\n"
        "    if '/train/1/' in id[0]:\n"
        "        raise RuntimeError('out of luck')\n"
        "    return [0.5 + 0.1 * len(text[0]['content']) for text in completions]\n"
    )
    arms = {"bad": {"method": "grpo", "rewards": f"{tmp_path / 'rewards.py'}:reward"}}
    words = ["--config", lab(tmp_path, methods=["grpo", "bad"], arms=arms, train={"max_steps": 1})]
    assert main(["study", *words, "--output_dir", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "bad, seed 1 failed" in said
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["arms"]["bad"]["seeds"] == [0]
    assert "out of luck" in results["arms"]["bad"]["failed"]["1"]
    assert results["arms"]["grpo"]["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"train": {"max_steps": 0}}, "max_steps"),
        ({"train": {"learning_raet": 1.0e-4}}, "learning_rate"),
        ({"train": {"model": "./nowhere"}}, "does not exist"),
        ({"evaluate": {"split": "val"}}, "no split"),
        ({"evaluate": {"pairs": 3}, "train": {"task": "./rows"}}, "no minimal pairs"),
        ({"arms": {"grpo": {"method": "grpo", "max_steps": 9}}}, "same budget"),
    ],
)
def test_wrong_settings_are_found_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: Any, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    for split in ("train", "test"):
        (tmp_path / "rows" / f"{split}.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n' * 16)
    plan = read_plan(lab(tmp_path, **changed))
    with pytest.raises(UserError, match=told):
        check_plan(plan, StudyFolder(tmp_path))


# --- the gradient test ---------------------------------------------------------------------------------


def test_gradient_of_the_log_probs_is_that_of_a_plain_forward() -> None:
    """Prompts run once for their rollouts; the reference runs every row whole through transformers."""
    loaded = load_model("embedded", torch.float32)
    batch = draw_batch(loaded, ShapesTask(), GradientTest(1, 2, 3), 0, 24)
    rollouts, model = batch.rollouts, loaded.model
    expected = []
    for row in range(len(rollouts)):
        kept = rollouts.prompt_mask[row].bool()
        ids, said = rollouts.prompt_ids[row][kept], rollouts.response_ids[row][rollouts.mask[row].bool()]
        processor: Any = loaded.processor
        images = processor.image_processor(images=list(rollouts.images[row]), return_tensors="pt")
        both = torch.cat([ids, said])[None]
        types = (both == model.config.image_token_id).int()
        logits = model(input_ids=both, mm_token_type_ids=types, **images).logits[0]
        expected.append(logits[len(ids) - 1 : -1].log_softmax(-1).gather(-1, said[:, None]).sum())
    found = log_probs(loaded, rollouts)
    assert found.sum(1).tolist() == pytest.approx(torch.stack(expected).tolist(), abs=1e-4)
    parameters = list(model.parameters())
    ours, theirs = (
        torch.cat([part.flatten() for part in torch.autograd.grad(total, parameters)])
        for total in (found.sum(), torch.stack(expected).sum())
    )
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_gradients_of_weightings() -> None:
    """Parts add up to even weights; a method of even weights has their gradient; a term adds its own."""
    loaded = load_model("embedded", torch.float32)
    batch = draw_batch(loaded, ShapesTask(), GradientTest(1, 4, 4), 1, 24)
    assert 0 < batch.correct < 1
    everything = torch.stack([batch.roles[name] for name in PARTS]).sum(0)
    assert (everything[batch.rollouts.mask.bool()] == 1).all()
    even = method("vppo", keep=1.0, scale_min=1.0, scale_max=1.0, objective={"entropy_penalty": 0.0})
    chosen = {"all": even, "vgpo": method("vgpo"), "papo": method("papo")}
    needs = {name: one.needs for name, one in chosen.items()}
    weighted = weightings(batch, chosen, scored(loaded, batch, needs, 1))
    kept = batch.rollouts.mask.bool()
    bins = token_bins(torch.rand(kept.shape, generator=torch.Generator().manual_seed(0)), kept, 3)
    assert [int(one.sum()) for one in bins] == pytest.approx([int(kept.sum()) / 3] * 3, abs=1)
    names = [EVEN, *chosen, *PARTS, "low", "middle", "high"]
    found = dict(zip(names, batch_gradients(loaded, batch, weighted, chosen, [bins]), strict=True))
    last = batch_gradients(loaded, batch, {"high": (bins[2].float(), weighted["all"][1])}, {"high": even})[1]
    assert np.linalg.norm(found["high"] - last) < 1e-5 * np.linalg.norm(last)
    size = np.linalg.norm(found[EVEN])
    assert np.linalg.norm(sum(found[name] for name in PARTS) - found[EVEN]) < 1e-5 * size
    assert np.linalg.norm(found["all"] - found[EVEN]) < 1e-4 * size
    for name in ("vgpo", "papo"):
        assert np.linalg.norm(found[name] - found[EVEN]) > 1e-3 * size


def test_steps_credited_by_class_add_up_to_the_whole_step(tmp_path: Path) -> None:
    """Under SGD without a limit on the norm an update is linear in the weights, and the classes are all."""
    arms = {name: {"method": "grpo", "credit": name} for name in ("read", "derived", "template")}
    train = {"optim": "sgd", "max_grad_norm": 0.0, "max_steps": 1, "learning_rate": 1.0}
    plan = read_plan(lab(tmp_path, methods=["grpo", *arms], arms=arms, train=train))
    task, start = ShapesTask(), _flat(load_model("embedded", torch.float32))
    moved = {}
    for arm in plan.arms:
        folder = StudyFolder(tmp_path).run(arm.name, 0)
        folder.path.mkdir(parents=True)
        settings = run_settings(plan, arm.name, 0, folder)
        loaded, part = load_model("embedded", torch.float32), plan.credit(arm.name)
        credit = None if part is None else LabelCredit(part, loaded.processor.tokenizer)  # pyright: ignore
        problems = task.train(None, 0)
        train_run(settings, loaded, task, problems, RunFolder(folder.path), credit=credit)  # pyright: ignore[reportArgumentType]
        moved[arm.name] = _flat(loaded) - start
    assert all(one.norm() > 0.02 * moved["grpo"].norm() for one in moved.values())
    total = torch.stack([moved[name] for name in arms]).sum(0)
    assert (total - moved["grpo"]).norm() < 1e-3 * moved["grpo"].norm()


def _flat(loaded: LoadedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().double() for parameter in loaded.model.parameters()])


def test_labels_stand_where_the_words_do() -> None:
    """Also where tokens of a tool, which are not the model's, lie between them."""
    tokenizer: Any = load_model("embedded", torch.float32).processor.tokenizer  # pyright: ignore
    words = ["i", "see", "3", "red", "circle", "."]
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(words), tokenizer.convert_tokens_to_ids(words)])
    between = torch.tensor([[1, 1, 0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1, 1, 0, 0]])
    spread = torch.full((2, 9), tokenizer.convert_tokens_to_ids("7")).masked_scatter(between.bool(), ids)
    nothing = torch.zeros(2, 1, dtype=torch.long)
    rollouts = Rollouts(nothing, nothing, spread, between, nothing[:, 0], [[], []])
    rows = [{"kind": "count"}, {"kind": "count"}]
    found = {part: LabelCredit(part, tokenizer)(rows, rollouts) for part in ("read", "derived", "template")}
    assert found["read"].nonzero().tolist() == [[0, 4], [1, 3]]
    assert torch.equal(torch.stack(list(found.values())).sum(0), between.float())


def test_the_settings_of_an_arm_repeat_its_run(tmp_path: Path) -> None:
    arms = {"oracle": {"method": "grpo", "credit": "read"}}
    plan = lab(tmp_path, methods=["grpo", "oracle"], arms=arms, seeds=1)
    assert main(["study", "--config", plan, "--output_dir", str(tmp_path / "out")]) == 0
    for arm in ("grpo", "oracle"):
        run = StudyFolder(tmp_path / "out").run(arm, 0)
        words = ["--config", str(run.settings), "--output_dir", str(tmp_path / arm)]
        assert main(["train", *words]) == 0
        again = (tmp_path / arm / "metrics.jsonl").read_text().splitlines()
        pairs = zip(map(json.loads, again), map(json.loads, run.read_metrics()), strict=True)
        for one, other in pairs:
            assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_credit_by_labels_is_refused_where_there_are_none(tmp_path: Path) -> None:
    rows = [{"question": "how many?", "answer": "1"} for _ in range(4)]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arms = {"oracle": {"method": "grpo", "credit": "read"}}
    plan = read_plan(lab(tmp_path, methods=["oracle"], arms=arms, train={"task": str(tmp_path)}))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"arm oracle.*embedded worlds"):
        check_plan(plan, StudyFolder(tmp_path / "out"))


def test_the_gradient_test_refuses_arms_that_credit_by_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = {"oracle": {"method": "grpo", "credit": "read"}}
    config = lab(tmp_path, methods=["grpo", "oracle"], arms=arms)
    assert main(["study", "--gradient", "--config", config, "--output_dir", str(tmp_path / "out")]) == 2
    assert "leave out the arms with credit: oracle" in capsys.readouterr().err


def test_the_gradient_test_goes_on_where_it_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = lab(
        tmp_path,
        methods=["grpo", "vgpo"],
        gradient={"batches": 9, "prompts": 2, "rollouts": 4, "bin_by": "entropy", "bins": 3},
    )
    words = ["study", "--gradient", "--config", config, "--json", "--output_dir"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    whole = json.loads(capsys.readouterr().out)

    def killed(self: GradientFile, batch: int, gradients: np.ndarray) -> None:
        if batch == 2:
            raise KeyboardInterrupt
        self.values[batch] = gradients

    with monkeypatch.context() as patched:
        patched.setattr(GradientFile, "write", killed)
        assert main([*words, str(tmp_path / "killed")]) == 130
    capsys.readouterr()
    assert main([*words, str(tmp_path / "killed"), "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["weightings"] == whole["weightings"]
    assert set(whole["weightings"]) == {EVEN, "vgpo", *PARTS}
    told = [(one["parts"], one["rollouts"]) for one in whole["ceilings"]]
    assert told == [("read, derived, template", 8), ("3 bins of entropy", 8)]  # of 8 as one there is one
    assert all(set(one["gains"]) == {"SGD", "clipped SGD", "Adam"} for one in whole["ceilings"])
    assert "best of 3 bins of entropy, 8 rollouts" in (tmp_path / "whole" / "gradient.md").read_text()
    assert not (tmp_path / "killed" / "scratch").exists()
    for name in ("gradient.md", "gradient.csv", "gradient.html", "products.npz"):
        assert (tmp_path / "killed" / name).is_file()
