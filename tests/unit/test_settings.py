"""Flags and YAML to settings: precedence, and one clear line for everything that does not fit."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sightline.engines import ENGINES
from sightline.engines.preflight import check_adapters
from sightline.engines.resume_settings import check_resumed
from sightline.engines.reward_settings import reward_weights
from sightline.engines.trl.settings.batch_sizes import nearest
from sightline.engines.trl.settings.hardware import check_peft
from sightline.engines.trl.settings.resolve import parse
from sightline.engines.trl.settings.rewards import reward_functions
from sightline.engines.trl.state.model_export import load_policy
from sightline.engines.vllm_versions import check_vllm
from sightline.errors import UserError
from sightline.models.loading import load_model
from sightline.objectives import Objective

CPU = ("--model", "embedded", "--use_cpu", "--bf16", "false")


def refused(*argv: str) -> str:
    with pytest.raises(UserError) as error:
        parse([*CPU, *argv])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_flag_goes_over_yaml_over_the_method(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("method: vppo\nepsilon: 0.1\nepsilon_high: 0.3\nmax_steps: 7\n")
    settings = parse([*CPU, "--config", str(file), "--max_steps", "9", "--epsilon_high", "0.4"])
    train = settings.train
    assert (train.max_steps, train.epsilon, train.epsilon_high, train.loss_type) == (9, 0.1, 0.4, "dapo")
    assert settings.set_by["max_steps"] == settings.set_by["epsilon_high"] == "flag"
    assert settings.set_by["epsilon"] == "yaml" and settings.set_by["loss_type"] == "method"
    assert "epsilon_high 0.4 (by flag, not 0.28)" in settings.describe_method()


@pytest.mark.parametrize("how", [["--resume"], ["--resume_from_checkpoint", "true"], ["--config", "FILE"]])
def test_a_run_to_resume_has_to_be_named(how: list[str], tmp_path: Path) -> None:
    """Its folder's default is a fresh one, where nothing would be found and a new run begin."""
    (tmp_path / "run.yaml").write_text("resume: true\n")
    (tmp_path / "named.yaml").write_text("output_dir: runs/here\n")
    how = [str(tmp_path / "run.yaml") if word == "FILE" else word for word in how]
    assert refused(*how) == "--resume needs --output_dir: the run to continue"
    assert parse([*CPU, *how, "--output_dir", "runs/here"]).train.resume
    again = parse([*CPU, "--config", str(tmp_path / "named.yaml"), "--resume"]).train
    assert (again.resume, again.output_dir) == (True, "runs/here")


def test_dapo_replaces_uninformative_groups_and_grpo_does_not() -> None:
    assert "replaces groups" in parse([*CPU, "--method", "dapo"]).describe_method()
    assert "replaces groups" not in parse([*CPU, "--method", "grpo"]).describe_method()
    off = parse([*CPU, "--method", "dapo", "--max_rounds", "1"]).describe_method()
    assert "max_rounds 1" in off and "stay" in off


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--num_generations", "1"], "expected at least 2"),
        (["--generation_kwargs", '{"do_sample": false}'], "do_sample"),
        (["--top_k", "1"], "top_k 1 gives every"),
        (
            ["--num_generations", "4", "--per_device_train_batch_size", "6"],
            "6 rollouts a batch .* num_generations 4; nearest that do: per_device_train_batch_size 4 or 8",
        ),
        (
            ["--num_generations", "8", "--per_device_train_batch_size", "3", "--steps_per_generation", "4"],
            "per_device_train_batch_size 2 or 4",
        ),
        (["--num_generations", "8", "--per_device_train_batch_size", "3"], "per_device_train_batch_size 8"),
        (
            ["--num_generations", "4", "--per_device_train_batch_size", "6", "--generation_batch_size", "30"],
            "nearest that are: 24 or 36",
        ),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps must be at least 1"),
        (["--use_vllm"], "vLLM is not installed; pip install 'vllm>=0.22.0,<=0.31.0'"),
        (["--when_uninformative", "drop"], "unknown when_uninformative 'drop'.* valid: error, keep"),
        (["--steps_per_generation", "0"], "steps_per_generation must be at least 1, got 0"),
        (["--num_iterations", "0"], "num_iterations must be at least 1"),
        (["--learning_rate", "nan"], "learning_rate must be at least 0, got nan"),
        (["--temperature", "0"], "temperature must be above 0"),
        (["--top_p", "1.5"], "top_p must be above 0 and at most 1, got 1.5"),
        (["--adam_beta1", "1"], "adam_beta1 must be at least 0 and at most"),
        (["--max_completion_length", "0"], "max_completion_length must be at least 1"),
        (["--max_steps", "0"], "max_steps must be at least 1, or -1"),
        (["--num_train_epochs", "0"], "num_train_epochs must be above 0"),
        (["--save_steps", "0"], "save_steps must be above 0.* save_strategy"),
        (["--save_total_limit", "-1"], "save_total_limit must be at least 0"),
        (["--limit", "-1"], "limit must be at least 1"),
        (["--seed", "-1"], "seed must be at least 0 and at most 4294967295"),
        (["--warn_drift", "-1"], "warn_drift must be at least 0"),
        (["--loss_type", "dpao"], "unknown loss_type 'dpao': did you mean dapo"),
        (["--report_to", "wandv"], "unknown tracker in report_to 'wandv': did you mean wandb"),
        (["--max_rounds", "0"], "max_rounds must be at least 1"),
        (["--rewards", "{accuracy: 0.9"], "not valid JSON or YAML"),
        (["--mehtod", "vgpo"], "unknown flag"),
        (["--method", "vgop"], "vgpo"),
    ],
)
def test_one_line_that_says_what_to_do(argv: list[str], says: str) -> None:
    import re

    assert re.search(says, refused(*argv))


@pytest.mark.parametrize(
    ("module", "argv", "says"),
    [
        (
            "wandb",
            ["--report_to", "wandb"],
            "report_to names wandb, which is not installed; pip install wandb",
        ),
        ("deepspeed", ["--deepspeed", "zero3.json"], "DeepSpeed is not installed; pip install deepspeed"),
    ],
)
def test_what_is_not_installed_is_said_before_anything_runs(module: str, argv: list[str], says: str) -> None:
    if find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    assert says in refused(*argv)


def adapters(*argv: str) -> str:
    settings = parse([*CPU, "--use_peft", *argv])
    with pytest.raises(UserError) as error:
        check_adapters(settings.model, load_model("embedded").model)
    return str(error.value)


def test_adapters_for_modules_that_are_not_there() -> None:
    assert "match nothing: q_porj; qwen3_vl has" in adapters("--lora_target_modules", "q_porj", "v_proj")
    assert "match nothing: .*attn; " in adapters("--lora_target_modules", ".*attn")
    assert "is not set, and PEFT has no default here" in adapters()
    assert "lora_r must be at least 1, got 0" in adapters("--lora_r", "0")
    loaded = load_model("embedded").model
    for targets in (["all-linear"], ["q_proj", "o_proj"], [r".*\.q_proj"]):
        check_adapters(parse([*CPU, "--use_peft", "--lora_target_modules", *targets]).model, loaded)


def test_an_attention_that_is_not_installed() -> None:
    if find_spec("flash_attn") is not None:
        pytest.skip("flash_attn is installed")
    with pytest.raises(UserError, match="attn_implementation flash_attention_2 cannot be used here"):
        load_policy(parse([*CPU, "--attn_implementation", "flash_attention_2"]))


def test_sizes_count_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from sightline.engines.trl.settings.batch_sizes import check_batches

    sizes = SimpleNamespace(
        num_generations=8,
        per_device_train_batch_size=6,
        gradient_accumulation_steps=1,
        steps_per_generation=None,
        generation_batch_size=None,
    )
    monkeypatch.setenv("WORLD_SIZE", "4")
    check_batches(sizes)  # 24 rollouts: the third group lies on two ranks
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"6 x 3 processes x 1 steps.* 8"):
        check_batches(sizes)
    assert nearest(3, 8) == [8] and nearest(17, 8) == [16, 24]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="needs a machine without a GPU")
def test_no_gpu_says_what_to_set() -> None:
    with pytest.raises(
        UserError, match=r"no GPU was found; to train on the CPU set use_cpu: true and bf16: f"
    ):
        parse(["--model", "embedded"])


@pytest.mark.parametrize("found", ["0.22.0", "0.25.1", "0.31.0", "0.31.0+cu129", "0.30.0rc1"])
def test_supported_vllm(found: str) -> None:
    check_vllm(found, ENGINES["trl"].vllm)


@pytest.mark.parametrize("found", ["0.21.9", "0.31.1", "0.32.0", "1.0"])
def test_unsupported_vllm(found: str) -> None:
    with pytest.raises(UserError, match=rf"vLLM {found} is installed, but TRL supports 0\.22\.0 to 0\.31\.0"):
        check_vllm(found, ENGINES["trl"].vllm)


def test_quantized_weights_need_adapters() -> None:
    from types import SimpleNamespace

    for wanted in ({"use_peft": False, "load_in_4bit": True}, {"use_peft": True, "load_in_4bit": True}):
        with pytest.raises(UserError, match=r"bitsandbytes|use_peft"):
            check_peft(SimpleNamespace(load_in_8bit=False, **wanted))
    check_peft(SimpleNamespace(load_in_8bit=False, load_in_4bit=False, use_peft=True))


def test_a_text_model_is_no_vision_language_model(tmp_path: Path) -> None:
    from transformers import Qwen2Config

    Qwen2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a qwen2 model, not a vision-language model"):
        load_model(str(tmp_path))


def test_rewards_by_name_and_weight() -> None:
    assert reward_weights("accuracy") == {"accuracy": 1.0}
    assert reward_weights("accuracy, format", [0.9, 0.1]) == {"accuracy": 0.9, "format": 0.1}
    assert reward_weights({"accuracy": 0.9, "format": 0.1}) == {"accuracy": 0.9, "format": 0.1}
    parsed = parse([*CPU, "--rewards", "{accuracy: 0.9, format: 0.1}"]).train
    assert reward_weights(parsed.rewards) == {"accuracy": 0.9, "format": 0.1}


@pytest.mark.parametrize(
    ("rewards", "weights"),
    [(None, None), ("", None), ({}, None), ("accuracy", [1, 2]), ({"accuracy": "much"}, None),
     ({"accuracy": float("nan")}, None), ({"accuracy": 1}, [1.0])],
)  # fmt: skip
def test_rewards_that_make_no_sense(rewards: Any, weights: Any) -> None:
    with pytest.raises(UserError, match="reward"):
        reward_weights(rewards, weights)


def test_overlong_punishment_is_trl_s_and_counts_beside_accuracy() -> None:
    functions, weights = reward_functions({"accuracy": 1.0}, Objective(overlong=20), 100)
    assert weights == [1.0, 1.0]
    ids = [[1] * length for length in (80, 90, 100)]
    assert functions[1](completion_ids=ids) == [0.0, -0.5, -1.0]
    with pytest.raises(UserError, match="between 1 and max_completion_length 100, got 101"):
        reward_functions({"accuracy": 1.0}, Objective(overlong=101), 100)


def test_the_user_s_own_reward(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def short(completions, **_):\n    return [1.0 for _ in completions]\n")
    functions, _ = reward_functions({f"{file}:short": 1.0}, Objective(), 100)
    assert functions[0](completions=["a", "b"]) == [1.0, 1.0]
    with pytest.raises(UserError, match="unknown reward 'acuracy'"):
        reward_functions({"acuracy": 1.0}, Objective(), 100)


BEFORE = {"learning_rate": 1e-6, "save_steps": 100, "max_steps": 200, "lr_scheduler_type": "constant"}


def test_resumed_with_the_same_settings() -> None:
    assert check_resumed(BEFORE, BEFORE | {"resume": True, "a_new_setting": 1}, force=False) == []


def test_a_harmless_change_needs_force() -> None:
    now = BEFORE | {"save_steps": 50, "logging_steps": 10}
    with pytest.raises(UserError, match=r"save_steps 100 -> 50.*--force"):
        check_resumed(BEFORE, now, force=False)
    assert check_resumed(BEFORE, now, force=True) == ["save_steps 100 -> 50"]


def test_other_processes_train_on_the_same_batches() -> None:
    sizes = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 32, "steps_per_generation": 128}
    before = BEFORE | sizes | {"generation_batch_size": 4096}
    half = {"gradient_accumulation_steps": 64, "steps_per_generation": 256}  # of the GPUs
    assert len(check_resumed(before, before | half, force=True)) == 2
    for other in ({"gradient_accumulation_steps": 64}, half | {"generation_batch_size": 8192}):
        with pytest.raises(UserError, match=r"change what is trained or measured: .*gradient_accumulation"):
            check_resumed(before, before | other, force=True)


def test_a_change_of_what_is_trained_is_refused_whatever_is_given() -> None:
    now = BEFORE | {"save_steps": 50, "learning_rate": 1e-5}
    with pytest.raises(UserError, match=r"learning_rate 1e-06 -> 1e-05") as error:
        check_resumed(BEFORE, now, force=True)
    assert "save_steps" not in str(error.value)


def test_a_longer_run_is_the_same_run_at_a_constant_rate_only() -> None:
    assert check_resumed(BEFORE, BEFORE | {"max_steps": 300}, force=True) == ["max_steps 200 -> 300"]
    linear = BEFORE | {"lr_scheduler_type": "linear"}
    with pytest.raises(UserError, match="max_steps 200 -> 300"):
        check_resumed(linear, linear | {"max_steps": 300}, force=True)


def test_every_setting_of_ours_is_documented() -> None:
    import dataclasses

    from trl.trainer.grpo_config import GRPOConfig

    from sightline.engines.trl.settings.config import TrainConfig

    theirs = {item.name for item in dataclasses.fields(GRPOConfig)}
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    ours = [item for item in dataclasses.fields(TrainConfig) if item.name not in theirs]
    assert len(ours) > 20
    for item in ours:
        assert item.metadata["help"].endswith("."), item.name
        assert f"`{item.name}" in page or f"--{item.name}" in page, item.name


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--method", "pgpo", "--method_options", "{threshold: 0.3}", "--epsilon_high", "0.4"],
        ["--generation_batch_size", "16", "--num_generations", "8", "--report_to", "none"],
        ["--lr_scheduler_type", "cosine", "--lr_scheduler_kwargs", '{"num_cycles": 2}', "--optim", "sgd"],
        ["--use_peft", "--lora_target_modules", "all-linear", "--save_strategy", "no"],
        ["--task", '{source: "x.jsonl", columns: {answer: a}}', "--rewards", "{accuracy: 0.9, format: 0.1}"],
        ["--gradient_checkpointing_kwargs", '{"use_reentrant": true}', "--credit", "read"],
        ["--hub_token", "hf_secret", "--logging_strategy", "epoch", "--accelerator_config", "{}"],
    ],
)
def test_the_record_of_a_run_is_a_config(argv: list[str], tmp_path: Path) -> None:
    first = parse([*CPU, *argv, "--output_dir", "runs/a", "--max_steps", "3"])
    record = first.as_dict() | {"set_by": first.set_by, "git_revision": "abc", "versions": {"torch": "1"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(record))
    assert "hf_secret" not in (tmp_path / "config.yaml").read_text()
    again = parse(["--config", str(tmp_path / "config.yaml"), "--output_dir", "runs/a"])
    assert {**again.as_dict(), "hub_token": None} == {**first.as_dict(), "hub_token": None}
    other = parse(["--config", str(tmp_path / "config.yaml"), "--epsilon", "0.1", "--max_steps", "4"])
    assert (other.train.max_steps, other.train.epsilon, other.set_by["max_steps"]) == (4, 0.1, "flag")
    assert other.train.output_dir != "runs/a"


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: embedded\nset_by: {model: flag, seed: yaml}\n")
    with pytest.raises(UserError, match="it says what set seed, but not to what"):
        parse(["--config", str(file)])


EVERY_FOUR = ("--eval_strategy", "steps", "--eval_steps", "4")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--eval_strategy", "steps"], "does not say how often; give eval_steps"),
        (["--eval_strategy", "steps", "--eval_steps", "-1"], "eval_steps must be above 0"),
        (["--eval_strategy", "steps", "--eval_steps", "nan"], "eval_steps must be"),
        (["--eval_strategy", "epoch", "--eval_problems", "0"], "of which eval_problems: 0 leaves none"),
        (["--eval_steps", "5"], "eval_steps needs held-out problems that are measured during training"),
        (["--eval_on_start"], "eval_on_start needs held-out problems"),
        (["--load_best_model_at_end"], "load_best_model_at_end needs held-out problems"),
        (["--metric_for_best_model", "reward"], "metric_for_best_model needs held-out problems"),
        (["--save_strategy", "best"], "save_strategy best needs held-out problems"),
        (["--lr_scheduler_type", "reduce_lr_on_plateau"], "reduce_lr_on_plateau needs held-out problems"),
        (["--per_device_eval_batch_size", "4"], "in batches of Sightline's own"),
        (
            [
                "--eval_strategy",
                "steps",
                "--eval_steps",
                "4",
                "--save_steps",
                "6",
                "--load_best_model_at_end",
            ],
            "saving steps to be a round multiple of the evaluation",
        ),
        (["--torch_compile"], "torch_compile True"),
        (["--use_liger_kernel"], "one advantage per answer"),
        (["--use_transformers_continuous_batching"], "use_vllm"),
        (
            ["--model_init_kwargs", '{"attn_implementation": "nonsense"}'],
            "attn_implementation, model_revision",
        ),
        (["--remove_unused_columns"], "rewards read the columns"),
        (["--cast_lm_head_to_fp32"], "cast_lm_head_to_fp32 True"),
        (["--save_only_model"], "save_strategy: 'no'"),
        (["--fsdp", "full_shard"], "needs a launcher"),
        (["--generation_kwargs", '{"temperature": 0.5}'], "temperature is the setting temperature"),
        (["--generation_kwargs", '{"max_new_tokens": 5}'], "is the setting max_completion_length"),
        (["--generation_kwargs", '{"num_return_sequences": 2}'], "is the setting num_generations"),
        (["--generation_kwargs", '{"num_beams": 2}'], "num_beams cannot be chosen"),
        (
            ["--generation_kwargs", '{"supress_tokens": [1]}'],
            "did you mean suppress_tokens|nearest.*suppress",
        ),
    ],
)
def test_what_would_not_be_honoured_is_refused_by_name(argv: list[str], says: str) -> None:
    import re

    assert re.search(says, refused(*argv))


@pytest.mark.parametrize(
    ("argv", "metric"),
    [
        ([], "accuracy"),
        (["--rewards", "accuracy,format"], "accuracy"),
        (["--rewards", '{"a.py:f": 1.0}'], "reward"),
        (["--metric_for_best_model", "rewards/f/mean"], "rewards/f/mean"),
    ],
)
def test_the_best_is_judged_by_what_is_rewarded(argv: list[str], metric: str) -> None:
    wanted = [
        "--eval_strategy",
        "steps",
        "--eval_steps",
        "5",
        "--save_steps",
        "10",
        "--load_best_model_at_end",
    ]
    train = parse([*CPU, *wanted, *argv]).train
    assert train.metric_for_best_model == metric and train.greater_is_better is True
    assert train.num_generations_eval is None


def test_every_field_of_trl_is_in_the_table() -> None:
    """docs/training.md says of each whether it is ours to refuse."""
    from dataclasses import fields

    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.model_config import ModelConfig

    from sightline.engines.trl.settings.refused import REFUSED

    known = {field.name for one in (GRPOConfig, ModelConfig) for field in fields(one)}
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    table = text[text.index("## TRL's settings") :].split("\n## ")[0]
    refused_part, _, rest = table.partition("**Passed on to TRL")
    for name in REFUSED:
        assert name not in known or f"`{name}`" in refused_part, name
    for name in known - REFUSED.keys():
        assert f"`{name}`" in rest, name


def test_one_name_of_modules_is_a_name() -> None:
    loaded = load_model("embedded").model
    settings = parse([*CPU, "--use_peft", "--lora_target_modules", "q_proj"])
    assert settings.model.lora_target_modules == ["q_proj"]
    check_adapters(settings.model, loaded)


def test_a_router_s_loss_for_a_dense_model() -> None:
    from sightline.engines.trl.settings.refused import check_router

    with pytest.raises(UserError, match=r"router_aux_loss_coef 0\.1 is for mixtures"):
        check_router(
            parse([*CPU, "--router_aux_loss_coef", "0.1"]).train, load_model("embedded").model.config
        )


def test_help_shows_our_settings_and_trl_s_behind_help_all(capsys: pytest.CaptureFixture[str]) -> None:
    from sightline.cli import main

    pages = []
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit, match="0"):
            main(["train", flag])
        pages.append(capsys.readouterr().out)
    short, whole = pages
    assert "--method_options" in short and "--vllm_group_port" not in short and "--help-all" in short
    assert whole.index("--method_options") < whole.index("--vllm_group_port")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sightline 0.")


def test_a_dropout_of_adapters_is_told_to_keep_prompts_from_being_shared() -> None:
    words = ["--model", "m", "--task", "shapes", "--use_cpu", "--bf16", "false", "--use_peft", "true"]
    assert "lora_dropout 0.05" in parse(words).describe_sharing()
    assert "are not run again" in parse([*words, "--lora_dropout", "0"]).describe_sharing()
