"""An inspect folder made from nothing: plausible numbers, and hostile strings among them."""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image
from saved_run import ATTACK, COLOURS, png

VIEWS = ("black", "patches", "text_only")
SCORES = [{"name": f"exact_kl/{view}", "signal": "exact_kl", "view": view} for view in VIEWS] + [
    {"name": name, "signal": name, "view": None} for name in ("visual_focus", "entropy")
]
METHODS = [
    {"name": "vgpo", "signals": ["visual_focus"], "view": None, "options": {}},
    {"name": "vppo", "signals": ["exact_kl"], "view": "patches", "options": {}},
    {"name": "pgpo", "signals": ["sampled_k3"], "view": "text_only", "options": {}},
]
VOCABULARY = ["the", "bar", "is", *map(str, range(19)), ATTACK, "\n", " ", "<|im_end|>"]


def write_inspect_data(
    folder: Path, *, samples: int = 8, longest: int = 0, side: int = 64, hostile: bool = True
) -> Path:
    """Write `inspect.json` and return its folder; `longest` > 0 gives answers of that many tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inspect.json").write_text(
        json.dumps(inspect_data(samples, longest, side, hostile)), encoding="utf-8"
    )
    return folder


def inspect_data(samples: int = 8, longest: int = 0, side: int = 64, hostile: bool = True) -> dict[str, Any]:
    """What `sightline inspect` would have written."""
    rows = [sample(index, longest, side, random.Random(index)) for index in range(samples)]
    if hostile and samples > 1:
        rows[1] |= {"id": ATTACK, "kind": ATTACK, "question": ATTACK, "answer": ATTACK}
        rows[1]["answers"] = [told([ATTACK, " \u202eevil\u202c", "<!--", "{{7*7}}"], False, random.Random(1))]
    if hostile and samples > 2:
        rows[2]["answers"] = [
            told(["W" * 200, "\ufffd", "\ufffd", " end"], None, random.Random(2), "W" * 200 + "° end")
        ]
    return {
        "schema": "sightline.inspect/1",
        "about": {"model": ATTACK if hostile else "embedded", "task": "shapes", "seconds": 12.5},
        "scores": SCORES,
        "views": [{"name": view} for view in VIEWS],
        "methods": METHODS,
        "vocabulary": VOCABULARY,
        "samples": rows,
    }


def sample(index: int, longest: int, side: int, noise: random.Random) -> dict[str, Any]:
    """A bar chart, a question about it, one answer."""
    heights = {colour: noise.randint(1, 9) for colour in noise.sample(list(COLOURS), 3)}
    (one, high), (two, low) = list(heights.items())[:2]
    right = noise.random() < 0.6
    said = high + low if right else noise.randint(2, 18)
    words = f"<think>  the {one} bar is {high} and the {two} bar is {low} . </think>".split("  ")
    tokens = [words[0], *(f" {word}" for word in words[1].split()), " \\boxed{", str(said), "}", "<|im_end|>"]
    if longest:
        tokens = [
            f" {noise.choice(['the', 'angle', 'x', '42', 'so', 'triangle', '='])}" for _ in range(longest)
        ]
    return {
        "id": f"shapes/test/{index}",
        "kind": noise.choice(["bar chart", "count"]),
        "question": f"what is the sum of the {one} bar and {two} bar ?",
        "answer": str(high + low),
        "images": [png(heights) if side == 64 else photo(side, noise)],
        "views": {view: [photo(side if side == 64 else side // 2, noise)] for view in VIEWS[:2]}
        | {"text_only": []},
        "answers": [told(tokens, right, noise)],
    }


def told(
    tokens: list[str], correct: bool | None, noise: random.Random, text: str | None = None
) -> dict[str, Any]:
    """An answer with numbers for every token; digits depend on the image, and a map explains one."""
    seen = [token.strip().isdigit() for token in tokens]
    kl = [abs(noise.gauss(0.9, 0.4)) if looked else abs(noise.gauss(0, 2e-3)) for looked in seen]
    top = max(range(len(tokens)), key=kl.__getitem__)
    return {
        "text": "".join(token for token in tokens if token != "<|im_end|>") if text is None else text,
        "correct": correct,
        "truncated": False,
        "tokens": tokens,
        "scores": {
            "exact_kl/black": kl,
            "exact_kl/patches": [0.6 * value for value in kl],
            "exact_kl/text_only": [1.2 * value for value in kl],
            "visual_focus": [noise.gauss(0.08 if looked else -0.03, 0.04) for looked in seen],
            "entropy": [abs(noise.gauss(0.4 if looked else 0.05, 0.1)) for looked in seen],
        },
        "weights": {
            "vgpo": [1 + noise.gauss(0.2 if looked else -0.05, 0.05) for looked in seen],
            "vppo": [1.05 if looked else 0.0 for looked in seen],
            "pgpo": [2.4 if looked else 0.3 for looked in seen],
        },
        "likeliest": {view: [alternatives(noise) for _ in tokens] for view in ("image", *VIEWS)},
        "log_probs": {view: [-abs(noise.gauss(0, 0.4)) for _ in tokens] for view in ("image", *VIEWS)},
        "occlusion": [
            {
                "token": top,
                "image": 0,
                "rows": 4,
                "columns": 4,
                "values": [abs(noise.gauss(0, 0.4)) for _ in range(16)],
            }
        ],
        "attention": {
            "image": [0.4] * len(tokens),
            "question": [0.35] * len(tokens),
            "answer": [0.25] * len(tokens),
        },
    }


def alternatives(noise: random.Random) -> list[float]:
    """Five places in the vocabulary with falling probabilities."""
    left, pairs = 1.0, []
    for place in noise.sample(range(len(VOCABULARY)), 5):
        share = left * noise.random()
        left -= share
        pairs += [place, round(share, 4)]
    return pairs


def photo(side: int, noise: random.Random) -> str:
    """An image with fine detail, as a JPEG data address."""
    small = Image.frombytes("RGB", (side // 8, side // 8), noise.randbytes(3 * (side // 8) ** 2))
    held = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(held, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()
