"""A run folder made from nothing: plausible numbers, real little images, and hostile strings."""

from __future__ import annotations

import base64
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageDraw

ATTACK = "</script></style><img src=x onerror=alert(1)>"
COLOURS = {"red": (214, 40, 40), "blue": (40, 80, 210), "green": (40, 160, 60), "purple": (150, 50, 170)}

EVALUATION = {
    "before": {
        "greedy": {"value": 0.36328125, "low": 0.3224, "high": 0.4056, "n": 512},
        "sampled": {"value": 0.28125, "low": 0.2437, "high": 0.3217, "n": 512},
        "blind": {"value": 0.12109375, "low": 0.0957, "high": 0.1521, "n": 512},
    },
    "after": {
        "greedy": {"value": 0.6015625, "low": 0.5585, "high": 0.6431, "n": 512},
        "sampled": {"value": 0.572265625, "low": 0.529, "high": 0.6144, "n": 512},
        "blind": {"value": 0.1171875, "low": 0.0922, "high": 0.1479, "n": 512},
    },
}

CONFIG = {
    "method": "vgpo",
    "method_options": {"strength": 0.3, "tail": 0.5, "schedule": "linear"},
    "model": "embedded",
    "task": "shapes",
    "seed": 0,
    "max_steps": 40,
    "learning_rate": 3e-5,
    "num_generations": 8,
    "per_device_train_batch_size": 256,
    "epsilon": 0.2,
    "epsilon_high": 0.28,
    "beta": 0.0,
    "bf16": False,
    "lr_scheduler_kwargs": None,
    "run_name": ATTACK,
    "report_to": ["none"],
    "loss_type": "dapo",
    "git_revision": "7b64854",
    "versions": {"sightline": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0"},
    "set_by": {
        "seed": "flag", "method": "yaml", "model": "yaml", "task": "yaml", "max_steps": "yaml",
        "learning_rate": "yaml", "loss_type": "method", "method_options.strength": "flag",
        "epsilon_high": "method",
    },
}  # fmt: skip


def write_run(folder: Path, *, steps: int = 40, samples: int = 12, seed: int = 0) -> Path:
    """Write a finished run of `steps` steps with `samples` held-out problems, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(
        yaml.safe_dump(CONFIG | {"max_steps": steps}, sort_keys=False), encoding="utf-8"
    )
    (folder / "eval.json").write_text(json.dumps(EVALUATION), encoding="utf-8")
    lines = [json.dumps(row) for row in metrics(steps, seed)]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    problems = [sample(index, random.Random(seed + index)) for index in range(samples)]
    (folder / "samples.json").write_text(json.dumps(problems), encoding="utf-8")
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text("{}", encoding="utf-8")
    return folder


def metrics(steps: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows as training logs them: noisy curves that rise or fall towards a plateau."""
    noise = random.Random(seed)
    rows = []
    for step in range(1, steps + 1):
        risen = 1 - math.exp(-3 * step / steps)
        accuracy = 0.28 + 0.3 * risen + noise.gauss(0, 0.025)
        rows.append({
            "step": step,
            "loss": noise.gauss(0, 0.02),
            "reward": 0.1 + 0.9 * accuracy,
            "accuracy": accuracy,
            "seconds": 3.1 + noise.random(),
            "entropy": 0.42 - 0.2 * risen + noise.gauss(0, 0.008),
            "kl": 0.012 * risen + abs(noise.gauss(0, 0.0008)),
            "completions/mean_length": 24 + 3 * risen + noise.gauss(0, 0.3),
            "grad_norm": 0.8 + noise.random(),
            "learning_rate": 3e-5 * (1 - step / (steps + 1)),
            "scores/visual_focus/mean": -0.05 + 0.06 * risen + noise.gauss(0, 0.004),
            "scores/visual_focus/late_over_early": 0.62 + 0.15 * risen + noise.gauss(0, 0.03),
            "scores/exact_kl/mean": 0.08 + 0.1 * risen + noise.gauss(0, 0.006),
            "weights/mean": 1 + noise.gauss(0, 0.004),
            "weights/max": 2.1 + noise.gauss(0, 0.1),
            "weights/effective_sample_share": 0.91 + noise.gauss(0, 0.01),
        })  # fmt: skip
    return rows


def sample(index: int, noise: random.Random) -> dict[str, Any]:
    """A bar chart, a question about two bars, and an answer before and after training."""
    heights = {colour: noise.randint(1, 9) for colour in noise.sample(list(COLOURS), 3)}
    (one, high), (two, low) = list(heights.items())[:2]
    guessed = noise.randint(2, 18)
    before = f"<think> it may be about {guessed} , i guess </think> \\boxed{{{guessed}}}"
    after = (
        f"<think> the {one} bar is {high} and the {two} bar is {low} . "
        f"{high} + {low} = {high + low} </think> \\boxed{{{high + low}}}"
    )
    row = {
        "id": f"shapes/test/{index}",
        "kind": "bar chart",
        "question": f"what is the sum of the {one} bar and {two} bar ?",
        "answer": str(high + low),
        "image": png(heights),
        "before": answer(before, guessed == high + low, noise),
        "after": answer(after, True, noise),
    }
    if index == 1:
        row |= {"question": ATTACK, "kind": ATTACK, "id": ATTACK, "answer": ATTACK}
        row["before"] = answer(f"{ATTACK} \u202eevil\u202c <svg/onload=alert(1)> {{{{7*7}}}}", False, noise)
    if index == 2:
        row |= {"id": "W" * 200, "question": "W" * 200, "answer": "W" * 200}
        row["after"] = answer("W" * 200, False, noise)
    return row


def answer(text: str, correct: bool, noise: random.Random) -> dict[str, Any]:
    """An answer in word tokens; numbers that are read off the image score high."""
    tokens = [*text.split(" "), "<|im_end|>"]
    looked = [token.isdigit() and "guess" not in text for token in tokens]
    return {
        "text": text,
        "correct": correct,
        "tokens": tokens,
        "scores": {
            "visual_focus": [noise.gauss(0.05 if seen else -0.06, 0.03) for seen in looked[:-1]] + [None],
            "exact_kl": [abs(noise.gauss(0.7 if seen else 0.01, 0.3 if seen else 0.01)) for seen in looked],
        },
    }


def png(heights: dict[str, int]) -> str:
    """A little bar chart as a data address."""
    image = Image.new("RGB", (64, 64), (245, 245, 245))
    canvas = ImageDraw.Draw(image)
    for place, (colour, height) in enumerate(heights.items()):
        canvas.rectangle((6 + 20 * place, 60 - 6 * height, 16 + 20 * place, 60), fill=COLOURS[colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
