r"""The grader: everyday answers a second, hostile ones, 10,000 fuzzed ones. "plain" is math-verify.

python benchmarks/grading.py [--answers 8000] [--fuzzed 10000] [--workers 2]
python benchmarks/grading.py --load [--verdicts 20000] [--busy 16] [--graders 4] [--nice 5] [--seconds 1500]

Everyday answers come in groups of eight rollouts of one prompt, each behind 1,500 characters of thinking:
45 % letters, 30 % numbers with and without units, 15 % roots and fractions, 7 % polynomials, 3 % trigonometry
(the only ones that need a worker). math-verify gets the same last boxes in `$…$`, in this process, with the
time limits it has by default. Times are wall times; workers are up before the clock starts.

With --load it only counts the verdicts on honest answers that change while the machine is kept busy.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from measuring import Row, arguments, report
from measuring.load import Load, under

from sightline.rewards import Pool, Verdict, grade, grade_many
from sightline.rewards.answers.extract import last_box

PAIRS = Path(__file__).parent.parent / "tests" / "golden" / "answer_pairs.jsonl"
THINKING = "<think>" + "We look at the figure and see that the two angles are equal. " * 25 + "</think>"
HOSTILE = (r"\boxed{\sin(e^{e^{18}})}", r"\cos 1")
SYMBOLIC = [(rf"\boxed{{\sin {n}x + \cos x}}", rf"\cos x + \sin {n}x") for n in range(2, 42)]
PATIENCE = 20.0
PLAIN_HOSTILE = """
import sys
from math_verify import parse, verify
verify(parse("$" + sys.argv[1] + "$"), parse("$" + sys.argv[2] + "$"))
"""
LATEX = r"\frac \sqrt \text{ \boxed{ \int \begin{cases} \left( \pm \infty \to { } ( ) [ ] \{ \} ^ _ ^{9} \\ &"
OTHERS = "$ % , : = 9 1e999 /0 ** ! | x π √ ½ – 𝟗 ' < or and"
PIECES = [*LATEX.split(), *OTHERS.split()]

Item = tuple[str, str]


def everyday(count: int, seed: int = 0) -> list[Item]:
    """(response, gold) in groups of eight; about half of them right."""
    generator = random.Random(seed)
    items: list[Item] = []
    while len(items) < count:
        gold, spellings = _prompt(generator)
        answers = (generator.choice(spellings) for _ in range(8))
        items += [(f"{THINKING} The answer is $\\boxed{{{answer}}}$.", gold) for answer in answers]
    return items[:count]


def _prompt(generator: random.Random) -> tuple[str, list[str]]:
    """A gold answer and what eight rollouts might answer."""
    kind, n = generator.random(), generator.randint(2, 400)
    if kind < 0.45:
        gold, wrong = generator.sample("ABCD", 2)
        return gold, [
            gold,
            rf"\text{{{gold}}}",
            f"({gold})",
            f"{gold}. {n}^\\circ",
            wrong,
            f"({wrong})",
            f"{wrong}.",
        ]
    if kind < 0.75:
        return str(n), [
            f"{n}",
            rf"{n}^\circ",
            rf"{n} \text{{ cm}}",
            f"x = {n}",
            f"{n + 1}",
            f"{n}.5",
            f"-{n}",
        ]
    if kind < 0.90:
        gold = rf"\frac {{ {n} \sqrt {{ 3 }} }} {{ 7 }}"
        return gold, [
            rf"\frac{{{n}\sqrt{{3}}}}{{7}}",
            rf"\frac{{{n}}}{{7}}\sqrt3",
            rf"{n}\sqrt{{3}}",
            rf"{n}\pi",
        ]
    if kind < 0.97:
        return f"{n}x+{n + 1}", [f"y = {n + 1} + {n}x", f"{n}x + {n + 1}", f"{n}x - {n + 1}", f"{n + 1}x"]
    return rf"{n}\sin x + \cos x", [rf"\cos x + {n}\sin x", rf"\cos x - {n}\sin x"]


def plain(item: Item) -> bool:
    """math-verify on the last box, gold first, both sides in `$…$`, with its own time limits."""
    from math_verify import parse, verify

    box = last_box(item[0])
    return box is not None and verify(parse(f"${item[1]}$"), parse(f"${box}$"))


def speed(items: list[Item], pool: Pool) -> Row:
    """Everyday answers a second on both sides."""
    started = time.perf_counter()
    verdicts = grade_many(items, pool=pool)
    ours = len(items) / (time.perf_counter() - started)
    print("decided by:", dict(Counter(verdict.how for verdict in verdicts)))
    fewer = items[:: max(1, len(items) // 400)]
    started = time.perf_counter()
    for item in fewer:
        plain(item)
    other = len(fewer) / (time.perf_counter() - started)
    return Row("everyday answers", ours, other, ours / other, "1/s")


def judged(pool: Pool) -> Row:
    """How many of the 72 published pairs are judged as expected."""
    pairs = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    ours = sum(grade(p["pred"], p["gold"], p["choices"], pool=pool).correct == p["expected"] for p in pairs)
    harmless = [p for p in pairs if p["kind"] != "adversarial"]
    other = sum(plain((p["pred"], p["gold"])) == p["expected"] for p in harmless)
    return Row(
        f"pairs judged right (ours of {len(pairs)}, plain of {len(harmless)})", ours, other, ours / other, ""
    )


def hostile(pool: Pool) -> list[Row]:
    """What an answer without an end costs, alone and to others."""
    costs = []
    for _ in range(3):
        started = time.perf_counter()
        assert grade(*HOSTILE, pool=pool).how == "timeout"
        costs.append(time.perf_counter() - started)
    box, gold = last_box(HOSTILE[0]), HOSTILE[1]
    started = time.perf_counter()
    try:
        subprocess.run([sys.executable, "-c", PLAIN_HOSTILE, gold, str(box)], timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        print(f"math-verify has not come back from the hostile answer after {PATIENCE:g} s")
    other = time.perf_counter() - started
    many = [(rf"\boxed{{\sin(e^{{e^{{18}}}} + {n})}}", HOSTILE[1]) for n in range(64)]
    started = time.perf_counter()
    assert {verdict.how for verdict in grade_many(many, pool=pool)} == {"timeout"}
    each = (time.perf_counter() - started) / len(many)
    alone, beside = _symbolic(pool), _symbolic(pool, HOSTILE)
    return [
        Row("a hostile answer (the worst of 3 in a row)", max(costs), other, max(costs) / other, "s"),
        Row("each of 64 hostile answers in one batch", each, other, each / other, "s"),
        Row("40 symbolic answers beside a hostile one (plain: without)", beside, alone, beside / alone, "s"),
    ]


def _symbolic(pool: Pool, beside: Item | None = None) -> float:
    """Seconds until the 40 symbolic answers are graded, the hostile one being asked first."""
    from sightline.rewards.verdict import Question

    waiting = pool.submit(Question("strict", str(last_box(beside[0])), beside[1])) if beside else None
    started = time.perf_counter()
    assert all(verdict.correct for verdict in grade_many(SYMBOLIC, pool=pool))
    took = time.perf_counter() - started
    if waiting:
        waiting.result()
    return took


def fuzz(count: int, pool: Pool) -> list[Row]:
    """Mutated LaTeX and random text: time, timeouts, crashes, and memory before and after."""
    generator = random.Random(0)
    pairs = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    items = [
        (f"\\boxed{{{_mutated(p['pred'], generator)}}}", p["gold"]) for p in generator.choices(pairs, k=count)
    ]
    grade_many(items[: count // 5], pool=pool)
    before, largest = _memory(), _largest(pool)
    crashes, timeouts = pool.counts["crash"], pool.counts["timeout"]
    started = time.perf_counter()
    verdicts: list[Verdict] = grade_many(items, pool=pool)
    took = time.perf_counter() - started
    print(f"{count} fuzzed, decided by:", dict(Counter(verdict.how for verdict in verdicts)))
    gone = pool.counts["crash"] - crashes
    late = pool.counts["timeout"] - timeouts
    return [
        Row(f"{count} fuzzed answers", took, 0, 0, "s"),
        Row("workers that crashed over them", gone, 0, 0, ""),
        Row("timeouts among them", late, 0, 0, ""),
        Row("memory of the process after them (plain: before)", _memory(), before, _memory() / before, "MB"),
        Row("memory of the largest worker (plain: before)", *_grown(largest, _largest(pool)), "MB"),
    ]


def _mutated(text: str, generator: random.Random) -> str:
    for _ in range(generator.randint(1, 6)):
        place = generator.randint(0, len(text))
        if generator.random() < 0.2:
            text = "".join(chr(generator.randint(1, 0x2FFF)) for _ in range(10)) + text
        elif generator.random() < 0.6:
            text = text[:place] + generator.choice(PIECES) * generator.choice([1, 1, 1, 30]) + text[place:]
        else:
            text = text[:place] + text[place + generator.randint(1, 4) :]
    return text


def _memory(process: int | str = "self") -> float:
    """Resident memory of a process in MB (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _largest(pool: Pool) -> float:
    return max(_memory(worker.pid) for worker in pool._workers)


def _grown(before: float, after: float) -> tuple[float, float, float]:
    return after, before, after / before


def changed(load: Load, out: Path) -> int:
    """Prints how many of the honest verdicts change under a load; 1 if any does, or was not given."""
    print(f"{load.verdicts} answers, {load.graders} graders at nice {load.nice}, {load.busy} busy processes")
    found, took = under(load)
    wrong = sum(count for what, count in found.items() if what not in ("right", "undecided"))
    print(f"{found.total()} judged in {took:.0f} s, load {os.getloadavg()[0]:.1f}: {dict(found)}")
    rows = [
        Row(f"verdicts changed, of {found.total()} (plain: undecided)", wrong, found["undecided"], 0, ""),
        Row("verdicts a second under the load", found.total() / took, 0, 0, "1/s"),
    ]
    report(out / "grading_load.json", rows, "Grading on a busy machine")
    return int(found["right"] < load.verdicts)


def main() -> int:
    """Measures everything and writes benchmarks/out/grading.json."""
    parser = arguments(__doc__)
    parser.add_argument("--answers", type=int, default=8000)
    parser.add_argument("--fuzzed", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--load", action="store_true", help="count verdicts that change on a busy machine")
    for name, value in vars(Load()).items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"with --load (default {value})")
    options = parser.parse_args()
    if options.load:
        load = Load(**{name: getattr(options, name) for name in vars(Load())})
        return changed(
            replace(load, verdicts=80, busy=4, seconds=60) if options.smallest else load, options.out
        )
    answers, fuzzed = (200, 100) if options.smallest else (options.answers, options.fuzzed)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {options.workers} workers")
    with Pool(workers=options.workers) as pool:
        grade_many(SYMBOLIC[:4], pool=pool)
        rows = [speed(everyday(answers), pool), judged(pool), *hostile(pool), *fuzz(fuzzed, pool)]
        workers = [worker.pid for worker in pool._workers]
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers), "a worker was left behind"
    report(options.out / "grading.json", rows, "Grading")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
