"""What `results.json` and `comparison.json` have to hold for a page to be made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UserError
from ...plain_files import Refused, read_plain
from ...structure import COUNT, FLAG, NUMBER, TEXT, Each, Either, Many, Maybe, Optional, fault

_ESTIMATE = {"value": Maybe(NUMBER), "low": Maybe(NUMBER), "high": Maybe(NUMBER)}
_COUNTED = {**_ESTIMATE, "n": Maybe(NUMBER)}
_SCALAR = (str, int, float, bool)
_DIFFERENCE = {**_COUNTED, "p": Maybe(NUMBER)}
_CORRECTED = {**_DIFFERENCE, "p_corrected": Maybe(NUMBER)}
_NOISE = dict.fromkeys(("standard_error", "questions", "sampling", "another_sample"), NUMBER)
_PROFILE = {"value": Many(NUMBER)}
_FILES = {
    "problems": TEXT,
    "generations": TEXT,
    "images": TEXT,
    "scores": Each(TEXT),
}
_SET = {
    "used": COUNT,
    "loaded": COUNT,
    "expected": Maybe(COUNT),
    "differences": Many(TEXT),
    "note": Maybe(TEXT),
    "golds_left_out": Many({"id": _SCALAR, "why": TEXT}),
    **dict.fromkeys(("source", "config", "revision", "place"), Maybe(_SCALAR)),
}
_RATES = ("no_box", "truncated", "timeout", "failed")
_VIEW = {
    "accuracy": {**_ESTIMATE, "clusters": COUNT},
    "noise": Maybe(_NOISE),
    "detectable_difference": Maybe(NUMBER),
    "pass_at": Each(_ESTIMATE),
    "majority_at": Each(_ESTIMATE),
    "samples": COUNT,
    "rates": dict.fromkeys(_RATES, Maybe(NUMBER)),
    "counts": {"failed": COUNT, "undecided": Optional(COUNT)},
    "tokens": Maybe({"mean": NUMBER, "most": NUMBER}),
    "breakdowns": Each(Each(_COUNTED)),
    "scores": Each(Maybe(Either(NUMBER, _ESTIMATE))),
}
_FOCUS = {
    "answers": COUNT,
    "focus": Many(Maybe(NUMBER)),
    "late_over_early": Maybe(NUMBER),
    "interval": Maybe(Many(Maybe(NUMBER), 2)),
}
_TOKENS = {
    "answers": COUNT,
    "tokens": COUNT,
    "kl_mean": Maybe(NUMBER),
    "half_of_kl": Maybe(NUMBER),
    **dict.fromkeys(("all", "right", "wrong"), _FOCUS),
}
_PROTOCOL = {"accuracy": _ESTIMATE, "differ": COUNT, "accepts_more": COUNT, "rejects_more": COUNT}
_BENCHMARK = {
    "set": _SET,
    "views": Each(_VIEW),
    "blind": Each({"difference": _DIFFERENCE, "where_blind_fails": _ESTIMATE}),
    "protocols": Each(_PROTOCOL),
    "tokens": Maybe(_TOKENS),
}
RESULTS = {
    "model": TEXT,
    "protocol": TEXT,
    "benchmarks": Each(_BENCHMARK),
    "mean_accuracy": Maybe(NUMBER),
    "warnings": Many(TEXT),
    "withheld": Each(TEXT),
    "files": _FILES,
    "decoding": Optional({"temperature": Optional(NUMBER), "samples": Optional(COUNT)}),
    "prompt": Optional({"min_pixels": Optional(COUNT), "max_pixels": Optional(COUNT)}),
}
COMPARISON = {
    "protocol": TEXT,
    "runs": Many({"path": TEXT, "name": TEXT, "model": TEXT, "files": _FILES}, 2),
    "notes": Many(TEXT),
    "remarks": Many(TEXT),
    "corrections": {"benchmarks": COUNT, "breakdowns": COUNT},
    "benchmarks": Each(
        {
            "problems": COUNT,
            "a": _ESTIMATE,
            "b": _ESTIMATE,
            "difference": {**_CORRECTED, "clusters": COUNT, "detectable": Maybe(NUMBER)},
            "only_a": COUNT,
            "only_b": COUNT,
            "breakdowns": Each(Each(_CORRECTED)),
        }
    ),
    "average": Maybe({**_ESTIMATE, "clusters": COUNT, **dict.fromkeys(("a", "b", "p"), Maybe(NUMBER))}),
    "across": Maybe(
        {
            "runs": Many(COUNT, 2),
            "benchmarks": COUNT,
            "interquartile_mean": dict.fromkeys(("a", "b", "difference"), _ESTIMATE),
            "probability_of_improvement": _ESTIMATE,
            "profiles": {"thresholds": Many(NUMBER), "a": _PROFILE, "b": _PROFILE},
        }
    ),
    "flips": Each(Many(TEXT)),
}
GENERATION = {
    **dict.fromkeys(("benchmark", "problem", "view"), TEXT),
    "sample": COUNT,
    "text": Optional(TEXT),
    "failed": Optional(TEXT),
    "truncated": Optional(FLAG),
    "images": Optional(Many(TEXT)),
}
VERDICT = {
    **dict.fromkeys(("benchmark", "problem", "view"), TEXT),
    "sample": COUNT,
    "correct": Optional(FLAG),
    **dict.fromkeys(("answer", "how", "why_not"), Optional(TEXT)),
}
PROBLEM = {
    **dict.fromkeys(("benchmark", "id", "question", "answer"), TEXT),
    "choices": Optional(Many(_SCALAR)),
    "accepted": Optional(Many(_SCALAR)),
    "labels": Optional(Each(Maybe(_SCALAR))),
}


def read_checked(path: Path, structure: Any, verb: str, again: str) -> dict[str, Any]:
    """A JSON file that `verb` wrote.

    Raises:
        UserError: it is not there, no JSON, or does not hold what `structure` wants; says what, and to do
            `again`.
    """
    wanted = f"expected a folder that {verb} wrote; write it again with {again}"
    try:
        found = read_plain(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; {wanted}") from error
    except Refused as error:
        raise UserError(f"{path} cannot be read: it {error}; {wanted}") from error
    wrong = fault(found, structure) or _left_out(found)
    if wrong is not None:
        raise UserError(f"{path} is damaged: {wrong}; {wanted}")
    return found


def _left_out(found: dict[str, Any]) -> str | None:
    """A benchmark of `results.json` without a view or a score that its tables name."""
    for name, one in found["benchmarks"].items():
        views = one.get("views")
        if views is None:
            continue
        for view in ("sighted", *one["blind"]):
            if view not in views:
                return f"benchmarks.{name}.views.{view} is missing"
        for view, measured in views.items():
            if missing := views["sighted"]["scores"].keys() - measured["scores"].keys():
                return f"benchmarks.{name}.views.{view}.scores.{min(missing)} is missing"
    return None
