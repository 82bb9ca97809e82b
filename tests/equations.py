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


def exact_min_max(values):
    low, high = min(values), max(values)
    return [0.0] * len(values) if high - low <= 1e-6 else [(v - low) / (high - low) for v in values]


def pepo(similarity, entropy, *, gate, temperature):
    weights = []
    for prior, uncertain in zip(similarity, entropy, strict=True):
        both = [a + b for a, b in zip(exact_min_max(prior), exact_min_max(uncertain), strict=True)]
        mean = sum(both) / len(both)
        bent = [v * (1 + gate * math.tanh(g - mean)) for v, g in zip(prior, both, strict=True)]
        powers = [math.exp(value / temperature) for value in bent]
        weights.append([len(prior) * power / sum(powers) for power in powers])
    return weights


def tor(entropy, ratio, *, reasoning_share, perception_share, reasoning_weight, perception_weight):
    def bar(rows, share):
        flat = sorted((value for row in rows for value in row), reverse=True)
        count = rounded(math.ceil, share * len(flat))
        return flat[count - 1] if count else math.inf

    think, look = bar(entropy, reasoning_share), bar(ratio, perception_share)
    return [
        [
            reasoning_weight if h >= think and h > 0 else perception_weight if u >= look and u > 0 else 0.0
            for h, u in zip(*pair, strict=True)
        ]
        for pair in zip(entropy, ratio, strict=True)
    ]


def vepo(divergence, entropy, other_entropy, *, keep, balance, released):
    weights, counts = [], []
    for apart, own, other in zip(divergence, entropy, other_entropy, strict=True):
        gap = [abs(b - a) for a, b in zip(own, other, strict=True)]
        rows = zip(exact_min_max(apart), exact_min_max(gap), exact_min_max(own), strict=True)
        scores = [(1 - (1 - j) ** balance * (1 - d) ** (1 - balance)) * h for j, d, h in rows]
        counts.append(rounded(math.ceil, keep * len(scores)))
        best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: counts[-1]]
        weights.append([len(scores) / counts[-1] if index in best else 0.0 for index in range(len(scores))])
    if not released:
        return weights
    even = sum(map(len, weights)) / sum(counts)
    return [[even if value else 0.0 for value in row] for row in weights]


def dupl(entropy, divergence, advantages, noisy, *, scales, caps, released):
    weights = []
    for uncertain, moved, advantage, z in zip(entropy, divergence, advantages, noisy, strict=True):
        row = []
        for out, per in zip(uncertain, moved, strict=True):
            size, changed = abs(advantage), advantage
            changed += z * min(size / caps[1], scales[1] * max(per, 0.0))
            size = abs(changed) if released else size
            changed += min(size / caps[0], scales[0] * out)
            row.append(changed / advantage if advantage else 1.0)
        weights.append(row)
    return weights
