"""Reading metrics.jsonl however it was left, and numbers as text and as positions."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from patient import patient

from sightline.analysis.charts.axes import axis
from sightline.analysis.charts.geometry import (
    LEFT,
    RIGHT,
    WIDTH,
    curve_chart,
    interval_chart,
    local_mean,
    room,
)
from sightline.analysis.charts.metric_titles import groups, metric_column
from sightline.analysis.charts.number_format import MISSING, duration, number, numeral, percent, points
from sightline.analysis.readers.metrics import read_metrics


def write(path, *lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_columns_keep_gaps_as_gaps(tmp_path):
    rows = [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": math.nan, "kl": 0.1},
        {"step": 3, "loss": None},
        {"step": 4},
    ]
    found = read_metrics(write(tmp_path / "metrics.jsonl", *rows))
    np.testing.assert_array_equal(found.steps, [1, 2, 3, 4])
    np.testing.assert_array_equal(found.columns["loss"], [0.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found.columns["kl"], [np.nan, 0.1, np.nan, np.nan])
    steps, values = found.recorded("kl")
    assert (steps.tolist(), values.tolist()) == ([2.0], [0.1])
    assert found.recorded("never")[0].size == 0
    assert found.notes == ()


def test_a_cut_last_line_is_skipped_and_said(tmp_path):
    found = read_metrics(write(tmp_path / "metrics.jsonl", {"step": 1, "loss": 1.0}, '{"step": 2, "lo'))
    assert found.steps.tolist() == [1]
    assert len(found.notes) == 1 and "last line" in found.notes[0]


@pytest.mark.parametrize(
    "broken", ["{]\n", "[1, 2]\n", "7\n", '{"loss": 1}\n', "[" * 100_000 + "\n", '{"step": null}\n']
)
def test_a_broken_line_in_between_is_counted(tmp_path, broken):
    found = read_metrics(write(tmp_path / "metrics.jsonl", {"step": 1}, broken, {"step": 3}))
    assert found.steps.tolist() == [1, 3]
    assert len(found.notes) == 1 and "1 line" in found.notes[0] and "line 2" in found.notes[0]


def test_later_lines_of_a_resumed_run_count(tmp_path):
    rows = [{"step": s, "loss": 1.0} for s in (1, 2, 3)] + [{"step": s, "loss": 2.0} for s in (2, 3, 4)]
    found = read_metrics(write(tmp_path / "metrics.jsonl", *rows))
    assert found.steps.tolist() == [1, 2, 3, 4]
    assert found.columns["loss"].tolist() == [1.0, 2.0, 2.0, 2.0]
    assert "2 steps" in found.notes[0]


def test_a_quantity_whose_only_value_was_replaced_is_gone(tmp_path):
    found = read_metrics(write(tmp_path / "metrics.jsonl", {"step": 1, "kl": 1.0}, {"step": 1, "loss": 2.0}))
    assert list(found.columns) == ["loss"]


def test_empty_and_missing_files_give_no_rows(tmp_path):
    for path in (tmp_path / "nowhere.jsonl", write(tmp_path / "metrics.jsonl", "", "\n")):
        found = read_metrics(path)
        assert len(found.steps) == 0 and not found.columns and not found.notes


@pytest.mark.parametrize("value", [None, True, "1", math.nan, math.inf, -math.inf, 10**400, 1e200, [1], {}])
def test_what_is_no_measurement_is_no_number(value):
    assert number(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, MISSING), (math.nan, MISSING), (0.0, "0"),
     (0.36328125, "0.3633"), (-0.5, "−0.5"), (1234.0, "1,234"),
     (3e-5, "3e−5"), (-1.25e-7, "−1.25e−7"), (123456.0, "123,456"), (2.5e9, "2.5e9")],
)  # fmt: skip
def test_numerals(value, text):
    assert numeral(value) == text


def test_shares_and_spans_in_words():
    assert percent(0.36328125) == "36.3\u202f%"
    assert (points(0.2383), points(-0.004), points(-1e-9), points(None)) == ("+23.8", "−0.4", "0.0", MISSING)
    assert [duration(s) for s in (1.84, 123, 18_600, 187_200)] == [
        "1.8 s",
        "2 min 3 s",
        "5 h 10 min",
        "2 d 4 h",
    ]


reals = st.floats(-1e100, 1e100)


@patient()
@given(reals, reals, st.booleans(), st.booleans())
def test_ticks_are_few_inside_and_ascending(one, other, whole, share):
    scale = axis(min(one, other), max(one, other), 10.0, 210.0, ticks=4, whole=whole, share=share)
    places = [place for place, _ in scale.ticks]
    assert places == sorted(places)
    assert all(9.9 <= place <= 210.1 for place in places)
    assert len(places) <= 12
    assert whole or len(places) >= 3


@pytest.mark.parametrize(("value", "extent"), [(0.0, (0.0, 0.5)), (1.0, (0.9, 1.0)), (0.5, (0.45, 0.55))])
def test_a_share_that_never_changes_stands_on_an_axis_of_shares(value, extent):
    scale = axis(value, value, 10.0, 210.0, ticks=4, share=True)
    assert (scale.low, scale.high) == pytest.approx(extent)


def test_the_margin_of_a_curve_of_shares_ends_at_0_and_1():
    assert room(0.0, 1.0, share=True) == (0.0, 1.0)
    assert room(0.0, 1.0) == pytest.approx((-0.04, 1.04))
    assert room(0.2, 0.4, share=True) == pytest.approx((0.192, 0.408))


def test_tick_labels_are_the_round_values():
    labels = [label for _, label in axis(-0.05, 0.041, 0, 100, ticks=4).ticks]
    assert labels == ["−0.04", "−0.02", "0.00", "0.02", "0.04"]
    assert [label for _, label in axis(1, 3, 0, 100, ticks=5, whole=True).ticks] == ["1", "2", "3"]
    assert [label for _, label in axis(0, 1, 0, 100, share=True).ticks][-1] == "100\u202f%"


@patient()
@example([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
@given(st.lists(reals, min_size=1, max_size=700))
def test_any_curve_stays_in_its_frame(values):
    chart = curve_chart("x", "X", np.arange(len(values), dtype=float), np.array(values), reference=1.0)
    for path in (chart.raw, chart.smooth, chart.band):
        for point in path.split():
            x, y = map(float, point.split(","))
            assert LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1
            assert 0 <= y <= chart.height


def test_the_curve_passes_through_its_values_and_says_them():
    chart = curve_chart(
        "accuracy", "Accuracy", np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.6, 0.4]), share=True
    )
    points = [tuple(map(float, point.split(","))) for point in chart.raw.split()]
    assert points == [(chart.x.place(s), chart.y.place(v)) for s, v in ((1, 0.2), (2, 0.6), (3, 0.4))]
    assert [mark.label for mark in chart.marks] == [
        f"step {s}: {v}\u202f%" for s, v in ((1, "20.0"), (2, "60.0"), (3, "40.0"))
    ]
    assert chart.last[2] == "40.0\u202f%"
    assert "from 20.0\u202f% at step 1 to 40.0\u202f% at step 3" in chart.description


def test_long_curves_are_grouped_without_losing_an_extreme():
    values = np.zeros(10_000)
    values[5_000] = 7.0
    chart = curve_chart("loss", "Loss", np.arange(10_000.0), values)
    heights = [float(point.split(",")[1]) for point in chart.band.split()]
    assert min(heights) == chart.y.place(7.0)
    assert len(chart.raw.split()) <= 240
    assert len(chart.marks) <= 60


def test_the_local_mean_keeps_lines_level_and_does_not_lag():
    np.testing.assert_allclose(local_mean(np.full(50, 3.0)), 3.0)
    np.testing.assert_allclose(local_mean(np.arange(100.0))[50], 50.0)
    assert local_mean(np.arange(5.0)) is None


def test_a_reference_far_from_the_values_does_not_flatten_them():
    steps = np.arange(10.0)
    assert curve_chart("x", "X", steps, steps / 1000, reference=1.0).reference is None
    near = curve_chart("x", "X", steps, 0.5 + steps / 10, reference=1.0)
    assert near.reference == near.y.place(1.0)


def test_interval_charts_place_values_between_their_ends():
    chart = interval_chart("A", {"greedy": {"before": (0.36, 0.32, 0.41), "after": (0.6, None, None)}})
    (_, middle, (before, after)), *_ = chart.rows
    assert before.low < before.x < before.high
    assert after.low == after.x == after.high
    assert before.y < middle < after.y
    assert "greedy, before: 36.0\u202f%, 95 % interval 32.0\u202f% to 41.0\u202f%" in chart.description


def test_quantities_are_drawn_in_a_fixed_order_under_their_headings():
    names = [
        "scores/visual_focus/mean",
        "weights/max",
        "kl",
        "accuracy",
        "lr",
        "scores/visual_focus/late_over_early",
    ]
    found = {heading: [q.title for q in chosen] for heading, chosen in groups(names).items()}
    assert found == {
        "Learning": ["Accuracy"],
        "Policy": ["KL to the reference, nats"],
        "Looking": ["Visual focus, mean", "Visual focus, late / early", "Weights, max"],
    }
    assert metric_column("scores/exact_kl/mean").title == "Exact KL, mean"
