"""The numbers behind the figures: on answers whose figures are known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from patient import patient

from sightline.analysis.figures import tables
from sightline.analysis.figures.curves import curves
from sightline.analysis.figures.sources import labels
from sightline.analysis.readers.metrics import Metrics
from sightline.analysis.readers.samples import SavedAnswer
from sightline.analysis.tokens.score_statistics import (
    answer_means,
    by_verdict,
    late_over_early,
    mass_shares,
    mean,
    over_progress,
)
from sightline.analysis.tokens.word_classes import by_class, scored_words, top_words, word_class


def answer(values, correct=True, tokens=None, text=None, name="exact_kl"):
    tokens = tuple(tokens or [f" w{i}" for i in range(len(values))])
    return SavedAnswer("".join(tokens) if text is None else text, correct, tokens, {name: tuple(values)})


# --- looking ---------------------------------------------------------------------------------------


def test_the_highest_tokens_hold_their_share():
    values = np.array([8.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert mass_shares(values, (0.05, 0.1, 0.2, 1.0)) == [0.8, 0.8, 0.9, 1.0]
    assert all(math.isnan(share) for share in mass_shares(np.zeros(4)))
    assert all(math.isnan(share) for share in mass_shares(np.zeros(0)))


@patient()
@given(arrays(float, st.integers(1, 40), elements=st.floats(0, 1e6)))
def test_shares_of_mass_rise_to_one_and_do_not_depend_on_order(values):
    shares = mass_shares(values, (0.05, 0.1, 0.2, 0.4, 1.0))
    if values.sum() > 0:
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)
        assert shares == pytest.approx(mass_shares(values[::-1], (0.05, 0.1, 0.2, 0.4, 1.0)))


def test_progress_stretches_every_answer_to_the_same_length():
    short, long = answer([0.0, 1.0]), answer([0.0] * 10 + [1.0] * 10)
    np.testing.assert_array_equal(over_progress([short, long], "exact_kl", 4), [[0, 0, 1, 1], [0, 0, 1, 1]])
    assert over_progress([answer([None, None])], "exact_kl", 4).shape == (0, 4)
    assert over_progress([], "exact_kl", 4).shape == (0, 4)


def test_late_over_early_is_the_ratio_that_training_logs():
    """The same definition as `methods.statistics`: each answer once, a middle token in neither half."""
    torch = pytest.importorskip("torch")
    from sightline.methods import method, statistics

    rows = [[0.1, 0.4, 0.3], [0.2, 0.8, 0.1, 0.5]]
    scores = torch.tensor([[*row, *[0.0] * (4 - len(row))] for row in rows])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    vgpo = method("vgpo")
    logged = statistics(vgpo, scores, vgpo.weights(scores, mask, [0, 1]), mask, [0, 1])
    found = late_over_early([answer(row, name="visual_focus") for row in rows], "visual_focus")
    assert found.value == pytest.approx(logged["scores/visual_focus/late_over_early"], rel=1e-6)


def test_the_interval_of_a_ratio_covers_it_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        rows = np.concatenate([random.gamma(2.0, 1.0, (40, 5)), random.gamma(2.0, 0.6, (40, 5))], 1)
        found = late_over_early([answer(row.tolist()) for row in rows], "exact_kl")
        covered += found.low <= 0.6 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_what_has_no_ratio_has_none():
    assert math.isnan(late_over_early([], "exact_kl").value)
    assert math.isnan(late_over_early([answer([0.0, 1.0])], "exact_kl").value)
    alone = late_over_early([answer([2.0, 1.0])], "exact_kl")
    assert alone.value == 0.5 and math.isnan(alone.low)


def test_means_leave_out_what_is_missing():
    assert mean([1.0, math.nan, 3.0]).value == 2.0
    assert mean([]).count == 0
    assert answer_means([answer([None, 2.0]), answer([None])], "exact_kl").tolist() == [2.0]
    assert list(by_verdict([answer([1.0], None)])) == ["all"]
    groups = by_verdict([answer([1.0]), answer([1.0], False), answer([1.0], None)])
    assert {name: len(members) for name, members in groups.items()} == {"right": 1, "wrong": 1}


# --- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("42", "number"), ("3.14", "number"), ("triangle", "content word"), ("The", "function word"),
        ("=", "symbol"), ("{", "symbol"), ("<think>", "markup"), ("\\boxed", "markup"),
        ("三角", "content word"),
        ("don't", "content word"),
    ],
)  # fmt: skip
def test_words_have_a_class(word, kind):
    assert word_class(word) == kind


def test_a_word_cut_into_tokens_has_their_mean():
    told = answer([1.0, 3.0, 0.5], tokens=["tri", "angle", " 42"], text="triangle 42")
    assert [(w.text, w.kind, w.score) for w in scored_words(told, "exact_kl")] == [
        ("triangle", "content word", 2.0), ("42", "number", 0.5),
    ]  # fmt: skip


def test_words_of_a_vocabulary_without_spaces_and_ends_of_sequence_are_found():
    told = answer([0.1, 0.9, 5.0], tokens=["see", "7", "<|im_end|>"], text="see 7")
    assert [(w.text, w.score) for w in scored_words(told, "exact_kl")] == [("see", 0.1), ("7", 0.9)]


def test_classes_count_each_answer_once():
    one = answer([1.0] * 9 + [0.0], tokens=[" 1"] * 9 + [" so"])
    other = answer([0.0, 0.0], tokens=[" 1", " so"])
    found = by_class([one, other], "exact_kl")
    assert list(found) == ["number", "function word"]
    assert found["number"].value == 0.5 and found["number"].count == 2


def test_top_words_need_a_few_occurrences():
    told = answer([9.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5], tokens=[" rare", *[" Blue"] * 3, *[" the"] * 3])
    assert top_words([told], "exact_kl") == [("blue", 1.0, 3), ("the", 0.5, 3)]
    assert top_words([answer([2.0], tokens=["x"])], "exact_kl") == [("x", 2.0, 1)]


@patient()
@given(st.lists(st.text(max_size=5), max_size=10), st.text(max_size=30))
def test_any_tokens_of_any_text_can_be_read_as_words(tokens, text):
    told = SavedAnswer(text, True, tuple(tokens), {"exact_kl": (0.5,) * len(tokens)})
    assert all(word.score == 0.5 for word in scored_words(told, "exact_kl"))


# --- tables and curves -----------------------------------------------------------------------------


def test_a_histogram_holds_every_token_once():
    told = [answer([0.0, 0.0, 0.1, 1e6, None])]
    rows = tables.histogram(told).where(score="exact_kl")
    assert sum(row["tokens"] for row in rows) == 4
    assert [row["from"] for row in rows[1:]] == [row["to"] for row in rows[:-1]]


def test_every_table_of_nothing_is_empty():
    for compute in (
        tables.histogram,
        tables.mass,
        tables.means,
        tables.progress,
        tables.ratios,
        tables.classes,
    ):
        assert compute([]).rows == ()
        assert compute([SavedAnswer("", None, (), {"exact_kl": ()})]).rows == ()
    assert tables.attention([{}, {}]).rows == ()


def test_shares_of_attention_are_averaged_over_progress():
    table = tables.attention([{"image": [0.5, 0.3], "question": [0.5, 0.3], "answer": [0.0, 0.4]}, {}])
    rows = table.where(attention_to="image")
    assert (rows[0]["mean"], rows[-1]["mean"], rows[0]["answers"]) == (0.5, 0.3, 1)


def metrics(steps, values):
    return Metrics(np.array(steps, float), {"reward": np.array(values, float)})


def test_seeds_become_one_curve_with_a_band():
    runs = [
        ("a", metrics([1, 2, 3], [0, 1, 2])),
        ("a", metrics([1, 2], [2, 3])),
        ("b", metrics([1, 2], [5, 5])),
    ]
    first, second = curves(runs, "reward")
    assert first.label == "a"
    assert (first.mean.tolist(), first.low.tolist(), first.high.tolist()) == ([1, 2, 2], [0, 1, 2], [2, 3, 2])
    assert first.runs.tolist() == [2, 2, 1]
    assert (second.label, second.steps.tolist()) == ("b", [1, 2])
    assert curves(runs, "loss") == []


def test_very_long_curves_are_averaged_in_the_same_groups_for_all_runs():
    steps = np.arange(1, 100_001)
    (found,) = curves([("a", metrics(steps, steps)), ("a", metrics(steps, steps + 2))], "reward")
    assert len(found.steps) <= 240
    np.testing.assert_allclose(found.mean, found.steps + 1)
    np.testing.assert_allclose(found.high - found.low, 2)


def test_runs_are_labelled_by_what_tells_them_apart_except_their_seed():
    base = {"method": "vgpo", "seed": 0, "output_dir": "x", "lr": 1e-5, "method_options": {"strength": 0.3}}
    assert labels([base, base | {"seed": 1, "output_dir": "y"}]) == ["vgpo", "vgpo"]
    other = {"method": "grpo", "seed": 0, "lr": 1e-5, "method_options": {}}
    assert labels([base, other]) == ["vgpo", "grpo"]
    strong = base | {"method_options": {"strength": 0.6}}
    assert labels([base, strong, other]) == [
        "vgpo, method_options.strength 0.3", "vgpo, method_options.strength 0.6",
        "grpo, method_options.strength null",
    ]  # fmt: skip
    assert labels([base, base | {"lr": 1e-6}]) == ["lr 1e-05", "lr 1e-06"]
    assert labels([{}]) == ["run"]
