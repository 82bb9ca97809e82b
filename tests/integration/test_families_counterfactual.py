"""The counterfactual view against a slow reference, head by head, in families with grouped keys."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from test_families_scoring import Reference
from torch import Tensor
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import AttentionInterface

from sightline.methods import Needs
from sightline.models.families import image_token_id
from sightline.models.scoring import counterfactual
from sightline.models.scoring.score import score
from sightline.views import Counterfactual

reference = functools.cache(Reference)


def slow(
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
    """One sample, query by query and head by head, from CFPO's equations."""
    heads, length, width = query.shape[1:]
    shared = heads // key.shape[1]
    scale = given.get("scaling") or width**-0.5
    attention = torch.zeros(heads, length, length)
    for head in range(heads):
        for place in range(length):
            logits = scale * key[0, head // shared] @ query[0, head, place] + mask[0, 0, place]
            attention[head, place] = logits.softmax(-1)
    after = int(image[-1]) + 1
    entries = [a for head in attention for row in head[after:] for a in row[image].tolist() if a > 1e-8]
    mean = sum(entries) / len(entries)
    bound = mean + view.deviations * (sum((a - mean) ** 2 for a in entries) / (len(entries) - 1)) ** 0.5
    out = torch.zeros(1, length, heads, width)
    for head in range(heads):
        values = value[0, head // shared]
        middle = values[image].mean() if view.mean == "scalar" else values[image].mean(0)
        for place in range(length):
            for other in range(length):
                a = attention[head, place, other]
                replaced = place >= after and other in image.tolist() and a > bound
                out[0, place, head] += a * (middle if replaced else values[other])
    return out, None


@torch.no_grad()
def log_probs(known: Reference, row: int, view: Counterfactual) -> Tensor:
    """log π of one row's response with the slow attention, the row run alone and unpadded."""
    inputs = known.inputs(row, list(known.asked[row // 2].images))
    ids = inputs["input_ids"][0]
    image = (ids == image_token_id(known.model.config)).nonzero().flatten()
    config = known.model.config.get_text_config()
    before = config._attn_implementation
    AttentionInterface.register("slow", functools.partial(slow, image=image, view=view))
    AttentionMaskInterface.register("slow", eager_mask)
    config._attn_implementation = "slow"
    try:
        logits = known.model(**inputs).logits[0]
    finally:
        config._attn_implementation = before
    count = int(known.batch.mask[row].sum())
    return logits[-count - 1 : -1].log_softmax(-1)[torch.arange(count), ids[-count:]]


@pytest.mark.parametrize("mean", ["scalar", "vector"])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "gemma3"])
def test_log_probs_are_those_of_the_slow_reference(family: str, mean: str) -> None:
    known, view = reference(family), Counterfactual(mean=mean, deviations=1.0)
    heads = known.model.config.get_text_config()
    assert heads.num_attention_heads > heads.num_key_value_heads, "keys are grouped"
    needs = Needs(frozenset(), view, second_view_gradient=False)
    found = score(known.model, known.processor, known.batch, needs, seed=0, step=0, rows_per_pass=3)
    assert found.other_log_probs is not None
    moved = 0.0
    for row in range(len(known.batch)):
        count = int(known.batch.mask[row].sum())
        if count and known.asked[row // 2].images:
            wanted = log_probs(known, row, view)
            torch.testing.assert_close(found.other_log_probs[row, :count], wanted, atol=1e-4, rtol=1e-4)
            moved = max(moved, float((wanted - found.log_probs[row, :count]).abs().max()))
        elif count:
            torch.testing.assert_close(found.other_log_probs[row], found.log_probs[row], atol=1e-4, rtol=1e-4)
    assert moved > 1e-4, "the view changes something, so that the test can fail"


def test_nothing_above_the_bound_changes_nothing() -> None:
    known = reference("qwen2_5_vl")
    needs = Needs(frozenset(), Counterfactual(deviations=1e6), second_view_gradient=False)
    found = score(known.model, known.processor, known.batch, needs, seed=0, step=0)
    assert found.other_log_probs is not None
    torch.testing.assert_close(found.other_log_probs, found.log_probs, atol=1e-4, rtol=1e-4)


def test_attention_is_the_model_s_own_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    known = reference("qwen2_5_vl")
    config = known.model.config.get_text_config()
    before = config._attn_implementation
    monkeypatch.setattr(counterfactual, "counterfactual_output", None)
    needs = Needs(frozenset(), Counterfactual(), second_view_gradient=False)
    with pytest.raises(TypeError):
        score(known.model, known.processor, known.batch, needs, seed=0, step=0)
    assert config._attn_implementation == before
