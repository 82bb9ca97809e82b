"""Rollouts of which a part is sampled from another view: which ones, and what is shown for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ....errors import UserError
from ....methods import NoisedRollouts, draw_noisy
from ....models.draw_views import draw_view
from ....rollouts import Rollouts
from ....views import Diffusion, PixelView, fingerprint
from ...reward_settings import accuracy_column
from .generation import samples_itself
from .rollout_batch import Place


class NoisedSampling:
    """What a method's `rollouts` change in sampling; nothing where it has none, or a share of 0.

    Raises:
        UserError: a way of sampling that cannot show a row another image, or would correct for it.
    """

    def __init__(self, trainer: Any):
        self.trainer = trainer
        self.rollouts: NoisedRollouts | None = trainer.method.rollouts
        self.count = 0 if self.rollouts is None else self.rollouts.count(trainer.num_generations)
        if self.count and trainer.use_vllm and trainer.vllm_importance_sampling_correction:
            raise UserError(
                "rollouts: log-probs are of the clean image, which TRL would correct against those of the "
                "noised one; set vllm_importance_sampling_correction: false"
            )
        if self.count and not trainer.use_vllm and not samples_itself(trainer):
            raise UserError(
                "rollouts from another view need vLLM, or sampling by this engine: a model whose prompts can "
                "be shared, without tools and continuous batching"
            )

    @property
    def active(self) -> bool:
        """Whether the rollouts of a prompt are sampled from two different prompts."""
        return self.count > 0 and self.trainer.model.training

    def rows(self, count: int) -> list[bool]:
        """Which of this rank's rows are sampled from the view."""
        first, size = self.trainer.ranks.index * count, self.trainer.num_generations
        return is_noised(self.count if self.active else 0, first, count, size)

    def view(self) -> PixelView:
        """The view of this rollout batch: batches are counted from 1 over all of the training."""
        assert self.rollouts is not None
        trainer, args = self.trainer, self.trainer.args
        per_batch = args.steps_per_generation * trainer.num_iterations
        batches = trainer.state.max_steps * args.gradient_accumulation_steps / per_batch
        found: Any = self.rollouts.at(min(1.0, (trainer._step // per_batch + 1) / max(batches, 1.0)))
        return found

    def images(self, images: Sequence[Any] | None, noised: Sequence[bool]) -> Any:
        """What each row is sampled from."""
        if images is None or not any(noised):
            return images
        seeds = {"seed": self.trainer.args.seed, "step": self.trainer.state.global_step}
        return sampled_images(self.view(), images, noised, self.trainer.processing_class, **seeds)

    def metrics(self, rewards: Tensor, rows: int) -> dict[str, float]:
        """The accuracy of clean and of noised rollouts of all ranks, and how strong the noise was."""
        if not self.active:
            return {}
        trainer = self.trainer
        judged = rewards[:, accuracy_column(trainer.reward_func_names)]
        mine = torch.tensor(self.rows(rows), device=trainer.accelerator.device)
        noised = trainer.ranks.gather_rows(mine).bool().to(judged.device)
        found: dict[str, float] = {}
        for name, chosen in (("clean", ~noised), ("noised", noised)):
            known = judged[chosen & ~judged.isnan()]
            if len(known):
                found[f"rollouts/{name}_accuracy"] = float(known.mean())
        view = self.view()
        if isinstance(view, Diffusion):
            found |= {"rollouts/noise_step": float(view.step), "rollouts/noise_std": view.noise}
        return found

    def noisy(self, rollouts: Rollouts, progress: float) -> Tensor | None:
        """Which rows count as noisy, bool [b], for a method that reads it."""
        needs = self.trainer.method.needs
        if "noisy" not in needs.reads:
            return None
        drawn = torch.tensor(self.rows(len(rollouts)))
        if needs.noisy is not None:
            ids = zip(rollouts.sample_ids, rollouts.group_ids.tolist(), strict=True)
            names = [name or str(group) for name, group in ids]
            seeds = {"seed": self.trainer.args.seed, "step": self.trainer.state.global_step}
            drawn = draw_noisy(needs.noisy, progress, names, rollouts.rollout_numbers, **seeds)
        return drawn.to(rollouts.mask.device)


def is_noised(noised: int, first: int, rows: int, group_size: int) -> list[bool]:
    """For `rows` rows from global row `first` on, G in a row to a prompt: whether each is one of the last
    `noised` of its prompt."""
    return [(first + row) % group_size >= group_size - noised for row in range(rows)]


def sampled_images(
    view: PixelView,
    images: Sequence[Any],
    noised: Sequence[bool],
    processor: Any,
    *,
    seed: int,
    step: int,
) -> list[Any]:
    """The images that each row is sampled from: the view's for noised rows, one drawing a prompt.

    Drawn from seed, step and what the images show, so that ranks and rounds agree. Rows without images stay.
    """
    drawn: dict[str, Any] = {}
    found = []
    for shown, changed in zip(images, noised, strict=True):
        if changed and shown:
            key = str(fingerprint(shown))
            if key not in drawn:
                drawn[key] = draw_view(view, [shown], [f"noised {key}"], processor, seed=seed, step=step)[0]
            found.append(drawn[key])
        else:
            found.append(shown)
    return found


def clean_places(
    rank: int, call: int, owner: Sequence[int], group_size: int, noised: Sequence[bool]
) -> list[Place | None]:
    """For each row where the prompt ran that shows the clean images of its group, from which scoring goes on.

    None for a noised row whose group has no clean one on this rank.
    """
    groups = [(rank * len(owner) + row) // group_size for row in range(len(owner))]
    rows = zip(groups, owner, noised, strict=True)
    clean = {group: place for group, place, changed in rows if not changed}
    return [
        (rank, call, clean[group], -1 if noised[row] else row) if group in clean else None
        for row, group in enumerate(groups)
    ]
