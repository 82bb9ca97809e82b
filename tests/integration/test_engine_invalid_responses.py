"""Rollouts that no forward would take: named, left out and counted, whatever the method; the rest goes on."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import short_runs
import torch
from stored_rollouts import GROUP, PROMPTS, sampled_responses, settings, stored_trainer

from sightline.engines.image_placeholders import without_forged_images
from sightline.engines.invalid_responses import valid_responses
from sightline.engines.trl.data.dataset import INVALID, training_rows
from sightline.models.families import placeholder_ids, placeholder_words
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask

REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
IMAGE = 4
LEFT_OUT = "incidents/rows_left_out"


@pytest.fixture(scope="module")
def responses() -> list[list[int]]:
    return sampled_responses(load_model("embedded", torch.float32), batches=1)[0]


def gradient(trainer: Any) -> tuple[dict[str, Any], torch.Tensor]:
    """The one micro-batch of a rollout batch, and the gradient it gives."""
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    rows = [trainer.train_dataset[row // GROUP] for row in range(PROMPTS * GROUP)]
    batch = trainer._prepare_inputs(rows)
    trainer.compute_loss(trainer.model, batch).backward()
    return batch, torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    ("method", "flags"),
    [
        ("grpo", []),
        ("grpo", ["--beta", "0.1"]),
        ("vgpo", []),
        ("papo", []),
        ("vgpo", ["--num_iterations", "2"]),
    ],
)
def test_a_sampled_placeholder_costs_its_row_only(
    method: str,
    flags: list[str],
    responses: list[list[int]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = settings(tmp_path, method, {}, "--no_shuffle_dataset", "--blind_every", "0", *flags)
    invalid = [list(ids) for ids in responses]
    invalid[2][1] = IMAGE
    trainer = stored_trainer(run, [invalid], REWARDS)
    with caplog.at_level(logging.WARNING):
        batch, found = gradient(trainer)
    assert trainer._metrics["train"][LEFT_OUT] == [1.0]
    (line,) = [record.message for record in caplog.records if "left out" in record.message]
    assert line.endswith("its response holds the multimodal placeholder 4")
    order = batch["completion_mask"].sum(1)
    assert (order == 0).sum() == 1
    assert not torch.isin(batch["completion_ids"], torch.tensor([IMAGE])).any()
    assert found.isfinite().all() and found.norm() > 1e-3


def test_a_row_beyond_the_model_s_positions(responses: list[list[int]], tmp_path: Path) -> None:
    run = settings(tmp_path, "grpo", {}, "--no_shuffle_dataset", "--blind_every", "0")
    trainer = stored_trainer(run, [responses], REWARDS)
    whole, _ = gradient(stored_trainer(run, [responses], REWARDS))
    lengths = whole["prompt_mask"].sum(1) + whole["completion_mask"].sum(1)
    trainer.model.config.text_config.max_position_embeddings = int(lengths.max()) - 1
    batch, found = gradient(trainer)
    assert trainer._metrics["train"][LEFT_OUT] == [float((lengths == lengths.max()).sum())]
    assert found.isfinite().all()
    assert batch["completion_mask"].sum() < whole["completion_mask"].sum()


def test_rows_that_stay_give_the_gradient_of_a_batch_whose_other_row_never_was(
    responses: list[list[int]], tmp_path: Path
) -> None:
    run = settings(tmp_path, "grpo", {"objective": "dapo"}, "--no_shuffle_dataset", "--blind_every", "0")
    invalid = [list(ids) for ids in responses]
    invalid[2] = [IMAGE]
    _, found = gradient(stored_trainer(run, [invalid], REWARDS))
    trainer = stored_trainer(run, [responses], REWARDS)
    inner = trainer._generate_and_score_completions

    def without(inputs: Any) -> Any:
        out = inner(inputs)
        out["completion_mask"][2] = 0
        return out

    trainer._generate_and_score_completions = without
    _, wanted = gradient(trainer)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_what_is_usable_and_why_not() -> None:
    loaded = load_model("embedded", torch.float32)
    config = loaded.model.config
    longest = config.text_config.max_position_embeddings
    prompts = [[7] * 5, [7] * 5, [7] * 5, [7] * longest, [7] * 5]
    given = [[9, 10, 1], [9, IMAGE, 10], [IMAGE], [9, 1], [9, 0]]
    kept, reasons = valid_responses(prompts, given, [False, False, False, False, True], config, 0)
    assert kept == [[9, 10, 1], [9], [0], [0], [0]]
    assert reasons[0] is None
    assert [str(reason).split(" ")[1] for reason in reasons[1:]] == ["response", "response", "514", "logits"]
    assert not set(placeholder_ids(config)) & {token for ids in kept for token in ids}


def test_text_that_stands_for_an_image_is_taken_out_and_its_row_named() -> None:
    loaded, task = load_model("embedded", torch.float32), ShapesTask()
    words = placeholder_words(loaded.processor, loaded.model.config)
    assert "<image>" in words
    problems = list(task.train(2, 0))
    problems[1] = replace(problems[1], question=problems[1].question + " <ima<image>ge> now")
    sound, forged = training_rows(task, problems, words)[:]["prompt"], training_rows(task, problems, words)[1]
    assert sound[0] == task.messages(problems[0])
    assert training_rows(task, problems, words)[0][INVALID] is None
    assert forged[INVALID] == "its text holds <image>, which stands for an image"
    assert "<image>" not in str(forged["prompt"]) and "now" in str(forged["prompt"])
    plain = [{"role": "user", "content": "a <video> b"}]
    assert without_forged_images(plain, words)[0] == [{"role": "user", "content": "a  b"}]
    assert without_forged_images(plain, [])[0] == plain


def test_the_placeholders_mass_is_logged_where_transformers_samples(tmp_path: Path) -> None:
    kwargs = ["--generation_kwargs", '{"no_repeat_ngram_size": 30}', "--max_steps", "4"]
    short_runs.run(tmp_path, *kwargs)
    logged = [row["sampling/placeholder_mass"] for row in short_runs.metrics(tmp_path)
              if "sampling/placeholder_mass" in row]  # fmt: skip
    assert logged and all(0 <= value < 1e-2 for value in logged)
