"""The own scores of the benchmarks that ask whether a model looks."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ..run.grading import Scored
from .pairs import AnsweredPair, pair_scores
from .sample_groups import all_right, average, rounds_of


def pope(samples: Sequence[Scored]) -> dict[str, Any]:
    """POPE: accuracy, and precision, recall and F1 of "yes", over the answers that say yes or no.

    An answer that says neither counts as no, as in the authors' code. yes share = answers that say yes /
    answers. None where nothing is divided by.
    """
    graded = [one for one in samples if one.correct is not None]
    yes = [_says_yes(one) for one in graded]
    gold = [one.item.answer == "yes" for one in graded]
    hits = sum(said and is_there for said, is_there in zip(yes, gold, strict=True))
    return {
        "accuracy": average(samples),
        "precision": hits / sum(yes) if sum(yes) else None,
        "recall": hits / sum(gold) if sum(gold) else None,
        "F1": 2 * hits / (sum(yes) + sum(gold)) if sum(yes) + sum(gold) else None,
        "yes share": sum(yes) / len(yes) if yes else None,
    }


def _says_yes(one: Scored) -> bool:
    """A right answer says its gold; a wrong one is looked at."""
    if one.correct:
        return one.item.answer == "yes"
    return re.sub(r"[^a-z ]", "", (one.answer or "").lower()).strip().split(" ")[0] == "yes"


def cv_bench(samples: Sequence[Scored]) -> dict[str, Any]:
    """CV-Bench: 2D is the mean of its two sources, 3D its one source, the score the mean of 2D and 3D.

    Answers that were not judged are left out of each source; None where nothing is left.
    """
    graded = [one for one in samples if one.correct is not None]
    found: dict[str, Any] = {}
    for source in ("ADE20K", "COCO", "Omni3D"):
        part = [one for one in graded if one.item.labels.get("source") == source]
        found[source] = sum(bool(one.correct) for one in part) / len(part) if part else None
    found["2D"] = _mean(found["ADE20K"], found["COCO"])
    found["3D"] = found["Omni3D"]
    return {**found, "score": _mean(found["2D"], found["3D"])}


def _mean(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else (one + other) / 2


def paired(samples: Sequence[Scored]) -> dict[str, Any]:
    """Of every key of the problems the share of its groups of which every member is right.

    Where the groups are pairs, also that of relevant pairs, sensitivity and stability (`pair_scores`).
    """
    keys = dict.fromkeys(key for one in samples for key in one.item.keys)
    return {"accuracy": average(samples)} | {
        name: share for key in keys for name, share in _of_key(samples, key).items()
    }


def _of_key(samples: Sequence[Scored], key: str) -> dict[str, Any]:
    pairs = answered_pairs(samples, key)
    found: dict[str, Any] = {key: all_right(samples, key)}
    if not pairs:
        return found
    scores = pair_scores(pairs)
    of_pairs = {
        "relevant right": scores.relevant_right,
        "sensitivity": scores.sensitivity,
        "stability": scores.stability,
    }
    return found | {f"{key}: {name}": share for name, share in of_pairs.items() if share.n}


def answered_pairs(samples: Sequence[Scored], key: str) -> list[AnsweredPair]:
    """One entry per round of samples of every group of two; none if any group has more than two members."""
    grouped = [one for one in samples if one.item.keys.get(key)]
    found = []
    for one in rounds_of(grouped, lambda one: one.item.keys[key]).values():
        for sides in one.rounds:
            if len(sides) > 2:
                return []
            if len(sides) == 2:
                a, b = sides
                found.append(AnsweredPair(
                    (a.item.answer, b.item.answer), (a.answer, b.answer), (bool(a.correct), bool(b.correct)),
                    a.item.cluster, a.item.choices or None, 1 / len(one.rounds),
                ))  # fmt: skip
    return found


def natural_bench(samples: Sequence[Scored]) -> dict[str, Any]:
    """NaturalBench: questions right on both images, images right on both questions, groups right in all four.

    A group that was not asked as a whole counts nowhere but in the accuracy.
    """
    return {
        "accuracy": average(samples),
        "question accuracy": all_right(samples, "question", 2),
        "image accuracy": all_right(samples, "image", 2),
        "group accuracy": all_right(samples, "group", 4),
    }


def mmvp(samples: Sequence[Scored]) -> dict[str, Any]:
    """MMVP: the share of pairs right on both images; a pair of which one was asked does not count."""
    return {"accuracy": average(samples), "pair accuracy": all_right(samples, "pair", 2)}


def vlms_are_blind(samples: Sequence[Scored]) -> dict[str, Any]:
    """VLMs are blind: the mean of its tasks' accuracies, the two kinds of grid being one task."""
    parts: dict[str, list[Scored]] = defaultdict(list)
    for one in samples:
        parts[re.sub(r" - (blank|word) grids$", "", one.item.labels["task"].lower())].append(one)
    found = {task: average(part) for task, part in parts.items()}
    shares = [share.value for share in found.values() if not math.isnan(share.value)]
    return {"task mean": sum(shares) / len(shares) if shares else None, **found}


_ONE_PART = re.compile(r"(text|handwriting|digit string) recognition$", re.IGNORECASE)


def ocr_bench(samples: Sequence[Scored]) -> dict[str, Any]:
    """OCRBench: the accuracy, and that of its five parts; its six kinds of recognition are one part.

    On the whole set of 1,000 questions its score is 1,000 times the accuracy.
    """
    parts: dict[str, list[Scored]] = defaultdict(list)
    for one in samples:
        kind = one.item.labels["question type"]
        parts["Text Recognition" if _ONE_PART.search(kind) else kind].append(one)
    return {"accuracy": average(samples)} | {name: average(part) for name, part in parts.items()}
