"""Wrong use of the command line: one clear line, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from sightline.cli import PIPE_CLOSED, main
from sightline.errors import UserError

DEMO = str(Path(__file__).parents[2] / "recipes" / "demo.yaml")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a wrong call prints."""
    assert main(list(words)) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("sightline: ")
    assert len(error.splitlines()) == 1
    return error


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean train" in refused(capsys, "trian")


def test_help_of_every_verb_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "example: sightline train" in capsys.readouterr().out
    for verb in ("train", "eval"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        assert f"example: sightline {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--method", "vgop"], "did you mean vgpo"),
        (["--method_options", "{strenght: 0.3}"], "did you mean strength"),
        (["--method_options", "{strength: -1}"], "strength must be a number in [0"),
        (["--learning_rat", "1"], "nearest: --learning_rate"),
        (["--task", "shape"], "did you mean shapes"),
        (["--max_steps", "many"], "max_steps"),
        (["--num_generations", "7"], "num_generations"),
    ],
)
def test_wrong_settings_of_train(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert said in refused(capsys, "train", "--config", DEMO, "--output_dir", str(out), *flags)
    assert not out.exists()


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU is found")
@pytest.mark.parametrize("engine", ["trl", "verl"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recipes/demo.yaml"], "did you mean --config recipes/demo.yaml?"),
        (["--model", "embedded", "shapes"], "got 'shapes': settings are given as --name value"),
        (["--model", "embedded", "--dataset_name", "me/mine"], "it is task here"),
        (["--model", "embedded", "--task", "shape"], "did you mean shapes"),
        (["--model", "embedded", "--mask_ratio", "0.3"], "docs/from-trl.md"),
        ([], "expected one model"),
        (["--model", "embedded"], "no GPU was found"),
    ],
)
def test_a_mistake_is_told_before_what_the_machine_lacks(engine: str, words: list[str], said: str) -> None:
    parse = import_module(f"sightline.engines.{engine}.settings.resolve").parse
    with pytest.raises(UserError, match=re.escape(said)):
        parse(words)


def test_a_config_without_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert "sightline train --config mine.yaml" in refused(capsys, "mine.yaml")
    assert "see sightline world --help" in refused(capsys, "world")


def test_completion_knows_verbs_actions_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    script = (
        'source /dev/stdin; for words in "sightline tr" "sightline data pre" "sightline train --learning_r" '
        '"sightline train --warn_bl"; do COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
        'COMPREPLY=(); _shtab_sightline; echo "${COMPREPLY[@]}"; done'
    )
    assert main(["completion", "bash"]) == 0
    found = subprocess.run(
        ["/bin/bash", "-c", script], input=capsys.readouterr().out, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["train", "preview", "--learning_rate", "--warn_blind"]
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert "warn_blind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: embedded\nmax_step: 3\n", "unknown setting 'max_step'; nearest: max_steps"),
        ("model: embedded\nmax_steps: [1\n", "not valid YAML"),
        ("- model\n", "must hold a mapping"),
        ("model: embedded\nmax_steps: soon\n", "max_steps cannot be 'soon'"),
        ("model: embedded\nmax_steps: [1, 2]\n", "max_steps cannot be a list"),
        ("model: [embedded]\n", "model cannot be a list"),
        ("model: embedded\nlearning_rate: {a: 1}\n", "learning_rate cannot be a mapping"),
        ("model: embedded\nlearning_rate: null\n", "learning_rate cannot be null"),
        (
            "model: embedded\nuse_cpu: true\nbf16: false\nlearning_rate: .nan\n",
            "learning_rate",
        ),
        ("max_steps: 1\nuse_cpu: true\nbf16: false\n", "expected one model"),
    ],
)
def test_wrong_config_files(text: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert said in refused(capsys, "train", "--config", str(config), "--output_dir", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_missing_config(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "train", f"--config={Path(DEMO).with_name('dmeo.yaml')}")
    assert "does not exist" in error
    assert "demo.yaml" in error


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_models_that_are_none(verb: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def words(model: Path) -> list[str]:
        out = ["--output_dir", str(tmp_path / "run")]
        if verb == "eval":
            return ["eval", str(model), "--benchmarks", "shapes", *out]
        return ["train", "--config", DEMO, "--model", str(model), *out]

    assert "does not exist" in refused(capsys, *words(tmp_path / "nowhere"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no config.json" in refused(capsys, *words(empty))
    text = tmp_path / "text"
    text.mkdir()
    (text / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert "not a vision-language model" in refused(capsys, *words(text))
    (text / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 9}))
    assert "cannot load model" in refused(capsys, *words(text))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--limit", "2"], "gives 2 training rows, but one rollout batch takes"),
        (["--limit", "40", "--max_prompt_length", "3"], "has no training rows"),
        (["--method_options", "{layer: 9}"], "the model has layers 0 to 3"),
        (["--rewards", "format,strict_format", "--max_rounds", "2"], "judged by the accuracy reward"),
        (["--rewards", "acuracy"], "did you mean accuracy"),
        (["--use_peft", "--lora_target_modules", "q_porj", "v_proj"], "match nothing: q_porj"),
    ],
)
def test_what_does_not_fit_leaves_no_folder(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert said in refused(capsys, "train", "--config", DEMO, "--output_dir", str(folder), *flags)
    assert not folder.exists()
    folder.mkdir()
    (folder / "config.yaml").write_text("method: vgpo\n")
    again = ["train", "--config", DEMO, "--output_dir", str(folder), "--overwrite", *flags]
    assert said in refused(capsys, *again)
    assert (folder / "config.yaml").is_file(), "an older run is not thrown away for one that cannot start"


def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot write to" in refused(capsys, "train", "--config", DEMO, "--output_dir", "/proc/run")


@pytest.mark.parametrize("method", ["vgpo", "vppo", "pgpo", "papo"])
def test_a_task_without_images(method: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "2+2?", "answer": "4"}\n' * 40)
    out = tmp_path / "run"
    words = ["--task", str(rows), "--output_dir", str(out), "--method", method, "--eval_problems", "0"]
    said = f"none of 40 problems of task '{rows.name}' has an image, and {method} credits tokens"
    assert said in refused(capsys, "train", "--config", DEMO, *words)
    assert not out.exists()


def test_a_task_without_held_out_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "train.jsonl"
    rows.write_text('{"question": "2+2?", "answer": "4"}\n' * 40)
    words = ["--task", str(rows), "--output_dir", str(tmp_path / "run"), "--method", "grpo"]
    assert "split" in refused(capsys, "train", "--config", DEMO, *words)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("method: vgpo\n")
    error = refused(capsys, "train", "--config", DEMO, "--output_dir", str(tmp_path))
    assert "already holds" in error
    assert "--overwrite" in error
    assert (tmp_path / "config.yaml").read_text() == "method: vgpo\n"


def test_unknown_benchmarks_and_blind_views(capsys: pytest.CaptureFixture[str]) -> None:
    assert "shapes" in refused(capsys, "eval", "embedded", "--benchmarks", "shape")
    assert "did you mean black" in refused(capsys, "eval", "embedded", "--blind", "blak")
    assert "--limit" in refused(capsys, "eval", "embedded", "--limit", "0")


def test_a_reader_that_goes_early_ends_the_verb_without_a_traceback() -> None:
    """As `sightline completion bash | head -1`, whose text is longer than a pipe holds."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "sightline", "completion", "bash"]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE) as verb:
        os.close(writing)
        os.close(reading)
        assert verb.stderr is not None
        assert verb.stderr.read() == b""
    assert verb.returncode == PIPE_CLOSED


def test_the_command_is_installed() -> None:
    done = subprocess.run([sys.executable, "-m", "sightline", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "usage: sightline VERB" in done.stdout
