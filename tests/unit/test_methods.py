"""Methods as descriptions: names, options, needs, plain data, bad input, compositions, statistics."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sightline.errors import UserError
from sightline.methods import METHODS, method, statistics
from sightline.objectives import Term, perception_kl
from sightline.shaping import SHAPINGS, Rule, shaping
from sightline.signals import SIGNALS
from sightline.value_checks import between
from sightline.views import Black, view

README = (Path(__file__).parents[2] / "docs" / "methods" / "README.md").read_text()
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
GROUPS = [7, 7, 2, 2]
SCORES = torch.tensor([[0.1, 0.9, 0.5, 9.0], [0.2, 0.2, 0.8, 0.3], [0.4, 0.6, 9.0, 9.0], [9.0] * 4])
VARIANTS = {"vppo": "released", "vgpo": "released", "papo": "released", "pgpo": "snapshot"} | dict.fromkeys(
    ("noisyrollout", "pepo", "vepo", "dupl", "cfpo"), "released"
)
KL_OF_A = {"name": "perception_kl", "coefficient": 1, "view": "a"}
HALF = {"name": "top_fraction", "keep": 0.5}
NAMES = [name for name in METHODS if name != "custom"]
EVERY = [(name, "paper") for name in NAMES] + list(VARIANTS.items())


def each(built, scores):
    """The same scores under every signal that a method reads."""
    return dict.fromkeys(built.signals, scores)


def facts(built, rows=4):
    """What a method reads beside scores."""
    every = {"advantages": [0.5, -0.5, 1.0, 0.0][:rows], "noisy": [1, 0, 0, 1][:rows], "progress": 0.3}
    return {name: every[name] for name in built.reads}


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_a_method_is_built_again_from_its_options(name, variant):
    built = method(name, variant=variant)
    assert method(name, **built.options) == built
    assert method(name, **json.loads(json.dumps(built.options))) == built
    assert method(name, **yaml.safe_load(yaml.safe_dump(built.options))) == built
    assert built.name == name
    assert built.variant == variant


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("objective", ["dapo", "grpo"])
def test_every_method_runs_under_both_objectives(name, objective):
    built = method(name, objective=objective)
    assert built.objective.name == objective
    assert method(name, **built.options) == built


def test_needs_are_what_the_papers_measure():
    assert method("grpo").needs.view is None
    assert method("vgpo").needs.signals == {"visual_focus"}
    assert method("vgpo").needs.view is None
    assert method("vgpo", layer=5).needs.layer == 5
    assert method("vppo").needs.signals == {"exact_kl"}
    assert method("vppo", variant="released").needs.signals == {"sampled_k3"}
    assert method("vppo", filter_by="union").needs.signals == {"exact_kl", "entropy"}
    assert method("vppo", variant="released").needs.view.per == "rollout"
    assert method("vppo").needs.view.plain() == {
        "name": "patches", "per": "prompt", "stage": "model", "size": 14, "probability": 0.5,
    }  # fmt: skip
    assert method("pgpo").needs.view.kind == "attention"
    papo = method("papo").needs
    assert (papo.view.per, papo.view.stage, papo.view.probability) == ("prompt", "original", 0.6)
    assert not papo.second_view_gradient
    assert method("papo", second_grad=True).needs.second_view_gradient


def test_a_signal_and_a_view_are_options():
    assert method("pgpo", signal="exact_kl", view="black").view == Black()
    assert method("pgpo", view={"name": "patches", "probability": 0.3}).view.probability == 0.3
    assert method("vgpo", signal="exact_kl").view == view("patches")
    assert method("pgpo", signal="visual_focus").view is None
    assert method("vppo", signal="jensen_shannon", scale_signal="entropy").signals == (
        "jensen_shannon", "entropy",
    )  # fmt: skip


def test_papo_s_coefficients_follow_the_objective_and_its_signs_the_loss():
    def coefficients(**options):
        return {term.name: term.coefficient for term in method("papo", **options).terms}

    assert coefficients() == {"perception_kl": -0.01, "sampled_entropy": 0.03, "masked_entropy": 0.03}
    assert coefficients(objective="grpo") == {
        "perception_kl": -0.02, "sampled_entropy": 0.0, "masked_entropy": 0.0,
    }  # fmt: skip
    assert coefficients(gamma=0.0, eta=0.05, masked_eta=0.0) == {
        "perception_kl": -0.0, "sampled_entropy": 0.05, "masked_entropy": 0.0,
    }  # fmt: skip
    grpo = method("papo", objective="grpo").objective
    assert (grpo.clip_high, grpo.reference_kl) == (0.3, 0.01)
    assert method("papo").objective.reference_kl == 0


def test_code_only_settings_come_with_the_code_s_variant():
    for name in ("vppo", "vgpo", "papo"):
        assert method(name).objective.dual_clip is None
        assert method(name, variant="released").objective.dual_clip == 3.0
    assert method("vppo").objective.entropy_penalty == 0.06
    assert method("pgpo").objective.informative_groups.key == "overall"
    assert method("pgpo", objective={"dual_clip": 2.0}).objective.informative_groups.key == "overall"
    assert method("pgpo", objective="grpo").objective.informative_groups is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgop", {}, "did you mean vgpo"),
        ("vppo", {"kep": 0.4}, "did you mean keep"),
        ("vppo", {"keep": 1.5}, r"keep must be a number in \(0, 1\], got 1.5"),
        ("vppo", {"keep": float("nan")}, "keep"),
        ("vppo", {"scale_min": -0.1}, r"scale_min must be a number in \[0, 1e\+06\], got -0.1"),
        ("vppo", {"scale_min": 1.5}, "dynamic upper bound"),
        ("vppo", {"scale_max": 0.5}, "at least scale_min"),
        ("vppo", {"minibatch": 4}, "variant='released'"),
        ("vppo", {"variant": "released", "minibatch": 0}, "an integer in"),
        ("vppo", {"filter_by": "mas"}, "did you mean mass"),
        ("vppo", {"signal": "kl"}, "unknown signal"),
        ("vgpo", {"tail": 1.2}, r"tail must be a number in \[0, 1\]"),
        ("vgpo", {"top": -1}, "top"),
        ("vgpo", {"strength": "0.3"}, "strength must be a number"),
        ("vgpo", {"schedule": "linaer"}, "did you mean linear"),
        ("vgpo", {"gate": 1}, "True or False"),
        ("vgpo", {"intra": "yes"}, "True or False"),
        ("vgpo", {"view": "black"}, "nothing reads the black view"),
        ("vgpo", {"min_range": -1.0}, "min_range"),
        ("vgpo", {"variant": "snapshot"}, "valid: paper, released"),
        ("vgpo", {"signal": None}, "a signal is named"),
        ("vgpo", {"strength": 1e300}, r"strength must be a number in \[0, 1e\+06\]"),
        ("vgpo", {"layer": "4"}, "layer must be an integer"),
        ("vgpo", {"layer": True}, "layer must be an integer"),
        ("vgpo", {"signal": "exact_kl", "layer": 4}, "no signal reads hidden states"),
        ("vppo", {"signal": ""}, "unknown signal"),
        ("vppo", {"scale_signal": 3}, "a signal is named"),
        ("vppo", {"minibatch": False}, "variant='released'"),
        ("vppo", {"variant": "released", "microbatch": 10**30}, "an integer in"),
        ("vppo", {"scale_max": 10**400}, "scale_max must be a number"),
        ("pgpo", {"objective": {"informative_groups": {"key": "overal"}}}, "did you mean overall"),
        ("pgpo", {"threshold": 1.01}, "threshold"),
        ("pgpo", {"boost": -0.5}, "boost"),
        ("pgpo", {"boost": "1e-3"}, "write 1.0e-6"),
        ("pgpo", {"variant": "released"}, "valid: paper, snapshot"),
        ("papo", {"gamma": -0.1}, "gamma"),
        ("papo", {"second_grad": "no"}, "True or False"),
        ("grpo", {"variant": "released"}, "valid: paper"),
        ("dapo", {"variant": "released"}, "valid: paper"),
        ("grpo", {"objective": "dpao"}, "did you mean dapo"),
        ("custom", {"shapings": [{"name": "top_fraction", "keep": 0.4}]}, "say which signal"),
        ("custom", {"signal": "exact_kl", "shapings": ["top_fraction"]}, "needs keep"),
        ("custom", {"signal": "exact_kl", "shapings": [{"keep": 0.4}]}, "`name`"),
        ("custom", {"signal": "exact_kl", "shapings": {"name": "top_fraction"}}, "shapings must be a list"),
        ("custom", {"signal": ["exact_kl"]}, "unknown signal"),
        ("custom", {"second_grad": True}, "differentiates terms"),
        ("custom", {"adjustments": "late_compensation"}, "adjustments must be a list"),
        ("custom", {"terms": [{"name": "perception_kl"}]}, "needs coefficient"),
    ],
)
def test_wrong_options_are_named_with_their_range(name, options, message):
    with pytest.raises(UserError, match=message):
        method(name, **options)


def corrupted(row, token, value):
    scores = SCORES.double()
    scores[row, token] = value
    return scores


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vppo", -0.5, r"exact_kl must be finite and in \[0, 3.4.*\], got -0.5 at row 1, token 2"),
        ("vppo", 1e308, r"finite and in \[0, 3.4.*\], got 1e\+308 at row 1, token 2"),
        ("pgpo", -1e-9, "row 1, token 2"),
        ("pgpo", float("nan"), "got nan at row 1, token 2"),
        ("vppo", float("inf"), "got inf at row 1, token 2"),
        ("vgpo", float("nan"), "visual_focus"),
        ("vgpo", 1.5, r"in \[-1, 1\]"),
    ],
)
def test_bad_scores_are_named_with_row_and_token(name, value, message):
    with pytest.raises(UserError, match=message):
        method(name).weights(corrupted(1, 2, value), MASK, GROUPS)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_bad_scores_do_not_matter_at_padding_or_without_an_image(name, variant):
    built = method(name, variant=variant)
    has_image = torch.tensor([True, True, False, True])
    read = facts(built)
    clean = built.weights(each(built, SCORES.clamp(max=1)), MASK, GROUPS, has_image, **read)
    dirty = SCORES.masked_fill(MASK == 0, float("nan"))
    dirty[2] = torch.tensor([float("inf"), -5.0, 0.0, 0.0])
    assert torch.equal(built.weights(each(built, dirty), MASK, GROUPS, has_image, **read), clean)
    assert clean[2].tolist() == [1, 1, 0, 0]
    assert clean[3].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": MASK * 2}, "mask must be 0 or 1, got 2 at row 0, token 0"),
        ({"mask": MASK * 0.5}, "got 0.5"),
        ({"mask": MASK[0]}, r"\[B, T\]"),
        ({"mask": MASK[:, :2]}, r"shape \[4, 2\], got \[4, 4\]"),
        ({"mask": MASK.float().masked_fill(MASK == 0, float("nan"))}, "got nan"),
        ({"group_ids": [1, 2, 3]}, r"group_ids must have one entry per row \[4\]"),
        ({"group_ids": torch.zeros(4, 1).long()}, "group_ids"),
        ({"group_ids": torch.tensor([0.5, 0.5, 1.0, 1.0])}, "group_ids must be integers"),
        ({"has_image": [True]}, "has_image must have one entry per row"),
        ({"scores": None}, "scores must hold"),
        ({"scores": {"entropy": SCORES}}, "scores lack exact_kl; got entropy"),
        ({"group_ids": ["a", "a", "b", "b"]}, "group_ids must be a tensor, or numbers"),
        ({"group_ids": [[0], [0, 1], [1], [1]]}, "group_ids must be a tensor"),
        ({"group_ids": [2**70] * 4}, "group_ids must be a tensor"),
        ({"group_ids": None}, "group_ids must be a tensor"),
        ({"has_image": [None] * 4}, "has_image must be a tensor"),
        ({"has_image": [2, 0, 1, 1]}, "has_image must be 0 or 1, got 2 at row 0"),
        ({"mask": None}, "mask must be a tensor"),
        ({"scores": "high"}, "exact_kl must be a tensor"),
        ({"scores": {1: SCORES}}, "scores lack exact_kl; got 1"),
        ({"scores": SCORES.to(torch.complex64)}, "a dense tensor of real numbers, got torch.complex64"),
        ({"scores": SCORES.to_sparse()}, "a dense tensor"),
        ({"scores": SCORES.to("meta")}, "a dense tensor"),
        ({"scores": SCORES[:3]}, "exact_kl must have the mask's shape"),
    ],
)
def test_a_batch_that_does_not_fit_is_named(change, message):
    given = {"scores": SCORES, "mask": MASK, "group_ids": GROUPS, **change}
    with pytest.raises(UserError, match=message):
        method("vppo").weights(**given)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_lists_and_arrays_are_as_good_as_tensors(name, variant):
    built = method(name, variant=variant)
    scores = SCORES.clamp(max=1)
    read = facts(built)
    wanted = built.weights(each(built, scores), MASK, torch.tensor(GROUPS), torch.tensor([True] * 4), **read)
    for form in (torch.Tensor.tolist, torch.Tensor.numpy):
        given = each(built, form(scores))
        tensors = {key: form(torch.tensor(value)) for key, value in read.items() if key != "progress"}
        tensors |= {key: value for key, value in read.items() if key == "progress"}
        assert torch.equal(built.weights(given, form(MASK), tuple(GROUPS), [1] * 4, **tensors), wanted)
    for ids in ([-9, -9, 2**62, 2**62], np.array([5, 5, 2**64 - 1, 2**64 - 1], dtype=np.uint64)):
        assert torch.equal(built.weights(each(built, scores), MASK, ids, **read), wanted)


@pytest.mark.parametrize(("name", "variant"), [pair for pair in EVERY if pair[0] in ("vppo", "pgpo")])
def test_the_largest_scores_give_finite_weights_and_statistics(name, variant):
    built = method(name, variant=variant)
    scores = torch.full_like(SCORES, torch.finfo(torch.float32).max)
    scores[0, 0] = 0.0
    weights = built.weights(scores, MASK, GROUPS)
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert all(math.isfinite(value) for value in statistics(built, scores, weights, MASK, GROUPS).values())


def test_vgpo_s_released_code_holds_cosines_against_min_range_not_their_halves():
    cosines = torch.tensor([[0.5, 0.5 + 1.5e-6, 0.5]], dtype=torch.float64)
    weights = method("vgpo", variant="released", compensate=False).weights(cosines, torch.ones(1, 3), [0])
    torch.testing.assert_close(weights, torch.tensor([[2 / 3, 5 / 3, 2 / 3]]))


def test_options_are_kept_as_plain_numbers():
    built = method("pgpo", threshold=np.float32(0.5), view={"name": "patches", "size": np.int64(7)},
                   min_range=np.float64(0.0))  # fmt: skip
    assert method("pgpo", **json.loads(json.dumps(built.options))) == built


def test_a_method_of_two_signals_wants_both():
    union = method("vppo", filter_by="union")
    with pytest.raises(UserError, match="a tensor for each of entropy, exact_kl"):
        union.weights(SCORES, MASK, GROUPS)
    both = union.weights({"exact_kl": SCORES, "entropy": SCORES, "sampled_k3": None}, MASK, GROUPS)
    assert torch.equal(both > 0, method("vppo").weights(SCORES, MASK, GROUPS) > 0)


@pytest.mark.parametrize("name", ["grpo", "dapo", "gspo", "dr_grpo", "papo"])
def test_the_baselines_need_no_scores(name):
    assert torch.equal(method(name).weights(None, MASK, GROUPS), MASK.float())


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_empty_batches_give_empty_weights(name, variant):
    built = method(name, variant=variant)
    for shape in ((0, 5), (3, 0), (0, 0)):
        mask = torch.zeros(shape, dtype=torch.long)
        scores, read = each(built, torch.zeros(shape)), facts(built, shape[0])
        weights = built.weights(scores, mask, [0] * shape[0], **read)
        assert weights.shape == shape
        assert statistics(built, scores, weights, mask, [0] * shape[0], **read)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_any_precision_gives_the_weights_of_its_values(name, variant, dtype):
    built = method(name, variant=variant)
    scores = (SCORES / 10).to(dtype)
    read = facts(built)
    weights = built.weights(each(built, scores), MASK.bool(), torch.tensor(GROUPS, dtype=torch.int32), **read)
    assert weights.dtype == torch.float32
    assert torch.equal(weights, built.weights(each(built, scores.double()), MASK, GROUPS, **read))


def test_weights_carry_no_gradient():
    scores = (SCORES / 10).requires_grad_()
    assert not method("vgpo").weights(scores, MASK, GROUPS).requires_grad


def test_rounded_cosines_just_outside_the_range_are_taken_as_the_bound():
    assert torch.equal(
        method("vgpo").weights(corrupted(0, 0, 1.004).clamp(max=1.004), MASK, GROUPS),
        method("vgpo").weights(corrupted(0, 0, 1.0).clamp(max=1.0), MASK, GROUPS),
    )


def snippets(kind):
    return re.findall(rf"<!-- test: {kind} -->\n```{kind}\n(.*?)```", README, flags=re.DOTALL)


def test_the_documented_python_composition_is_pgpo_on_the_cosine():
    (code,) = snippets("python")
    assert len([line for line in code.splitlines() if line.strip()]) < 10
    scope = {}
    exec(code, scope)
    cosine = SCORES.clamp(max=1) * 2 - 1
    weights = scope["mine"].weights(cosine, MASK, GROUPS)
    assert torch.equal(weights, method("pgpo", signal="visual_focus").weights(cosine, MASK, GROUPS))
    by_hand = method("pgpo").weights((cosine + 1) / 2, MASK, GROUPS)
    torch.testing.assert_close(weights, by_hand)


def test_the_documented_yaml_compositions_build_and_weigh():
    short, longer, even = (yaml.safe_load(text) for text in snippets("yaml"))
    built = method(short["method"], **short["method_options"])
    assert built.objective.dual_clip == 3.0
    cosine = SCORES.clamp(max=1) * 2 - 1
    assert torch.equal(
        built.weights(cosine, MASK, GROUPS),
        method("pgpo", signal="visual_focus").weights(cosine, MASK, GROUPS),
    )
    composed = method(longer["method"], **longer["method_options"])
    assert composed.needs.signals == {"exact_kl", "entropy"}
    assert composed.view == view("grey")
    assert [term.coefficient for term in composed.terms] == [-0.01]
    assert method("custom", **composed.options) == composed
    assert composed.weights({"exact_kl": SCORES, "entropy": SCORES}, MASK, GROUPS).isfinite().all()
    saturated = method(even["method"], **even["method_options"])
    assert saturated.view == Black()
    torch.testing.assert_close(saturated.weights(SCORES, MASK, GROUPS), SCORES / (SCORES + 0.3) * MASK)


def test_a_composition_from_objects_is_the_one_from_data():
    built = method(
        "custom",
        view=Black(),
        shapings=[shaping("top_fraction", "exact_kl", keep=0.4)],
        terms=[Term("perception_kl", -0.01, perception_kl)],
    )
    assert method("custom", **built.options) == built
    weights = built.weights(SCORES, MASK, GROUPS)
    assert torch.equal(weights, (method("vppo", scale_min=1.0).weights(SCORES, MASK, GROUPS)))


def test_vgpo_released_on_a_padded_batch_is_the_code_s():
    cosines = torch.tensor([[0.4, 0.5, 0.6, 0.5, 0.45, 0.55], [0.5, 0.4, 0.45, 0.6, 0.5, 0.42]])
    mask = torch.ones(2, 6)
    mask[1, 5] = 0
    weights = method("vgpo", variant="released").weights(cosines, mask, [0, 0])
    assert weights[0, 5].item() == pytest.approx(2.393, abs=5e-4)


def test_vppo_released_by_entropy_applies_no_alpha_and_refuses_its_options():
    built = method("vppo", variant="released", filter_by="entropy")
    assert [step.name for step in built.shapings] == ["top_fraction"]
    assert built.needs.signals == {"entropy"}
    assert built.view is None
    assert method("vppo", **built.options) == built
    with pytest.raises(UserError, match="no α with filter_by='entropy', so that microbatch would"):
        method("vppo", variant="released", filter_by="entropy", microbatch=2)


def test_a_rule_of_one_s_own_is_an_entry_in_the_table(monkeypatch):
    def halves(scores, mask, *, factor):
        return mask * factor

    monkeypatch.setitem(SHAPINGS, "halves", Rule(halves, {"factor": between(0)}))
    built = method("custom", signal="entropy", shapings=[{"name": "halves", "factor": 0.5}])
    assert torch.equal(built.weights(SCORES, MASK, GROUPS), MASK * 0.5)
    with pytest.raises(UserError, match="factor must be a number in"):
        method("custom", signal="entropy", shapings=[{"name": "halves", "factor": -1}])


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", ["vppo", "pgpo", "vgpo"])
def test_every_signal_goes_under_every_method(name, signal):
    built = method(name, signal=signal)
    weights = built.weights(SCORES.clamp(max=1), MASK, GROUPS)
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert method(name, **built.options) == built


def test_statistics_say_what_the_weights_did():
    built = method("vppo", scale_min=1.0)
    has_image = [True, True, False, True]
    weights = built.weights(SCORES, MASK, GROUPS, has_image)
    found = statistics(built, SCORES, weights, MASK, GROUPS, has_image)
    kept = 2 + 2 + 2
    assert found["weights/kept_share"] == pytest.approx(kept / 9)
    assert found["weights/effective_sample_share"] == pytest.approx(kept / 9)
    assert found["weights/max"] == 1
    assert found["weights/log_max"] == 0
    assert found["rollouts/without_image"] == 1
    assert found["rollouts/without_tokens"] == 1
    assert found["scores/exact_kl/mean"] == pytest.approx(3.0 / 7)
    assert found["scores/exact_kl/max"] == pytest.approx(0.9)
    assert found["scores/exact_kl/late_over_early"] == pytest.approx((0.5 + 0.55) / (0.1 + 0.2))
    assert found["scores/exact_kl/between_group_std"] == 0
    assert found["scores/exact_kl/within_group_std"] == pytest.approx((0.5 - 0.375) / 2)
    assert found["rollouts/constant/trajectory_weights"] == 0
    assert found["trajectory_weights/scale_max"] == 1


def test_statistics_count_what_min_range_caught():
    scores = torch.tensor([[0.5, 0.5001, 0.5, 0.0], [0.1, 0.9, 0.2, 0.3], [0.3, 0.3, 0.0, 0.0], [0.0] * 4])
    for bound, caught in ((1e-6, 1), (1e-3, 2), (1.0, 3)):
        built = method("pgpo", min_range=bound)
        weights = built.weights(scores, MASK, GROUPS)
        found = statistics(built, scores, weights, MASK, GROUPS)
        assert found["rollouts/constant/mass_conserving_gate"] == caught
        assert (weights[0, :3] == 1).all() == (caught >= 2)


def test_pgpo_logs_its_heavy_tail():
    scores = torch.zeros(1, 100)
    scores[0, ::20] = 3.0
    built = method("pgpo")
    weights = built.weights(scores, torch.ones(1, 100), [0])
    found = statistics(built, scores, weights, torch.ones(1, 100), [0])
    assert found["mass_conserving_gate/share_at_threshold"] == pytest.approx(0.05)
    assert found["mass_conserving_gate/mass_factor_mean"] == pytest.approx(100 / 15)
    assert found["weights/log_max"] == pytest.approx(math.log(20))
    assert found["weights/effective_sample_share"] == pytest.approx(0.05)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_statistics_are_finite_numbers(name, variant):
    built = method(name, variant=variant)
    scores, read = each(built, SCORES.clamp(max=1)), facts(built)
    for has_image in (None, [False] * 4):
        weights = built.weights(scores, MASK, GROUPS, has_image, **read)
        found = statistics(built, scores, weights, MASK, GROUPS, has_image, **read)
        assert all(type(value) is float and math.isfinite(value) for value in found.values())


# --- what a method may read ----------------------------------------------------------------------------


def test_what_is_read_and_not_given_is_named():
    dupl = method("dupl")
    scores = each(dupl, SCORES)
    assert dupl.reads == {"advantages", "noisy"}
    with pytest.raises(UserError, match=r"advantage_bonus reads advantages, which was not given"):
        dupl.weights(scores, MASK, GROUPS, noisy=[1, 0, 0, 1])
    with pytest.raises(UserError, match="reads noisy"):
        dupl.weights(scores, MASK, GROUPS, advantages=[1.0, 0.0, 0.0, 1.0])
    with pytest.raises(UserError, match=r"progress must be a number in \[0, 1\], got 1.5"):
        method("pepo").weights(each(method("pepo"), SCORES / 10), MASK, GROUPS, progress=1.5)
    with pytest.raises(UserError, match="advantages must have one entry per row"):
        dupl.weights(scores, MASK, GROUPS, advantages=[1.0], noisy=[1, 0, 0, 1])
    with pytest.raises(UserError, match="noisy must be 0 or 1"):
        dupl.weights(scores, MASK, GROUPS, advantages=[1.0] * 4, noisy=[2, 0, 0, 1])
    with pytest.raises(UserError, match="advantages must be finite"):
        dupl.weights(scores, MASK, GROUPS, advantages=[math.nan, 0.0, 0.0, 1.0], noisy=[1] * 4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dupl", {"entropy_cap": 1.5}, r"1/entropy_cap \+ 1/divergence_cap must be at most 1.*1.16667"),
        ("dupl", {"noisy": "square"}, "noisy must be 'linear', a number in"),
        ("dupl", {"noisy": 2}, r"noisy must be a number in \[0, 1\]"),
        ("vgpo", {"rollouts": {"view": "diffusion", "share": 1.0}}, "leaves no clean rollout"),
        ("vgpo", {"rollouts": {"view": "text_only"}}, "must replace pixels"),
        ("vgpo", {"rollouts": {"share": 0.5}}, "rollouts must be a mapping of view, share and anneal"),
        ("vgpo", {"rollouts": {"view": "black", "anneal": "linear"}}, "lowers the step of a diffusion view"),
        ("vgpo", {"rollouts": {"view": {"name": "noise"}}}, "per='prompt'"),
        ("pepo", {"layers": "last"}, "layers of pepo"),
        ("tor", {"top_p": 0}, r"top_p must be a number in \(0, 1\]"),
        (
            "custom",
            {"views": {"a": "black", "b": "grey"}, "terms": [KL_OF_A]},
            "no signal or term reads view b",
        ),
        (
            "custom",
            {"views": {"a": "black"}, "terms": [{"name": "perception_kl", "coefficient": 1}]},
            "say which view term perception_kl reads, as view: a",
        ),
        (
            "custom",
            {"views": {"a": "black"}, "signal": "exact_kl", "shapings": [HALF]},
            "say which view signal exact_kl reads, as exact_kl/a",
        ),
        (
            "custom",
            {"views": {"a": "black"}, "signal": "exact_kl/b", "shapings": [HALF]},
            "view of signal exact_kl/b",
        ),
        ("custom", {"view": "black", "views": {"a": "black"}}, "not both"),
        ("custom", {"signal": "entropy@0.3"}, "signal entropy has no parameter"),
        ("custom", {"signal": "top_p_entropy@2"}, r"top_p must be a number in \(0, 1\]"),
    ],
)
def test_what_does_not_go_together_is_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        method(name, **options)


def test_two_views_are_named_by_signals_and_terms():
    built = method(
        "custom",
        views={"masked": "black", "noised": {"name": "noise", "sigma": 10}},
        shapings=[
            {"name": "top_fraction", "signal": "exact_kl/masked", "keep": 0.5},
            {"name": "saturated", "signal": "exact_kl/noised", "level": 1.0},
        ],
        terms=[{"name": "perception_kl", "coefficient": -0.01, "view": "masked"}],
    )
    assert method("custom", **built.options) == built
    assert built.needs.view is None and list(built.needs.views) == ["masked", "noised"]
    assert built.needs.view_of("exact_kl/noised") == "noised"
    scores = {"exact_kl/masked": SCORES, "exact_kl/noised": torch.ones_like(SCORES)}
    weights = built.weights(scores, MASK, GROUPS)
    assert weights[0].tolist() == [0, 0.5, 0.5, 0]
    with pytest.raises(UserError, match="scores lack exact_kl/masked, exact_kl/noised"):
        built.weights({"exact_kl": SCORES}, MASK, GROUPS)


def test_every_method_takes_rollouts():
    half = {"view": {"name": "diffusion", "step": 300}, "share": 0.5, "anneal": {"kind": "linear"}}
    for name in NAMES:
        built = method(name, rollouts=half)
        assert built.needs.rollouts.count(8) == 4
        assert built.needs.rollouts.at(0.5).step == 150
        assert method(name, **json.loads(json.dumps(built.options))) == built
    assert method("noisyrollout").needs.rollouts.count(7) == 3
    assert method("noisyrollout", rollouts={"share": 0.0}).needs.rollouts.count(8) == 0
    with pytest.raises(UserError, match=r"share 0.1 of 4 rollouts is none; give 0, or at least 0\.25"):
        method("noisyrollout", rollouts={"share": 0.1}).needs.rollouts.count(4)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda scores, mask: scores[:, 0], r"must return weights of shape \[4, 4\], got shape \[4\]"),
        (lambda scores, mask: 0.15 - scores, r"finite and ≥ 0, got -0.75 at row 0, token 1"),
        (lambda scores, mask: scores / 0, "finite and ≥ 0, got inf at row 0, token 0"),
        (lambda scores, mask: None, "got NoneType"),
    ],
)
def test_a_rule_that_returns_no_weights_is_named(monkeypatch, returns, message):
    monkeypatch.setitem(SHAPINGS, "mine", Rule(returns))
    with pytest.raises(UserError, match=f"shaping mine must return weights.*{message[-20:]}"):
        method("custom", signal="entropy", shapings=["mine"]).weights(SCORES, MASK, GROUPS)
