"""Every tiny family in real steps with vLLM beside the trainer: the same log-probs, or a refusal by name.

One image and two, odd sizes, prompts of several lengths (padded on the left), and an update in between. What
was found goes into the table of docs/training.md, one row a family, whatever families were run.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import families
import pytest
import torch
import yaml
from image_task import ColouredBlocks
from table import server_column, write_row

from sightline.errors import UserError
from sightline.models.loading import load_model

pytestmark = pytest.mark.filterwarnings("ignore")

MAX_GAP = 1e-4
STEPS = 2
REFUSED = {"llava_onevision": "two images"}
"""Families whose prompts vLLM expands otherwise than the processor does, and with how many images."""
OTHER_POLICY = ("cohere2_vision", "gemma4")
"""Families that vLLM samples otherwise (`vllm_prompts.check_same_policy`)."""
NOT_RUN = {
    "qwen3_5": "not run: vLLM for CPUs has no float32 for it",
    "lfm2_vl": "not run: vLLM reads settings that transformers' config lacks",
}


@pytest.fixture(scope="module", autouse=True)
def vllm_for_cpus() -> Iterator[None]:
    """vLLM in float32, with weights that can be written again (`test_sampler_agreement`)."""
    import trl.generation.vllm_generation as generation
    from vllm.model_executor.layers import utils  # pyright: ignore[reportMissingImports]

    def unpacked(layer: Any, remove_weight: bool = False) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    plain: dict[str, Any] = {"dtype": "float32", "enforce_eager": True}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(utils, "dispatch_cpu_unquantized_gemm", unpacked)
        patched.setattr(generation, "LLM", functools.partial(generation.LLM, **plain))  # pyright: ignore
        yield


def largest_gaps(folder: Path, run: Path, shows: int | None) -> list[float]:
    """Largest |log π_sampler - log π_trainer| of the rollout batch before each of `STEPS` updates.

    Random weights give placeholders a percent of mass, so the trainer's log-probs are taken after the ban.
    """
    from sightline.engines.trl.engine import make_trainer
    from sightline.engines.trl.settings.resolve import parse

    recipe = {
        "model": str(folder),
        "method": "grpo",
        "rewards": f"{Path(__file__).parent / 'rewards.py'}:early_letters",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 8,
        "max_steps": STEPS,
        "learning_rate": 3e-3,
        "lr_scheduler_type": "constant",
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_max_model_length": 1024,
        "save_strategy": "no",
        "output_dir": str(run),
    }
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    settings, task = parse(["--config", str(run / "recipe.yaml")]), ColouredBlocks(shows)
    trainer: Any = make_trainer(settings, load_model(str(folder), torch.float32), task, task.train(8, 0))
    masses: list[torch.Tensor] = []
    gaps: list[float] = []
    score, make = trainer._score, trainer._generate_and_score_completions

    def scored(*args: Any, **more: Any) -> Any:
        found = score(*args, **more)
        masses.append(found.placeholder_mass)
        return found

    def made(inputs: Any) -> Any:
        masses.clear()
        out = make(inputs)
        valid = out["completion_mask"].bool()
        own = out["old_per_token_logps"] - torch.log1p(-masses[0])
        gaps.append((own - out["sampling_per_token_logps"]).abs()[valid].max().item())
        return out

    trainer._score, trainer._generate_and_score_completions = scored, made
    try:
        trainer.train()
    finally:
        trainer.vllm_generation.llm = None
        gc.collect()
    return gaps


@pytest.mark.parametrize("name", families.FAMILIES)
def test_sampler_and_trainer_are_one_policy(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    families.build(name, folder)
    if name in NOT_RUN:
        write_row(name, NOT_RUN[name], "not run")
        pytest.skip(NOT_RUN[name])
    if name in OTHER_POLICY:
        with pytest.raises(UserError, match=f"vLLM samples {name} from another policy"):
            largest_gaps(folder, tmp_path, 1)
        write_row(name, "refused", "refused")
        return
    refused = REFUSED.get(name)
    shows = {None: None, "two images": 1}.get(refused, 1)
    beside = (
        "yes" if refused is None else "one image" if shows == 1 and refused == "two images" else "refused"
    )
    if beside != "refused":
        gaps = largest_gaps(folder, tmp_path, shows)
        with capfd.disabled():
            print(f"{name}: largest gap before each update: {', '.join(f'{gap:.1e}' for gap in gaps)}")
        assert len(gaps) == STEPS and max(gaps) <= MAX_GAP
    if refused is not None:
        with pytest.raises(UserError, match=f"expands the images of a {name} prompt otherwise"):
            largest_gaps(folder, tmp_path, 2)
        beside += ", two refused" if beside == "one image" else ""
    write_row(name, beside, server_column(folder))
