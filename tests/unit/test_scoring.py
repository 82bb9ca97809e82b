"""What the scoring pass does with odd batches, how it cuts them, and what it never does twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import build, make_image, prompt, prompts, rollouts

from sightline.errors import UserError
from sightline.methods import Needs
from sightline.models.families import image_token_id
from sightline.models.generation.prompt_inputs import process, shown_prompts
from sightline.models.scoring import hidden_states as states
from sightline.models.scoring import score as scoring
from sightline.models.scoring import view_pass as seen
from sightline.models.scoring.micro_batches import bundles
from sightline.models.scoring.score import score
from sightline.rollouts import Rollouts
from sightline.views import Black, Patches, Swapped, TextOnly, View

KL = frozenset(["exact_kl", "visual_focus"])


@pytest.fixture
def qwen() -> tuple[Any, Any]:
    return build("qwen2_5_vl")


def scored(model: Any, processor: Any, batch: Rollouts, view: View | None = None, **options: Any) -> Any:
    needs = Needs(KL if view else frozenset(["visual_focus"]), view, second_view_gradient=False)
    return score(model, processor, batch, needs, seed=0, step=0, **options)


def same(found: Any, wanted: Any, rows: slice | list[int] = slice(None)) -> None:
    for name, values in wanted.signals.items():
        torch.testing.assert_close(found.signals[name][rows], values[rows], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.log_probs[rows], wanted.log_probs[rows], atol=1e-5, rtol=1e-4)


# --- rows that cannot be scored ----------------------------------------------------------------------


@pytest.mark.parametrize("share", [True, False])
def test_a_sampled_image_token_costs_its_row_only(qwen: tuple[Any, Any], share: bool) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    wanted = scored(model, processor, batch, Black(), share_prefix=share)
    ids = batch.response_ids.clone()
    ids[2, 0] = image_token_id(model.config)
    found = scored(model, processor, replace(batch, response_ids=ids), Black(), share_prefix=share)
    assert list(found.skipped) == [2]
    assert "image token" in found.skipped[2]
    assert (found.log_probs[2] == 0).all()
    same(found, wanted, [0, 1, 3, 4, 5, 6, 7])


def test_a_row_longer_than_the_model_s_positions(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    wanted = scored(model, processor, batch)
    longest = int((batch.prompt_mask.sum(1) + batch.mask.sum(1)).max())
    model.config.get_text_config().max_position_embeddings = longest - 1
    found = scored(model, processor, batch)
    assert found.skipped and all("positions" in reason for reason in found.skipped.values())
    same(found, wanted, [row for row in range(len(batch)) if row not in found.skipped])


def test_an_overflow_costs_its_row_only(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    wanted = scored(model, processor, batch, TextOnly())
    ids = batch.response_ids.clone()
    ids[1, 0] = 7
    with torch.no_grad():
        model.get_input_embeddings().weight[7] = torch.inf
    found = scored(model, processor, replace(batch, response_ids=ids), TextOnly())
    assert list(found.skipped) == [1]
    assert "not finite" in found.skipped[1]
    same(found, wanted, [0, *range(2, 8)])


@pytest.mark.parametrize(
    "view", [None, Black(), Patches(size=8, per="rollout"), TextOnly()], ids=lambda v: v and v.name
)
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("rows_per_pass", [2, 8])
def test_a_cut_prompt_costs_its_rows_only(
    qwen: tuple[Any, Any], view: View | None, share: bool, rows_per_pass: int
) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    options = {"share_prefix": share, "rows_per_pass": rows_per_pass}
    wanted = scored(model, processor, batch, view, **options)
    ids = batch.prompt_ids.clone()
    ids[4:6] = ids[4:6].masked_fill(ids[4:6] == image_token_id(model.config), 65)
    found = scored(model, processor, replace(batch, prompt_ids=ids), view, **options)
    assert found.skipped.keys() == {4, 5}
    assert "holds 0 image tokens, but its images take" in found.skipped[4]
    assert (found.log_probs[4:6] == 0).all()
    same(found, wanted, [0, 1, 2, 3, 6, 7])


def test_a_cut_prompt_is_named_where_no_row_can_leave(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    images = process(model, processor, [batch.images[0]])
    ids, mask = batch.prompt_ids[:1].clone(), batch.prompt_mask[:1]
    ids[0, int((ids[0] == image_token_id(model.config)).nonzero()[0])] = 65
    with pytest.raises(ValueError, match=r"problem bars holds 3 image tokens, but its images take 4"):
        shown_prompts(model, ids, mask, images, ["bars"])


def test_rollouts_of_one_group_share_their_prompt(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    with pytest.raises(ValueError, match="row 2 has another prompt than row 0"):
        scored(model, processor, replace(batch, group_ids=torch.tensor([0, 0, 0, 1, 2, 2, 3, 3])))


def test_a_layer_that_is_not_there(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts()[:1], group=2)
    with pytest.raises(UserError, match="layer 7 does not exist; the model has layers 0 to 2"):
        score(model, processor, batch, Needs(KL, Black(), False, layer=7), seed=0, step=0)


# --- views -------------------------------------------------------------------------------------------


def test_rows_without_an_image_depend_on_nothing(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, [prompt("Why?"), prompt("How many are there?")], group=2)
    for view in (Black(), TextOnly()):
        found = scored(model, processor, batch, view)
        assert (found.signals["exact_kl"] == 0).all()
        assert (found.signals["visual_focus"] == 0).all()
        torch.testing.assert_close(found.other_log_probs, found.log_probs)
        assert (found.log_probs[:3] * batch.mask[:3]).sum() < 0


def test_swapped_partners_do_not_depend_on_how_the_batch_is_cut(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    asked = [prompt("How many?", [make_image(32, 32, seed)]) for seed in range(5)]
    batch = rollouts(model, processor, asked, group=2)
    wanted = scored(model, processor, batch, Swapped(), rows_per_pass=100)
    same(scored(model, processor, batch, Swapped(), rows_per_pass=1), wanted)
    assert wanted.signals["exact_kl"].max() > 1e-2


@pytest.mark.parametrize("rows_per_pass", [1, 2, 5, 64])
def test_scores_do_not_depend_on_how_many_rows_run_at_once(qwen: tuple[Any, Any], rows_per_pass: int) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=3)
    wanted = scored(model, processor, batch, TextOnly(), rows_per_pass=12)
    same(scored(model, processor, batch, TextOnly(), rows_per_pass=rows_per_pass), wanted)


# --- nothing twice -----------------------------------------------------------------------------------


def test_a_prompt_and_its_images_run_once_a_view(
    qwen: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=4)
    pixels, prefilled, threads = [], [], set()
    encode, process = model.model.get_image_features, processor.image_processor._preprocess
    monkeypatch.setattr(
        model.model, "get_image_features", lambda x, *a, **k: pixels.append(len(x)) or encode(x, *a, **k)
    )
    monkeypatch.setattr(
        processor.image_processor,
        "_preprocess",
        lambda images, *a, **k: threads.add(threading.get_ident()) or process(images, *a, **k),
    )
    run = states._run
    monkeypatch.setattr(
        states,
        "_run",
        lambda m, inputs, *a: prefilled.append(inputs["input_ids"].shape) or run(m, inputs, *a),
    )
    scored(model, processor, batch, Black(), rows_per_pass=64)
    assert pixels == [88, 88], "patches of four images, each once in each view"
    assert [shape[0] for shape in prefilled] == [4, 4, 16, 16]
    assert threads - {threading.get_ident()}, "the second view's images are processed beside the first"


def test_the_second_view_s_images_are_processed_while_the_first_runs(
    qwen: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each side waits for the other to have begun, also where there is one bundle."""
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    first_runs, second_is_processed = threading.Event(), threading.Event()
    processed: list[int] = []
    process, run = seen.process, states._run

    def slow_process(*given: Any) -> Any:
        processed.append(1)
        if len(processed) == 2:
            assert first_runs.wait(30)
            second_is_processed.set()
        return process(*given)

    def slow_run(*given: Any) -> Any:
        first_runs.set()
        assert second_is_processed.wait(30)
        return run(*given)

    monkeypatch.setattr(seen, "process", slow_process)
    monkeypatch.setattr(states, "_run", slow_run)
    scored(model, processor, batch, Black(), rows_per_pass=64)
    assert len(processed) == 2


def test_no_hidden_states_are_collected_and_the_mode_stays(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts()[:1], group=2)
    asked: list[Any] = []
    model.model.register_forward_pre_hook(lambda _, __, named: asked.append(named), with_kwargs=True)
    model.train()
    scored(model, processor, batch, Black())
    assert model.training
    assert asked and not any(named.get("output_hidden_states") for named in asked)


def test_a_model_that_cannot_share_runs_whole_and_says_so_once(
    qwen: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = qwen
    batch = rollouts(model, processor, prompts(), group=2)
    wanted = scored(model, processor, batch, TextOnly())
    said: list[str] = []
    monkeypatch.setattr(scoring, "why_not_shared", lambda _: "its cache has layers of kind Other")
    monkeypatch.setattr(scoring._log, "warning_once", said.append)
    same(scored(model, processor, batch, TextOnly(), rows_per_pass=3), wanted)
    assert len(said) == 1
    assert "cannot share a prompt, as its cache has layers of kind Other" in said[0]


# --- bundles -----------------------------------------------------------------------------------------


def batch_of(lengths: list[int], groups: list[int]) -> Rollouts:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    prompt_ids = torch.tensor(groups)[:, None].expand(-1, 3)
    return Rollouts(
        prompt_ids, torch.ones_like(prompt_ids), mask, mask, torch.tensor(groups), [[] for _ in lengths]
    )


def test_bundles_hold_whole_groups_and_parts_similar_lengths() -> None:
    lengths = [5, 40, 7, 40, 5, 6] * 20
    groups = [row % 3 for row in range(120)]
    found = bundles(batch_of(lengths, groups), rows_per_pass=90)
    assert [len(bundle.prompts) for bundle in found] == [2, 1]
    rows = torch.cat([part.rows for bundle in found for part in bundle.parts])
    assert sorted(rows.tolist()) == list(range(120))
    for bundle in found:
        for part in bundle.parts:
            assert part.length == max(lengths[row] for row in part.rows)
            assert [groups[bundle.prompts[place]] for place in part.owner] == [
                groups[row] for row in part.rows
            ]
    waste = sum(part.length * len(part.rows) for bundle in found for part in bundle.parts) / sum(lengths)
    assert waste < 1.4 < 120 * 40 / sum(lengths)


def test_ranks_with_as_many_rows_make_as_many_calls() -> None:
    first = bundles(batch_of([3] * 12, [0] * 8 + [1] * 4), 3, even=True)
    second = bundles(batch_of([3] * 12, [1] * 4 + [2] * 8), 3, even=True)
    assert [len(b.parts) for b in first] == [len(b.parts) for b in second] == [1, 1]
    assert len(first) == len(second)


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3"])
@pytest.mark.parametrize("per", ["prompt", "rollout"])
def test_long_responses_run_in_segments(family: str, per: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = build(family)
    batch = rollouts(model, processor, prompts(), group=2, longest=11)
    wanted = scored(model, processor, batch, Patches(size=8, per=per))
    widths: list[int] = []
    run = states._run
    monkeypatch.setattr(
        states,
        "_run",
        lambda m, inputs, *a: widths.append(inputs["input_ids"].shape[1]) or run(m, inputs, *a),
    )
    monkeypatch.setattr(states, "SEGMENT", 4)
    monkeypatch.setattr(seen, "SEGMENT", 4)
    same(scored(model, processor, batch, Patches(size=8, per=per)), wanted)
    assert {4, 3} <= set(widths)
