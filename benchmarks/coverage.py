"""What the intervals of `sightline eval` and `compare` cover, in simulation: the table they were chosen by.

python benchmarks/coverage.py [--draws 1000] [--out docs/coverage.md]

Every cell draws whole evaluations whose truth is known and counts how often the 95 % interval holds it.
Problems' chances come from a beta distribution, or from two values only (`two`), as sets of solved and
unsolved problems have them; `correlation` is that of two samples of a problem. Prints the tables and, with
--out, writes them as a page. It also times the statistics of a run of 20,000 generations. A few minutes on
one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.special import betaincinv, betaln, stdtrit

from sightline.evaluation.benchmarks.load import Item
from sightline.evaluation.report.summary import measure
from sightline.evaluation.run.grading import Scored
from sightline.evaluation.run.jsonl_records import Generation
from sightline.evaluation.statistics.intervals import clustered_mean, clustered_share
from sightline.evaluation.statistics.paired_shares import paired_shares
from sightline.evaluation.statistics.pass_at_k import pass_at

Ends = tuple[np.ndarray, np.ndarray]
PROBLEMS, TRUTHS = (20, 50, 100, 448), (0.01, 0.05, 0.2, 0.5)
SAMPLES, CORRELATIONS = (8, 16), (0.1, 0.3, 0.6)


def chances(
    draw: np.random.Generator, shape: tuple[int, int], truth: float, rho: float, two: bool
) -> np.ndarray:
    """Chances of problems with mean `truth` and correlation `rho` between samples."""
    if rho == 0:
        return np.full(shape, truth)
    if two:
        apart = np.sqrt(rho)
        return np.where(draw.random(shape) < truth, truth + apart * (1 - truth), truth * (1 - apart))
    spread = (1 - rho) / rho
    return draw.beta(spread * truth, spread * (1 - truth), shape)


def wilson(share: np.ndarray, n: np.ndarray, z: float) -> Ends:
    """Wilson's interval, 1927."""
    spread = 1 + z**2 / n
    centre, half = (share + z**2 / (2 * n)) / spread, np.sqrt(share * (1 - share) / n + z**2 / (4 * n * n))
    return centre - z * half / spread, centre + z * half / spread


def clopper_pearson(share: np.ndarray, n: np.ndarray) -> Ends:
    """Their exact interval for numbers that need not be whole."""
    right, wrong = np.maximum(share * n, 1e-12), np.maximum(n - share * n, 1e-12)
    low, high = betaincinv(right, wrong + 1, 0.025), betaincinv(right + 1, wrong, 0.975)
    return np.where(share <= 0, 0, low), np.where(share >= 1, 1, high)


def moments(right: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Share and effective number of samples of every draw, [R, n] -> [R] each."""
    problems = right.shape[1]
    share = right.mean(1) / samples
    error = problems / (problems - 1) * ((right - right.mean(1, keepdims=True)) ** 2).sum(1)
    error /= (problems * samples) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(error > 0, share * (1 - share) / error, problems)
    return share, np.minimum(effective, problems * samples)


def former(right: np.ndarray, samples: int) -> Ends:
    """Wilson's interval at the effective number of samples, with Student's t."""
    share, n = moments(right, samples)
    return wilson(share, n, float(stdtrit(right.shape[1] - 1, 0.975)))


def korn_graubard(right: np.ndarray, samples: int) -> Ends:
    """Korn and Graubard 1998 as published."""
    share, n = moments(right, samples)
    problems = right.shape[1]
    factor = stdtrit(problems * samples - 1, 0.975) / stdtrit(problems - 1, 0.975)
    return clopper_pearson(share, n * factor**2)


def beta_binomial(right: np.ndarray, samples: int) -> Ends:
    """Posterior mean of a beta-binomial, uniform over mean and correlation, after arXiv 2503.01747."""
    places = np.linspace(0, 1, 162)[1:-1]
    means, width = np.sin(np.pi * places / 2) ** 2, np.sin(np.pi * places)
    rho = (np.arange(40) + 0.5) / 40
    spread = (1 - rho) / rho
    a, b = np.outer(means, spread)[..., None], np.outer(1 - means, spread)[..., None]
    k = np.arange(samples + 1)
    each = betaln(a + k, b + samples - k) - betaln(a, b)
    lows, highs = [], []
    for one in right:
        likelihood = each @ np.bincount(one, minlength=samples + 1)
        mass = np.cumsum(np.exp(likelihood - likelihood.max()).sum(1) * width)
        low, high = np.interp([0.025, 0.975], mass / mass[-1], means)
        lows.append(0.0 if one.sum() == 0 else low)
        highs.append(1.0 if one.sum() == one.size * samples else high)
    return np.array(lows), np.array(highs)


def ours(right: np.ndarray, samples: int) -> Ends:
    """`clustered_share` of every draw: a problem's samples are one cluster."""
    problems = right.shape[1]
    clusters = np.repeat(np.arange(problems), samples).tolist()
    found = []
    for one in right:
        values = (np.arange(samples) < one[:, None]).astype(float).ravel()
        share = clustered_share(values, clusters)
        found.append((share.low, share.high))
    low, high = np.array(found).T
    return low, high


METHODS: dict[str, Callable[[np.ndarray, int], Ends]] = {
    "ours": ours, "Wilson, effective": former, "Korn and Graubard": korn_graubard,
    "beta-binomial": beta_binomial,
}  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = "|" + "---|" + "---:|" * (len(head) - 1)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)])


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def shares(draws: int) -> str:
    """Every method over problems, truth, samples and correlation; the lowest of each group of cells."""
    draw = np.random.default_rng(0)
    covered: dict[str, list[float]] = {name: [] for name in METHODS}
    widths: dict[str, list[float]] = {name: [] for name in METHODS}
    rows, worst = [], []
    for samples, two in [(1, False), *((k, two) for k in SAMPLES for two in (False, True))]:
        for problems in PROBLEMS:
            for truth in TRUTHS:
                cell: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
                for rho in CORRELATIONS if samples > 1 else (0.0,):
                    right = draw.binomial(samples, chances(draw, (draws, problems), truth, rho, two))
                    for name, method in METHODS.items():
                        low, high = method(right, samples)
                        hit = float(np.mean((low <= truth) & (truth <= high)))
                        cell[name].append((hit, float(np.mean(high - low))))
                for name, found in cell.items():
                    covered[name] += [hit for hit, _ in found]
                    widths[name] += [width for _, width in found]
                lowest = [percent(min(found)[0]) for found in cell.values()]
                kind = "single" if samples == 1 else "two" if two else "beta"
                width = percent(float(np.mean([w for _, w in cell["ours"]])))
                rows.append([f"{problems} × {samples}, {kind}", percent(truth), *lowest, width])
                worst.append(min(cell["ours"])[0])
    summary = [
        [name, percent(min(found)), percent(float(np.mean(np.array(found) < 0.92))),
         percent(float(np.mean(found))), percent(float(np.mean(widths[name])))]
        for name, found in covered.items()
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## Accuracy",
            f"{len(covered['ours'])} cells of {draws:,} draws. Per cent.",
            table(["method", "lowest", "cells below 92", "mean coverage", "mean width, points"], summary),
            "The lowest coverage over correlations 0.1, 0.3 and 0.6, by problems × samples and truth:",
            table(["problems × samples", "truth", *METHODS, "width of ours"], rows),
        ]
    )


def clusters_table(draws: int) -> str:
    """Clusters of problems, some of them few and unequal, and the papers' own sets."""
    draw = np.random.default_rng(1)
    sets = {
        "six: 4, 6, 10, 20, 40, 80": [4, 6, 10, 20, 40, 80],
        "one of 200, nine of 10": [200] + [10] * 9,
        "one of 50, fifty of 1": [50] + [1] * 50,
        "436 of 5 (papo_eval:mathverse)": [5] * 436,
        "501 of 7 or 8 (vppo_eval:dynamath)": [8] * 159 + [7] * 342,
        "525 of 3 or 4 (papo_eval:we_math)": [3] * 360 + [4] * 165,
    }
    rows = []
    for name, sizes in sets.items():
        members = np.repeat(np.arange(len(sizes)), sizes)
        for truth in (0.1, 0.5):
            for rho in (0.3, 0.5):
                hits = np.zeros(2)
                for _ in range(draws // 2):
                    chance = chances(draw, (1, len(sizes)), truth, rho, False)[0]
                    values = (draw.random(len(members)) < chance[members]).astype(float)
                    for place, by in enumerate((members, np.arange(len(members)))):
                        found = clustered_share(values, by.tolist())
                        hits[place] += found.low <= truth <= found.high
                rows.append([name, percent(truth), f"{rho:g}", *(percent(h / (draws // 2)) for h in hits)])
    return "## Clusters of problems\n\nOne sample per problem.\n\n" + table(
        ["clusters", "truth", "correlation", "clustered", "each problem its own"], rows
    )


def passes(draws: int) -> str:
    """pass@4 of eight samples."""
    draw = np.random.default_rng(2)
    by_right = np.array([pass_at(4, 8, right) for right in range(9)])
    rows = []
    for problems in (20, 80, 448):
        for a, b in ((0.1, 3.0), (0.6, 1.4), (3.0, 0.3)):
            every = draw.beta(a, b, 400_000)
            truth = float(np.mean(1 - (1 - every) ** 4))
            hits = 0
            for _ in range(draws):
                found = clustered_share(
                    by_right[draw.binomial(8, draw.choice(every, problems))], range(problems)
                )
                hits += found.low <= truth <= found.high
            rows.append([f"{problems}", percent(truth), percent(hits / draws)])
    return "## pass@4 of eight samples\n\n" + table(["problems", "truth", "covered"], rows)


def pairs(draws: int) -> str:
    """Two runs of equal skill: coverage of 0, and how often p is below 0.05."""
    draw = np.random.default_rng(3)
    rows = []
    for name, problems, per, samples, differ in (
        ("1,000, of which 0.5 % differ", 1000, 1, 1, 0.005), ("200, 2 %", 200, 1, 1, 0.02),
        ("50, 10 %", 50, 1, 1, 0.1), ("20, 20 %", 20, 1, 1, 0.2), ("448, 20 %", 448, 1, 1, 0.2),
        ("40, 10 %, 8 samples", 40, 1, 8, 0.1), ("200, 30 %, 8 samples", 200, 1, 8, 0.3),
        ("40 clusters of 5, 20 %", 200, 5, 1, 0.2),
    ):  # fmt: skip
        clusters = np.arange(problems) // per
        counts = np.zeros(4)
        for _ in range(draws):
            either = np.repeat(draw.random(problems // per) < differ, per)
            chance = np.where(either, 0.5, draw.random(problems) < 0.5)
            lean = np.repeat(draw.normal(0, 0.3, problems // per), per) * either
            one = draw.binomial(samples, np.clip(chance + lean, 0, 1)) / samples
            other = draw.binomial(samples, np.clip(chance - lean, 0, 1)) / samples
            gaps = (other - one).tolist()
            found, wald = paired_shares(gaps, clusters.tolist()), clustered_mean(gaps, clusters.tolist())
            counts += [found.low <= 0 <= found.high, wald.low <= 0 <= wald.high, found.p < 0.05,
                       not wald.low <= 0 <= wald.high]  # fmt: skip
        rows.append([name, *(percent(count / draws) for count in counts)])
    return "## Two runs on the same problems\n\nNo true difference.\n\n" + table(
        ["problems", "covered, ours", "covered, t", "p < 0.05, ours", "p < 0.05, t"], rows
    )


def seconds_of_a_run() -> float:
    """CPU time of `measure` on 2,500 problems of 8 samples, with two labels."""
    draw = np.random.default_rng(4)
    samples = []
    for number, chance in enumerate(draw.beta(1, 1, 2500)):
        labels = {"subject": str(number % 12), "level": str(number % 5)}
        item = Item(f"set/{number}", "?", "4", (), f"set/{number}", labels)
        for place in range(8):
            generation = Generation("set", "sighted", item.id, place, 0, "", "x", False, 9, None, None, [])
            right = bool(draw.random() < chance)
            samples.append(Scored(item, generation, right, str(draw.integers(5)), "text", None))
    start = time.process_time()
    measure(samples, expected=len(samples))
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1000, help="evaluations per cell")
    parser.add_argument("--out", type=Path, help="also write the tables as a page")
    args = parser.parse_args()
    start = time.perf_counter()
    parts = [shares(args.draws), clusters_table(args.draws), passes(args.draws), pairs(args.draws)]
    head = (
        "# What the intervals cover\n\nCoverage of the 95 % intervals of `sightline eval` and `compare` in "
        "simulation, and of methods that were not chosen. Made by `python benchmarks/coverage.py --draws "
        f"{args.draws} --out docs/coverage.md`. What the methods are: [evaluation](evaluation.md). At "
        f"{args.draws:,} draws a figure of 95 is known to ± {196 * np.sqrt(0.95 * 0.05 / args.draws):.1f}."
    )
    page = "\n\n".join([head, *parts]) + "\n"
    print(page)
    print(f"statistics of 20,000 generations: {seconds_of_a_run():.2f} s of CPU time")
    print(f"all: {time.perf_counter() - start:.0f} s")
    if args.out:
        args.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
