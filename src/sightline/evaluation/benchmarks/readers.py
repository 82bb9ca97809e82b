"""One reader per published layout: what its columns mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...rewards.answers.latex import canonical
from ...rewards.answers.numbers.units import quantity
from .row import BenchmarkRow, Rule, cells, letter, numbered, options, text

IN_THE_PICTURE = "The question is in the image. Answer it."
"""What is asked where a set leaves the text empty because the image holds the question."""


@dataclass(frozen=True)
class PlainColumns:
    """Columns that hold what they say: the layout of most sets, and of a user's own."""

    question: str
    answer: str | None
    """None where `answers` holds all golds."""
    images: str | Sequence[str] | None
    """A column of one or several images, or several columns in the order in which they are shown."""
    choices: str | None = None
    cluster: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label -> column."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Column -> value: rows with another value are not part of the benchmark."""
    tolerance: float | None = None
    """Largest absolute error of a numeric answer that is still right."""
    relative_tolerance: float | None = None
    """The same as a share of the gold."""
    answers: str | None = None
    """A column with a list of accepted answers."""
    paired: Mapping[str, str] = field(default_factory=dict)
    """Score -> column: the share of its values of which every row is right."""
    rule: Rule | None = None

    def __call__(self, row: Mapping[str, Any]) -> BenchmarkRow | None:
        if any(text(row[column]) != value for column, value in self.only.items()):
            return None
        shown = [image for column in self._image_columns for image in cells(row[column])]
        question, shown = numbered(text(row[self.question]), shown)
        golds = [row[self.answer]] if self.answer else []
        golds += cells(row[self.answers]) if self.answers else []
        return BenchmarkRow(
            question,
            shown,
            text(golds[0]) if golds else "",
            options(row[self.choices]) if self.choices else (),
            cluster=text(row[self.cluster]) if self.cluster else "",
            labels={label: text(row[column]) for label, column in self.labels.items()},
            keys={score: text(row[column]) for score, column in self.paired.items()},
            tolerance=self._tolerance(text(golds[0])) if golds else None,
            accepted=tuple(text(gold) for gold in golds[1:]),
            rule=self.rule,
        )

    def _tolerance(self, answer: str) -> float | None:
        if self.relative_tolerance is not None:
            return within(answer, self.relative_tolerance)
        return self.tolerance

    @property
    def _image_columns(self) -> tuple[str, ...]:
        if self.images is None:
            return ()
        return (self.images,) if isinstance(self.images, str) else tuple(self.images)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        single = (self.question, self.answer, self.answers, *self._image_columns, self.choices, self.cluster)
        grouped = (*self.labels.values(), *self.paired.values(), *self.only)
        return tuple(dict.fromkeys(column for column in (*single, *grouped) if column is not None))


def within(answer: str, share: float) -> float | None:
    """The absolute error that is `share` of a numeric gold; None if it is no number."""
    number = quantity(canonical(answer))
    return share * abs(number.number.approximate()) if number else None


def math_vista(only_choices: bool) -> Callable[[Mapping[str, Any]], BenchmarkRow | None]:
    """MathVista: the official query, golds of choices as letters, decimals to the stated precision."""

    def read(row: Mapping[str, Any]) -> BenchmarkRow | None:
        choices = options(row["choices"])
        if only_choices and not choices:
            return None
        about: Mapping[str, Any] = row["metadata"] or {}
        answer, places = text(row["answer"]), row["precision"]
        return BenchmarkRow(
            text(row["query"]) or text(row["question"]),
            cells(row["decoded_image"]),
            letter(answer, choices),
            choices,
            listed=bool(choices),
            labels={
                "question type": text(row["question_type"]),
                "answer type": text(row["answer_type"]),
                "task": text(about.get("task")),
                "source": text(about.get("source")),
            },
            tolerance=0.5 * 10.0 ** -int(places or 0) if row["answer_type"] == "float" else None,
        )

    return read


def math_verse(
    *versions: str, only_choices: bool = False
) -> Callable[[Mapping[str, Any]], BenchmarkRow | None]:
    """MathVerse: five versions of each problem, of which `versions` are kept (none named: all)."""

    def read(row: Mapping[str, Any]) -> BenchmarkRow | None:
        version, kind = text(row["problem_version"]), text(row["question_type"])
        if (versions and version not in versions) or (only_choices and kind != "multi-choice"):
            return None
        return BenchmarkRow(
            text(row["question"]).strip() or IN_THE_PICTURE,
            cells(row["image"]),
            text(row["answer"]),
            listed=True,
            cluster=text(row["problem_index"]),
            labels={"version": version, "question type": kind},
        )

    return read


def we_math(row: Mapping[str, Any]) -> BenchmarkRow:
    """We-Math: the steps of a problem and the whole of it share an ID within 2 or 3 steps."""
    key, choices = text(row["key"]), options(row["option"])
    steps, _, step = key.partition("_")
    question = text(row["question"])
    return BenchmarkRow(
        question if choices else f"{question}\n{text(row['option'])}",
        cells(row["image_path"]),
        text(row["answer"]),
        choices,
        listed=not choices,
        cluster=f"{steps}/{text(row['ID'])}",
        labels={"step": key},
        keys={"step": step},
    )


def mmmu_pro_standard(row: Mapping[str, Any]) -> BenchmarkRow:
    """MMMU-Pro with text: `<image k>` in question or options is always column `image_k`."""
    choices = options(row["options"])
    listing = "\n".join(f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(choices))
    question, shown = numbered(
        f"{text(row['question'])}\n\nChoices:\n{listing}", [row.get(f"image_{k}") for k in range(1, 8)]
    )
    return BenchmarkRow(
        question,
        [image for image in shown if image is not None],
        text(row["answer"]),
        choices,
        listed=True,
        labels={"subject": text(row["subject"])},
    )


def mmmu_pro_vision(row: Mapping[str, Any]) -> BenchmarkRow:
    """MMMU-Pro as an image of question and options."""
    return BenchmarkRow(
        IN_THE_PICTURE,
        cells(row["image"]),
        text(row["answer"]),
        options(row["options"]),
        listed=True,
        labels={"subject": text(row["subject"])},
    )


def math_vision(row: Mapping[str, Any]) -> BenchmarkRow:
    """MathVision: `<image1>` in the text, options that may be mere letters."""
    choices = options(row["options"])
    question, shown = numbered(text(row["question"]), cells(row["decoded_image"]))
    return BenchmarkRow(
        question,
        shown,
        text(row["answer"]),
        choices,
        labels={"subject": text(row["subject"]), "level": text(row["level"])},
    )


def dyna_math(row: Mapping[str, Any]) -> BenchmarkRow:
    """DynaMath: one row per variant; a variant's problem is its `id`. Decimals within 1e-3."""
    kind = text(row["answer_type"])
    return BenchmarkRow(
        text(row["question"]),
        cells(row["decoded_image"]),
        text(row["ground_truth"]),
        listed=True,
        cluster=text(row["id"]),
        labels={"answer type": kind, "subject": text(row["subject"]), "level": text(row["knowledge_level"])},
        tolerance=1e-3 if kind == "float" else None,
    )


def hallusion(row: Mapping[str, Any]) -> BenchmarkRow:
    """HallusionBench: yes or no, about a figure (group `figure`), as one of a question's variants."""
    group = [text(row[column]) for column in ("category", "subcategory", "set_id")]
    shown = cells(row["image"])
    figure = "/".join([*group, text(row["figure_id"])]) if shown else ""
    return BenchmarkRow(
        f"{text(row['question']).strip()} Answer yes or no.",
        shown,
        {"1": "yes", "0": "no"}.get(text(row["gt_answer"]).strip(), ""),
        cluster="/".join(group),
        labels={"category": group[0], "subcategory": group[1]},
        keys={"figure": figure, "question": "/".join([*group, "q" + text(row["question_id"])])},
    )


_INSTRUCTION = "You first think through the reasoning process"


def conversations(row: Mapping[str, Any]) -> BenchmarkRow | None:
    """The papers' own sets: a user's turn and the gold as the assistant's, images by their path.

    The instruction that these sets write into every question is taken out; the template adds it.
    """
    turns = {turn.get("role", turn.get("from")): turn for turn in row["messages"]}
    said = {role: text(turn.get("content", turn.get("value"))) for role, turn in turns.items()}
    question = said.get("user", said.get("human", ""))
    return BenchmarkRow(
        question.partition(_INSTRUCTION)[0].rstrip(),
        cells(row["images"]),
        said.get("assistant", said.get("gpt", "")),
        listed=True,
    )
