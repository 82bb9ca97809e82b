"""Training that runs each prompt once, against `share_prompts: false`: the same steps, whatever trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import short_runs
import torch
from mixed_rows import SomeWithoutImages
from stored_rollouts import GROUP, PROMPTS, StoredTrainer, sampled_responses, settings
from tiny_models import PACKED, build, prompts, rollouts
from torch import Tensor
from trl.trainer.utils import add_fused_lm_head, get_peft_config

from sightline.engines.freezing import freeze_vision
from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.trainer import prompt_sharing
from sightline.engines.trl.trainer.prompt_sharing import PromptSharing
from sightline.models.families import image_features_inputs, image_token_id, process_prompts, type_ids
from sightline.models.loading import load_model
from sightline.models.scoring.hidden_states import SharedPrefix

REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
STEPS = 5
PLAIN = ("--share_prompts", "false")
TOWERS = ("visual", "vision_tower", "vision_model")
TWO_STEPS = ("--per_device_train_batch_size", "4", "--steps_per_generation", "2")
LORA = ("--use_peft", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj", "--lora_dropout", "0")
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "grpo": ("grpo", {}, ()),
    "gspo, a sequence's ratio, two steps a batch": ("gspo", {}, TWO_STEPS),
    "dapo, twice over each batch": ("dapo", {}, ("--num_iterations", "2")),
    "micro-batches that cut groups": (
        "dapo", {}, ("--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "4"),
    ),
    "a reference model": ("grpo", {}, ("--beta", "0.1", *TWO_STEPS)),
    "both views": ("papo", {"second_grad": True}, ()),
    "both views, image tokens hidden": ("papo", {"second_grad": True, "view": "text_only"}, ()),
    "both views, masked per rollout": (
        "papo", {"second_grad": True, "view": {"name": "patches", "per": "rollout"}}, (),
    ),
    "vgpo": ("vgpo", {}, TWO_STEPS),
    "adapters": ("grpo", {}, LORA),
    "adapters, their base as reference": ("grpo", {}, (*LORA, "--beta", "0.1")),
    "a frozen tower": ("grpo", {}, ("--freeze_vision", "true")),
    "checkpointing": ("papo", {"second_grad": True}, (
        "--gradient_checkpointing", "true", "--gradient_checkpointing_kwargs", '{"use_reentrant": false}',
    )),
    "reentrant checkpointing": ("grpo", {}, (
        "--gradient_checkpointing", "true", "--gradient_checkpointing_kwargs", '{"use_reentrant": true}',
    )),
}  # fmt: skip


@pytest.fixture(scope="module")
def responses() -> list[list[list[int]]]:
    return sampled_responses(load_model("embedded", torch.float32), STEPS, temperature=1.5)


def make(folder: Path, case: str, stored: Sequence[Any], *more: str, without: Sequence[int] = ()) -> Any:
    """A trainer of the embedded model; the problems `without` show no image."""
    name, options, flags = CASES[case]
    plain = ("--no_shuffle_dataset", "--optim", "sgd", "--learning_rate", "0.02", "--shuffle_by", "rollout")
    steps = ("--max_steps", str(STEPS), "--blind_every", "0", "--max_grad_norm", "1e9")
    run = settings(folder, name, options, *plain, *steps, *flags, *more)
    loaded = load_model("embedded", torch.float32)
    task = SomeWithoutImages(without)
    made = StoredTrainer(
        stored,
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[lambda completions, **_: REWARDS[: len(completions)]],
        train_dataset=training_rows(task, task.train(PROMPTS * len(stored), 3)),
        peft_config=get_peft_config(run.model),
    )
    if run.train.freeze_vision:
        freeze_vision(made.model)
    return made


def moved(made: Any) -> Tensor:
    """By how much training has moved every weight."""
    before = {name: value.detach().clone() for name, value in made.model.named_parameters()}
    made.train()
    after = dict(made.model.named_parameters())
    return torch.cat([(after[name].detach() - value).flatten() for name, value in before.items()])


def distance(found: Tensor, wanted: Tensor) -> float:
    assert wanted.norm().item() > 0
    return ((found - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("case", CASES)
def test_five_steps_move_the_weights_alike(case: str, responses: list[Any], tmp_path: Path) -> None:
    apart = make(tmp_path / "apart", case, responses, *PLAIN)
    wanted = moved(apart)
    together = make(tmp_path / "together", case, responses)
    assert together.sharing.on and not apart.sharing.on
    # Of the movement, which is itself a difference of float32 weights; of the weights it is 1e-7.
    assert distance(moved(together), wanted) < 2e-5


@pytest.mark.parametrize("method", ["vgpo", "vppo"])
def test_rollouts_that_are_sampled_and_scored_as_they_ran(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first step with our own sampler; the first view's responses run again without sharing alone."""
    found, responses, runs = [], [], []
    plain = SharedPrefix.respond
    monkeypatch.setattr(SharedPrefix, "respond", lambda *given: responses.append(1) or plain(*given))
    for flags in ((), PLAIN):
        folder = tmp_path / f"run{len(found)}"
        responses.clear()
        more = ("--max_steps", "1", "--blind_every", "0", "--save_strategy", "no", "--shuffle_by", "rollout")
        short_runs.run(folder, "--method", method, *more, *flags)
        runs.append(len(responses))
        found.append(short_runs.metrics(folder)[0])
    assert runs[1] == runs[0] + PROMPTS
    for name, value in found[1].items():
        if isinstance(value, float):
            assert found[0][name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert found[1]["grad_norm"] > 1e-3


def one_batch(made: Any) -> list[dict[str, Any]]:
    """The micro-batches of one rollout batch."""
    made.current_gradient_accumulation_steps = made.args.gradient_accumulation_steps
    made.model.train()
    torch.manual_seed(0)
    made._prepare_inputs([made.train_dataset[row // GROUP] for row in range(PROMPTS * GROUP)])
    return made._buffered_inputs


def gradient(made: Any, batches: list[dict[str, Any]]) -> Tensor:
    made.model.zero_grad()
    for batch in batches:
        made.compute_loss(made.model, dict(batch)).backward()
    return torch.cat([p.grad.flatten() for p in made.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("without", [[], [1], [0, 1]])
@pytest.mark.parametrize("masked", ["tools", "left out", "nothing left"])
def test_masks_and_rows_of_text(
    masked: str, without: list[int], responses: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, norms and the head's sums too."""
    made = make(tmp_path, "grpo", responses, without=without)
    batches = one_batch(made)
    for batch in batches:
        if masked == "tools":
            random = torch.rand(batch["completion_mask"].shape, generator=torch.Generator().manual_seed(1))
            batch["tool_mask"] = (random > 0.3).long()
        rows = [1, 6] if masked == "left out" else range(len(batch["completion_mask"]))
        if masked != "tools":
            batch["completion_mask"][list(rows)] = 0
    made.model.double()
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    batches = [{n: v.double() if n == "pixel_values" else v for n, v in batch.items()} for batch in batches]
    found = gradient(made, batches)
    monkeypatch.setattr(made.sharing, "models", [])
    wanted = gradient(made, batches)
    if masked == "nothing left":
        assert found.shape == wanted.shape and not found.any() and not wanted.any()
    else:
        assert distance(found, wanted) < 1e-9


def test_bfloat16_to_its_own_rounding(responses: list[Any], tmp_path: Path) -> None:
    exact = make(tmp_path / "exact", "grpo", responses)
    wanted = gradient(exact, one_batch(exact))
    errors = []
    for name, more in (("together", ()), ("apart", PLAIN)):
        made = make(tmp_path / name, "grpo", responses, *more)
        made.model.to(torch.bfloat16)
        errors.append(distance(gradient(made, one_batch(made)).float(), wanted))
    assert 1e-4 < errors[0] < 1.5 * errors[1] + 1e-3, errors


# --- every family -----------------------------------------------------------------------------------


class Rows:
    """What TRL gives a forward, for a shuffled micro-batch that holds some groups in part."""

    ORDER = (3, 0, 8, 1, 9, 10, 4, 11, 2, 5)

    def __init__(self, model: Any, processor: Any, order: Sequence[int]):
        found = rollouts(model, processor, prompts(), group=3)
        order, self.length = list(order), found.mask.shape[1]
        ids = torch.cat([found.prompt_ids, found.response_ids], 1)[order]
        mask = torch.cat([found.prompt_mask, found.mask], 1)[order]
        images = [found.images[row] for row in order]
        vision = image_features_inputs(model, process_prompts(processor, images)[0])
        vision.pop("batch_num_images", None)  # TRL does not hand it on
        vision = {n: v.to(model.dtype) if v.is_floating_point() else v for n, v in vision.items()}
        self.inputs = {"input_ids": ids, "attention_mask": mask, **vision, **type_ids(model, ids)}
        self.counts: dict[str, Any] = {"num_images": [len(shown) for shown in images]}
        if type(model).__name__.startswith(("InternVL", "Cohere2Vision")):
            tokens = (ids == image_token_id(model.config)).sum(1)
            self.counts["num_tiles"] = (tokens // 4).tolist()
        self.labels = ids.masked_fill(mask == 0, -100)
        self.labels[:, : -self.length] = -100

    def run(self, forward: Any, **changes: Any) -> tuple[Tensor, Tensor]:
        """log π and entropy [B, T]."""
        output = forward(**self.inputs | changes, labels=self.labels, fused_lm_head=True)
        return output.log_probs[:, -self.length :], output.entropy[:, -self.length :]


def shared(model: Any, rows: Rows, whole: Any = None) -> Any:
    return PromptSharing([model], None).rows(model, model, whole, rows.length, rows.counts)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(Tensor, "float", Tensor.double)


@pytest.mark.parametrize("family", PACKED)
def test_log_probs_entropy_and_gradient_in_every_family(family: str, exact: None) -> None:
    model, processor = build(family)
    model.double()
    add_fused_lm_head(model, temperature=0.8, outputs=("log_probs", "entropy"))
    # A prompt with two images is not cut into tiles by LLaVA-OneVision, which TRL cannot tell its forward.
    order = [row for row in Rows.ORDER if family != "llava_onevision" or row // 3 != 2]
    rows = Rows(model, processor, order)
    encoded = []
    tower = next(m for n, m in model.named_modules() if n.split(".")[-1] in TOWERS)
    tower.register_forward_pre_hook(lambda *_: encoded.append(1))
    weights = torch.randn(2, len(order), rows.length, dtype=torch.float64)
    numbers, gradients = [], []
    for forward in (model, shared(model, rows)):
        model.zero_grad()
        found = torch.stack(rows.run(forward))
        (found * weights).sum().backward()
        numbers.append(found.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(numbers[1], numbers[0], atol=1e-9, rtol=1e-9)
    assert distance(gradients[1], gradients[0]) < 1e-9
    assert encoded


def test_parts_of_a_batch_know_their_images() -> None:
    """Log-probs without a gradient are computed a few rows at a time."""
    model, processor = build("qwen3_vl")
    add_fused_lm_head(model)
    rows = Rows(model, processor, Rows.ORDER)
    forward = shared(model, rows)
    with torch.no_grad():
        wanted = model(**rows.inputs, labels=rows.labels, fused_lm_head=True).log_probs[:, -rows.length :]
        patches = rows.inputs["image_grid_thw"].prod(1).tolist()
        seen = 0
        for _ in range(2):  # the reference's pass follows the policy's
            found, image = [], 0
            for start in range(0, len(Rows.ORDER), 4):
                part = slice(start, start + 4)
                shown = sum(rows.counts["num_images"][part])
                pixels = sum(patches[image : image + shown])
                text = {n: rows.inputs[n][part] for n in ("input_ids", "attention_mask", "mm_token_type_ids")}
                vision = {
                    "pixel_values": rows.inputs["pixel_values"][seen : seen + pixels],
                    "image_grid_thw": rows.inputs["image_grid_thw"][image : image + shown],
                }
                image, seen = image + shown, seen + pixels
                found.append(forward(**text, **vision, labels=None, fused_lm_head=True).log_probs)
            seen = 0
            torch.testing.assert_close(torch.cat(found), wanted, atol=1e-5, rtol=1e-4)


# --- where prompts cannot be shared ------------------------------------------------------------------


def test_dropout_runs_as_ever_and_says_why(responses: list[Any], tmp_path: Path) -> None:
    drops = ("--lora_dropout", "0.05")
    wanted = moved(make(tmp_path / "apart", "adapters", responses, *drops, *PLAIN))
    made = make(tmp_path / "together", "adapters", responses, *drops)
    assert "drops out 0.05" in made.sharing.reason
    assert torch.equal(moved(made), wanted)


def test_what_no_row_can_hold_runs_whole() -> None:
    model, processor = build("qwen3_vl")
    add_fused_lm_head(model)
    rows = Rows(model, processor, Rows.ORDER)
    whole: list[Any] = []
    forward = shared(model, rows, lambda **inputs: whole.append(inputs))
    mask, ids = rows.inputs["attention_mask"].clone(), rows.inputs["input_ids"].clone()
    mask[0, -rows.length :] = torch.tensor([1, 0, 1, 0, 0, 0, 0])
    assert forward(**rows.inputs | {"attention_mask": mask}) is None, "gaps"
    ids[0, -rows.length] = image_token_id(model.config)
    assert forward(**rows.inputs | {"input_ids": ids}) is None, "images in a response"
    assert forward(**rows.inputs, input_features=torch.ones(1)) is None, "something unknown"
    assert len(whole) == 3


def test_prompts_are_told_apart_by_what_they_show() -> None:
    """Equal ids beside other pixels, as where every rollout is masked anew."""
    model, processor = build("qwen3_vl")
    add_fused_lm_head(model)
    rows = Rows(model, processor, [0, 1, 2])
    pixels = rows.inputs["pixel_values"]
    part = len(pixels) // 3
    pixels[part : 2 * part] = pixels[part : 2 * part].flip(0)
    packed: Any = prompt_sharing.packed_rows(model, rows.inputs, rows.counts, rows.length)
    assert int((packed.inputs["input_ids"] == image_token_id(model.config)).sum()) == 2 * part // 4
    both = [
        forward(**rows.inputs, labels=rows.labels, fused_lm_head=True).log_probs[:, -rows.length :]
        for forward in (shared(model, rows), model)
    ]
    torch.testing.assert_close(*both, atol=1e-5, rtol=1e-4)
