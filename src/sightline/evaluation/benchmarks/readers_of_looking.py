"""Readers of the benchmarks that ask whether a model looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .readers import within
from .row import BenchmarkRow, cells, options, text


def mm_star(row: Mapping[str, Any]) -> BenchmarkRow:
    """MMStar: the question lists its options."""
    return BenchmarkRow(
        text(row["question"]),
        cells(row["image"]),
        text(row["answer"]).strip(),
        listed=True,
        labels={"category": text(row["category"]), "skill": text(row["l2_category"])},
    )


def pope(row: Mapping[str, Any]) -> BenchmarkRow:
    """POPE: whether an object is there, yes or no; three ways of choosing what is asked for."""
    question = text(row["question"]).strip()
    return BenchmarkRow(
        f"{question} Answer yes or no.",
        cells(row["image"]),
        text(row["answer"]).strip().lower(),
        cluster=text(row["image_source"]),
        labels={"category": text(row["category"])},
    )


def real_world_qa(row: Mapping[str, Any]) -> BenchmarkRow:
    """RealWorldQA: a letter, a word or a number; the question says which."""
    return BenchmarkRow(text(row["question"]), cells(row["image"]), text(row["answer"]), listed=True)


def cv_bench(row: Mapping[str, Any]) -> BenchmarkRow:
    """CV-Bench: golds are letters in brackets; 2D from two sources, 3D from one, as its score weighs them."""
    return BenchmarkRow(
        text(row["question"]),
        cells(row["image"]),
        text(row["answer"]).strip("() "),
        options(row["choices"]),
        labels={"type": text(row["type"]), "task": text(row["task"]), "source": text(row["source"])},
    )


def blink(row: Mapping[str, Any]) -> BenchmarkRow:
    """BLINK: up to four images, golds are letters in brackets."""
    shown = [row[f"image_{place}"] for place in range(1, 5) if row[f"image_{place}"] is not None]
    return BenchmarkRow(
        text(row["question"]),
        shown,
        text(row["answer"]).strip("() "),
        options(row["choices"]),
        labels={"task": text(row["sub_task"])},
    )


def hr_bench(row: Mapping[str, Any]) -> BenchmarkRow:
    """HR-Bench: options in columns A to D; each problem in four orders of its options, one cluster."""
    return BenchmarkRow(
        text(row["question"]),
        cells(row["image"]),
        text(row["answer"]).strip(),
        tuple(text(row[letter]) for letter in "ABCD"),
        labels={"category": text(row["category"])},
    )


def chart_qa(row: Mapping[str, Any]) -> BenchmarkRow:
    """ChartQA: relaxed accuracy, a number within 5 % of the gold."""
    answer = text(row["answer"]).strip()
    return BenchmarkRow(
        text(row["question"]),
        cells(row["image"]),
        answer,
        labels={"type": text(row["type"])},
        tolerance=within(answer, 0.05),
    )


def natural_bench(row: Mapping[str, Any]) -> BenchmarkRow:
    """NaturalBench: two questions to two images, four rows in the order q0 i0, q0 i1, q1 i0, q1 i1."""
    number = int(row["Index"])
    group, place = divmod(number, 4)
    yes_or_no = text(row["Question_Type"]) == "yes_no"
    question = text(row["Question"]).strip()
    return BenchmarkRow(
        f"{question} Answer yes or no." if yes_or_no else question,
        cells(row["Image"]),
        text(row["Answer"]).strip().lower() if yes_or_no else text(row["Answer"]).strip(),
        listed=True,
        cluster=str(group),
        labels={"question type": text(row["Question_Type"])},
        keys={
            "question": f"{group}/q{place // 2}",
            "image": f"{group}/i{place % 2}",
            "group": str(group),
        },
    )


def v_star(row: Mapping[str, Any]) -> BenchmarkRow:
    """V*: the text lists its options, the gold is a letter."""
    return BenchmarkRow(
        text(row["text"]),
        cells(row["image"]),
        text(row["label"]).strip(),
        listed=True,
        labels={"category": text(row["category"])},
    )


def vlms_are_blind(row: Mapping[str, Any]) -> BenchmarkRow:
    """VLMs are blind: a number, a letter, yes or no; of grids "rows,columns", in any form and this order."""
    task = text(row["task"])
    return BenchmarkRow(
        text(row["prompt"]),
        cells(row["image"]),
        text(row["groundtruth"]).strip(),
        listed=True,
        labels={"task": task},
        rule="numbers_in_order" if task.lower().startswith("counting grid") else None,
    )


_MARKED = re.compile(r"\(([a-z])\)\s*([^()]+?)\s*(?=\([a-z]\)|$)", re.IGNORECASE)


def mmvp(row: Mapping[str, Any]) -> BenchmarkRow:
    """MMVP: pairs of images that CLIP takes for alike, one question to both, golds "(a)" and "(b)"."""
    pair = str((int(row["Index"]) - 1) // 2)
    written = row["Options"]
    choices = tuple(found[2] for found in _MARKED.finditer(written)) if isinstance(written, str) else ()
    return BenchmarkRow(
        text(row["Question"]),
        cells(row["image"]),
        text(row["Correct Answer"]).strip("() ").upper(),
        choices or options(written),
        cluster=pair,
        keys={"pair": pair},
    )


_ANSWER_TYPES = {
    "1": "text in the chart",
    "2": "text in general",
    "3": "number in the chart",
    "4": "number in general",
}


def charxiv(row: Mapping[str, Any]) -> BenchmarkRow:
    """CharXiv's reasoning questions, by what kind of answer they have."""
    kind = text(row["reasoning_a_type"])
    return BenchmarkRow(
        text(row["reasoning_q"]),
        cells(row["image"]),
        text(row["reasoning_a"]).strip(),
        listed=True,
        labels={"answer type": _ANSWER_TYPES.get(kind, kind), "subject": text(row["category"])},
    )


def ocr_bench(row: Mapping[str, Any]) -> BenchmarkRow:
    """OCRBench: several accepted answers, one of which has to stand within the model's."""
    golds = [text(gold) for gold in cells(row["answer"])]
    return BenchmarkRow(
        text(row["question"]).strip(),
        cells(row["image"]),
        golds[0] if golds else "",
        listed=True,
        labels={"question type": text(row["question_type"]), "source": text(row["dataset"])},
        accepted=tuple(golds[1:]),
        rule="contains_letters" if text(row["dataset"]) == "HME100k" else "contains_words",
    )
