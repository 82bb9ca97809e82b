"""The configs for `accelerate launch`, and the commands of recipes and docs, as accelerate reads them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import launch_command_parser

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "recipes" / "accelerate").glob("*.yaml"))
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
COMMANDS = [file for file in RECIPES if "accelerate launch" in file.read_text()]
DOCUMENTS = [ROOT / "docs" / name for name in ("recipes.md", "several-nodes.md", "from-easyr1.md")]


def commands(text: str) -> list[list[str]]:
    """The `accelerate launch` commands of a comment or a code block, continued lines joined."""
    joined = re.sub(r"\\\n#?\s*", "", text)
    lines = [line.lstrip("# ").removeprefix("$ ") for line in joined.splitlines()]
    launches = [line for line in lines if "accelerate launch --" in line and "…" not in line]
    filled = [re.sub(r"\$\w+", "1", line) for line in launches]
    return [shlex.split(line[line.index("accelerate launch ") :], comments=True) for line in filled]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_accelerate_reads_the_config(file: Path) -> None:
    config = load_config_from_file(str(file))
    assert isinstance(config, ClusterConfig)
    assert config.mixed_precision == "bf16"
    assert config.num_processes == 8


def test_fsdp2_shards_everything_by_the_models_own_layers() -> None:
    config: Any = load_config_from_file(str(ROOT / "recipes/accelerate/fsdp2.yaml"))
    assert str(config.distributed_type.value) == "FSDP"
    assert config.fsdp_config["fsdp_version"] == 2
    assert config.fsdp_config["fsdp_reshard_after_forward"] is True
    assert config.fsdp_config["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
    assert "fsdp_transformer_layer_cls_to_wrap" not in config.fsdp_config


def test_zero3_divides_parameters() -> None:
    config: Any = load_config_from_file(str(ROOT / "recipes/accelerate/zero3.yaml"))
    assert str(config.distributed_type.value) == "DEEPSPEED"
    assert config.deepspeed_config["zero_stage"] == 3


@pytest.mark.parametrize("recipe", COMMANDS, ids=lambda recipe: recipe.stem)
def test_the_launch_command_of_a_recipe_starts_the_gpus_it_wants(recipe: Path) -> None:
    text = recipe.read_text()
    (words,) = commands(text)
    args = launch_command_parser().parse_args(words[2:])
    config = load_config_from_file(str(ROOT / args.config_file))
    wanted = re.search(r"^# Wants (\d+) GPUs? of \d+ GB on (\d+)", text, re.MULTILINE)
    assert wanted is not None
    assert (args.num_processes or config.num_processes) == int(wanted[1])
    assert (args.num_machines or config.num_machines) == int(wanted[2])
    assert args.module
    assert args.training_script == "sightline"
    verb, flag, file = args.training_script_args
    assert (verb, flag, ROOT / file) == ("train", "--config", recipe)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_the_launch_commands_of_the_docs_parse_and_name_files_that_exist(document: Path) -> None:
    found = commands(document.read_text())
    assert found
    for words in found:
        args = launch_command_parser().parse_args(words[2:])
        assert args.module
        assert (args.training_script, args.training_script_args[0]) == ("sightline", "train")
        assert (ROOT / args.config_file).is_file()
        given = args.training_script_args
        recipe = given[given.index("--config") + 1]
        assert (ROOT / recipe).is_file()
