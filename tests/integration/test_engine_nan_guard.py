"""NaN and infinity: the step is skipped, the batch kept, and the run ends if it goes on like that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import short_runs
import torch
from transformers import TrainerCallback

from sightline.engines.checkpoints import StoppedError
from sightline.engines.trl import engine as training
from sightline.engines.trl.state import rollout_buffer as in_hand
from sightline.models.scoring.score import Scores

pytestmark = pytest.mark.slow

Disturb = Callable[[Any], None]


def run_disturbed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, disturb: Disturb, *flags: str
) -> tuple[Any, list[str], list[dict[str, torch.Tensor]]]:
    """A short run whose trainer was changed first; what it said; its weights after every step."""
    made, said, weights = training.make_trainer, [], []

    class Weights(TrainerCallback):
        def on_step_end(self, *_: Any, model: Any = None, **__: Any) -> None:
            weights.append({name: value.clone() for name, value in model.state_dict().items()})

    def changed(*args: Any, **kwargs: Any) -> Any:
        trainer = made(*args, **kwargs)
        trainer.add_callback(Weights())
        disturb(trainer)
        return trainer

    monkeypatch.setattr(training, "make_trainer", changed)
    trained = short_runs.run(folder, *flags, said=said)
    return trained, said, weights


def spoilt(trainer: Any, steps: set[int], what: str) -> None:
    """A loss, or one gradient, that is not finite at these optimizer steps."""
    plain = trainer._compute_loss

    def compute(model: Any, inputs: Any) -> Any:
        loss = plain(model, inputs)
        if trainer.state.global_step + 1 not in steps:
            return loss
        if what == "loss":
            return loss * float("nan")
        first = next(p for p in model.parameters() if p.requires_grad)
        return loss + (first.flatten()[0] - first.flatten()[0].detach()).abs().sqrt()  # 0, with gradient inf

    trainer._compute_loss = compute


def unchanged(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_step_is_skipped_counted_and_kept(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained, said, weights = run_disturbed(
        monkeypatch, tmp_path, lambda trainer: spoilt(trainer, {3}, what), "--max_steps", "5"
    )
    assert trained.steps == 5
    assert unchanged(weights[1], weights[2]) and not unchanged(weights[2], weights[3])
    assert all(value.isfinite().all() for value in weights[-1].values() if value.is_floating_point())
    assert sum("step 3 is skipped" in line and what in line for line in said) == 1
    rows = short_runs.metrics(tmp_path)
    assert [row.get("incidents/skipped_steps") for row in rows] == [None, None, 1.0, 1.0, 1.0]
    assert [row["loss"] is None for row in rows] == [False, False, True, False, False]

    folder = tmp_path / "incidents" / "step-3"
    incident = json.loads((folder / "incident-0.json").read_text())
    assert what in incident["not_finite"] and incident["step"] == 3
    assert len(incident["responses"]) == 4
    layout = json.loads((folder / "batch-0.json").read_text())
    (batch,) = in_hand.unpack(in_hand.load_file(folder / "batch-0.safetensors"), layout)
    assert batch["completion_ids"].shape[0] == 4 and "pixel_values" in batch


def test_moments_and_decay_of_a_skipped_step_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, _, weights = run_disturbed(
        monkeypatch,
        tmp_path,
        lambda trainer: spoilt(trainer, {3, 4}, "loss"),
        *("--max_steps", "4", "--weight_decay", "0.5", "--adam_beta1", "0.9"),
    )
    assert unchanged(weights[1], weights[2]) and unchanged(weights[2], weights[3])


def test_a_run_that_keeps_skipping_stops_and_names_the_last_good_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        StoppedError, match=r"3 steps in a row up to step 6 .*checkpoint-5.*--resume"
    ) as error:
        run_disturbed(
            monkeypatch,
            tmp_path,
            lambda trainer: spoilt(trainer, {2, 4, 5, 6, 7}, "loss"),
            *("--max_skipped_steps", "3"),
        )
    assert "incidents" in str(error.value)


def test_a_resumed_run_goes_on_counting_skipped_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_disturbed(
        monkeypatch, tmp_path, lambda trainer: spoilt(trainer, {2, 3, 4}, "loss"), "--max_steps", "3"
    )
    with pytest.raises(StoppedError, match=r"3 steps in a row up to step 4 "):
        short_runs.run(tmp_path, "--max_steps", "4", "--max_skipped_steps", "3", "--resume")


def test_a_score_that_is_not_finite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def disturb(trainer: Any) -> None:
        plain = trainer._score

        def score(*args: Any) -> Scores:
            scores = plain(*args)
            if trainer.state.global_step == 0 and "visual_focus" in scores.signals:
                scores.signals["visual_focus"][0, 0] = float("nan")
            return scores

        trainer._score = score

    trained, said, weights = run_disturbed(monkeypatch, tmp_path, disturb, "--max_steps", "4", "--seed", "3")
    assert trained.steps == 4
    skipped = [line for line in said if "is skipped" in line]
    assert 1 <= len(skipped) <= 2  # of four steps on two micro-batches, those that hold the row
    rows = short_runs.metrics(tmp_path)
    assert rows[0]["incidents/rows_left_out"] == 1
    assert all(value.isfinite().all() for value in weights[-1].values() if value.is_floating_point())
    incident = json.loads(next((tmp_path / "incidents").rglob("incident-0.json")).read_text())
    assert len(incident["scores"]) == 1 and incident["scores"][0].endswith("a score is not finite")


def test_a_row_that_cannot_be_scored_leaves_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def disturb(trainer: Any) -> None:
        plain, compute = trainer._score, trainer._compute_loss

        def score(*args: Any) -> Scores:
            scores = plain(*args)
            for values in scores.signals.values():
                values[2] = 0.0
            scores.skipped[2] = "its response holds an image token"
            return scores

        def kept(model: Any, inputs: Any) -> Any:
            seen.append(inputs["completion_mask"].sum(1).tolist())
            return compute(model, inputs)

        trainer._score, trainer._compute_loss = score, kept

    trained, said, _ = run_disturbed(monkeypatch, tmp_path, disturb, "--max_steps", "4")
    assert trained.steps == 4 and not any("skipped" in line for line in said)
    assert sum(row == 0 for batch in seen[:2] for row in batch) == 1
    assert short_runs.metrics(tmp_path)[0]["incidents/rows_left_out"] == 1


def test_probabilities_that_are_not_finite_end_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def disturb(trainer: Any) -> None:
        with torch.no_grad():
            trainer.model.get_input_embeddings().weight.fill_(float("nan"))

    with pytest.raises(StoppedError, match=r"probabilities are not finite at step 1.*no checkpoint yet"):
        run_disturbed(monkeypatch, tmp_path, disturb)


def test_incidents_do_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sightline.engines.trl.trainer import nan_guard as guarded

    monkeypatch.setattr(guarded, "MOST_INCIDENTS", 2)
    run_disturbed(
        monkeypatch, tmp_path, lambda trainer: spoilt(trainer, {1, 2, 3, 4}, "loss"), "--max_steps", "4"
    )
    assert sorted(path.name for path in (tmp_path / "incidents").iterdir()) == ["step-1", "step-2"]
    assert short_runs.metrics(tmp_path)[-1]["incidents/skipped_steps"] == 4


def test_a_sampler_that_drifts_is_measured_and_told_across_a_resume(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As vLLM would, the sampler says what it gave each token: here -1, whatever the policy gives."""
    wanted: list[float] = []

    def disturb(trainer: Any) -> None:
        sampling, compute = trainer._generate_single_turn, trainer._compute_loss

        def sampled(*args: Any) -> Any:
            ids, _ = sampling(*args)
            return ids, [[-1.0] * len(one) for one in ids]

        def kept(model: Any, inputs: Any) -> Any:
            shown = inputs["completion_mask"].bool()
            wanted.append((inputs["old_per_token_logps"] + 1)[shown].abs().mean().item())
            return compute(model, inputs)

        trainer._generate_single_turn, trainer._compute_loss = sampled, kept

    _, said, _ = run_disturbed(monkeypatch, tmp_path, disturb, "--max_steps", "3")
    assert not any("nats apart" in line for line in said)
    short_runs.run(tmp_path, "--max_steps", "6", "--resume", said=said)
    assert [row["sampling/drift"] for row in short_runs.metrics(tmp_path)] == pytest.approx(wanted, abs=1e-4)
    assert sum("nats apart on average" in line for line in said) == 1
