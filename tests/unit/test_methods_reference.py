"""The rules against the equations written a second time: plain Python, one token at a time."""

import math

import numpy as np
import pytest
import torch

from sightline.methods import method

EPSILON = 1e-8


def min_max(values, epsilon=EPSILON):
    low, high = min(values), max(values)
    return [0.0] * len(values) if high - low <= 1e-6 else [(v - low) / (high - low + epsilon) for v in values]


def rounded(rounding, product):
    return rounding(round(product, 9))


def vgpo(rows, groups, *, strength, tail, top, schedule, compensate, gate, intra, inter, released):
    shape = {"linear": lambda x: x, "exponential": lambda x: x * x, "step": lambda x: float(x >= 0.5)}[
        schedule
    ]
    if released:
        flat = iter(min_max([value for row in rows for value in row]))
        focus = [[next(flat) for _ in row] for row in rows]
    else:
        focus = [[(value + 1) / 2 for value in row] for row in rows]
    lifted = []
    for row in focus:
        length = len(row)
        start = rounded(math.floor, (1 - tail) * length)
        late = sorted(row[start:], reverse=True)
        bar = late[max(1, rounded(math.floor, top * len(late))) - 1] if late else math.inf
        new = []
        for index, value in enumerate(row):
            passes = (index >= start and value >= bar) if gate else True
            done = index / max(length - 1, 1) if released else (index + 1) / length
            on = compensate and passes and (intra or not released)
            new.append(value * (1 + strength * shape(done)) if on else value)
        lifted.append(new)
    scaled = [min_max(row) for row in lifted]
    sums = [sum(row) for row in (scaled if released else lifted)]
    weights = []
    for index, row in enumerate(scaled):
        own = [sums[j] for j in range(len(rows)) if groups[j] == groups[index]]
        heights = min_max(own)
        mine = [j for j in range(len(rows)) if groups[j] == groups[index]].index(index)
        across = 1 + heights[mine] - sum(heights) / len(heights) if inter else 1.0
        within = [1 + value - sum(row) / len(row) if intra else 1.0 for value in row]
        if released:
            across = min(max(across, 0.9), 2.0) if inter else 1.0
            within = [min(max(value, 0.1), 2.0) for value in within] if intra else within
        weights.append([across * value for value in within])
    return weights


def vppo(rows, groups, *, keep, scale_min, scale_max, minibatch=None, microbatch=None):
    means = [sum(row) / len(row) for row in rows]
    alphas = []
    size = minibatch or len(rows)
    for start in range(0, len(rows), size):
        block = means[start : start + size]
        heights = min_max(block)
        small = microbatch or size
        for inner in range(0, len(block), small):
            part = heights[inner : inner + small]
            average = sum(part) / len(part)
            for height in part:
                if max(block) - min(block) <= 1e-6 or (scale_max is None and average == 0):
                    alphas.append(1.0)
                else:
                    top = scale_min + (1 - scale_min) / average if scale_max is None else scale_max
                    alphas.append(scale_min + (top - scale_min) * height)
    weights = []
    for row, alpha in zip(rows, alphas, strict=True):
        count = rounded(math.ceil, keep * len(row))
        best = sorted(range(len(row)), key=lambda index: (-row[index], index))[:count]
        weights.append([alpha if index in best else 0.0 for index in range(len(row))])
    return weights


def pgpo(rows, groups, *, threshold, boost, snapshot):
    weights = []
    for row in rows:
        logs = [math.log1p(value) for value in row]
        if max(logs) - min(logs) <= 1e-6:
            weights.append([1.0] * len(row))
            continue
        important = min_max(logs)
        bar = threshold
        if snapshot:
            bar = sorted(important)[min(rounded(math.floor, threshold * len(row)), len(row) - 1)]
        raw = [
            value / (bar + EPSILON) if value < bar else 1 + boost * (value - bar) / (1 - bar + EPSILON)
            for value in important
        ]
        if snapshot:
            raw = [max(w, 0.1) if value < bar else w for w, value in zip(raw, important, strict=True)]
        else:
            raw = [w * len(row) / sum(raw) for w in raw]
        weights.append(raw)
    return weights


def options_of(name, random):
    share = lambda: float(random.choice([0.1, 0.2, 0.3, 0.5, 0.7, 1.0]))  # noqa: E731
    flag = lambda: bool(random.random() < 0.5)  # noqa: E731
    if name == "vgpo":
        return {
            "strength": share(), "tail": share(), "top": share(), "compensate": flag(), "gate": flag(),
            "schedule": str(random.choice(["linear", "exponential", "step"])), "intra": flag(), "inter": flag(),
        }  # fmt: skip
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
