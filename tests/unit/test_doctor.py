"""`sightline doctor`: what each check says of good, odd and broken machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sightline.cli import doctor, doctor_checks
from sightline.cli.doctor_checks import (
    BROKEN,
    GOOD,
    NOTE,
    CheckResult,
    constraints,
    libraries,
    python,
    room,
    vllm,
)
from sightline.engines import ENGINES

NEEDED = [Requirement("trl>=1.16,<1.17"), Requirement("torch>=2.6"), Requirement("accelerate")]
TESTED = {"trl": "1.16.0", "torch": "2.13.0", "accelerate": "1.15.0", "hypothesis": "6.0"}


def installed(**versions: str) -> Callable[[str], str | None]:
    return ({"trl": "1.16.0", "torch": "2.13.0", "accelerate": "1.15.0"} | versions).get


def states(results: list[CheckResult]) -> dict[str, str]:
    return {result.subject: result.state for result in results}


def test_tested_versions_are_good_whatever_their_local_build() -> None:
    found = libraries(TESTED, NEEDED, installed(torch="2.13.0+cu128"))
    assert states(found) == {"libraries": GOOD, "tested set": GOOD}


def test_another_version_in_range_is_a_note_that_names_both() -> None:
    *_, against = libraries(TESTED, NEEDED, installed(torch="2.14.1"))
    assert against.state == NOTE
    assert "torch 2.14.1 (tested: 2.13.0)" in against.found
    assert "constraints.txt" in against.advice


def test_a_version_out_of_range_is_broken_and_says_what_to_install() -> None:
    first, *_ = libraries(TESTED, NEEDED, installed(trl="1.17.0"))
    assert (first.subject, first.state) == ("trl", BROKEN)
    assert "1.17.0" in first.found
    assert first.advice == "pip install 'trl<1.17,>=1.16'"


def test_a_missing_library_is_broken() -> None:
    def without_trl(name: str) -> str | None:
        return None if name == "trl" else installed()(name)

    assert states(libraries(TESTED, NEEDED, without_trl))["trl"] == BROKEN


def test_without_a_checkout_there_is_nothing_to_compare_with() -> None:
    *_, against = libraries(None, NEEDED, installed())
    assert against.state == NOTE
    assert "without its checkout" in against.found


def test_the_tested_set_is_this_checkouts() -> None:
    found = constraints()
    assert found is not None
    assert {"torch", "transformers", "trl", "accelerate"} <= set(found)
    assert all(pinned[0].isdigit() for pinned in found.values())


@pytest.mark.parametrize(
    ("found", "state"), [((3, 11, 0), GOOD), ((3, 14, 2), GOOD), ((3, 10, 9), BROKEN), ((2, 7, 18), BROKEN)]
)
def test_python(found: tuple[int, ...], state: str) -> None:
    assert python(found, ">=3.11").state == state


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, NOTE),
        (ENGINES["trl"].vllm[0], GOOD),
        (ENGINES["trl"].vllm[1], GOOD),
        ("0.31.0+cu129", GOOD),
        ("0.24.0.dev3", GOOD),
        ("0.21.9", NOTE),
        ("0.32.0", NOTE),
    ],
)
def test_vllm(found: str | None, state: str) -> None:
    result = vllm(found)
    assert result.state == state
    assert (result.advice == "") == (state == GOOD)


@pytest.mark.parametrize(("free", "state"), [(0.2, BROKEN), (1.5, NOTE), (99, NOTE), (500, GOOD)])
def test_room_on_disk(free: float, state: str, tmp_path: Path) -> None:
    assert room("disk", tmp_path, free).state == state


def test_a_folder_that_cannot_be_written_is_broken() -> None:
    result = doctor_checks.disk("disk", Path("/proc/self"))
    assert result.state == BROKEN
    assert "cannot write" in result.found


def test_a_folder_that_is_yet_to_be_made_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert str(tmp_path) in doctor_checks.disk("disk", tmp_path / "a" / "b").found


@pytest.mark.parametrize(
    ("cuda", "other", "said"), [("12.8", False, "nvidia-smi"), (None, False, "use_cpu"), (None, True, "")]
)
def test_no_gpu_is_a_note_with_the_likely_reason(cuda: str | None, other: bool, said: str) -> None:
    result = doctor_checks._no_gpu("2.13.0", cuda, other)
    assert result.state == NOTE
    assert said in result.advice


def test_a_hub_out_of_reach_is_a_note_and_soon_said() -> None:
    code = "from sightline.cli.doctor_checks import hub; v = hub(5); print(v.state, v.found)"
    # Nothing listens on port 9 of this machine.
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("note http://127.0.0.1:9 is out of reach: ")


def test_a_check_that_fails_itself_does_not_stop_the_others() -> None:
    def failing() -> list[CheckResult]:
        raise RuntimeError("driver too old")

    (result,) = doctor._survived("GPU", failing)
    assert (result.subject, result.state) == ("GPU", BROKEN)
    assert "driver too old" in result.found


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([{"loss": 0.1, "grad_norm": 1.0}, {"loss": -0.1, "grad_norm": 0.5}], GOOD),
        ([{"loss": 0.1, "grad_norm": 1.0}], BROKEN),
        ([{"loss": None, "grad_norm": 1.0}, {"loss": 0.1, "grad_norm": 1.0}], BROKEN),
        ([{"loss": 0.0, "grad_norm": 0.0}, {"loss": 0.0, "grad_norm": 0.0}], BROKEN),
    ],
)
def test_a_training_is_judged_by_its_numbers(rows: list[dict], state: str, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert doctor_checks._trained(metrics, 3.0).state == state


@pytest.mark.slow
def test_a_training_runs_and_a_failing_one_says_why() -> None:
    assert doctor_checks.training().state == GOOD
    broken = doctor_checks.training(["--num_generations", "1"])
    assert broken.state == BROKEN
    assert "num_generations" in broken.found


def test_a_library_of_the_wrong_version_ends_in_exit_code_1(tmp_path: Path) -> None:
    """A distribution on the path shadows the installed one, as a broken environment would."""
    pretender = tmp_path / "trl-2.0.0.dist-info"
    pretender.mkdir()
    (pretender / "METADATA").write_text("Metadata-Version: 2.1\nName: trl\nVersion: 2.0.0\n")
    code = "import sys; from sightline.cli import doctor; sys.exit(doctor.main(['--no_training', '--json']))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["broken"] == 1
    by_subject = {result["subject"]: result for result in said["verdicts"]}
    assert by_subject["engine trl"]["state"] == BROKEN
    assert by_subject["hub"]["state"] == NOTE
    assert version("trl") != "2.0.0"


def test_lines_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert doctor.main(["--no_training"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "nothing is broken; training was not tried"
    assert all(line.split()[0] in (GOOD, NOTE, BROKEN, "→") for line in lines[:-1])


NEEDED_BY = {"trl": Requirement("trl>=1.16,<1.17"), "verl": Requirement("verl>=0.9.1,<0.10")}


@pytest.mark.parametrize(
    ("here", "states"),
    [
        ({"trl": "1.16.0"}, ["good", "note"]),
        ({"verl": "0.9.1"}, ["note", "good"]),
        ({}, ["broken", "broken"]),
        ({"trl": "1.16.0", "verl": "0.9.1"}, ["good", "note"]),
        ({"verl": "0.8.0"}, ["note", "broken"]),
    ],
)
def test_one_engine_is_enough(here: dict[str, str], states: list[str]) -> None:
    found = doctor_checks.engines(NEEDED_BY, here.get)
    assert [result.state for result in found] == states
    assert all(result.advice for result in found if result.state != "good")


def test_the_packages_extras_name_what_engines_need() -> None:
    assert set(doctor_checks.engine_requirements()) <= {"trl", "verl"}
