"""The scoring pass's log-probs are those of TRL's fused head, so that either can stand for the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, build, prompts, rollouts
from torch import Tensor
from trl.trainer.utils import add_fused_lm_head

from sightline.methods import Needs
from sightline.models.families import image_features_inputs, process_prompts, type_ids
from sightline.models.scoring.score import score
from sightline.views import Black

TEMPERATURE = 0.8
NOTHING = Needs(frozenset(), None, second_view_gradient=False)


@torch.no_grad()
def engine(model: Any, processor: Any, batch: Any) -> Tensor:
    """log π [B, T] as TRL's trainer asks for it."""
    ids = torch.cat([batch.prompt_ids, batch.response_ids], 1)
    mask = torch.cat([batch.prompt_mask, batch.mask], 1)
    length = batch.mask.shape[1]
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :-length] = -100
    vision = image_features_inputs(model, process_prompts(processor, batch.images)[0])
    if getattr(model, "_fused", None) is None:
        add_fused_lm_head(model, temperature=TEMPERATURE)
        model._fused = True
    out = model(
        input_ids=ids,
        attention_mask=mask,
        labels=labels,
        fused_lm_head=True,
        **vision,
        **type_ids(model, ids),
    )
    return out.log_probs[:, -length:]


def ours(model: Any, processor: Any, batch: Any, **options: Any) -> Tensor:
    return score(
        model, processor, batch, NOTHING, seed=0, step=0, temperature=TEMPERATURE, **options
    ).log_probs


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_equal_the_engine_s(family: str) -> None:
    model, processor = build(family)
    batch = rollouts(model, processor, prompts(), group=2)
    torch.testing.assert_close(
        ours(model, processor, batch), engine(model, processor, batch), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "value"), [("final_logit_softcapping", 2.0), ("logit_scale", 0.3), ("logits_scaling", 4.0)]
)
def test_scale_and_softcap_of_the_config_are_honoured(name: str, value: float) -> None:
    model, processor = build("llava")
    batch = rollouts(model, processor, prompts(), group=2)
    before = ours(model, processor, batch)
    setattr(model.config.get_text_config(), name, value)
    found = ours(model, processor, batch)
    torch.testing.assert_close(found, engine(model, processor, batch), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, before, atol=1e-2)


@pytest.mark.parametrize("share", [True, False])
def test_autocast_and_a_float32_head(share: bool) -> None:
    model, processor = build("qwen2_5_vl")
    batch = rollouts(model, processor, prompts(), group=2)
    exact = ours(model, processor, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, theirs = ours(model, processor, batch, share_prefix=share), engine(model, processor, batch)
        needs = Needs(frozenset(["exact_kl", "entropy"]), Black(), second_view_gradient=False)
        halves = score(model, processor, batch, needs, seed=0, step=0, share_prefix=share).signals
    assert (mixed - theirs).abs().mean() < 0.02
    assert (mixed - exact).abs().max() > 1e-3, "autocast was on"
    full = score(model, processor, batch, needs, seed=0, step=0, share_prefix=share).signals
    for name, values in halves.items():
        assert values.dtype == torch.float32
        assert (values - full[name]).abs().mean() < 0.02 * max(1.0, float(full[name].abs().max()))
    model.to(torch.bfloat16).lm_head.float()
    half = ours(model, processor, batch, share_prefix=share)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kept = ours(model, processor, batch, share_prefix=share)
    torch.testing.assert_close(kept, half, atol=0.1, rtol=0.05)


def test_adapters_take_part() -> None:
    peft = pytest.importorskip("peft")
    model, processor = build("qwen3_vl")
    batch = rollouts(model, processor, prompts(), group=2)
    before = ours(model, processor, batch)
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False, r=4)
    torch.manual_seed(0)
    adapted = peft.get_peft_model(model, config).eval()
    found = ours(adapted.get_base_model(), processor, batch)
    assert not torch.allclose(found, before, atol=1e-2)
    merged = adapted.merge_and_unload()
    torch.testing.assert_close(found, ours(merged, processor, batch), atol=1e-4, rtol=1e-4)
