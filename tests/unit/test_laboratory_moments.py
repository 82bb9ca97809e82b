"""Moments of gradients against Gaussian models whose mean and covariance are known."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.laboratory.gradient_test.moments import (
    Moments,
    Products,
    adam_progress,
    alignment,
    jackknifed,
    log_noise_ratio,
    moments,
    noise_to_signal,
    products,
    progress,
    relative_noise,
)

P = 40


def gaussian(seed: int, batches: int) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Three weightings that share their noise: 0 as it is, 1 half of the noise, 2 another direction."""
    random = np.random.default_rng(seed)
    mean = np.zeros((3, P))
    mean[0, 0] = mean[1, 0] = 1.0
    mean[2, 1] = 1.0
    noise = random.normal(0, 1, (batches, P))
    spread = [1.0, 0.5, 1.0]
    gradients = np.stack([mean[i] + spread[i] * noise for i in range(3)], axis=1)
    return gradients, mean, spread


def plain(gradients: np.ndarray) -> Products:
    """The products of the gradients as they are, without those of Adam."""
    count = gradients.shape[1]
    found = products(gradients)
    return Products(found.within[:, :count, :count], found.total[:, :count, :count])


def test_products_are_inner_products() -> None:
    gradients, _, _ = gaussian(0, 5)
    found = products(gradients.astype(np.float32))
    total = gradients.sum(0)
    for b in range(5):
        assert found.within[b, :3, :3] == pytest.approx(gradients[b] @ gradients[b].T, rel=1e-5)
        assert found.total[b, :3, :3] == pytest.approx(gradients[b] @ total.T, rel=1e-5, abs=1e-5)
    scaled = gradients / (np.sqrt(np.square(gradients).mean(0)) + 1e-8)
    assert found.within[2, 3:, :3] == pytest.approx(scaled[2] @ gradients[2].T, rel=1e-5)


def test_moments_are_unbiased() -> None:
    """Over 400 studies of 10 batches the averages meet |μ|² = 1 and tr Cov = P·σ²."""
    found = [moments(plain(gaussian(seed, 10)[0]), 10) for seed in range(400)]
    signal, noise = (np.mean([getattr(one, part) for one in found], axis=0) for part in ("signal", "noise"))
    error = np.std([one.signal for one in found], axis=0) / 20
    expected = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])
    assert (np.abs(signal - expected) < 4 * error + 1e-9).all()
    assert noise == pytest.approx(P * np.outer([1, 0.5, 1], [1, 0.5, 1]), rel=0.03)


def test_statistics_of_a_known_model() -> None:
    known = Moments(
        np.array([[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 4.0]]),
        np.array([[8.0, 4, 0], [4, 2, 0], [0, 0, 12]]),
    )
    assert noise_to_signal(known) == pytest.approx([8, 2, 3])
    assert log_noise_ratio(known) == pytest.approx(np.log([1, 0.25, 0.375]))
    assert relative_noise(known) == pytest.approx([1, 0.25, 1.5])
    assert alignment(known) == pytest.approx([1, 1, 0.25])
    assert progress(known) == pytest.approx([1, 3 / np.sqrt(3), (0.5 / 4) * 3])


def test_the_size_of_weights_does_not_matter() -> None:
    gradients, _, _ = gaussian(1, 30)
    larger = gradients * np.array([1.0, 7.0, 0.2])[None, :, None]
    for statistic in (noise_to_signal, log_noise_ratio, alignment, progress):
        value, error = jackknifed(plain(gradients), statistic)
        other, other_error = jackknifed(plain(larger), statistic)
        assert other == pytest.approx(value, rel=1e-9)
        assert other_error == pytest.approx(error, rel=1e-6, abs=1e-12)
    values = [adam_progress(moments(products(one), 30)) for one in (gradients, larger)]
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def test_the_jackknife_leaves_out_one_batch_at_a_time() -> None:
    gradients, _, _ = gaussian(2, 12)
    _, error = jackknifed(plain(gradients), progress)
    left = np.stack([progress(moments(plain(np.delete(gradients, b, 0)), 11)) for b in range(12)])
    assert error == pytest.approx(np.sqrt(11 / 12 * np.square(left - left.mean(0)).sum(0)), rel=1e-9)


def test_jackknife_intervals_cover() -> None:
    """±1.96 errors around ln of the noise ratio hold the true −ln 4 in most of 200 studies."""
    hits = 0
    for seed in range(200):
        value, error = jackknifed(plain(gaussian(seed, 60)[0]), log_noise_ratio)
        hits += abs(value[1] - np.log(0.25)) < 1.96 * error[1]
    assert hits / 200 > 0.88


def test_drowned_signal_has_no_ratio() -> None:
    drowned = Moments(np.array([[-0.1, 0], [0, 1.0]]), np.eye(2))
    assert np.isnan(noise_to_signal(drowned)[0])
    assert np.isnan(log_noise_ratio(drowned)).all()


def test_adam_evens_out_a_weighting_that_only_rescales_coordinates() -> None:
    """Scaling each coordinate differently changes the gradient's direction, and nothing under Adam."""
    random = np.random.default_rng(4)
    even = 0.3 + random.normal(0, 1, (50, P))
    scaled = even * np.exp(random.normal(0, 1, P))
    found = moments(products(np.stack([even, scaled], axis=1)), 50)
    assert adam_progress(found) == pytest.approx([1, 1], rel=1e-6)
    assert progress(found.first(2))[1] < 0.95
