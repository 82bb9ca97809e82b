"""Rollouts of which a part is sampled from a noised image, and methods that read more than scores."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stored_rollouts
import torch
from short_runs import metrics, run, settings, weights
from stored_rollouts import GROUP, PROMPTS

from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.trainer import noised_rollouts, trainer
from sightline.engines.trl.trainer.noised_rollouts import clean_places, is_noised, sampled_images
from sightline.errors import UserError
from sightline.methods import method
from sightline.models.families import image_token_id
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask
from sightline.views import Diffusion

SHORT = ("--max_steps", "4", "--save_strategy", "no")
HALF = {"view": {"name": "diffusion", "step": 900}, "share": 0.5}


def flags(name: str, **options: Any) -> tuple[str, ...]:
    return ("--method", name, "--method_options", json.dumps(options), *SHORT)


def test_the_last_rows_of_a_group_are_noised_also_over_two_ranks() -> None:
    assert is_noised(2, 0, 8, 4) == [False, False, True, True] * 2
    assert is_noised(2, 0, 6, 4) + is_noised(2, 6, 6, 4) == [False, False, True, True] * 3
    assert is_noised(0, 0, 4, 4) == [False] * 4


def test_scoring_goes_on_from_the_clean_prompt_of_a_group() -> None:
    noised = [False, False, True, True, True, True]
    places = clean_places(0, 3, [0, 0, 1, 1, 3, 3], 4, noised)
    assert places == [(0, 3, 0, 0), (0, 3, 0, 1), (0, 3, 0, -1), (0, 3, 0, -1), None, None]


def test_a_noised_image_is_drawn_once_a_prompt_and_from_the_seed() -> None:
    problem = ShapesTask().train(1, 0)[0]
    images = [list(problem.images), list(problem.images), None, list(problem.images)]
    view = Diffusion(step=900)
    drawn = [
        sampled_images(view, images, [False, True, True, True], None, seed=1, step=step) for step in (0, 0, 1)
    ]
    for found in drawn:
        assert found[0] is images[0] and found[2] is None
        assert found[1] is found[3]
        assert found[1][0].tobytes() != images[0][0].tobytes()
    assert drawn[0][1][0].tobytes() == drawn[1][1][0].tobytes()
    assert drawn[0][1][0].tobytes() != drawn[2][1][0].tobytes()


def test_a_share_of_zero_is_none_to_the_bit(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", *flags("vgpo"))
    zero = run(tmp_path / "zero", *flags("vgpo", rollouts={**HALF, "share": 0.0}))
    assert metrics(tmp_path / "plain") == metrics(tmp_path / "zero")
    found, wanted = weights(zero), weights(plain)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("objective", ["grpo", "dapo"])
def test_every_log_prob_is_of_the_clean_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    """Sampling sees noise in half of the rows; what is scored and trained on never does."""
    sampled, scored = [], []
    original, score = noised_rollouts.sampled_images, trainer.score

    def recorded(view: Any, images: Any, noised: Any, *args: Any, **named: Any) -> Any:
        found = original(view, images, noised, *args, **named)
        sampled.append((noised, images, found))
        return found

    def clean(model: Any, processor: Any, rollouts: Any, *args: Any, **named: Any) -> Any:
        found = score(model, processor, rollouts, *args, **named)
        again = score(model, processor, rollouts, *args, **{**named, "prefilled": None})
        scored.append((named["prefilled"] is not None, found.log_probs, again.log_probs))
        return found

    monkeypatch.setattr(noised_rollouts, "sampled_images", recorded)
    monkeypatch.setattr(trainer, "score", clean)
    run(tmp_path / "run", *flags("vgpo", objective=objective, rollouts=HALF))
    assert sampled and scored
    for noised, images, found in sampled:
        assert noised == [False, False, True, True] * (len(noised) // 4)
        for changed, before, after in zip(noised, images, found, strict=True):
            assert (after[0].tobytes() != before[0].tobytes()) == changed
    for _, found, again in scored:
        torch.testing.assert_close(found, again, atol=1e-4, rtol=1e-4)
    assert any(prefilled for prefilled, _, _ in scored), "clean prompts are not run again"
    lines = metrics(tmp_path / "run")
    assert all(line["rollouts/noise_step"] == 900 for line in lines if "rollouts/noise_step" in line)
    assert any("rollouts/clean_accuracy" in line and "rollouts/noised_accuracy" in line for line in lines)


def test_noise_falls_over_the_training(tmp_path: Path) -> None:
    run(tmp_path, *flags("noisyrollout"))
    steps = [line["rollouts/noise_step"] for line in metrics(tmp_path) if "rollouts/noise_step" in line]
    wanted: Any = method("noisyrollout").rollouts
    assert steps == [wanted.at(1.0).step], "one rollout batch feeds all four steps"


def test_what_cannot_sample_so_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noised_rollouts, "samples_itself", lambda trainer: False)
    with pytest.raises(UserError, match="rollouts from another view need vLLM"):
        run(tmp_path / "a", *flags("noisyrollout"))
    with pytest.raises(UserError, match=r"share 0\.1 of 4 rollouts is none"):
        run(tmp_path / "b", *flags("noisyrollout", rollouts={"share": 0.1}))


class Sampler:
    """What TRL has in the place of vLLM: keeps what it is sent and answers every row with three words."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[list[int]], list[Any], int]] = []
        self.llm = SimpleNamespace(llm_engine=SimpleNamespace(reset_encoder_cache=lambda: None))
        self.vllm_client = SimpleNamespace(
            base_url="", session=SimpleNamespace(post=lambda _: SimpleNamespace(status_code=200))
        )

    def sync_weights(self) -> None:
        pass

    def generate(self, prompts: Any, images: Any, num_generations: int, profiler: Any) -> Any:
        self.sent.append((prompts, images, num_generations))
        return None, [[7, 8, 9] for _ in prompts], [[[0.0]] * 3 for _ in prompts], None


def sampled_by_vllm(folder: Path, mode: str, objective: str, share: float) -> tuple[Any, Any]:
    """What vLLM is sent for a rollout batch, and what is trained on."""
    options = {"objective": objective, "rollouts": {**HALF, "share": share}}
    chosen = stored_rollouts.settings(folder, "noisyrollout", options, "--no_shuffle_dataset")
    loaded, problems = load_model("embedded", torch.float32), ShapesTask().train(4, 3)
    right = iter([1.0, 0.0, 0.0, 0.0] * 100)
    made: Any = trainer.TokenCreditTrainer(
        method=chosen.method,
        args=chosen.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[lambda completions, **_: [next(right) for _ in completions]],
        train_dataset=training_rows(ShapesTask(), problems),
    )
    made.use_vllm, made.vllm_mode, made.vllm_generation = True, mode, Sampler()
    made.vllm_importance_sampling_correction, made._last_loaded_step = False, -1
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    rows = [made.train_dataset[row // GROUP] for row in range(PROMPTS * GROUP)]
    return made, made._generate_and_score_completions(rows)


@pytest.mark.parametrize("objective", ["grpo", "dapo"])
@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_vllm_is_sent_noised_images_for_the_last_rows_of_a_group(
    tmp_path: Path, mode: str, objective: str
) -> None:
    made, out = sampled_by_vllm(tmp_path, mode, objective, 0.5)
    ((prompts, images, each),) = made.vllm_generation.sent
    assert each == 1, "a server would answer a group's first prompt for all of it"
    problems, token = ShapesTask().train(4, 3), image_token_id(made.model.config)
    clean = [problem.images[0].tobytes() for problem in problems[:PROMPTS] for _ in range(GROUP)]
    shown = [image[0].tobytes() for image in images]
    assert [a == b for a, b in zip(shown, clean, strict=True)] == [True, True, False, False] * PROMPTS
    assert shown[2] == shown[3] and shown[6] == shown[7], "one noised copy a prompt"
    assert prompts[:GROUP] == [prompts[0]] * GROUP
    features = int((out["prompt_ids"][0] == token).sum())
    assert prompts[0].count(token) == (1 if mode == "colocate" else features)
    fresh = made.processing_class.image_processor(images=[problems[0].images[0]], return_tensors="pt")
    for row in range(GROUP):
        found = out["pixel_values"].view(PROMPTS * GROUP, -1, out["pixel_values"].shape[-1])[row]
        assert torch.equal(found, fresh["pixel_values"]), "what is trained on is clean"


def test_without_noise_vllm_is_sent_a_prompt_for_each_group(tmp_path: Path) -> None:
    made, _ = sampled_by_vllm(tmp_path, "server", "grpo", 0.0)
    ((_, images, each),) = made.vllm_generation.sent
    assert each == GROUP
    assert len({image[0].tobytes() for image in images}) == PROMPTS


@pytest.mark.parametrize("name", ["pepo", "vepo", "tor", "dupl", "dvrp", "cfpo"])
def test_methods_train(name: str, tmp_path: Path) -> None:
    chosen = settings(tmp_path / "run", *flags(name))
    run(tmp_path / "run", *flags(name))
    lines = metrics(tmp_path / "run")
    assert len(lines) == 4
    assert all(line["grad_norm"] == line["grad_norm"] for line in lines)
    logged = set().union(*lines)
    for term in chosen.method.terms:
        assert f"terms/{term.name}" + (f"/{term.view}" if term.view else "") in logged
    for step in chosen.method.shapings:
        assert not step.rule.statistics or any(
            key.startswith(step.rule.metrics or step.name) for key in logged
        )


def test_pepo_s_first_step_is_grpo_s(tmp_path: Path) -> None:
    objective = {"name": "grpo", "reference_kl": 0.0}
    for name in ("grpo", "pepo"):
        run(tmp_path / name, *flags(name, objective=objective))
    plain, ramped = metrics(tmp_path / "grpo"), metrics(tmp_path / "pepo")
    assert ramped[0]["weights/max"] == 1
    assert ramped[0]["grad_norm"] == pytest.approx(plain[0]["grad_norm"], rel=1e-5)
