"""From finished run folders to tables and a page, with numbers that are known."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from study_folders import study

from sightline.errors import UserError
from sightline.laboratory.results.pages import write_study
from sightline.laboratory.results.paired import holm, null_share
from sightline.laboratory.results.records import area, record, steps_to
from sightline.laboratory.results.summary import study_results


def final(arm: str, seed: int) -> float:
    """vgpo is 2 points above grpo in every seed, up to a bit; pgpo as grpo."""
    base = 0.42 + 0.05 * seed
    return base + {"grpo": 0.0, "vgpo": 0.02 + 0.001 * seed, "pgpo": 0.001 * (-1) ** seed}[arm]


def test_paired_differences_see_what_means_hide(tmp_path: Path) -> None:
    results = study_results(*study(tmp_path, final))
    arms = results["arms"]
    assert arms["grpo"]["measures"]["sampled final"]["value"] == pytest.approx(0.495)
    gap = arms["vgpo"]["differences"]["sampled final"]
    assert gap["value"] == pytest.approx(0.0215)
    assert gap["p"] < 1e-3
    assert gap["p_holm"] == pytest.approx(2 * gap["p"])
    assert arms["pgpo"]["differences"]["sampled final"]["p"] > 0.5
    assert arms["vgpo"]["differences"]["sampled area"]["value"] == pytest.approx(0.0215 / 2)
    primary = results["primary"]
    assert primary["against"] == "grpo"
    assert primary["difference"]["p"] == pytest.approx(gap["p"])
    assert results["power"]["spread"] == pytest.approx(np.std([0, 1, 2, 3], ddof=1) / 1000)
    assert results["notes"] == []


def test_contrasts_between_arms_are_corrected_for_their_number(tmp_path: Path) -> None:
    contrasts = {"pgpo": ["vgpo"], "vgpo": ["papo"]}
    methods = ["grpo", "vgpo", "pgpo", "papo"]
    folder, plan = study(
        tmp_path,
        lambda arm, seed: final(arm.replace("papo", "grpo"), seed),
        contrasts=contrasts,
        methods=methods,
    )
    found = write_study(folder, plan)["contrasts"]
    assert [(one["arm"], one["against"]) for one in found] == [("vgpo", "pgpo"), ("papo", "vgpo")]
    first, second = (one["differences"]["sampled final"] for one in found)
    assert first["value"] == pytest.approx(-second["value"]) == pytest.approx(0.0215)
    assert [one["p_holm"] for one in (first, second)] == holm([first["p"], second["p"]])
    assert "| vgpo minus pgpo |" in (folder.path / "table.md").read_text()
    assert "papo minus vgpo" in folder.page.read_text()


def test_equal_time_takes_the_slower_method_at_an_earlier_step(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, lambda arm, seed: 0.5, lambda arm: 20.0 if arm == "vgpo" else 10.0)
    results = study_results(folder, plan)
    assert results["equal_time_cpu_seconds"] == pytest.approx(10)
    equal = results["arms"]["vgpo"]["equal_time"]
    assert equal["step"] == pytest.approx(10)
    assert equal["sampled"]["value"] == pytest.approx(0.4)
    assert results["arms"]["vgpo"]["equal_time_differences"]["sampled"]["value"] == pytest.approx(-0.1)


def test_a_failed_seed_is_told_and_the_others_count(tmp_path: Path) -> None:
    def some(arm: str, seed: int) -> float | str:
        return "CUDA <oom>" if (arm, seed) == ("pgpo", 2) else final(arm, seed)

    folder, plan = study(tmp_path, some)
    results = write_study(folder, plan)
    assert results["arms"]["pgpo"]["failed"] == {"2": "CUDA <oom>"}
    assert results["arms"]["pgpo"]["differences"]["sampled final"]["seeds"] == 3
    assert "pgpo, seed 2 failed: CUDA <oom>" in results["notes"]
    assert "| pgpo | 3 (1 failed) |" in (folder.path / "table.md").read_text()
    text = folder.page.read_text()
    assert "CUDA &lt;oom&gt;" in text
    assert "<oom>" not in text
    assert "&lt;b&gt;b&lt;/b&gt;" in text


def test_one_seed_has_no_p_values_and_says_so(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, final, seeds=1)
    results = write_study(folder, plan)
    assert any("no p values" in note for note in results["notes"])
    for found in results["arms"].values():
        for gap in found.get("differences", {}).values():
            assert gap["p"] is gap["p_holm"] is gap["low"] is None
    assert results["power"] is None
    assert results["null"] is None


def test_unfinished_runs_are_told(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, final)
    for seed in (1, 3):
        folder.run("vgpo", seed).summary.unlink()
    results = study_results(folder, plan)
    assert results["arms"]["vgpo"]["seeds"] == [0, 2]
    assert "vgpo: 2 of 4 seeds are not finished yet." in results["notes"]


def test_runs_before_the_first_seed_are_in_no_table(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, final)
    results = study_results(folder, replace(plan, first_seed=2, seeds=2))
    assert {arm: found["seeds"] for arm, found in results["arms"].items()} == {
        arm.name: [2, 3] for arm in plan.arms
    }
    assert {run["seed"] for run in results["runs"]} == {2, 3}


def test_the_null_check_holds_every_arm_against_itself(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ends = {
        (arm, seed): 0.5 + 0.02 * random.normal() for arm in ("grpo", "vgpo", "pgpo") for seed in range(8)
    }
    folder, plan = study(tmp_path, lambda arm, seed: ends[arm, seed], seeds=8)
    null = write_study(folder, plan)["null"]
    shares = {arm: null_share([ends[arm, seed] for seed in range(8)]) for arm in ("grpo", "vgpo", "pgpo")}
    assert all(shares.values())
    assert (null["arm"], null["arms"]) == ("grpo", 3)
    assert null["share_p"] == shares["grpo"]["share_p"]  # pyright: ignore[reportOptionalSubscript]
    assert null["mean_share"] == pytest.approx(np.mean([one["share_p"] for one in shares.values() if one]))
    assert "Each of 3 methods against itself" in folder.page.read_text()


def test_a_study_without_any_run_has_a_page(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, final)
    for path in folder.path.rglob("run.json"):
        path.unlink()
    assert write_study(folder, plan)["runs"] == []
    assert "No run is finished yet" in folder.page.read_text()


def test_the_numbers_of_a_run(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, lambda arm, seed: 0.2 if arm == "pgpo" else 0.5)
    rows = {(row["arm"], row["seed"]): row for row in study_results(folder, plan)["runs"]}
    good, bad = rows["vgpo", 0], rows["pgpo", 0]
    assert good["collapsed"] == 0
    assert bad["collapsed"] == 1
    assert good["steps to target"] == pytest.approx(10)
    assert bad["steps to target"] is None
    assert good["tokens"] == 14
    assert good["seconds per step"] == pytest.approx(0.5)
    assert area(np.array([0.0, 10, 20]), np.array([0.0, 1, 1])) == pytest.approx(0.75)
    assert steps_to(np.array([0.0, 10]), np.array([0.5, 0.9]), 0.4) == 0


GONE = object()


def damaged(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if change is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = change
    return value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value[:1]):
            yield from places(inner, (*path, key))


def test_no_damage_to_a_study_is_a_traceback(tmp_path: Path) -> None:
    """Every value of its plan and measurements, taken away or replaced: read, or one line that names it."""
    folder, plan = study(tmp_path, final)
    whole = yaml.safe_load(folder.config.read_text())
    whole = {name: whole[name] for name in ("kind", "format", "sightline", "plan")}
    refused = 0
    for path in places(whole):
        for change in (GONE, None, "x", {"a": 1}):
            folder.config.write_text(json.dumps(damaged(whole, path, change)))  # JSON is YAML
            try:
                folder.plan()
            except UserError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 60
    run = folder.run("vgpo", 1)
    rows = run.read_evaluations()
    refused = 0
    for path in places(rows):
        for change in (GONE, None, "x", [], 1e300, True, -1):
            lines = damaged(rows, path, change)
            run.evaluations.write_text("".join(f"{json.dumps(row)}\n" for row in lines))
            try:
                record("vgpo", 1, run, plan)
            except UserError as error:
                refused += 1
                assert "\n" not in str(error) and "evaluations.jsonl is damaged" in str(error)
    assert refused > 40


def test_every_file_of_a_study_agrees_with_its_runs(tmp_path: Path) -> None:
    folder, plan = study(tmp_path, final)
    write_study(folder, plan)
    stored = json.loads(folder.results.read_text())
    assert len((folder.path / "runs.csv").read_text().splitlines()) == 1 + len(stored["runs"]) == 13
    for name in ("curves-held-out-problems", "curves-training"):
        for ending in ("svg", "png", "csv"):
            assert (folder.path / f"{name}.{ending}").stat().st_size > 0
