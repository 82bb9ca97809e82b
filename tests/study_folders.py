"""Study folders without training: runs written as a study leaves them, with numbers of one's own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import yaml

from sightline.laboratory.study.folder import StudyFolder
from sightline.laboratory.study.lab_yaml import read_plan
from sightline.laboratory.study.plan import Plan

LAB = {
    "question": "Is <b>b</b> better than a?",
    "methods": ["grpo", "vgpo", "pgpo"],
    "seeds": 4,
    "primary": {"arm": "vgpo", "measure": "sampled final"},
    "target": 0.4,
    "evaluate": {"every": 10, "problems": 64, "samples": 2, "scored": 8},
    "train": {"model": "embedded", "task": "shapes", "max_steps": 20},
}


def write_lab(folder: Path, **changed: object) -> str:
    """A lab's YAML; None leaves a key out."""
    path = folder / "lab.yaml"
    content = {key: value for key, value in {**LAB, **changed}.items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return str(path)


def write_runs(
    folder: StudyFolder,
    plan: Plan,
    final: Callable[[str, int], float | str],
    seconds: Callable[[str], float] = lambda arm: 10.0,
) -> None:
    """Finished runs whose sampled accuracy rises from 0.3 to `final`; a text is why a run failed."""
    for arm in plan.arms:
        for seed in plan.run_seeds:
            run = folder.run(arm.name, seed)
            run.path.mkdir(parents=True)
            end = final(arm.name, seed)
            if isinstance(end, str):
                run.failure.write_text(json.dumps({"arm": arm.name, "seed": seed, "error": end}))
                continue
            rows = [
                {"step": step, "sampled": 0.3 + (end - 0.3) * step / 20, "greedy": 0.4, "blind": 0.1,
                 "dependency": 0.08, "half_of_kl": 0.02, "late_over_early": 1.1, "answer_tokens": 14.0,
                 "seconds": step, "cpu_seconds": seconds(arm.name) * step / 20}
                for step in (0, 10, 20)
            ]  # fmt: skip
            run.evaluations.write_text("".join(json.dumps(row) + "\n" for row in rows))
            steps = [{"step": s, "entropy": 0.5, "completions/mean_length": 14.0} for s in range(1, 21)]
            text = "".join(json.dumps(row) + "\n" for row in steps)
            run.metrics.write_bytes(gzip.compress(text.encode(), mtime=0))
            run.summary.write_text(json.dumps({"arm": arm.name, "seed": seed}))


def study(
    tmp_path: Path,
    final: Callable[[str, int], float | str],
    seconds: Callable[[str], float] = lambda arm: 10.0,
    **changed: object,
) -> tuple[StudyFolder, Plan]:
    """A whole study's folder and plan."""
    plan = read_plan(write_lab(tmp_path, **changed))
    folder = StudyFolder(tmp_path / "study")
    folder.begin(plan)
    write_runs(folder, plan, final, seconds)
    return folder, plan
