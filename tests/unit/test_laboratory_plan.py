"""What a study refuses, and what may be added to one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from study_folders import write_lab

from sightline.errors import UserError
from sightline.laboratory.study.folder import StudyFolder
from sightline.laboratory.study.lab_yaml import read_plan
from sightline.laboratory.study.plan import from_plain
from sightline.run_folder import open_run
from sightline.shaping import SHAPINGS


def test_arms_are_methods_or_named_settings(tmp_path: Path) -> None:
    arms = {"vppo-k6": {"method": "vppo", "method_options": {"keep": 0.06}, "learning_rate": 1.0e-5}}
    plan = read_plan(write_lab(tmp_path, arms=arms), ["vppo-k6", "vgpo"], 3, {"max_steps": 7})
    assert [arm.name for arm in plan.arms] == ["vppo-k6", "vgpo"]
    settings = plan.settings("vppo-k6", 2)
    assert settings["method_options"] == {"keep": 0.06}
    assert settings["learning_rate"] == 1e-5
    assert (settings["seed"], settings["max_steps"], plan.seeds) == (2, 7, 3)
    assert plan.primary is not None
    assert plan.primary.against == "vppo-k6"
    assert from_plain(yaml.safe_load(yaml.safe_dump(plan.plain(), sort_keys=False))) == plan
    assert read_plan(write_lab(tmp_path), ["grpo", "pgpo"]).primary is None


def test_contrasts_are_kept_whichever_methods_are_run(tmp_path: Path) -> None:
    contrasts = {"vgpo": ["pgpo"]}
    lab = write_lab(tmp_path, contrasts=contrasts)
    folder = StudyFolder(tmp_path / "study")
    folder.begin(read_plan(lab))
    assert folder.begin(read_plan(lab, ["grpo", "vgpo"])).contrasts == contrasts
    assert folder.plan().contrasts == contrasts


def test_credit_by_labels_is_a_setting_of_its_arm_alone(tmp_path: Path) -> None:
    arms = {"oracle": {"method": "dapo", "credit": "read", "learning_rate": 1.0e-4}}
    plan = read_plan(write_lab(tmp_path, arms=arms), ["dapo", "oracle"])
    assert (plan.credit("dapo"), plan.credit("oracle")) == (None, "read")
    assert plan.settings("oracle", 0)["credit"] == "read"
    assert "credit" not in plan.settings("dapo", 0)
    assert from_plain(yaml.safe_load(yaml.safe_dump(plan.plain()))).credit("oracle") == "read"


def test_the_baseline_is_always_there(tmp_path: Path) -> None:
    plan = read_plan(write_lab(tmp_path, baseline="dapo"), ["vgpo"])
    assert [arm.name for arm in plan.arms] == ["dapo", "vgpo"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"methods": ["vgop"]}, "vgpo"),
        ({"methods": None, "arms": None}, "no METHOD"),
        ({"arms": {"x": {"method_options": {}}}, "methods": ["x"]}, "names no method"),
        ({"arms": {"x": {"method": "vppo", "method_options": {"kepe": 1}}}, "methods": ["x"]}, "keep"),
        ({"arms": {"x": {"method": "vppo", "seed": 3}}, "methods": ["x"]}, "seed"),
        ({"arms": {"../x": {"method": "vppo"}}, "methods": ["../x"]}, "named like a folder"),
        ({"arms": {"x": {"method": "grpo", "credit": "reed"}}, "methods": ["x"]}, r"did you mean.*read"),
        ({"train": {"output_dir": "x"}}, "output_dir"),
        ({"arms": {"x": {"method": "papo", "credit": "read"}}, "methods": ["x"]}, "loss terms"),
        ({"arms": {"x": {"method": "vppo", "method_options": ["keep"]}}, "methods": ["x"]}, "a mapping"),
        ({"arms": {1: {"method": "vppo"}}}, "in quotes"),
        ({"methods": ["grpo", 1]}, "in quotes"),
        ({"methods": [["grpo"]]}, "list of names"),
        ({"methods": "grpo"}, "list of names"),
        ({"train": {"method": "vgpo"}}, "arms of the study"),
        ({"train": {"credit": "read"}}, "arms of the study"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": "many"}, "seeds"),
        ({"first_seed": -1}, "first_seed"),
        ({"primary": {"arm": "vgop"}}, "vgpo"),
        ({"primary": {"arm": "vgpo", "measure": "loss"}}, "sampled area"),
        ({"contrasts": {"vgop": ["grpo"]}}, "vgpo"),
        ({"contrasts": {"vgpo": ["pgop"]}}, "pgpo"),
        ({"contrasts": {"vgpo": "grpo"}}, "list of arms"),
        ({"contrasts": {"vgpo": ["grpo"]}}, "without the baseline"),
        ({"contrasts": {"vgpo": ["vgpo"]}}, "vgpo"),
        ({"contrasts": {"vgpo": ["pgpo", "pgpo"]}}, "once"),
        ({"contrasts": {"vgpo": ["pgpo"], "pgpo": ["vgpo"]}}, "once"),
        ({"contrasts": {"vgpo": ["papo"]}}, "papo"),
        ({"evaluate": {"evry": 3}}, "every"),
        ({"evaluate": {"problems": 0}}, "problems"),
        ({"target": 40}, "target"),
        ({"sed": 3}, "seeds"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_plan(write_lab(tmp_path, **changed))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_plan(str(tmp_path / "none.yaml"), ["grpo"])
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        read_plan(str(tmp_path / "bad.yaml"), ["grpo"])


def test_arms_and_seeds_may_be_added(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    folder.begin(read_plan(write_lab(tmp_path), ["grpo", "vgpo"], 2))
    whole = folder.begin(read_plan(write_lab(tmp_path), ["grpo", "papo"], 4))
    assert [arm.name for arm in whole.arms] == ["grpo", "vgpo", "papo"]
    assert whole.primary is not None
    assert whole.primary.arm == "vgpo"
    assert whole.seeds == 4
    assert folder.plan() == whole


def test_the_first_seed_may_move_and_the_runs_before_it_are_left_out(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    folder.begin(read_plan(write_lab(tmp_path), seeds=4))
    later = folder.begin(read_plan(write_lab(tmp_path, first_seed=2), seeds=3))
    assert list(later.run_seeds) == [2, 3, 4]
    assert folder.plan() == later
    assert list(folder.begin(read_plan(write_lab(tmp_path, first_seed=2), seeds=1)).run_seeds) == [2, 3, 4]


@pytest.mark.parametrize(
    "changed",
    [
        {"train": {"model": "embedded", "task": "shapes", "max_steps": 21}},
        {"evaluate": {"every": 5}},
        {"target": 0.5},
        {"methods": ["grpo", "vgpo"], "arms": {"vgpo": {"method": "vgpo", "learning_rate": 1.0e-4}}},
    ],
)
def test_another_study_is_not_continued(tmp_path: Path, changed: dict[str, object]) -> None:
    folder = StudyFolder(tmp_path / "study")
    folder.begin(read_plan(write_lab(tmp_path)))
    before = folder.config.read_text()
    with pytest.raises(UserError, match=r"other settings|knows arm"):
        folder.begin(read_plan(write_lab(tmp_path, **changed)))
    assert folder.config.read_text() == before


def test_a_study_that_came_without_hidden_files_goes_on(tmp_path: Path) -> None:
    """As from a fresh clone of committed results."""
    folder = StudyFolder(tmp_path / "study")
    plan = read_plan(write_lab(tmp_path))
    folder.begin(plan)
    open_run(folder.path, resume=True).release()
    assert folder.begin(plan) == plan


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    plan = read_plan(write_lab(tmp_path))
    folder.begin(plan)
    stored = yaml.safe_load(folder.config.read_text())
    for other in ({"format": 0}, {"sightline": "0.0.9"}):
        folder.config.write_text(yaml.safe_dump(stored | other))
        with pytest.raises(UserError, match="do not compare"):
            folder.begin(plan)
    folder.config.write_text("kind: eval\n")
    with pytest.raises(UserError, match="something else than a study"):
        folder.begin(plan)


def test_a_study_loads_plugins_of_its_own_line_before_its_arms(tmp_path: Path) -> None:
    for name in ("first", "second"):
        text = (
            f"from sightline.shaping import SHAPINGS, Rule\nSHAPINGS['{name}'] = Rule(lambda s, m: m * 1.0)\n"
        )
        (tmp_path / f"{name}.py").write_text(text)
    first, second = (str(tmp_path / f"{name}.py") for name in ("first", "second"))
    options = {"signal": "entropy", "shapings": ["first", "second"]}
    arms = {"mine": {"method": "custom", "method_options": options}}
    try:
        plan = read_plan(
            write_lab(tmp_path, arms=arms, plugins=[first]), ["grpo", "mine"], 1, {"plugins": second}
        )
        assert plan.settings("mine", 0)["plugins"] == f"{first},{second}", "what each run's process loads"
        arms["mine"]["plugins"] = first
        with pytest.raises(UserError, match="arm mine sets plugins, which load for all arms"):
            read_plan(write_lab(tmp_path, arms=arms, plugins=first), ["grpo", "mine"], 1)
    finally:
        for name in ("first", "second"):
            SHAPINGS.pop(name, None)
