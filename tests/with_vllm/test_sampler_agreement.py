"""vLLM beside the trainer: both give the same log-probs to what was sampled, update after update."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from sightline.tasks.problem import Problem

pytestmark = pytest.mark.filterwarnings("ignore")

MEAN_GAP, MAX_GAP = 1e-3, 1e-2
UPDATES = 6
PROBLEMS = 8
"""Two rollout batches: every image comes again after the weights have changed, when what vLLM remembers of
it (the prompt's cache, the image's encoding) is out of date."""


class PILImage:
    """Blocks of colour of several sizes: one image a problem, every fifth has two."""

    name = "images"

    def train(self, count: int | None, seed: int) -> Sequence[Problem]:
        drawn = torch.Generator().manual_seed(seed)
        problems = []
        for number in range(count or PROBLEMS):
            shown = tuple(_image(drawn, number + k) for k in range(2 if number % 5 == 4 else 1))
            problems.append(Problem(f"images/{number}", "c" * (1 + number % 7), shown, "none"))
        return problems

    def test(self, count: int | None, seed: int) -> Sequence[Problem]:
        return []

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        parts = [{"type": "image"} for _ in problem.images]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": problem.question}]}]


def _image(drawn: torch.Generator, number: int) -> Image.Image:
    blocks = torch.randint(0, 255, (4, 4, 3), generator=drawn, dtype=torch.uint8)
    size = (56 + 28 * (number % 3), 56 + 28 * (number % 2))
    return Image.fromarray(blocks.numpy()).resize(size, Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_qwen

    path = tmp_path_factory.mktemp("model")
    tiny_qwen.build(path)
    return path


@pytest.fixture(scope="module")
def vllm_for_cpus() -> Iterator[None]:
    """vLLM in float32, keeping weights in the layout in which they can be written again.

    Its linear layers for CPUs pack their weights once and drop the original, so an update would not arrive.
    Without compilation, which takes minutes of C++ for seconds of sampling.
    """
    import trl.generation.vllm_generation as generation
    from vllm.model_executor.layers import utils  # pyright: ignore[reportMissingImports]

    def unpacked(layer: Any, remove_weight: bool = False) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    plain: dict[str, Any] = {"dtype": "float32", "enforce_eager": True}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(utils, "dispatch_cpu_unquantized_gemm", unpacked)
        patched.setattr(generation, "LLM", functools.partial(generation.LLM, **plain))  # pyright: ignore
        yield


class Gaps:
    """What the trainer's own batches say about sampler and trainer."""

    def __init__(self, trainer: Any):
        self.trainer, self.make = trainer, trainer._generate_and_score_completions
        self.mean: list[float] = []
        self.max: list[float] = []
        self.weights: list[torch.Tensor] = []
        self.batches: list[dict[str, Any]] = []
        trainer._generate_and_score_completions = self

    def __call__(self, inputs: Any) -> dict[str, Any]:
        out = self.make(inputs)
        valid = out["completion_mask"].bool()
        gap = (out["old_per_token_logps"] - out["sampling_per_token_logps"]).abs()[valid]
        self.mean.append(gap.mean().item())
        self.max.append(gap.max().item())
        self.weights.append(self.trainer.model.lm_head.weight.detach().clone())
        self.batches.append(out)
        return out


@pytest.fixture(scope="module")
def trained(folder: Path, vllm_for_cpus: None, tmp_path_factory: pytest.TempPathFactory) -> Gaps:
    from sightline.engines.trl.engine import make_trainer
    from sightline.engines.trl.settings.resolve import parse
    from sightline.models.loading import load_model

    run = tmp_path_factory.mktemp("run")
    recipe = {
        "model": str(folder),
        "method": "grpo",
        "rewards": f"{Path(__file__).parent / 'rewards.py'}:early_letters",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 16,
        "max_steps": UPDATES + 1,
        "learning_rate": 3e-4,
        "lr_scheduler_type": "constant",
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_max_model_length": 512,
        "save_strategy": "no",
        "output_dir": str(run),
    }
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    settings = parse(["--config", str(run / "recipe.yaml")])
    task = PILImage()
    trainer = make_trainer(settings, load_model(str(folder), torch.float32), task, task.train(PROBLEMS, 0))
    gaps = Gaps(trainer)
    trainer.train()
    return gaps


def test_log_probs_of_sampler_and_trainer_agree(trained: Gaps, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        for name, gaps in (("mean", trained.mean), ("max", trained.max)):
            print(f"{name} gap by rollout batch: {', '.join(f'{gap:.1e}' for gap in gaps)}")
    assert max(trained.mean) <= MEAN_GAP
    assert max(trained.max) <= MAX_GAP


def test_every_batch_was_sampled_from_new_weights(trained: Gaps) -> None:
    assert len(trained.weights) == UPDATES + 1
    for before, after in zip(trained.weights, trained.weights[1:], strict=False):
        assert (before - after).abs().max() > 1e-4


def test_prompts_hold_each_image_once(trained: Gaps) -> None:
    """As many image tokens as the images have, in the trainer's prompts."""
    config = trained.trainer.model.config
    for batch in trained.batches:
        tokens = (batch["prompt_ids"] == config.image_token_id).sum()
        assert tokens == batch["image_grid_thw"].prod(-1).sum() // 4


def test_the_image_matters_more_than_the_tolerance(trained: Gaps) -> None:
    """Otherwise agreement would say nothing about images: another image moves log-probs by far more."""
    trainer, batch = trained.trainer, trained.batches[0]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    inputs = {"input_ids": ids, "attention_mask": mask, "image_grid_thw": batch["image_grid_thw"]}
    types = (ids == trainer.model.config.image_token_id).long()
    with torch.no_grad():
        seen, other = (
            trainer.model(**inputs, pixel_values=pixels, mm_token_type_ids=types).logits.log_softmax(-1)
            for pixels in (batch["pixel_values"], batch["pixel_values"].flip(0))
        )
    valid = batch["completion_mask"].bool()
    moved = (seen - other).abs()[:, -valid.shape[1] - 1 : -1][valid]
    assert moved.mean() > 10 * MEAN_GAP


def test_placeholders_were_never_sampled(trained: Gaps) -> None:
    from sightline.models.families import placeholder_ids

    banned = torch.tensor(placeholder_ids(trained.trainer.model.config))
    for batch in trained.batches:
        assert not torch.isin(batch["completion_ids"][batch["completion_mask"].bool()], banned).any()


def test_the_policy_gradient_is_the_one_without_vllm(trained: Gaps) -> None:
    """On the same tokens, with TRL's importance correction on, which the settings allow where it is exact."""
    trainer, batch = trained.trainer, trained.batches[-1]
    model = trainer.model.train()

    def gradient(inputs: dict[str, Any], with_vllm: bool) -> torch.Tensor:
        trainer.use_vllm = with_vllm
        model.zero_grad()
        trainer.compute_loss(model, inputs).backward()
        return torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])

    assert trainer.vllm_importance_sampling_correction and "importance_sampling_ratio" in batch
    plain = {
        k: v for k, v in batch.items() if k not in ("importance_sampling_ratio", "sampling_per_token_logps")
    }
    try:
        corrected, without = gradient(dict(batch), True), gradient(plain, False)
    finally:
        trainer.use_vllm = True
    assert without.abs().max() > 1e-2
    assert (corrected - without).abs().max() <= 1e-5
