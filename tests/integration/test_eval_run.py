"""`sightline eval`, `score` and `compare` from end to end with the embedded model, killed and resumed."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluation_fixtures as sets
import pytest
import yaml

from sightline.cli import main
from sightline.evaluation.benchmarks import BENCHMARKS, SUITES
from sightline.evaluation.run.jsonl_records import read_generations
from sightline.evaluation.run.results_folder import ResultsFolder

SAMPLED = ["eval", "embedded", "--benchmarks", "shapes", "--limit", "40", "--samples", "2",
           "--temperature", "1", "--blind", "black", "--batch_size", "8", "--token_scores", "6",
           "--dtype", "float32"]  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


def run(tmp: Path, *arguments: str, expect: int = 0) -> Done:
    """A command in this process, in the folder `tmp`."""
    out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
    root = logging.getLogger()
    handlers = list(root.handlers)
    os.chdir(tmp)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
    finally:
        os.chdir(here)
        for handler in [one for one in root.handlers if one not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
    assert code == expect, err.getvalue()[-2000:]
    return Done(out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def whole(work: Path) -> ResultsFolder:
    """A run that nothing interrupted."""
    run(work, *SAMPLED, "--output_dir", "whole")
    return ResultsFolder(work / "whole")


@pytest.fixture(scope="module")
def everything(work: Path) -> dict[str, Any]:
    """Every benchmark of the table, with two blind views, in one run."""
    copies = sets.write_all(work / "copies")
    done = run(
        work, "eval", "embedded", "--benchmarks", ",".join(BENCHMARKS), "--data_dir", str(copies),
        "--accept_differences", "--limit", "20", "--blind", "black,swapped", "--token_scores", "2",
        "--max_new_tokens", "12", "--output_dir", "everything", "--json", "--prompt_template", "plain",
    )  # fmt: skip
    return json.loads(done.stdout)


# --- a kill, and what comes after --------------------------------------------------------------------


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(work: Path, whole: ResultsFolder) -> None:
    killed = ResultsFolder(work / "killed")
    code = "import sys; from sightline.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = [*SAMPLED, "--output_dir", "killed"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=work, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not killed.generations.is_file() or killed.generations.read_bytes().count(b"\n") < 24:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stored = killed.generations.read_bytes()
    assert 24 <= stored.count(b"\n") < 160
    assert not killed.results.is_file()

    unfinished = run(work, "score", "killed", expect=2).stderr
    assert "was interrupted" in unfinished
    assert "--resume" in unfinished
    with killed.generations.open("ab") as lines:
        lines.write(stored.splitlines()[0][:50])  # what a kill in the middle of a write leaves

    run(work, *arguments, "--resume")
    assert killed.generations.read_bytes() == whole.generations.read_bytes()
    assert killed.scores("strict").read_bytes() == whole.scores("strict").read_bytes()
    assert killed.token_scores.read_bytes() == whole.token_scores.read_bytes()
    ours, theirs = (json.loads(folder.results.read_text())["benchmarks"] for folder in (killed, whole))
    assert ours == theirs


def test_a_finished_run_resumed_changes_nothing(work: Path, whole: ResultsFolder) -> None:
    before = whole.generations.read_bytes(), whole.results.read_bytes()
    run(work, *SAMPLED, "--output_dir", "whole", "--resume")
    assert (whole.generations.read_bytes(), whole.results.read_bytes()) == before


def test_a_run_is_not_continued_as_another(work: Path, whole: ResultsFolder) -> None:
    before = whole.generations.read_bytes()
    other = [word if word != "40" else "41" for word in SAMPLED]
    said = run(work, *other, "--output_dir", "whole", "--resume", expect=2).stderr
    assert "cannot be continued: sets was" in said
    said = run(work, *SAMPLED, "--seed", "1", "--output_dir", "whole", "--resume", expect=2).stderr
    assert "cannot be continued: seed was 0, now it is 1" in said
    shorter = [word if word != "float32" else "bfloat16" for word in SAMPLED]
    said = run(work, *shorter, "--output_dir", "whole", "--resume", expect=2).stderr
    assert "cannot be continued: dtype was 'torch.float32', now it is 'torch.bfloat16'" in said
    assert whole.generations.read_bytes() == before


def test_samples_differ_and_blind_ones_are_their_own(whole: ResultsFolder) -> None:
    generations = read_generations(whole.generations)
    assert len(generations) == 160
    assert len({one.seed for one in generations}) == 160
    texts = {one.key: one.text for one in generations}
    pairs = [(k, (*k[:3], 1)) for k in texts if k[3] == 0]
    assert any(texts[a] != texts[b] for a, b in pairs)
    prompts = {one.key[:3]: one.prompt for one in generations}
    assert all(prompts["shapes", "sighted", p] != prompts["shapes", "black", p] for _, _, p in prompts)


def test_what_a_results_folder_holds(whole: ResultsFolder) -> None:
    settings = yaml.safe_load(whole.config.read_text())
    assert settings["model"] == "embedded"
    assert {"torch", "transformers", "sightline"} <= set(settings["versions"])
    results = json.loads(whole.results.read_text())
    found = results["benchmarks"]["shapes"]
    assert set(found["views"]) == {"sighted", "black"}
    assert found["views"]["sighted"]["samples_per_problem"] == 2
    assert set(found["views"]["sighted"]["pass_at"]) == {"1", "2"}
    assert set(found["protocols"]) == {"strict", "papo", "lookback"}
    assert found["tokens"]["answers"] == 6
    assert found["tokens"]["kl_mean"] > 0
    assert found["blind"]["black"]["problems"] == 40
    kinds = found["views"]["sighted"]["breakdowns"]["kind"]
    assert sum(kind["clusters"] for kind in kinds.values()) == 40
    with whole.table.open(newline="") as file:
        measures = {row["measure"] for row in csv.DictReader(file)}
    assert {"accuracy", "pass@2", "maj@2", "difference", "no_box rate"} <= measures
    assert whole.report.read_text().count("data:image/png;base64,") == 40
    assert len(list(whole.images.iterdir())) == 40


# --- every benchmark ---------------------------------------------------------------------------------


def test_every_benchmark_runs_and_reports_what_was_loaded(everything: dict[str, Any]) -> None:
    assert list(everything["benchmarks"]) == list(BENCHMARKS)
    for name, found in everything["benchmarks"].items():
        used = found["set"]["used"]
        for view in ("sighted", "black", "swapped"):
            assert found["views"][view]["samples"] == used, name
            assert found["views"][view]["counts"]["failed"] == 0, name
        assert (
            0 <= found["views"]["sighted"]["accuracy"]["low"] <= found["views"]["sighted"]["accuracy"]["high"]
        )
        if BENCHMARKS[name].rows is not None and not BENCHMARKS[name].drawn:
            assert f"expected {BENCHMARKS[name].rows:,} problems" in found["set"]["differences"][0], name
    assert everything["benchmarks"]["logicvista"]["set"]["golds_left_out"][0]["id"] == "logicvista/6"
    scores = {name: found["views"]["sighted"]["scores"] for name, found in everything["benchmarks"].items()}
    assert {"score strict", "score loose", "rote rate strict"} <= set(scores["we_math"])
    assert {"average", "worst case"} <= set(scores["dynamath"])
    assert {"aAcc", "fAcc", "qAcc"} == set(scores["hallusionbench"])
    assert set(everything["benchmarks"]["mathverse"]["views"]["sighted"]["breakdowns"]["version"]) == set(
        sets.VERSIONS
    )
    assert "skill" in everything["benchmarks"]["logicvista"]["views"]["sighted"]["breakdowns"]


def test_swapped_images_are_another_problem_s(work: Path, everything: dict[str, Any]) -> None:
    generations = read_generations(ResultsFolder(work / "everything").generations)
    prompts = {one.key[:3]: one.prompt for one in generations}
    shapes = [problem for name, view, problem in prompts if (name, view) == ("shapes", "sighted")]
    assert all(prompts["shapes", "sighted", p] != prompts["shapes", "swapped", p] for p in shapes)
    alone = ("papo_eval:mmk12", "sighted", "papo_eval:mmk12/0")
    assert prompts[alone] == prompts["papo_eval:mmk12", "swapped", "papo_eval:mmk12/0"]


def test_a_suite_brings_its_decoding_protocol_and_pixels_and_flags_go_before(
    work: Path, everything: dict[str, Any]
) -> None:
    done = run(
        work, "eval", "embedded", "--suite", "papo", "--data_dir", "copies", "--accept_differences",
        "--limit", "1", "--max_new_tokens", "4", "--token_scores", "0", "--samples", "2", "--output_dir",
        "suite", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["suite"], found["protocol"]) == ("papo", "papo")
    assert (found["decoding"]["temperature"], found["decoding"]["samples"]) == (1.0, 2)
    assert found["prompt"]["max_pixels"] == 768 * 768
    assert list(found["benchmarks"]) == list(SUITES["papo"].benchmarks)


# --- scoring again, comparing ------------------------------------------------------------------------


def test_scoring_again_needs_no_model_and_changes_no_answer(work: Path, whole: ResultsFolder) -> None:
    before = whole.generations.read_bytes(), whole.results.read_text()
    done = run(work, "score", "whole", "--protocol", "lookback", "--json")
    results = json.loads(done.stdout)
    assert results["protocol"] == "lookback"
    assert whole.generations.read_bytes() == before[0]
    run(work, "score", "whole")
    assert json.loads(whole.results.read_text())["benchmarks"] == json.loads(before[1])["benchmarks"]


def test_comparing_two_runs(work: Path, whole: ResultsFolder) -> None:
    greedy = [*SAMPLED[:6], "--token_scores", "0", "--dtype", "float32", "--output_dir", "greedy"]
    run(work, *greedy)
    found = json.loads(run(work, "compare", "greedy", "whole", "--output_dir", "compared", "--json").stdout)
    entry = found["benchmarks"]["shapes"]
    assert entry["problems"] == 40
    assert entry["difference"]["value"] == pytest.approx(entry["b"]["value"] - entry["a"]["value"])
    assert "The runs differ in decoding: samples 1 and 2, temperature 0.0 and 1.0." in found["notes"]
    html = (work / "compared/report.html").read_text()
    assert (
        html.count('class="sample') == html.count('<th scope="row">A</th>') == len(found["flips"]["shapes"])
    )
    back = json.loads(run(work, "compare", "whole", "greedy", "--output_dir", "back", "--json").stdout)
    assert back["benchmarks"]["shapes"]["difference"]["value"] == pytest.approx(-entry["difference"]["value"])
    assert back["benchmarks"]["shapes"]["difference"]["p"] == pytest.approx(entry["difference"]["p"])
    itself = json.loads(run(work, "compare", "whole", "whole", "--output_dir", "itself", "--json").stdout)
    assert itself["benchmarks"]["shapes"]["difference"]["p"] == 1.0
    assert (itself["notes"], itself["flips"]) == ([], {"shapes": []})


# --- wrong use ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--benchmarks", "mathvist"], "unknown benchmark 'mathvist'; nearest: mathvista"),
        (["--benchmarks", ","], "--benchmarks names none"),
        (["--suite", "vgop"], "unknown suite 'vgop': did you mean vgpo"),
        (["--blind", "blak"], "unknown blind view 'blak': did you mean black"),
        (["--protocol", "strickt"], "invalid choice: 'strickt'"),
        (["--samples", "4"], "--samples 4 at temperature 0"),
        (["--temperature", "-1"], "expected a temperature of at least 0"),
        (["--top_p", "0"], "expected a share in"),
        (["--samples", "0"], "expected at least 1"),
        (["--resume"], "--resume needs --output_dir"),
        (["--resume", "--overwrite", "--output_dir", "x"], "give one of them"),
        (["--backend", "http://127.0.0.1:9/v1", "--revision", "main"], "--revision belongs to a model"),
        (["--backend", "vlm"], "--backend must be hf, vllm or an address"),
        (["--backend", "vllm", "--token_scores", "4"], "--token_scores needs the model's states"),
        (["--benchmarks", "mathvista", "--data_dir", "absent"], "data_dir absent is no folder"),
        (["--benchmark_file", "absent.yaml"], "cannot read the benchmarks of absent.yaml"),
        (["--prompt_template", "papres", "--benchmarks", "mine", "--benchmark_file", "mine.yaml"],
         "unknown prompt template"),
        (["--device", "warp"], "--device warp cannot be used"),
        (["--min_pixels", "9", "--max_pixels", "4"], "min_pixels 9 is above max_pixels 4"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_leaves_nothing(arguments, says, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "mine: {source: rows.jsonl, columns: {question: q, answer: a, images: p}}"
    )
    (tmp_path / "rows.jsonl").write_text('{"q": "x?", "a": "1", "p": []}\n')
    assert main(["eval", "embedded", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml", "rows.jsonl"]


@pytest.mark.parametrize(("there", "says"), [("a", "a is a file"), ("b", "b already holds a run")])
def test_a_folder_that_cannot_be_used_is_said_before_a_model_is_loaded(
    there, says, tmp_path, monkeypatch, capsys
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/results.json").touch()
    monkeypatch.setattr("sightline.cli.eval.load_model", None)
    assert main(["eval", "embedded", "--output_dir", str(tmp_path / there)]) == 2
    assert says in capsys.readouterr().err


def test_a_set_from_the_hub_is_announced_before_it_is_fetched(tmp_path, monkeypatch, capsys) -> None:
    for name in ("huggingface_hub.constants.HF_HUB_OFFLINE", "datasets.config.HF_HUB_OFFLINE"):
        monkeypatch.setattr(name, True)
    monkeypatch.setattr("datasets.config.HF_CACHE_HOME", tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "embedded", "--benchmarks", "shapes,geometry3k"]) == 2
    first, last = capsys.readouterr().err.strip().splitlines()
    assert first == "geometry3k: fetching hiyouga/geometry3k from the hub, or what is kept of it"
    assert last.endswith("then give --data_dir DATA")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["score", "."], "is no results folder"),
        (["score", "absent"], "is no results folder"),
        (["compare", ".", "absent"], "is no results folder"),
        (["eval", "embedded", "--resume", "--output_dir", "."], "is no results folder"),
    ],
)
def test_folders_that_are_none(arguments, says, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("method: vgpo\n")
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_runs_reported_under_different_protocols_are_not_mixed(tmp_path: Path, capsys) -> None:
    items = [sets.item(n, "A") for n in range(4)]
    answers = [sets.generation(one, "\\boxed{AB}") for one in items]
    for name in ("a", "b"):
        sets.results_folder(tmp_path / name, items, answers)
    assert main(["score", str(tmp_path / "a"), "--protocol", "lookback"]) == 0
    assert main(["score", str(tmp_path / "b")]) == 0
    pair = [str(tmp_path / name) for name in ("a", "b")]
    assert main(["compare", *pair, "--output_dir", str(tmp_path / "c")]) == 2
    assert "reported under lookback" in capsys.readouterr().err
    assert main(["compare", *pair, "--protocol", "strict", "--output_dir", str(tmp_path / "c")]) == 0
    found = json.loads((tmp_path / "c/comparison.json").read_text())
    assert (found["protocol"], found["benchmarks"]["toy"]["difference"]["value"]) == ("strict", 0.0)


def test_runs_with_other_golds_or_no_benchmark_in_common_are_refused(tmp_path: Path, capsys) -> None:
    for name, gold in (("a", "4"), ("b", "5")):
        one = sets.item(1, gold)
        sets.results_folder(tmp_path / name, [one], [sets.generation(one, "\\boxed{4}")])
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "toy/1 has another gold in B" in capsys.readouterr().err
