"""Our settings in verl's words; what has no counterpart is named with verl's own key."""

from pathlib import Path

import pytest
import yaml

from sightline.engines.verl.settings import checks
from sightline.engines.verl.settings.checks import check_libraries
from sightline.engines.verl.settings.overrides import overrides_of
from sightline.engines.verl.settings.resolve import parse
from sightline.errors import UserError

CPU = ["--model", "embedded", "--use_cpu", "true", "--bf16", "false"]
HIDDEN = "{second_grad: true, view: text_only}"
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def verl_of(*flags: str) -> dict[str, object]:
    settings = parse([*CPU, *flags])
    return {one.key: one.value for one in overrides_of(settings.train, settings.method)}


def test_a_run_to_resume_has_to_be_named() -> None:
    with pytest.raises(UserError, match=r"^--resume needs --output_dir: the run to continue$"):
        parse([*CPU, "--resume", "true"])
    assert parse([*CPU, "--resume", "true", "--output_dir", "runs/here"]).train.resume


def test_sizes_are_prompts_and_rows_as_verl_counts_them() -> None:
    flags = ["--n_gpus_per_node", "2", "--per_device_train_batch_size", "16", "--num_generations", "8"]
    flags += ["--gradient_accumulation_steps", "2", "--generation_batch_size", "128", "--max_steps", "6"]
    found = verl_of(*flags, "--save_steps", "4")
    assert found["data.train_batch_size"] == 16
    assert found[f"{ACTOR}.ppo_mini_batch_size"] == 8
    assert found[f"{ACTOR}.ppo_micro_batch_size_per_gpu"] == 16
    assert found[f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu"] == 16
    assert found[f"{ROLLOUT}.n"] == 8
    assert found["trainer.total_training_steps"] == 3, "two optimizer steps are one of verl's"
    assert found["trainer.save_freq"] == 2


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("vppo", {"clip_ratio_high": 0.28, "loss_agg_mode": "token-mean", "use_kl_loss": False}),
        ("grpo", {"clip_ratio_high": 0.2, "loss_agg_mode": "seq-mean-token-mean"}),
        ("gspo", {"clip_ratio_low": 3e-4, "policy_loss.loss_mode": "gspo"}),
        ("dr_grpo", {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 256}),
    ],
)
def test_the_objective_is_the_methods(method: str, expected: dict[str, object]) -> None:
    found = verl_of("--method", method)
    assert {name: found[f"{ACTOR}.{name}"] for name in expected} == expected


def test_dual_clip_is_the_methods_or_never_binds() -> None:
    assert verl_of("--method", "vppo")[f"{ACTOR}.clip_ratio_c"] == 1e6
    assert verl_of("--method", "vppo", "--delta", "3.0")[f"{ACTOR}.clip_ratio_c"] == 3.0


def test_adapters_are_asked_for_in_verls_words() -> None:
    given = ["--use_peft", "true", "--lora_r", "8", "--lora_target_modules", "q_proj", "v_proj"]
    found, model = verl_of(*given), "actor_rollout_ref.model"
    assert (found[f"{model}.lora_rank"], found[f"{model}.lora_alpha"]) == (8, 32)
    assert found[f"{model}.target_modules"] == ["q_proj", "v_proj"] and found[f"{model}.lora.merge"] is True
    assert f"{model}.lora_rank" not in verl_of("--lora_r", "8")


def test_a_flag_goes_over_the_yaml_which_goes_over_the_method(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "engine: verl\nmodel: embedded\nuse_cpu: true\nbf16: false\nepsilon: 0.1\nepsilon_high: 0.3\n"
    )
    settings = parse(["--config", str(file), "--epsilon_high", "0.4"])
    assert (settings.train.epsilon, settings.train.epsilon_high) == (0.1, 0.4)
    assert settings.set_by["epsilon"] == "yaml" and settings.set_by["epsilon_high"] == "flag"
    assert settings.set_by["loss_type"] == "method"


def test_what_stands_behind_the_dashes_is_verls_and_comes_last() -> None:
    settings = parse([*CPU, "--seed", "1", "--", "trainer.test_freq=5", "+x.y=1"])
    assert settings.given == ("trainer.test_freq=5", "+x.y=1")
    assert settings.as_dict()["verl_overrides"] == ["trainer.test_freq=5", "+x.y=1"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--logging_steps", "5"], "give -- trainer.logger=VALUE"),
        (["--warmup_ratio", "0.1"], r"lr_warmup_steps_ratio=VALUE"),
        (["--use_vllm", "true"], "set sampler: vllm"),
        (["--load_in_4bit", "true"], "not supported by the verl engine yet"),
        (["--lora_r", "0"], "lora_r must be at least 1"),
        (["--learning_rat", "1"], "learning_rate"),
        (["--", "--lr"], "key=value"),
        (["--num_generations", "3"], "whole groups of num_generations 3"),
        (["--generation_batch_size", "12"], "nearest that are: 8 or 16"),
        (["--generation_batch_size", "16", "--max_steps", "3"], "nearest that do: 2 or 4"),
        (["--temperature", "0"], "temperature must be above 0"),
        (["--sampler", "vlm"], "vllm"),
        (["--bf16", "true"], "float32"),
        (["--method", "papo", "--method_options", HIDDEN, "--use_cpu", "false"], "packed rows"),
        (["--report_to", "wandbb"], "wandb"),
        (["--nnodes", "2"], "ray_address: auto"),
        (["--loss_type", "bnpo"], "loss_type"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(flags: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse([*CPU, *flags])


def test_a_gpu_run_without_a_gpu_says_so() -> None:
    with pytest.raises(UserError, match="no GPU was found"):
        parse(["--model", "embedded"])


@pytest.mark.parametrize(
    ("found", "trl", "message"),
    [
        (None, None, r"pip install 'sightline-rl\[verl\]'"),
        ("0.8.0", None, "written for verl >= 0.9.1"),
        ("0.9.1", "1.16.0", "pip uninstall trl"),
    ],
)
def test_another_verl_or_a_trl_beside_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: str | None, trl: str | None, message: str
) -> None:
    versions = {"verl": found, "trl": trl}

    def version(name: str) -> str:
        if versions[name] is None:
            raise checks.PackageNotFoundError(name)
        return str(versions[name])

    monkeypatch.setattr(checks, "find_spec", lambda name: versions[name])
    monkeypatch.setattr(checks, "version", version)
    with pytest.raises(UserError, match=message):
        check_libraries()


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("name", sorted(path.stem for path in (RECIPES / "verl").glob("*.yaml")))
def test_a_recipe_trains_what_the_other_engines_recipe_trains(name: str) -> None:
    other = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    file = RECIPES / "verl" / f"{name}.yaml"
    train = parse(["--config", str(file), "--use_cpu", "true", "--bf16", "false"]).train
    same = (
        "model",
        "task",
        "method",
        "num_generations",
        "max_steps",
        "max_completion_length",
        "learning_rate",
    )
    assert {key: getattr(train, key) for key in same} == {key: other[key] for key in same}
    assert (
        train.batch_rollouts
        == other["per_device_train_batch_size"] * train.ranks * other["steps_per_generation"]
    )
    updates = other["steps_per_generation"] // other["gradient_accumulation_steps"]
    assert train.updates == updates
    assert f"sightline train --config recipes/verl/{name}.yaml" in file.read_text()


def test_the_demo_is_the_other_engines_demo() -> None:
    demo, other = (yaml.safe_load((RECIPES / name).read_text()) for name in ("demo-verl.yaml", "demo.yaml"))
    train = parse(["--config", str(RECIPES / "demo-verl.yaml")]).train
    assert train.step_rollouts == other["per_device_train_batch_size"]
    shared = demo.keys() & other.keys() - {"output_dir", "per_device_train_batch_size"}
    assert {key: demo[key] for key in shared} == {key: other[key] for key in shared}


def test_the_record_of_a_run_is_a_config(tmp_path: Path) -> None:
    flags = ["--method", "vppo", "--learning_rate", "2e-6", "--max_steps", "4", "--output_dir", "runs/a"]
    first = parse([*CPU, *flags, "--", "trainer.nnodes=2"])
    record = first.as_dict() | {"set_by": first.set_by, "git_revision": None, "versions": {"verl": "0.9"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(record))
    again = parse(["--config", str(tmp_path / "config.yaml"), "--output_dir", "runs/a"])
    assert again.as_dict() == first.as_dict()
    assert again.given == ("trainer.nnodes=2",)
