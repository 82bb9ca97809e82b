"""The gradient of one whole training step against a float64 reference written from the equations.

The reference runs every rollout alone, without padding or batching, with full logits and autograd in
float64; the text-only view is the shorter sequence with the positions of the full one, which the
engine does not use here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import equations
import numpy as np
import pytest
import torch
from stored_rollouts import GROUP, PROMPTS, sampled_responses, settings, stored_trainer
from torch import Tensor
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import AttentionInterface

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
    ("noisyrollout", {}),
    ("noisyrollout", {"variant": "released"}),
    ("pepo", {}),
    ("pepo", {"schedule": "none", "variant": "released", "gate": 1.0}),
    ("vepo", {}),
    ("vepo", {"variant": "released"}),
    ("tor", {}),
    ("dupl", {}),
    ("dupl", {"noisy": 0.0}),
    ("dupl", {"variant": "released"}),
    ("dvrp", {}),
    ("cfpo", {}),
    ("cfpo", {"variant": "released", "objective": "dapo"}),
]
BONUS = {"scales": (0.4, 1.0), "caps": (2.0, 2.0)}
"""DUPL's a and b, of the entropy and of the divergence."""


def counterfactual(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Any,
    *,
    image: Tensor,
    view: Any,
    **given: Any,
) -> tuple[Tensor, None]:
    """CFPO's attention of one sample, whose image tokens are `image`."""
    groups = query.shape[1] // key.shape[1]
    keys, values = (side.repeat_interleave(groups, 1)[0] for side in (key, value))
    attention = (query[0] @ keys.mT * given["scaling"] + mask[0]).softmax(-1)
    after = torch.arange(len(image)) > image.nonzero().max()
    looked = attention[:, after][:, :, image]
    positive = looked[looked > 1e-8]
    chosen = after[:, None] & image & (attention > positive.mean() + view.deviations * positive.std())
    middle = values[:, image].mean((1, 2) if view.mean == "scalar" else 1, keepdim=True)
    kept, moved = attention.masked_fill(chosen, 0.0), attention.masked_fill(~chosen, 0.0)
    return (kept @ values + moved.sum(-1, keepdim=True) * middle).transpose(0, 1)[None], None


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

    def counterfactual(self, row: int, view: Any) -> Tensor:
        """log π [T, V] with what is attended to most replaced in every layer."""
        inputs, config = self.inputs(row, self.problems[row].images), self.model.config.get_text_config()
        before, image = config._attn_implementation, inputs["mm_token_type_ids"][0].bool()
        AttentionInterface.register("reference", functools.partial(counterfactual, image=image, view=view))
        AttentionMaskInterface.register("reference", eager_mask)
        config._attn_implementation = "reference"
        try:
            return self.log_softmax(inputs, row)
        finally:
            config._attn_implementation = before

    def second(self, row: int, name: str | None = None) -> Tensor:
        """log π [T, V] with the image taken away, as the method's view, or the one of that name, does it."""
        views = self.run.method.needs.views
        view = views[name or next(iter(views))].at(0.0)
        if view.name == "counterfactual":
            return self.counterfactual(row, view)
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

    def similarity(self, row: int) -> Tensor:
        """The mean over layers and image tokens of cos(h_t, v_n)."""
        inputs = self.inputs(row, self.problems[row].images)
        layers = self.model.model(**inputs, output_hidden_states=True).hidden_states
        length, found = len(self.responses[row]), []
        for states in layers:
            image = states[0, inputs["mm_token_type_ids"][0] == 1]
            own = states[0, -length:, None]
            found.append(torch.nn.functional.cosine_similarity(own, image[None], dim=-1).mean(1))
        return torch.stack(found).mean(0)

    def scores(self, row: int) -> dict[str, list[float]]:
        """What each of the method's signals measures at each token."""
        log_p = self.log_softmax(self.inputs(row, self.problems[row].images), row)
        log_q = self.second(row) if self.run.method.needs.view is not None else log_p
        p, q, m = log_p.exp(), log_q.exp(), (log_p.exp() + log_q.exp()) / 2
        own, other = self.picked(log_p, row), self.picked(log_q, row)
        ratio = (other - own).clamp(-20, 20)
        words = p.sort(descending=True).values
        nucleus = torch.where(words.cumsum(-1) - words < 0.95, words, 0.0)
        nucleus = nucleus / nucleus.sum(-1, keepdim=True)
        found = {
            "sampled_k3": lambda: (ratio.expm1() - ratio).clamp(0, 10),
            "visual_focus": lambda: torch.tensor(self.focus(row)),
            "hidden_similarity": lambda: self.similarity(row),
            "exact_kl": lambda: (p * (log_p - log_q)).sum(-1),
            "symmetric_kl": lambda: ((p - q) * (log_p - log_q)).sum(-1) / 2,
            "jensen_shannon": lambda: (p * (log_p - m.log()) + q * (log_q - m.log())).sum(-1) / 2,
            "entropy": lambda: -(p * log_p).sum(-1),
            "other_entropy": lambda: -(q * log_q).sum(-1),
            "top_p_entropy": lambda: -torch.special.xlogy(nucleus, nucleus).sum(-1),
            "abs_log_ratio": lambda: (own - other).abs(),
            "sampled_entropy_term": lambda: -own.exp() * own,
            "sampled_symmetric": lambda: (
                (
                    own.exp() * (own - (other.exp() + 1e-8).log())
                    + other.exp() * (other - (own.exp() + 1e-8).log())
                )
                / 2
            ),
        }
        return {name: found[name]().tolist() for name in self.run.method.signals}

    def weights(self, advantages: Tensor) -> list[list[float]]:
        """The paper's weights in plain Python."""
        method = self.run.method
        if not method.signals:
            return [[1.0] * len(ids) for ids in self.responses]
        with torch.no_grad():
            measured = [self.scores(row) for row in range(len(self.responses))]
        columns = [[one[name] for one in measured] for name in method.signals]
        groups, released = [row // GROUP for row in range(len(measured))], method.variant == "released"

        def chosen(*names: str) -> dict[str, Any]:
            return {name: method.options[name] for name in names}

        if method.name == "vgpo":
            given = chosen("strength", "tail", "top", "schedule", "compensate", "gate", "intra", "inter")
            return equations.vgpo(*columns, groups, **given, released=released)
        if method.name == "vppo":
            return equations.vppo(
                *columns, groups, keep=method.options["keep"], scale_min=0.9, scale_max=None
            )
        if method.name == "pgpo":
            given = {**chosen("threshold"), "boost": 2.0}
            return equations.pgpo(*columns, groups, **given, snapshot=method.variant == "snapshot")
        if method.name == "pepo":  # whose first step is plain GRPO's, unless the weight does not grow in
            grown = equations.pepo(*columns, **chosen("gate", "temperature"))
            ramped = method.options["schedule"] == "linear"
            return [[1.0] * len(row) if ramped else row for row in grown]
        if method.name == "tor":
            shares = chosen("reasoning_share", "perception_share")
            return equations.tor(*columns, **shares, **chosen("reasoning_weight", "perception_weight"))
        if method.name == "vepo":
            return equations.vepo(*columns, **chosen("keep", "balance"), released=released)
        noisy = [method.options["noisy"] == "linear"] * len(measured)  # at the first step all or none
        return equations.dupl(*columns, advantages.tolist(), noisy, **BONUS, released=released)

    def loss(self) -> Tensor:
        """The step's loss on the policy that sampled: every ratio is 1, no clip is active."""
        objective = self.run.method.objective
        rewards = torch.tensor(REWARDS, dtype=torch.float64).view(PROMPTS, GROUP)
        advantages = rewards - rewards.mean(1, keepdim=True)
        if objective.scale_advantages == "group":
            advantages = advantages / (rewards.std(1, keepdim=True) + 1e-6)
        advantages = advantages.flatten()
        total = torch.zeros((), dtype=torch.float64)
        tokens = sum(map(len, self.responses))
        for row, weights in enumerate(self.weights(advantages)):
            log_p = self.picked(self.log_softmax(self.inputs(row, self.problems[row].images), row), row)
            ratio = (log_p - log_p.detach()).exp()
            if objective.ratio == "sequence":
                ratio = (log_p - log_p.detach()).mean().exp().expand(len(log_p))
            values = -ratio * advantages[row] * torch.tensor(weights, dtype=torch.float64)
            values = values + self.terms(row, log_p)
            share = {"token_mean": tokens, "sequence_mean": len(log_p) * len(REWARDS)}
            total = total + values.sum() / share.get(objective.aggregation, 40 * len(REWARDS))
        return total

    def k3(self, row: int, log_p: Tensor, name: str | None = None) -> tuple[Tensor, Tensor]:
        """The bounded k3 [T] to a second view, and that view's log-probs."""
        other = self.picked(self.second(row, name), row)
        if not self.run.method.second_view_gradient:
            other = other.detach()
        ratio = other - log_p
        k3 = ratio.exp() - ratio - 1
        return torch.where(k3 < 10, k3, torch.full_like(k3, 10.0)), other

    def terms(self, row: int, log_p: Tensor) -> Tensor:
        """The method's loss terms and the entropy penalty [T]."""
        method = self.run.method
        extra, options = -method.objective.entropy_penalty * log_p, method.options
        if method.name == "papo":
            k3, other = self.k3(row, log_p)
            extra = extra - options["gamma"] * k3 - options["eta"] * log_p - options["masked_eta"] * other
        elif method.name == "cfpo":
            extra = extra - options["gamma"] * self.k3(row, log_p)[0] - options["eta"] * log_p
        elif method.name == "dvrp":
            masked, noised = (self.k3(row, log_p, name)[0] for name in ("masked", "noised"))
            extra = extra - 0.01 * masked + 0.01 * noised
        elif method.name in ("vepo", "noisyrollout") and method.variant == "released":
            extra = extra + 1e-3 * log_p  # a bonus for entropy
        return extra


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
