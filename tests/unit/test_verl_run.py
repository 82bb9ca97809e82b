"""What the processes of a verl run tell each other, and the names of its metrics."""

from pathlib import Path

import pytest
import torch

from sightline.engines.command_line import chosen_engine
from sightline.engines.verl.run_signals import FailedError, RunSignals
from sightline.engines.verl.training.metrics import logged_by_rewards, reward_metrics, under_our_names
from sightline.errors import UserError


def test_the_first_failure_is_the_one_that_is_told(tmp_path: Path) -> None:
    signals = RunSignals(tmp_path)
    signals.clear()
    signals.raise_failure()
    RunSignals(tmp_path).fail(UserError("reward f raised"))
    RunSignals(tmp_path).fail(RuntimeError("an empty list as keys"))
    with pytest.raises(UserError, match="reward f raised"):
        signals.raise_failure()


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    signals = RunSignals(tmp_path)
    signals.clear()
    try:
        raise KeyError("x")
    except KeyError as error:
        signals.fail(error)
    found = signals.failure()
    assert found is not None and found["kind"] == "failure" and "Traceback" in found["traceback"]
    with pytest.raises(FailedError, match="KeyError"):
        signals.raise_failure()


def test_stop_and_lines_go_one_way_each_and_leave_nothing(tmp_path: Path) -> None:
    command, trainer = RunSignals(tmp_path), RunSignals(tmp_path)
    command.clear()
    assert not trainer.stop_wanted()
    command.ask_to_stop()
    trainer.say("one\ntwo")
    trainer.say("three")
    assert (
        trainer.stop_wanted() and command.lines(0) == ["one\ntwo", "three"] and command.lines(1) == ["three"]
    )
    command.remove()
    assert list(tmp_path.iterdir()) == []


def test_metrics_have_the_other_engines_names() -> None:
    verl = {"actor/loss": 0.5, "actor/grad_norm": 1.0, "actor/terms/perception_kl": 0.1, "actor/lr": 1e-6,
            "response_length/mean": 7.0, "timing_s/gen": 2.0, "critic/score/mean": 3.0,
            "val-core/org/set/reward/mean@1": 0.5, "val-aux/org/set/rewards/accuracy/mean@1": 0.75,
            "val-aux/org/set/rewards/format/mean@1": 1.0, "val-aux/num_turns/mean": 2.0}  # fmt: skip
    row = under_our_names(verl, {"accuracy": 0.25})
    assert row == {
        "loss": 0.5,
        "grad_norm": 1.0,
        "terms/perception_kl": 0.1,
        "learning_rate": 1e-6,
        "completions/mean_length": 7.0,
        "verl/seconds/gen": 2.0,
        "eval_reward": 0.5,
        "eval_accuracy": 0.75,
        "eval_rewards/format/mean": 1.0,
        "accuracy": 0.25,
    }


def test_rewards_are_averaged_as_they_were_given() -> None:
    fields = [{"reward_extra_info": {"rewards/accuracy": value, "accuracy": value}} for value in (1.0, 0.0)]
    assert logged_by_rewards(fields) == {"rewards/accuracy/mean": 0.5, "accuracy": 0.5}
    found = reward_metrics(torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    assert found["reward"] == 0.75 and found["frac_reward_zero_std"] == 0.5
    assert found["reward_std"] == pytest.approx(0.5**0.5 / 2)


def test_the_engine_is_chosen_by_a_flag_or_the_yaml(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("engine: verl\n")
    assert chosen_engine(["--config", str(file)]) == "verl"
    assert chosen_engine(["--config", str(file), "--engine", "trl"]) == "trl"
    assert chosen_engine(["--engine=verl"]) == "verl"
    assert chosen_engine(["--", "--engine", "verl"]) is None
