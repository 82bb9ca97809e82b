"""The gradient of one whole training step against a float64 reference written from the equations.

The reference runs every rollout alone, without padding or batching, with full logits and autograd in
float64; the text-only view is the shorter sequence with the positions of the full one, which the
engine does not use here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equations
import numpy as np
import pytest
import torch
from stored_rollouts import GROUP, PROMPTS, sampled_responses, settings, stored_trainer
from torch import Tensor

from sightline.models.draw_views import draw_view
from sightline.models.families import image_token_id
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask

REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("grpo", {}),
    ("dapo", {}),
    ("gspo", {}),
    ("dr_grpo", {}),
    ("vgpo", {}),
    ("vgpo", {"variant": "released"}),
    ("vppo", {}),
    # Shares at which rank decides among real dependencies: below them lies the noise of float32.
    ("vppo", {"variant": "released", "keep": 0.2}),
    ("pgpo", {}),
    ("pgpo", {"variant": "snapshot", "threshold": 0.8}),
    ("pgpo", {"objective": "grpo"}),
    ("papo", {}),
    ("papo", {"second_grad": True}),
    ("papo", {"second_grad": True, "view": "text_only"}),
]


class Reference:
    """Rows run one by one through a float64 copy of the model."""

    def __init__(self, model: Any, processor: Any, run: Any, responses: list[list[int]]):
        self.model, self.processor, self.run, self.responses = model, processor, run, responses
        self.task = ShapesTask()
        self.problems = [p for p in self.task.train(PROMPTS, 3) for _ in range(GROUP)]

    def inputs(self, row: int, images: Any) -> dict[str, Tensor]:
        """Prompt and response of one row, unpadded."""
        text = self.processor.apply_chat_template(
            self.task.messages(self.problems[row]), add_generation_prompt=True, tokenize=False
        )
        found = self.processor(text=[text], images=[list(images)], return_tensors="pt")
        ids = torch.cat([found["input_ids"], torch.tensor([self.responses[row]])], 1)
        is_image = (ids == image_token_id(self.model.config)).long()
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": is_image,
            "pixel_values": found["pixel_values"].double(),
            "image_grid_thw": found["image_grid_thw"],
        }

    def text_only(self, row: int) -> dict[str, Tensor]:
        """The sequence without its image tokens, at the positions of the full one."""
        full = self.inputs(row, self.problems[row].images)
        position_ids, _ = self.model.model.get_rope_index(
            full["input_ids"],
            image_grid_thw=full["image_grid_thw"],
            attention_mask=full["attention_mask"],
            mm_token_type_ids=full["mm_token_type_ids"],
        )
        kept = full["mm_token_type_ids"][0] == 0
        return {"input_ids": full["input_ids"][:, kept], "position_ids": position_ids[:, :, kept]}

    def log_softmax(self, inputs: dict[str, Tensor], row: int) -> Tensor:
        """log π [T, V] of the response's tokens."""
        logits = self.model(**inputs).logits[0]
        return logits[-len(self.responses[row]) - 1 : -1].log_softmax(-1)

    def second(self, row: int) -> Tensor:
        """log π [T, V] with the image taken away, as the method's view does it."""
        view = self.run.method.needs.view
        if view.kind == "attention":
            return self.log_softmax(self.text_only(row), row)
        problem, draw = self.problems[row], row % GROUP if view.per == "rollout" else 0
        images = draw_view(
            view, [problem.images], [problem.id], self.processor, seed=3, step=0, draws=[draw]
        )[0]
        return self.log_softmax(self.inputs(row, images), row)

    def focus(self, row: int) -> list[float]:
        """cos(h_t, mean image state), h after the final norm, at the token's own position."""
        inputs = self.inputs(row, self.problems[row].images)
        hidden = self.model.model(**inputs).last_hidden_state[0]
        mean = hidden[inputs["mm_token_type_ids"][0] == 1].mean(0)
        own = hidden[-len(self.responses[row]) :]
        return torch.nn.functional.cosine_similarity(own, mean[None], dim=-1).tolist()

    def picked(self, log_p: Tensor, row: int) -> Tensor:
        """The log-probs [T] of the sampled tokens."""
        return log_p[torch.arange(len(log_p)), torch.tensor(self.responses[row])]

    def scores(self, row: int) -> list[float]:
        """What the method's one signal measures at each token."""
        (name,) = self.run.method.signals
        if name == "visual_focus":
            return self.focus(row)
        log_p, log_q = self.log_softmax(self.inputs(row, self.problems[row].images), row), self.second(row)
        if name == "exact_kl":
            return (log_p.exp() * (log_p - log_q)).sum(-1).tolist()
        ratio = (self.picked(log_q, row) - self.picked(log_p, row)).clamp(-20, 20)
        return (ratio.expm1() - ratio).clamp(0, 10).tolist()

    def weights(self) -> list[list[float]]:
        """The paper's weights in plain Python."""
        method = self.run.method
        if not method.signals:
            return [[1.0] * len(ids) for ids in self.responses]
        with torch.no_grad():
            rows = [self.scores(row) for row in range(len(self.responses))]
        groups = [row // GROUP for row in range(len(rows))]
        if method.name == "vgpo":
            keys = ("strength", "tail", "top", "schedule", "compensate", "gate", "intra", "inter")
            chosen = {key: method.options[key] for key in keys}
            return equations.vgpo(rows, groups, **chosen, released=method.variant == "released")
        if method.name == "vppo":
            return equations.vppo(rows, groups, keep=method.options["keep"], scale_min=0.9, scale_max=None)
        chosen = {"threshold": method.options["threshold"], "boost": 2.0}
        return equations.pgpo(rows, groups, **chosen, snapshot=method.variant == "snapshot")

    def loss(self) -> Tensor:
        """The step's loss on the policy that sampled: every ratio is 1, no clip is active."""
        objective = self.run.method.objective
        rewards = torch.tensor(REWARDS, dtype=torch.float64).view(PROMPTS, GROUP)
        advantages = rewards - rewards.mean(1, keepdim=True)
        if objective.scale_advantages == "group":
            advantages = advantages / (rewards.std(1, keepdim=True) + 1e-6)
        total = torch.zeros((), dtype=torch.float64)
        tokens = sum(map(len, self.responses))
        for row, weights in enumerate(self.weights()):
            log_p = self.picked(self.log_softmax(self.inputs(row, self.problems[row].images), row), row)
            ratio = (log_p - log_p.detach()).exp()
            if objective.ratio == "sequence":
                ratio = (log_p - log_p.detach()).mean().exp().expand(len(log_p))
            values = -ratio * advantages.flatten()[row] * torch.tensor(weights, dtype=torch.float64)
            values = values + self.terms(row, log_p)
            share = {"token_mean": tokens, "sequence_mean": len(log_p) * len(REWARDS)}
            total = total + values.sum() / share.get(objective.aggregation, 40 * len(REWARDS))
        return total

    def terms(self, row: int, log_p: Tensor) -> Tensor:
        """PAPO's and the entropy penalty's terms [T]."""
        method = self.run.method
        extra = -method.objective.entropy_penalty * log_p
        if method.name != "papo":
            return extra
        other = self.picked(self.second(row), row)
        if not method.second_view_gradient:
            other = other.detach()
        ratio = other - log_p
        k3 = ratio.exp() - ratio - 1
        k3 = torch.where(k3 < 10, k3, torch.full_like(k3, 10.0))
        options = method.options
        return extra - options["gamma"] * k3 - options["eta"] * log_p - options["masked_eta"] * other


@pytest.fixture(scope="module")
def responses() -> list[list[int]]:
    return sampled_responses(load_model("embedded", torch.float32), batches=1)[0]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradient_of_a_step(
    name: str, options: dict[str, Any], responses: list[list[int]], tmp_path: Path
) -> None:
    run = settings(tmp_path, name, options, "--no_shuffle_dataset")
    trainer = stored_trainer(run, [responses], REWARDS)
    fresh = load_model("embedded", torch.float64).model
    reference = Reference(fresh, trainer.processing_class, run, responses)
    expected_loss = reference.loss()
    expected_loss.backward()

    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    rows = [trainer.train_dataset[row // GROUP] for row in range(PROMPTS * GROUP)]
    loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(rows))
    loss.backward()

    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-4, abs=1e-6)
    pairs = zip(trainer.model.parameters(), reference.model.parameters(), strict=True)
    found, wanted = zip(
        *[(a.grad.double().flatten(), b.grad.flatten()) for a, b in pairs if b.grad is not None], strict=True
    )
    found, wanted = torch.cat(found), torch.cat(wanted)
    assert wanted.norm() > 1e-3
    assert ((found - wanted).norm() / wanted.norm()).item() < 1e-4
    assert np.isfinite(found.numpy()).all()


@pytest.mark.parametrize(("name", "bounded"), [("papo", True), ("grpo", False)])
def test_a_reference_far_away_pulls_only_where_its_kl_is_not_bounded(
    name: str, bounded: bool, responses: list[list[int]], tmp_path: Path
) -> None:
    gradients = []
    for beta in ("0.5", "0"):
        chosen = {"objective": "grpo", "gamma": 0.0} if name == "papo" else {}
        run = settings(tmp_path / beta, name, chosen, "--no_shuffle_dataset", "--beta", beta)
        trainer = stored_trainer(run, [responses], REWARDS)
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.train()
        rows = [trainer.train_dataset[row // GROUP] for row in range(PROMPTS * GROUP)]
        inputs = trainer._prepare_inputs(rows)
        if beta == "0.5":
            inputs["ref_per_token_logps"] = inputs["ref_per_token_logps"] + 8.0
        trainer.compute_loss(trainer.model, inputs).backward()
        if beta == "0.5":
            kl = trainer._metrics["train"]["kl"][-1]
            assert kl == pytest.approx(10.0 if bounded else np.exp(8) - 9, rel=1e-4)
        grads = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
        gradients.append(torch.cat(grads))
    apart = ((gradients[0] - gradients[1]).norm() / gradients[1].norm()).item()
    assert (apart < 1e-4) if bounded else (apart > 3), apart
