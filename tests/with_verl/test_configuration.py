"""Recipes and settings as verl's own configuration, composed by verl."""

from pathlib import Path
from typing import Any

import pytest

from sightline.engines.verl.engine import _composed
from sightline.engines.verl.settings import checks
from sightline.engines.verl.settings.resolve import parse
from sightline.errors import UserError

RECIPES = Path(__file__).parents[2] / "recipes"
CPU = ["--model", "embedded", "--use_cpu", "true", "--bf16", "false"]


@pytest.fixture(autouse=True)
def a_machine_with_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(checks, "find_spec", lambda name: name)


def composed(*argv: str) -> Any:
    return _composed(parse(list(argv)), {"sightline": {}, "data": {}}, Path("."), None)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("verl/*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_composes(recipe: Path) -> None:
    config = composed("--config", str(recipe))
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    rows = actor.ppo_mini_batch_size * rollout.n
    assert rows % (ranks * actor.ppo_micro_batch_size_per_gpu) == 0
    assert config.data.train_batch_size % actor.ppo_mini_batch_size == 0
    assert config.trainer.v1.trainer_mode == "sightline" and rollout.name == "vllm"


def test_values_arrive_as_they_were_meant() -> None:
    config = composed(*CPU, "--learning_rate", "3e-5", "--output_dir", "runs/a b's", "--adam_beta2", "0.99")
    assert config.actor_rollout_ref.actor.optim.lr == 3e-5
    assert list(config.actor_rollout_ref.actor.optim.betas) == [0.9, 0.99]
    assert config.trainer.default_local_dir.endswith("runs/a b's/.saving")
    assert config.trainer.logger == []


def test_what_stands_behind_the_dashes_wins() -> None:
    assert (
        composed(*CPU, "--", "actor_rollout_ref.actor.optim.lr=5e-5").actor_rollout_ref.actor.optim.lr == 5e-5
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("actor_rollout_ref.actor.strategy=megatron", "cannot be changed on the verl engine"),
        ("actor_rollout_ref.model.use_fused_kernels=True", "leaves no logits"),
        ("actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2", "must be 1"),
        ("actor_rollout_ref.model.lora_rank=8", "adapters are merged for the sampler"),
        ("actor_rollout_ref.actor.optim.learning=1", "verl refuses its settings"),
    ],
)
def test_what_the_engine_cannot_do_is_one_line(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed(*CPU, "--", override)
