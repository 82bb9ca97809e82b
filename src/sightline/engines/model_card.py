"""The model card of a checkpoint and of the trained model: where it comes from and what it can do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from ..methods import Method
from ..plain_files import Refused, parse_json, read_plain
from ..provenance import provenance
from ..run_folder import RunFolder
from ..structure import NUMBER, Each, Maybe, Optional, fault
from ..tasks.task_names import task_name

PAPERS = {
    "grpo": "2402.03300",
    "dapo": "2503.14476",
    "gspo": "2507.18071",
    "dr_grpo": "2503.20783",
    "papo": "2507.06448",
    "vppo": "2510.09285",
    "pgpo": "2604.01840",
    "vgpo": "2604.09349",
    "noisyrollout": "2504.13055",
    "pepo": "2603.22847",
    "vepo": "2606.03937",
    "tor": "2603.25077",
    "dupl": "2510.01444",
    "dvrp": "2601.06801",
    "cfpo": "2606.23206",
}
"""Method -> arXiv number of its paper."""

_SHARE = {"value": Maybe(NUMBER), "low": Maybe(NUMBER), "high": Maybe(NUMBER)}
_MODES = ("greedy", "sampled", "blind")
_MEASURED = Each(dict.fromkeys(_MODES, Optional(_SHARE)) | {"rewards": Optional(Each(_SHARE))})
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LISTED = (
    "max_steps", "learning_rate", "lr_scheduler_type", "generation_batch_size", "num_generations",
    "gradient_accumulation_steps", "num_iterations", "max_completion_length", "temperature", "top_p", "beta",
    "rewards", "seed",
)  # fmt: skip


def model_card(
    config: Mapping[str, Any],
    method: Method,
    described: str,
    folder: RunFolder,
    step: int,
    problems: int,
    engine: str = "trl",
) -> str:
    """README.md for the weights after optimizer step `step` of a run on `problems` training problems.

    `config` holds the run's resolved settings as plain data, under the names of config.yaml; `described` is
    the line that says what the method set.
    """
    parts = [
        f"# {_plain(str(config['model']))}, trained with {method.name}",
        _origin(config, method, step, problems),
        *_results(folder),
        "## Training",
        "\n".join(f"- {name}: {_code(config[name])}" for name in _LISTED if name in config),
        f"{_plain(described)}. Every setting is in the run's `config.yaml`.",
        "## Use",
        "```python\nfrom sightline.models.loading import load_model\n\n"
        'loaded = load_model("this folder")  # .model and .processor are those of transformers\n```',
        "## Citation",
        _citation(method),
        "Made with " + ", ".join(f"{name} {found}" for name, found in provenance()["versions"].items()) + ".",
    ]
    header = yaml.safe_dump(_header(config, method, engine), sort_keys=False)
    return f"---\n{header}---\n\n" + "\n\n".join(parts) + "\n"


def _header(config: Mapping[str, Any], method: Method, engine: str) -> dict[str, Any]:
    model, task = str(config["model"]), config["task"]
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["sightline", engine, "reinforcement-learning", method.name],
    }
    if _HUB_ID.fullmatch(model):
        header["base_model"] = model
    if isinstance(task, str) and _HUB_ID.fullmatch(task):
        header["datasets"] = [task]
    return header


def _origin(config: Mapping[str, Any], method: Method, step: int, problems: int) -> str:
    trained = "LoRA adapters" if config.get("use_peft") else "all weights"
    if config.get("freeze_vision"):
        trained += " but the vision tower"
    return (
        f"Base model: {_code(config['model'])}. Data: {_code(task_name(config['task']))}, {problems:,} "
        "training problems. "
        f"Method: {_code(method.name)} ({method.variant}), {trained}, "
        f"after optimizer step {step:,}."
    )


def _results(folder: RunFolder) -> list[str]:
    """Accuracy as measured, and the last rollouts' if the run is not over."""
    parts = []
    measured = _read(folder.evaluation)
    rows = [
        f"| {mode} | {_interval(measured, 'before', mode)} | {_interval(measured, 'after', mode)} |"
        for mode in _MODES
        if mode in measured.get("before", {})
    ]
    if rows:
        table = ["| accuracy | before | after |", "|---|---|---|", *rows]
        parts += [
            "## Results",
            "Held-out problems, with 95 % intervals; blind: the images are black.",
            "\n".join(table),
        ]
    rewards = {moment: measured.get(moment, {}).get("rewards") or {} for moment in ("before", "after")}
    if names := dict.fromkeys([*rewards["before"], *rewards["after"]]):
        rows = [
            f"| {_code(name)} | {_number(rewards['before'], name)} | {_number(rewards['after'], name)} |"
            for name in names
        ]
        table = ["| reward of greedy answers | before | after |", "|---|---|---|", *rows]
        parts += [*(() if parts else ("## Results",)), "\n".join(table)]
    for line in reversed(_lines(folder)):
        try:
            row = parse_json(line)
        except Refused:
            continue  # cut by a full disk or a crash
        if fault(row, {"step": NUMBER, "accuracy": NUMBER}) is None:
            parts.append(f"Accuracy of the rollouts of step {row['step']}: {row['accuracy']:.1%}.")
            break
    return parts


def _interval(measured: Mapping[str, Any], moment: str, mode: str) -> str:
    found = measured.get(moment, {}).get(mode)
    if not found or None in (found["value"], found["low"], found["high"]):
        return ""
    return f"{found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"


def _number(measured: Mapping[str, Any], name: str) -> str:
    found = measured.get(name)
    if not found or found["value"] is None:
        return ""
    ends = "" if None in (found["low"], found["high"]) else f" [{found['low']:.3g}, {found['high']:.3g}]"
    return f"{found['value']:.3g}{ends}"


def _citation(method: Method) -> str:
    number = PAPERS.get(method.name)
    if number is None:
        return f"A method of one's own: {_code(json.dumps(method.options, default=str))}"
    return f"{method.name}: [arXiv {number}](https://arxiv.org/abs/{number})."


def _read(path: Any) -> dict[str, Any]:
    """What was measured; nothing if the file is damaged, which a resumed run says."""
    try:
        found = read_plain(path)
    except (OSError, Refused):
        return {}
    return found if fault(found, _MEASURED) is None else {}


def _lines(folder: RunFolder) -> list[str]:
    if not folder.metrics.is_file():
        return []
    return folder.metrics.read_text(encoding="utf-8", errors="replace").splitlines()


def _plain(text: str) -> str:
    """One line without markup."""
    return re.sub(r"[\s<>`\[\]|]+", " ", text).strip()


def _code(value: Any) -> str:
    return f"`{_plain(str(value))}`"
