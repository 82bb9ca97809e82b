"""The self-test at load: every family passes, and faults of scoring are refused by name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, UNSHARED, build, prompts, rollouts

from sightline.errors import UserError
from sightline.methods import Needs
from sightline.models import self_test
from sightline.models.generation import prompt_inputs
from sightline.models.loading import load_model
from sightline.models.scoring import hidden_states
from sightline.models.scoring.hidden_states import why_not_shared
from sightline.models.scoring.score import score
from sightline.models.self_test import check_scores


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes(family: str, caplog: pytest.LogCaptureFixture) -> None:
    model, processor = build(family)
    layers = list(model.get_decoder().layers)
    check_scores(model, processor)
    assert (why_not_shared(model) is None) == (family not in UNSHARED)
    assert list(model.get_decoder().layers) == layers
    assert "self-test" not in caplog.text


def test_images_that_are_no_tokens_are_refused() -> None:
    with pytest.raises(UserError, match="mllama cannot be trained or scored: its images reach the text"):
        check_scores(*build("mllama"))


def test_answers_that_see_later_tokens_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="paligemma cannot be trained or scored: its answers see later"):
        check_scores(*build("paligemma"))


def test_scores_unlike_the_model_s_own_forward_refuse_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = build("qwen2_5_vl")
    plain = prompt_inputs.positions
    monkeypatch.setattr(prompt_inputs, "positions", lambda *given: plain(*given) // 2)
    with pytest.raises(UserError, match=r"qwen2_5_vl cannot be scored: .* differ by \d\S* nats"):
        check_scores(model, processor)


def test_wrong_shared_prompts_are_not_shared(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    model, processor = build("internvl")
    plain = hidden_states.SharedPrefix.respond

    def shifted(self: Any, owner: Any, ids: Any, mask: Any) -> Any:
        self.prompts.next_position.add_(3)
        return plain(self, owner, ids, mask)

    batch = rollouts(model, processor, prompts(), group=2)
    needs = Needs(frozenset(), None, second_view_gradient=False)
    wanted = score(model, processor, batch, needs, seed=0, step=0).log_probs
    monkeypatch.setattr(hidden_states.SharedPrefix, "respond", shifted)
    with caplog.at_level(logging.WARNING):
        check_scores(model, processor)
    assert "internvl runs every rollout whole: shared prompts differ from its own forward by" in caplog.text
    found = score(model, processor, batch, needs, seed=0, step=0).log_probs
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3"])
def test_rounding_of_half_precision_is_no_fault(family: str, caplog: pytest.LogCaptureFixture) -> None:
    model, processor = build(family)
    check_scores(model.to(torch.bfloat16), processor)
    assert why_not_shared(model) is None
    assert not caplog.records


def test_layers_of_every_kind_run_and_no_more() -> None:
    model, _ = build("qwen3_vl")
    decoder = model.get_decoder()
    decoder.layers = torch.nn.ModuleList([*decoder.layers, *decoder.layers, *decoder.layers])
    with self_test._first_layers(model):
        assert len(decoder.layers) == 4
    assert len(decoder.layers) == 9


def test_pan_and_scan_that_transformers_leaves_unread_is_said(tmp_path: Path, caplog: Any) -> None:
    model, processor = build("gemma3")
    processor.image_processor.do_pan_and_scan = True
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        load_model(str(tmp_path))
    assert "do_pan_and_scan is not applied" in caplog.text
