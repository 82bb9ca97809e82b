"""TRL's settings that are passed on arrive at what they are about: optimizer, loader, adapters, loss."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from trl.trainer.utils import get_peft_config

from sightline.engines.trl.engine import make_trainer
from sightline.engines.trl.settings.resolve import parse
from sightline.models.generation.generate import Decoding, Prompt, generate
from sightline.models.loading import LoadedModel, load_model
from sightline.models.prompt_lengths import token_counter
from sightline.tasks import ShapesTask

SHORT = [
    *(
        "--model",
        "embedded",
        "--method",
        "grpo",
        "--use_cpu",
        "--bf16",
        "false",
        "--no_gradient_checkpointing",
    ),
    *("--per_device_train_batch_size", "8", "--num_generations", "4", "--max_completion_length", "12"),
    *("--max_steps", "10", "--save_strategy", "no", "--seed", "3", "--blind_every", "0"),
]


@pytest.fixture(scope="module")
def embedded() -> LoadedModel:
    return load_model("embedded", torch.float32)


BY_FUNCTION = "normalize_then_sum"


def trainer(folder: Path, loaded: LoadedModel, *argv: str) -> Any:
    settings, task = parse([*SHORT, "--output_dir", str(folder), *argv]), ShapesTask()
    return make_trainer(settings, loaded, task, task.train(16, 3))


def test_the_optimizer_and_its_schedule(tmp_path: Path, embedded: LoadedModel) -> None:
    made = trainer(
        tmp_path, embedded, "--adam_beta1", "0.8", "--adam_beta2", "0.9", "--adam_epsilon", "1e-7",
        "--weight_decay", "0.25", "--learning_rate", "0.5", "--lr_scheduler_type", "cosine_with_min_lr",
        "--lr_scheduler_kwargs", '{"min_lr": 0.1}', "--warmup_steps", "4", "--max_grad_norm", "0.75",
    )  # fmt: skip
    made.create_optimizer_and_scheduler(10)
    groups = made.optimizer.param_groups
    assert type(made.optimizer).__name__ == "AdamW"
    assert groups[0]["betas"] == (0.8, 0.9) and groups[0]["eps"] == 1e-7
    assert sorted({group["weight_decay"] for group in groups}) == [0.0, 0.25]
    rate = made.lr_scheduler.lr_lambdas[0]
    assert rate(2) == pytest.approx(0.5) and 0.5 * rate(10) == pytest.approx(0.1)
    assert made.args.max_grad_norm == 0.75

    made = trainer(tmp_path, embedded, "--optim", "sgd", "--optim_args", "momentum=0.5")
    made.create_optimizer()
    assert isinstance(made.optimizer, torch.optim.SGD) and made.optimizer.param_groups[0]["momentum"] == 0.5


def test_the_loader_of_prompts(tmp_path: Path, embedded: LoadedModel) -> None:
    made = trainer(
        tmp_path, embedded, "--dataloader_num_workers", "2", "--dataloader_prefetch_factor", "3",
        "--dataloader_persistent_workers", "--dataloader_pin_memory", "false",
        "--dataloader_multiprocessing_context", "spawn", "--dataloader_in_order", "false",
        "--no_shuffle_dataset",
    )  # fmt: skip
    loader = made.get_train_dataloader()
    base = getattr(loader, "base_dataloader", loader)
    found = base.num_workers, base.prefetch_factor, base.persistent_workers, base.pin_memory, base.in_order
    assert found == (2, 3, True, False, False)
    assert base.multiprocessing_context.get_start_method() == "spawn"
    numbers = list(made._get_train_sampler())
    assert numbers[:8] == [0] * 4 + [1] * 4
    shuffled = list(trainer(tmp_path, embedded)._get_train_sampler())
    assert shuffled[:8] != numbers[:8] and sorted(set(shuffled)) == sorted(set(numbers))


def test_adapters() -> None:
    flags = (
        "--use_peft --lora_r 4 --lora_alpha 12 --lora_dropout 0.25 --use_rslora --use_dora "
        "--lora_target_modules q_proj --lora_modules_to_save lm_head"
    )
    config = get_peft_config(parse([*SHORT, "--output_dir", "x", *flags.split()]).model)
    assert config is not None
    found: Any = config
    assert (found.r, found.lora_alpha, found.lora_dropout) == (4, 12, 0.25)
    assert found.use_rslora and found.use_dora
    assert set(found.target_modules) == {"q_proj"} and found.modules_to_save == ["lm_head"]


@pytest.mark.parametrize(
    ("flags", "attribute", "value"),
    [
        ("--loss_type sapo --sapo_temperature_neg 1.5", "args.sapo_temperature_neg", 1.5),
        ("--loss_type sapo --sapo_temperature_pos 1.25", "args.sapo_temperature_pos", 1.25),
        ("--loss_type vespo --vespo_k_pos 2.5", "args.vespo_k_pos", 2.5),
        ("--loss_type vespo --vespo_k_neg 2.5", "args.vespo_k_neg", 2.5),
        ("--loss_type vespo --vespo_lambda_pos 2.5", "args.vespo_lambda_pos", 2.5),
        ("--loss_type vespo --vespo_lambda_neg 2.5", "args.vespo_lambda_neg", 2.5),
        (f"--multi_objective_aggregation {BY_FUNCTION}", "multi_objective_aggregation", BY_FUNCTION),
        ("--mask_truncated_completions", "mask_truncated_completions", True),
        ("--top_entropy_quantile 0.5", "top_entropy_quantile", 0.5),
        ("--entropy_coef 0.25", "entropy_coef", 0.25),
        ("--log_completions --num_completions_to_print 3", "num_completions_to_print", 3),
        ("--chat_template_kwargs {\"a\":1}", "chat_template_kwargs", {"a": 1}),
        ("--neftune_noise_alpha 2.5", "neftune_noise_alpha", 2.5),
    ],
)  # fmt: skip
def test_what_trl_s_loss_and_tables_read(
    flags: str, attribute: str, value: Any, tmp_path: Path, embedded: LoadedModel
) -> None:
    found: Any = trainer(tmp_path, embedded, *flags.split())
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


def test_a_reference_that_follows(tmp_path: Path, embedded: LoadedModel) -> None:
    flags = "--beta 0.1 --sync_ref_model --ref_model_mixup_alpha 0.25 --ref_model_sync_steps 7"
    made = trainer(tmp_path, embedded, *flags.split())
    assert (made.args.ref_model_mixup_alpha, made.args.ref_model_sync_steps) == (0.25, 7)
    assert any(type(one).__name__ == "SyncRefModelCallback" for one in made.callback_handler.callbacks)


def test_the_chat_template_s_arguments_hold_wherever_a_prompt_is_written(embedded: LoadedModel) -> None:
    """Held-out problems are asked, and prompts measured, as the policy is trained."""
    seen: list[dict[str, Any]] = []
    processor: Any = embedded.processor

    class Recording:
        def __getattr__(self, name: str) -> Any:
            return getattr(processor, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return processor(*args, **kwargs)

        def apply_chat_template(self, messages: Any, **kwargs: Any) -> str:
            seen.append(kwargs)
            return processor.apply_chat_template(messages, **kwargs)

    task = ShapesTask()
    problem = task.test(1, 0)[0]
    prompt = Prompt(task.messages(problem), problem.images)
    generate(embedded.model, Recording(), [prompt], Decoding(2, template={"enable_thinking": False}))
    token_counter(Recording(), enable_thinking=False)(task.messages(problem), [(64, 64)])
    assert len(seen) >= 3 and all(one["enable_thinking"] is False for one in seen)


def test_no_bar_where_none_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import short_runs

    shown = []
    for name, flags in (("with", ()), ("without", ("--disable_tqdm", "true"))):
        screen = io.StringIO()
        monkeypatch.setattr(sys, "stderr", screen)
        short_runs.run(tmp_path / name, "--max_steps", "1", "--save_strategy", "no", *flags)
        shown.append("step/s" in screen.getvalue() or "s/step" in screen.getvalue())
    assert shown == [True, False]


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_bans_that_every_run_has_are_no_cause_of_drift(
    tmp_path: Path, embedded: LoadedModel, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """`make_trainer` adds them to `generation_kwargs`; the warning names only what was given."""
    monkeypatch.setattr("sightline.engines.trl.settings.hardware.installed_vllm", lambda: "0.31.0")
    monkeypatch.setattr("sightline.engines.trl.trainer.vllm_sampling.TrainersVllm", SimpleNamespace)
    vllm = ("--use_vllm", "--vllm_mode", mode, "--vllm_importance_sampling_correction", "false")
    row = {"sampling/drift": 0.1, "sampling/drift_one_way": 0.1}
    for given, cause in ((), ""), (("--min_p", "0.1"), "min_p 0.1"):
        made = trainer(tmp_path, embedded, *vllm, *given)
        assert "logit_bias" in made.args.generation_kwargs or "bad_words" in made.args.generation_kwargs
        (line,) = [line for _ in range(5) for line in made.health.of(row)]
        assert "generation_kwargs" not in line
        assert cause in line and ("come from" in line) == bool(cause)
