"""What a run that samples with vLLM may ask for: the trainer's own policy, or a refusal by name."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.engines.trl.settings import hardware
from sightline.engines.trl.settings.resolve import parse
from sightline.engines.trl.settings.vllm_settings import longest_prompt, token_biases
from sightline.errors import UserError

RUN = ("--model", "embedded", "--use_cpu", "--bf16", "false", "--use_vllm", "--vllm_mode", "colocate")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "installed_vllm", lambda: "0.31.0")


def train(*argv: str) -> Any:
    return parse([*RUN, *argv]).train


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--top_p", "0.99"], "top_p 0.99"),
        (["--top_k", "5"], "top_k 5"),
        (["--min_p", "0.2"], "min_p 0.2"),
        (["--repetition_penalty", "1.1"], "repetition_penalty 1.1"),
        (["--vllm_structured_outputs_regex", "[ab]"], r"vllm_structured_outputs_regex \[ab\]"),
        (["--generation_kwargs", '{"presence_penalty": 0.5}'], "generation_kwargs.presence_penalty"),
        (["--generation_kwargs", '{"logit_bias": {"3": 5}}'], "generation_kwargs.logit_bias"),
        (["--top_p", "0.9", "--min_p", "0.1"], "top_p 0.9, min_p 0.1"),
    ],
)
@pytest.mark.parametrize("mode", ["sequence_mask", "token_truncate"])
def test_truncation_and_the_importance_correction_are_not_combined(
    argv: list[str], named: str, mode: str
) -> None:
    with pytest.raises(UserError, match=f"^{named} cannot be combined .*correction: false.* or leave out"):
        train(*argv, "--vllm_importance_sampling_mode", mode)
    assert train(*argv, "--vllm_importance_sampling_correction", "false").use_vllm


@pytest.mark.parametrize("argv", [[], ["--temperature", "0.7"], ["--top_p", "1"], ["--min_p", "0"]])
def test_what_both_sides_know_may_be_corrected_for(argv: list[str]) -> None:
    assert train(*argv).vllm_importance_sampling_correction


def test_without_vllm_truncation_is_nobodys_business() -> None:
    settings = parse([*RUN[:5], "--top_p", "0.9"])
    assert settings.train.top_p == 0.9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ('{"seed": 1}', "seed cannot be given with use_vllm: every rollout of a prompt would be the same"),
        ('{"n": 4}', "n is the setting num_generations"),
        ('{"max_tokens": 4}', "max_tokens is the setting max_completion_length"),
        ('{"logprobs": 5}', "logprobs cannot be given"),
        ('{"ignore_eos": true}', "a response ends at the model's own end ids"),
        ('{"suppress_tokens": [3]}', "unknown key of generation_kwargs for vLLM 'suppress_tokens'"),
        ('{"logit_bias": {"a": 1}}', "logit_bias must be a mapping of token ids to numbers"),
        ('{"logit_bias": 3}', "logit_bias must be a mapping of token ids to numbers"),
    ],
)
def test_sampling_parameters_that_train_nothing_or_something_else(given: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        train("--generation_kwargs", given, "--vllm_importance_sampling_correction", "false")


def test_json_writes_token_ids_as_text() -> None:
    assert token_biases({"12": -1, 3: 2.5}) == {12: -1.0, 3: 2.5}


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (
            ["--max_prompt_length", "500"],
            "max_prompt_length 500 . max_completion_length 64 is 564, more than",
        ),
        (["--vllm_max_model_length", "64"], "max_completion_length 64 leaves no room"),
    ],
)
def test_lengths_have_to_fit_into_vllms_context(argv: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        train("--max_completion_length", "64", "--vllm_max_model_length", "512", *argv)


def test_the_longest_prompt_leaves_room_for_a_whole_response() -> None:
    lengths = ("--max_completion_length", "64")
    window = (*lengths, "--vllm_max_model_length", "512")
    assert longest_prompt(train(*window), 2048) == 448
    assert longest_prompt(train(*lengths), 2048) == 1984
    assert longest_prompt(train(*lengths), None) is None
    assert longest_prompt(train(*window, "--max_prompt_length", "100"), 2048) == 100
    assert parse([*RUN[:5], *window]).longest_prompt(2048) is None  # transformers has no such bound


def test_prompts_without_room_are_left_out_and_counted() -> None:
    from sightline.cli.train import _fitting
    from sightline.models.loading import load_model
    from sightline.models.prompt_lengths import token_counter
    from sightline.tasks import load_task

    loaded, task = load_model("embedded"), load_task("shapes")
    count = token_counter(loaded.processor)
    lengths = [
        count(task.messages(problem), [image.size for image in problem.images])
        for problem in task.train(20, 0)
    ]
    longest = sorted(lengths)[10]
    more = ("--limit", "20", "--seed", "0", "--max_completion_length", "40")
    settings = parse([*RUN, *more, "--vllm_max_model_length", str(longest + 40)])
    kept, (line,) = _fitting(settings, task, loaded)
    assert len(kept) == sum(length <= longest for length in lengths) < 20
    assert line.startswith(f"left out {20 - len(kept)} of 20 problems whose prompt has more than {longest} ")
    assert "vLLM has no room for a whole response" in line
