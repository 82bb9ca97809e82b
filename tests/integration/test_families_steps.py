"""Several optimizer steps on one rollout batch: the numbers TRL would have computed itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from stored_rollouts import GROUP, PROMPTS, sampled_responses, settings, stored_trainer

from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.models.loading import load_model

REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
ROWS = PROMPTS * GROUP


@pytest.fixture(scope="module")
def responses() -> list[list[int]]:
    return sampled_responses(load_model("embedded", torch.float32), batches=1)[0]


def prepared(trainer: Any) -> list[dict[str, Any]]:
    """The micro-batches of one rollout batch."""
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    rows = [trainer.train_dataset[row // GROUP] for row in range(ROWS)]
    torch.manual_seed(0)
    trainer._prepare_inputs(rows)
    return trainer._buffered_inputs


def flags(micro: int, accumulate: int) -> list[str]:
    return [
        *("--no_shuffle_dataset", "--per_device_train_batch_size", str(micro)),
        *("--gradient_accumulation_steps", str(accumulate), "--steps_per_generation", str(ROWS // micro)),
        *("--blind_every", "0"),
    ]


@pytest.mark.parametrize("method", ["grpo", "vgpo", "pgpo", "papo"])
def test_old_log_probs_come_from_the_scoring_pass(
    method: str, responses: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(tmp_path, method, {}, *flags(4, 1))
    trainer = stored_trainer(run, [responses], REWARDS)
    passes: list[Any] = []
    scored = TokenCreditTrainer._score
    monkeypatch.setattr(
        TokenCreditTrainer, "_score", lambda self, *given: passes.append(given) or scored(self, *given)
    )
    ours = prepared(trainer)
    assert len(passes) == 1, "one scoring pass gives old log-probs and signals"

    stock = stored_trainer(run, [responses], REWARDS)
    monkeypatch.setattr(TokenCreditTrainer, "_asks_for_old_log_probs", lambda self: False)
    theirs = prepared(stock)
    for mine, other in zip(ours, theirs, strict=True):
        mask = mine["completion_mask"].bool()
        assert torch.equal(mine["completion_ids"], other["completion_ids"])
        torch.testing.assert_close(
            mine["old_per_token_logps"][mask], other["old_per_token_logps"][mask], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(mine["advantages"], other["advantages"], atol=1e-4, rtol=1e-3)


def gradient(trainer: Any) -> torch.Tensor:
    """Of all micro-batches together."""
    for batch in prepared(trainer):
        trainer.compute_loss(trainer.model, batch).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("objective", ["dapo", "grpo", "dr_grpo"])
def test_bringing_prompts_together_leaves_the_gradient(
    objective: str, responses: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(tmp_path, "vgpo", {"objective": objective}, *flags(2, 4))
    trainer = stored_trainer(run, [responses], REWARDS)
    together = gradient(trainer)
    sides = [batch["prompt_number"].tolist() for batch in trainer._buffered_inputs]
    assert sides == [[0, 0], [0, 0], [1, 1], [1, 1]]
    apart = stored_trainer(run, [responses], REWARDS)
    monkeypatch.setattr("sightline.engines.trl.trainer.trainer.SUMS", ())
    as_drawn = gradient(apart)
    assert [batch["prompt_number"].tolist() for batch in apart._buffered_inputs] != sides
    torch.testing.assert_close(together, as_drawn, atol=1e-6, rtol=1e-4)
    assert together.norm() > 1e-3
