"""The rules against the equations written a second time: plain Python, one token at a time."""

import numpy as np
import pytest
import torch
from equations import pgpo, vgpo, vppo

from sightline.methods import method


def options_of(name, random):
    share = lambda: float(random.choice([0.1, 0.2, 0.3, 0.5, 0.7, 1.0]))  # noqa: E731
    flag = lambda: bool(random.random() < 0.5)  # noqa: E731
    if name == "vgpo":
        schedule = str(random.choice(["linear", "exponential", "step"]))
        shares = {option: share() for option in ("strength", "tail", "top")}
        flags = {option: flag() for option in ("compensate", "gate", "intra", "inter")}
        return {"schedule": schedule, **shares, **flags}
    if name == "vppo":
        return {"keep": share(), "scale_min": share(), "scale_max": [None, 1.3][int(flag())]}
    return {"threshold": share(), "boost": 3 * share()}


def blocks(random):
    return {"minibatch": [None, 4, 5][random.integers(3)], "microbatch": [None, 1, 2, 3][random.integers(4)]}


CASES = [(name, second, seed) for name in ("vgpo", "vppo", "pgpo") for second in (0, 1) for seed in range(40)]


@pytest.mark.parametrize(("name", "second", "seed"), CASES)
def test_weights_equal_the_plain_equations(name, second, seed):
    random = np.random.default_rng([seed, second])
    lengths = random.integers(1, 20, size=int(random.integers(1, 12)))
    low, high = (-1, 1) if name == "vgpo" else (0, 10)
    rows = [np.clip(random.normal(size=n).round(1) ** 3, low, high).tolist() for n in lengths]
    rows = rows if name == "vgpo" else [[abs(value) for value in row] for row in rows]
    groups = random.integers(0, 3, size=len(rows)).tolist()
    options = options_of(name, random)
    extra = blocks(random) if name == "vppo" and second else {}
    variant = {"variant": "snapshot" if name == "pgpo" else "released"} if second else {}
    flags = {"vgpo": {"released": bool(second)}, "pgpo": {"snapshot": bool(second)}, "vppo": extra}[name]
    expected = {"vgpo": vgpo, "vppo": vppo, "pgpo": pgpo}[name](rows, groups, **options, **flags)

    width = max(lengths) + 2
    scores = torch.full((len(rows), width), float("nan"), dtype=torch.float64)
    wanted = torch.zeros(len(rows), width, dtype=torch.float64)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        scores[index, : len(row)] = torch.tensor(row, dtype=torch.float64)
        wanted[index, : len(row)] = torch.tensor(expected[index], dtype=torch.float64)
        mask[index, : len(row)] = 1
    weights = method(name, **options, **extra, **variant).weights(scores, mask, groups)
    torch.testing.assert_close(weights.double(), wanted, atol=1e-5, rtol=1e-5)
