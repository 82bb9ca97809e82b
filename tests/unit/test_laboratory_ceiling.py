"""Best weights of a gradient's parts against models whose best weights are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.laboratory.gradient_test.best_weights import best_for_adam, best_for_clipped, best_for_sgd
from sightline.laboratory.gradient_test.ceiling import ceiling, left_out_ceiling, part_products
from sightline.laboratory.gradient_test.moments import Products, clipped_progress, products
from sightline.laboratory.gradient_test.token_classes import token_bins

P, WIDE = 600, 40
MEAN = np.array([1.0, 0.6, 0.3])
SPREAD = np.array([0.2, 0.5, 1.0])


def parts(seed: int, batches: int) -> np.ndarray:
    """Three parts that point along the same 40 coordinates, the noisier the less there is of them."""
    random = np.random.default_rng(seed)
    mean = np.zeros((3, P))
    mean[:, :WIDE] = 0.2 * MEAN[:, None]
    return mean + SPREAD[:, None] * random.normal(0, 1, (batches, 3, P))


def known() -> tuple[np.ndarray, np.ndarray]:
    """μ_k·μ₀ and E g_k·g_l of `parts`."""
    mean = 0.2 * MEAN
    return WIDE * mean * mean.sum(), WIDE * np.outer(mean, mean) + P * np.diag(SPREAD**2)


def gain(weights: np.ndarray) -> float:
    signal, second = known()
    ones = np.ones(3)
    own, even = (w @ signal / np.sqrt(w @ second @ w) for w in (weights, ones))
    return float(own / even)


def adam_gain(weights: np.ndarray) -> float:
    """Along each of the 40 coordinates, over the root of its own mean square."""
    along = 0.2 * weights @ MEAN
    return float(along / np.sqrt(along**2 + (weights * SPREAD) @ (weights * SPREAD)))


def test_sgd_weights_solve_the_normal_equations_where_these_are_positive() -> None:
    signal, second = known()
    expected = np.linalg.solve(second, signal)
    assert (expected > 0).all()
    assert best_for_sgd(signal, second) == pytest.approx(expected / expected.mean(), rel=1e-6)
    assert best_for_sgd(50 * signal, 7 * second) == pytest.approx(expected / expected.mean(), rel=1e-6)


def test_a_part_that_only_points_away_gets_no_weight() -> None:
    second = np.array([[4.0, 3.0], [3.0, 4.0]])
    signal = np.array([1.0, 0.2])
    assert np.linalg.solve(second, signal)[1] < 0
    assert best_for_sgd(signal, second) == pytest.approx([2.0, 0.0])
    assert best_for_sgd(np.array([1.0, 0.0]), np.diag([1.0, 0.0])) == pytest.approx([2.0, 0.0])
    assert best_for_sgd(np.array([-1.0, -2.0]), second) == pytest.approx([1.0, 1.0])


def test_clipped_weights_are_those_of_sgd_where_all_batches_are_alike() -> None:
    signal, second = known()
    found = best_for_clipped(np.tile(signal, (9, 1)), np.tile(second, (9, 1, 1)))
    assert found == pytest.approx(best_for_sgd(signal, second), abs=1e-3)


def test_clipped_weights_do_not_follow_the_one_large_batch() -> None:
    """Part 1 is clean but in one batch, where it is a hundred times as long and points the other way."""
    signals = np.array([[1.0, 1.0]] * 9 + [[1.0, -100.0]])
    squares = np.array([np.diag([4.0, 1.0])] * 9 + [np.diag([4.0, 10_000.0])])
    assert best_for_sgd(signals.mean(0), squares.mean(0)) == pytest.approx([2.0, 0.0])
    found = best_for_clipped(signals, squares)
    assert found[1] > 1.2

    def mean_gain(w: np.ndarray) -> float:
        return float(np.mean(signals @ w / np.sqrt(np.einsum("k,bkl,l->b", w, squares, w))))

    tried = [np.array([2 - other, other]) for other in np.linspace(0, 2, 41)]
    assert mean_gain(found) >= max(map(mean_gain, tried)) - 1e-9


def test_adam_weights_leave_alone_what_adam_rescales() -> None:
    """Parts on coordinates of their own: Adam makes the same step of each whatever its weight."""
    signals = np.zeros((2, 20))
    signals[0, :10] = signals[1, 10:] = 1.0
    squares = np.zeros((2, 2, 20))
    squares[0, 0, :10], squares[1, 1, 10:] = 9.0, 0.04
    found = best_for_adam(signals, squares)
    assert (found > 0).all()
    alone = (signals[1] / np.sqrt(squares[1, 1].clip(1e-300)))[10:].sum()
    even = (signals.sum(0) / np.sqrt(squares.sum((0, 1)))).sum()
    assert even > alone


def test_adam_weights_drop_a_part_that_is_noise_on_shared_coordinates() -> None:
    signals = np.stack([np.ones(30), np.zeros(30)])
    squares = np.zeros((2, 2, 30))
    squares[0, 0], squares[1, 1] = 2.0, 5.0
    assert best_for_adam(signals, squares) == pytest.approx([2.0, 0.0], abs=1e-4)


def test_the_ceiling_is_the_gain_of_the_best_weights() -> None:
    signal, second = known()
    best = best_for_sgd(signal, second)
    found = part_products(parts(0, 400).astype(np.float32))
    assert found is not None
    told = ceiling(found)
    for step in ("SGD", "clipped SGD"):
        assert abs(told[step][0] - gain(best)) < 3 * told[step][1]
    tried = [np.array([1 - b - c, b, c]) for b in np.linspace(0, 0.8, 41) for c in (0, 0.02, 0.05, 0.1)]
    most = max(map(adam_gain, tried)) / adam_gain(np.ones(3))
    assert abs(told["Adam"][0] - most) < 3 * told["Adam"][1]
    assert found.weights[0].mean(0) == pytest.approx(best, abs=0.12)


def test_the_gain_is_told_of_the_half_that_was_not_fitted() -> None:
    """Ten parts that are alike: weights fitted to their noise are worse than even ones."""
    values = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        gradients = 0.05 + random.normal(0, 1, (16, 10, 200))
        found = part_products(gradients.astype(np.float32))
        assert found is not None
        values.append(ceiling(found)["SGD"][0])
    assert np.nanmedian(values) < 1.0


def test_products_are_those_of_the_gradients() -> None:
    gradients = parts(3, 10).astype(np.float32)
    found = part_products(gradients)
    assert found is not None
    even = gradients.sum(1)
    for half in (0, 1):
        rows = np.arange(half, 10, 2)
        scale = 1 / (
            np.sqrt(np.square(np.einsum("k,bkp->bp", found.weights[2, half], gradients)).mean(0)) + 1e-8
        )
        for place, name in enumerate(("SGD", "clipped", "Adam")):
            step = np.einsum("k,bkp->bp", found.weights[place, half], gradients)[rows]
            step = step / np.linalg.norm(step, axis=1)[:, None] if name == "clipped" else step
            step = step * scale if name == "Adam" else step
            expected = [(step * even[rows]).sum(1), step @ even[rows].sum(0), even[rows] @ step.sum(0),
                        np.square(step).sum(1)]  # fmt: skip
            kept = found.kept[place, 1, rows]
            assert kept == pytest.approx(np.stack(expected, axis=1), rel=2e-4, abs=2e-3)


def test_larger_batches_leave_less_to_gain() -> None:
    gradients = parts(5, 640).astype(np.float32)
    single, eight = (part_products(gradients, size) for size in (1, 8))
    assert single is not None and eight is not None
    assert eight.kept.shape[2] == 80
    assert ceiling(eight)["SGD"][0] < ceiling(single)["SGD"][0]
    assert part_products(gradients[:7]) is part_products(gradients[:63], 8) is None


def test_leaving_batches_out_tells_the_same_of_products_without_halves() -> None:
    gradients = parts(7, 300)
    whole = np.concatenate([gradients.sum(1, keepdims=True), gradients], axis=1)
    kept = products(whole)
    found = Products(kept.within[:, :4, :4], kept.total[:, :4, :4])
    signal, second = known()
    value, error = left_out_ceiling(found, slice(1, 4))
    assert abs(value - gain(best_for_sgd(signal, second))) < 3 * error
    assert left_out_ceiling(found, slice(1, 4), 100.0)[0] < value


def test_the_clipped_gain_is_the_mean_over_directions() -> None:
    gradients = parts(9, 30)
    found = products(gradients)
    value, error = clipped_progress(found, 3)
    even = gradients[:, 0]
    along = (even.sum(0) - even) / 29
    expected = [
        np.mean(np.einsum("bp,bp->b", one, along) / np.linalg.norm(one, axis=1))
        for one in np.moveaxis(gradients, 1, 0)
    ]
    assert value == pytest.approx(np.array(expected) / expected[0], rel=1e-9)
    assert error[0] == 0 and (error[1:] > 0).all()


def test_the_error_of_the_clipped_gain_is_that_of_repeated_tests() -> None:
    found = [clipped_progress(products(parts(seed, 40)), 3) for seed in range(60)]
    spread = np.std([value for value, _ in found], axis=0)
    assert np.mean([error for _, error in found], axis=0)[1:] == pytest.approx(spread[1:], rel=0.35)


def test_bins_share_the_tokens_out() -> None:
    values = torch.tensor([[1.0, 5.0, 3.0, 99.0], [2.0, 4.0, 6.0, 7.0]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    low, high = token_bins(values, mask, 2)
    assert (low | high).tolist() == mask.bool().tolist()
    assert low.tolist() == [[True, False, True, False], [True, False, False, False]]
    same = token_bins(torch.zeros(2, 4), mask, 3)
    assert [int(one.sum()) for one in same] == [0, 0, 7]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("shapes", 1.18), ("shapes-later", 1.47), ("shapes-2", 1.25), ("shapes-2-later", 1.64),
     ("shapes-2-even", 1.12)],
)  # fmt: skip
def test_the_ceilings_of_the_first_season(name: str, expected: float) -> None:
    kept = np.load(Path(__file__).parents[2] / "results" / f"gradient-{name}" / "products.npz")
    found = Products(kept["within"], kept["total"])
    last = found.within.shape[1] // 2
    assert left_out_ceiling(found, slice(last - 3, last))[0] == pytest.approx(expected, abs=0.01)
