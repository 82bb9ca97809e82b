"""The page of `sightline inspect`: images, views, shaded answers, and the data of its script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...run_folder import write_text
from ..charts.number_format import counted, duration
from ..readers.inspect_data import InspectedAnswer, InspectedProblem, Inspection, read_inspection
from ..readers.settings import shown
from ..tokens.inspect_payload import details
from ..tokens.score_statistics import (
    Mean,
    answer_means,
    by_verdict,
    late_over_early,
    mass_shares,
    mean,
    pooled,
    positive,
)
from ..tokens.shading import Shade, shades, weight_shades
from ..tokens.strips import longest_shown, strip
from .base import data_block, page

PAGE = "inspect.html"


def write_inspection(folder: Path) -> Path:
    """Write `inspect.html` beside the `inspect.json` of a folder and return its path.

    One file that needs nothing else: the image and its views, answers shaded by any score or method,
    and a script that shows a token's numbers, filters and moves about. Without the script the images,
    the shading and the summaries are all there. It is written whole or not at all.

    Raises:
        UserError: the folder holds no `inspect.json` of this version, or cannot be written to.
    """
    found = read_inspection(Path(folder))
    target = Path(folder) / PAGE
    try:
        write_text(target, page("inspect.html", style="inspect.css", script="inspect.js", **content(found)))
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; change the folder's permissions"
        ) from error
    return target


def content(found: Inspection) -> dict[str, Any]:
    """All values that the template of the page shows."""
    answers = [one.answer for one in found.answers]
    scales, weights = shades(answers), weight_shades(answers)
    most = longest_shown(len(answer.tokens) for answer in answers)
    explained, notes = details(found, scales, weights, most)
    cut = sum(len(answer.tokens) > most for answer in answers)
    if cut:
        notes.append(f"Of {counted(cut, 'answer')} the first {most:,} tokens are shown; the data has all.")
    overview = [_overview(found, scale) for scale in scales]
    return {
        "found": found,
        "subject": {name: _subject(found, name) for name in ("model", "task")},
        "facts": _facts(found),
        "notes": [*found.notes, *notes],
        "scales": scales,
        "weights": weights,
        "overview": overview,
        "headline": next((row for row in overview if row["top"] is not None), None),
        "problems": _problems(found, (*scales, *weights), most),
        "kinds": sorted({look.kind for look in found.looks if look.kind}),
        "data": data_block(explained),
    }


def _subject(found: Inspection, name: str) -> str:
    value = found.about.get(name)
    return shown(value) if value is not None else "unknown"


def _facts(found: Inspection) -> list[tuple[str, str]]:
    answers = found.answers
    graded = [one.answer.correct for one in answers if one.answer.correct is not None]
    seconds = found.about.get("seconds")
    cut = sum(one.truncated for one in answers)
    facts = [
        ("Problems", f"{len(found.looks)}"),
        ("Answers", f"{len(answers)}" + (f", {cut} cut at the limit" if cut else "")),
        ("Right", f"{sum(graded)} of {len(graded)}" if graded else "not graded"),
        ("Tokens", f"{sum(len(one.answer.tokens) for one in answers):,}"),
        ("Time", duration(float(seconds)) if isinstance(seconds, int | float) else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _overview(found: Inspection, scale: Shade) -> dict[str, Any]:
    """One row of the table of scores."""
    answers = [one.answer for one in found.answers]
    groups = by_verdict(answers)
    top = mass_shares(positive(scale.name, pooled(answers, scale.name)), (0.1,))[0]
    return {
        "scale": scale,
        "means": {name: _cell(mean(answer_means(groups.get(name, []), scale.name))) for name in groups},
        "top": None if math.isnan(top) else top,
        "ratios": {name: _cell(late_over_early(groups.get(name, []), scale.name)) for name in groups},
    }


def _cell(measured: Mean) -> dict[str, float | None]:
    return {
        name: None if math.isnan(value) else value
        for name, value in (("value", measured.value), ("low", measured.low), ("high", measured.high))
    }


def _problems(found: Inspection, scales: Sequence[Shade], most: int) -> list[dict[str, Any]]:
    """Every problem with its answers as strips; answers are numbered through the page."""
    number, problems = 0, []
    for look in found.looks:
        answers = []
        for one in look.answers:
            shown = strip(one.answer, scales, labels=False, most=most)
            answers.append({"number": number, "one": one, "strip": shown, "says": _says(one)})
            number += 1
        problems.append({"look": look, "answers": answers, "verdicts": _verdicts(look)})
    return problems


def _says(one: InspectedAnswer) -> str:
    said = counted(len(one.answer.tokens), "token")
    return said + (", cut at the limit" if one.truncated else "")


def _verdicts(look: InspectedProblem) -> str:
    """Space-separated for the filter: which verdicts the answers of a problem have."""
    names = {True: "correct", False: "wrong", None: "ungraded"}
    return " ".join(sorted({names[one.answer.correct] for one in look.answers}))
