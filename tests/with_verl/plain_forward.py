"""The numbers of a dumped batch by plain Hugging Face: row by row, no cache, no padding, full logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from sightline.engines.credit import loss_terms
from sightline.methods import Method
from sightline.models.draw_views import draw_view
from sightline.models.embedded.processor import load_processor
from sightline.models.loading import EMBEDDED
from sightline.objectives import group_advantages
from sightline.signals import visual_focus
from sightline.tasks import load_task

CHECKPOINT = EMBEDDED["embedded"]


class Plain:
    """The rows of one rollout batch under the embedded model's first weights, or those of a folder."""

    def __init__(
        self,
        rows: dict[str, Any],
        method: Method,
        *,
        seed: int,
        step: int,
        limit: int,
        weights: str = str(CHECKPOINT),
    ):
        self.rows, self.method, self.seed, self.step = rows, method, seed, step
        self.model: Any = AutoModelForImageTextToText.from_pretrained(weights, dtype=torch.float32).eval()
        self.processor: Any = load_processor(CHECKPOINT)
        problems = {problem.id: problem for problem in load_task("shapes").train(limit, seed)}
        self.images = [list(problems[info["id"]].images) for info in rows["extra_info"]]
        self.mask = torch.nn.utils.rnn.pad_sequence(rows["response_mask"], batch_first=True)
        uids = list(dict.fromkeys(rows["uid"]))
        self.groups = torch.tensor([uids.index(uid) for uid in rows["uid"]])

    def __len__(self) -> int:
        return len(self.rows["uid"])

    def padded(self, name: str) -> Tensor:
        """A column of the dump, [B, T]."""
        return torch.nn.utils.rnn.pad_sequence(self.rows[name], batch_first=True)

    def forward(self, row: int, images: list[Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """log-softmax at predicting positions [t, V], hidden states, ids, and where the response begins."""
        prompt, response = self.rows["prompts"][row], self.rows["responses"][row]
        ids = torch.cat([prompt, response])
        vision = self.processor(
            images=[images], text=["<image>" * len(images)], return_tensors="pt", add_special_tokens=False
        )
        out = self.model(
            input_ids=ids[None],
            attention_mask=torch.ones_like(ids[None]),
            mm_token_type_ids=(ids == self.model.config.image_token_id).long()[None],
            pixel_values=vision["pixel_values"],
            image_grid_thw=vision["image_grid_thw"],
            output_hidden_states=True,
        )
        start = len(prompt)
        log_probs = out.logits[0].float().log_softmax(-1)[start - 1 : len(ids) - 1]
        return log_probs, out.hidden_states[-1][0], ids, torch.tensor(start)

    def second_view(self, row: int) -> list[Any]:
        """The images of a row as the method's view shows them."""
        view: Any = self.method.view
        return draw_view(
            view,
            [self.images[row]],
            [str(self.rows["extra_info"][row]["id"])],
            self.processor,
            seed=self.seed,
            step=self.step,
            draws=[int(self.rows["session_id"][row]) if view.per == "rollout" else 0],
        )[0]

    @torch.no_grad()
    def scores(self) -> dict[str, Tensor]:
        """Log-probs, entropy and the method's signals, each [B, T]."""
        names = ["log_probs", "entropy", *sorted(self.method.needs.signals)]
        found = {name: torch.zeros(self.mask.shape) for name in names}
        for row in range(len(self)):
            response = self.rows["responses"][row]
            log_probs, hidden, ids, start = self.forward(row, self.images[row])
            places = slice(0, len(response))
            found["log_probs"][row, places] = log_probs.gather(1, response[:, None])[:, 0]
            found["entropy"][row, places] = -(log_probs.exp() * log_probs).sum(-1)
            if "exact_kl" in found:
                other, *_ = self.forward(row, self.second_view(row))
                found["exact_kl"][row, places] = (log_probs.exp() * (log_probs - other)).sum(-1).clamp(min=0)
            if "visual_focus" in found:
                image = hidden[ids == self.model.config.image_token_id].float().mean(0)
                found["visual_focus"][row, places] = visual_focus(hidden[None, start:], image[None])[0]
        return found

    def advantages(self) -> Tensor:
        """A of the dumped rewards, [B]."""
        scaled = self.method.objective.scale_advantages == "group"
        return group_advantages(self.padded("rm_scores").sum(1), self.groups, scale=scaled)

    def loss_and_gradient(self) -> tuple[float, float, dict[str, float]]:
        """The step's loss, the norm of its gradient, and every term's value, from the dumped A·w."""
        tokens = self.mask.sum()
        weighted = self.padded("advantages")
        total, terms = 0.0, {term.name: 0.0 for term in loss_terms(self.method)}
        self.model.zero_grad()
        for row in range(len(self)):
            response = self.rows["responses"][row][:, None]
            mask = self.rows["response_mask"][row].float()
            own = self.forward(row, self.images[row])[0].gather(1, response)[:, 0]
            loss = -(weighted[row, : len(mask)] * (own - own.detach()).exp() * mask).sum() / tokens
            other = own.detach()
            if self.method.view is not None and self.method.terms:
                with torch.set_grad_enabled(self.method.needs.second_view_gradient):
                    other = self.forward(row, self.second_view(row))[0].gather(1, response)[:, 0]
            for term in loss_terms(self.method):
                value = term.function(own[None], other[None], mask[None]).sum() / tokens
                loss = loss + term.coefficient * value
                terms[term.name] += float(value)
            loss.backward()
            total += float(loss)
        norms = [one.grad.norm() for one in self.model.parameters() if one.grad is not None]
        return total, float(torch.stack(norms).norm()), terms
