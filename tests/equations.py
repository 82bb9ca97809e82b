"""The papers' weights a second time: plain Python, one token at a time, for tests to hold ours against."""

import math

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
        padding = [0.0]  # released: padded positions count as cosine 0
        flat = iter(min_max([*(value for row in rows for value in row), *padding]))
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
                if max(block) - min(block) <= 1e-6:
                    alphas.append(1.0)
                elif scale_max is None:
                    alphas.append(scale_min + ((1 - scale_min) / average * height if average else 0.0))
                else:
                    alphas.append(scale_min + (scale_max - scale_min) * height)
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
