"""Whole short trainings through the engine: what they train on, what they leave alone, what they keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import short_runs
import torch
import yaml
from mixed_rows import SomeWithoutImages
from safetensors.torch import load_file

from sightline.engines.model_card import PAPERS
from sightline.engines.trl import engine as training
from sightline.engines.trl.settings.resolve import parse
from sightline.errors import UserError
from sightline.methods import METHODS
from sightline.models.families import placeholder_ids
from sightline.models.loading import load_model
from sightline.run_folder import RunFolder
from sightline.tasks import ShapesTask

pytestmark = pytest.mark.slow

ONE_STEP_A_BATCH = (
    "--per_device_train_batch_size",
    "8",
    "--steps_per_generation",
    "1",
    "--num_iterations",
    "1",
)


def trained_on(task: Any, folder: Path, *flags: str) -> training.Trained:
    """A short run on another task."""
    settings = short_runs.settings(folder, *flags)
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_model("embedded", torch.float32)
    return training.train(settings, loaded, task, task.train(6, 3), RunFolder(folder))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("grpo", {}),
        ("vgpo", {}),
        ("vppo", {}),
        ("papo", {"second_grad": True}),
        ("papo", {"second_grad": True, "view": "text_only"}),
    ],
)
def test_rows_with_and_without_images(method: str, options: dict[str, Any], tmp_path: Path) -> None:
    task = SomeWithoutImages(without=[1, 4, 5])
    flags = ("--method", method, "--method_options", json.dumps(options), "--max_rounds", "1")
    result = trained_on(task, tmp_path, *flags, "--no_shuffle_dataset", *ONE_STEP_A_BATCH, "--max_steps", "3")
    rows = short_runs.metrics(tmp_path)
    assert result.steps == 3 and len(rows) == 3  # batches of prompts 0 1 | 2 3 | 4 5: mixed, shown, text only
    assert all(row["loss"] is not None and row["grad_norm"] is not None for row in rows)
    assert [row["rollouts/without_image"] for row in rows] == [4, 0, 8]


def test_rewards_are_weighed_and_long_answers_punished(tmp_path: Path) -> None:
    objective = '{"objective": {"name": "dapo", "overlong": 20}}'
    flags = ("--method", "dapo", "--method_options", objective, *ONE_STEP_A_BATCH)
    rewards = ("--rewards", "{accuracy: 0.9, format: 0.1}", "--max_rounds", "1", "--max_steps", "2")
    short_runs.run(tmp_path, *flags, *rewards)
    for row in short_runs.metrics(tmp_path):
        long = row["rewards/soft_overlong_punishment_reward/mean"]
        parts = 0.9 * row["rewards/accuracy/mean"] + 0.1 * row["rewards/format/mean"] + long
        assert row["reward"] == pytest.approx(parts, abs=1e-6)
        assert long < 0 < row["rewards/format/mean"]


def trainer_for(folder: Path, *flags: str, **changes: Any) -> Any:
    settings = short_runs.settings(folder, *flags)
    loaded = load_model("embedded", torch.float32)
    for name, value in changes.items():
        setattr(loaded.model.config, name, value)
    task = ShapesTask()
    return training.make_trainer(settings, loaded, task, task.train(6, 3))


@pytest.mark.parametrize("name", ["", "another/model", "/no/such/folder"])
def test_the_reference_is_the_model_that_was_loaded(name: str, tmp_path: Path) -> None:
    trainer = trainer_for(tmp_path, "--beta", "0.1", _name_or_path=name)
    policy, reference = trainer.model.state_dict(), trainer.ref_model.state_dict()
    assert policy.keys() == reference.keys()
    assert all(torch.equal(policy[key], reference[key]) for key in policy)
    assert all(policy[key].data_ptr() != reference[key].data_ptr() for key in policy)
    assert not any(parameter.requires_grad for parameter in trainer.ref_model.parameters())
    assert trainer.args.model_init_kwargs is None


# The punishment gives every batch rewards that differ, so that the policy moves from the first step.
WITH_REFERENCE = ("--beta", "0.1", "--method", "grpo")
WITH_REFERENCE += ("--method_options", '{"objective": {"name": "grpo", "overlong": 20}}')


def test_the_reference_stays_while_the_policy_moves_and_after_a_resume(tmp_path: Path) -> None:
    flags = (*WITH_REFERENCE, "--max_steps", "5")
    short_runs.run(tmp_path / "whole", *flags)
    whole = short_runs.metrics(tmp_path / "whole")
    assert whole[0]["kl"] == pytest.approx(0, abs=1e-6) and min(whole[2]["kl"], whole[-1]["kl"]) > 1e-4
    cut = short_runs.restart(tmp_path / "whole", 3, tmp_path / "cut")
    short_runs.run(cut, *flags, "--resume")
    assert short_runs.metrics(cut) == whole


def test_a_reference_that_follows_the_policy_is_resumed(tmp_path: Path) -> None:
    flags = (*WITH_REFERENCE, "--sync_ref_model", "--ref_model_sync_steps", "2", "--max_steps", "5")
    short_runs.run(tmp_path / "whole", *flags)
    cut = short_runs.restart(tmp_path / "whole", 3, tmp_path / "cut")
    saved = load_file(cut / "checkpoint-3" / "reference.safetensors")
    before = load_model("embedded", torch.float32).model.state_dict()
    assert max((saved[name] - before[name]).abs().max().item() for name in saved) > 1e-4
    short_runs.run(cut, *flags, "--resume")
    assert short_runs.metrics(cut) == short_runs.metrics(tmp_path / "whole")


def test_placeholders_are_banned_in_the_trainer_s_sampling(tmp_path: Path) -> None:
    trainer = trainer_for(tmp_path)
    banned = placeholder_ids(trainer.model.config)
    assert trainer.generation_config.suppress_tokens == banned != []


def test_a_frozen_vision_tower_stays_as_it_was(tmp_path: Path) -> None:
    result = short_runs.run(tmp_path, "--freeze_vision", "--max_steps", "2", "--weight_decay", "0.1")
    before = load_model("embedded", torch.float32).model.state_dict()
    moved = {
        name for name, value in short_runs.weights(result).items() if not torch.equal(value, before[name])
    }
    assert moved and not any(".visual." in name for name in moved)
    card = (tmp_path / "checkpoint-2" / "README.md").read_text()
    assert "all weights but the vision tower" in card


LORA = ("--use_peft", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj", "--learning_rate", "1e-2")


def test_adapters_train_alone_resume_exactly_and_are_merged(tmp_path: Path) -> None:
    whole = short_runs.run(tmp_path / "whole", *LORA, "--max_steps", "6")
    before = load_model("embedded", torch.float32).model.state_dict()
    after = short_runs.weights(whole)
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved and all(name.endswith(("q_proj.weight", "v_proj.weight")) for name in moved)
    saved = load_model(str(tmp_path / "whole" / "model"), torch.float32).model.state_dict()
    assert all(torch.equal(saved[name], after[name]) for name in after)
    assert (tmp_path / "whole" / "checkpoint-6" / "adapter_model.safetensors").stat().st_size < 1_000_000

    folder = short_runs.restart(tmp_path / "whole", 3, tmp_path / "cut")
    cut = short_runs.run(folder, *LORA, "--max_steps", "6", "--resume")
    assert short_runs.metrics(folder) == short_runs.metrics(tmp_path / "whole")
    assert all(torch.equal(value, after[name]) for name, value in short_runs.weights(cut).items())


def test_adapters_of_another_shape_are_refused(tmp_path: Path) -> None:
    short_runs.run(tmp_path, *LORA, "--max_steps", "2")
    more = [*LORA[:-3], "k_proj", *LORA[-2:]]
    with pytest.raises(UserError, match=r"does not fit this model's adapter: .* are missing"):
        short_runs.run(tmp_path, *more, "--max_steps", "4", "--resume")


def test_gradient_checkpointing_changes_no_number(tmp_path: Path) -> None:
    flags = [flag for flag in short_runs.FLAGS if flag != "--no_gradient_checkpointing"]
    plain = short_runs.run(tmp_path / "plain", "--max_steps", "3")
    chosen = parse([*flags, "--output_dir", str(tmp_path / "kept"), "--max_steps", "3"])
    assert chosen.train.gradient_checkpointing
    task = ShapesTask()
    (tmp_path / "kept").mkdir()
    loaded = load_model("embedded", torch.float32)
    kept = training.train(chosen, loaded, task, task.train(6, 3), RunFolder(tmp_path / "kept"))
    for name, value in short_runs.weights(plain).items():
        torch.testing.assert_close(short_runs.weights(kept)[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("vgpo", "float32"),
        ("vppo", "float32"),
        ("pgpo", "float32"),
        ("papo", "float32"),
        ("vppo", "bfloat16"),
        *((name, "bfloat16") for name in ("noisyrollout", "pepo", "vepo", "tor", "dupl", "dvrp", "cfpo")),
    ],
)
def test_bfloat16(method: str, dtype: str, tmp_path: Path) -> None:
    """Mixed precision over float32 weights, and weights in bfloat16."""
    flags = ("--method", method, "--bf16", "true", "--dtype", dtype, "--max_steps", "2")
    settings = short_runs.settings(tmp_path, *flags)
    task = ShapesTask()
    loaded = load_model("embedded", getattr(torch, dtype))
    result = training.train(settings, loaded, task, task.train(6, 3), RunFolder(tmp_path))
    assert {value.dtype for value in short_runs.weights(result).values() if value.is_floating_point()} == {
        getattr(torch, dtype)
    }
    assert all(row["grad_norm"] is not None for row in short_runs.metrics(tmp_path))


def test_bfloat16_resumes_exactly(tmp_path: Path) -> None:
    flags = ("--bf16", "true")
    short_runs.run(tmp_path / "whole", *flags, "--max_steps", "6")
    cut = short_runs.restart(tmp_path / "whole", 3, tmp_path / "cut")
    short_runs.run(cut, *flags, "--max_steps", "6", "--resume")
    assert short_runs.metrics(cut) == short_runs.metrics(tmp_path / "whole")


def test_the_image_s_effect_is_measured_and_a_blind_model_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    short_runs.run(tmp_path / "sees", "--max_steps", "2", said=said)
    assert short_runs.metrics(tmp_path / "sees")[0]["image/log_prob_change"] > 0.01
    assert not any("without looking" in line for line in said)

    made = training.make_trainer

    def blinded(*args: Any, **kwargs: Any) -> Any:
        trainer = made(*args, **kwargs)
        with torch.no_grad():
            tower = trainer.model.get_encoder(modality="image")
            for parameter in tower.parameters():
                parameter.zero_()
        return trainer

    monkeypatch.setattr(training, "make_trainer", blinded)
    short_runs.run(tmp_path / "blind", "--max_steps", "2", said=said)
    assert sum("without looking" in line for line in said) == 1


def test_a_checkpoint_s_card(tmp_path: Path) -> None:
    short_runs.run(tmp_path, "--max_steps", "2")
    text = (tmp_path / "checkpoint-2" / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header["pipeline_tag"] == "image-text-to-text" and "vgpo" in header["tags"]
    for part in ("`embedded`", "`shapes`, 6 training problems", "after optimizer step 2", "arXiv 2604.09349"):
        assert part in text, part
    assert "Accuracy of the rollouts of step" in text
    assert not (tmp_path / "README.md").exists()


def test_every_published_method_has_its_paper() -> None:
    assert PAPERS.keys() == METHODS.keys() - {"custom"}
    pages = "".join(
        page.read_text() for page in (Path(__file__).parents[2] / "docs" / "methods").glob("*.md")
    )
    assert all(number in pages for number in PAPERS.values())


def test_only_weights_and_what_upstream_reads_are_pickled(tmp_path: Path) -> None:
    short_runs.run(tmp_path, "--max_steps", "3")
    names = {path.name for path in (tmp_path / "checkpoint-3").iterdir()}
    assert {name for name in names if name.endswith((".pt", ".pth", ".bin", ".pkl"))} == {
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
    }
    assert load_file(tmp_path / "checkpoint-3" / "rollouts-0.safetensors")
