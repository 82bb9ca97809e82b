"""How often the embedded model is right on held-out problems: greedy, sampled, and blind."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from transformers import PaddleOCRVLProcessor, Qwen3VLForConditionalGeneration

from ...tasks.problem import Problem, Task
from ..generation.generate import Decoding, Prompt, generate

SAMPLES = 4
"""Sampled responses a problem, at temperature 1; they are averaged."""


def is_right(response: str, problem: Problem) -> bool:
    """Whether the response ends, as the house format asks, with the right number in its box."""
    return response.endswith(f"\\boxed{{ {problem.answer} }}")


def black_images(problem: Problem) -> list[Image.Image]:
    """As many black images as the problem has images, of their sizes."""
    return [Image.new("RGB", image.size) for image in problem.images]


def accuracies(
    model: Qwen3VLForConditionalGeneration,
    words_and_images: PaddleOCRVLProcessor,
    task: Task,
    problems: Sequence[Problem],
    longest_response: int,
    seed: int = 0,
) -> dict[str, float]:
    """Shares of right responses in [0, 1]: `greedy`, `sampled` at temperature 1, `blind` (greedy, on black).

    Raises:
        ValueError: there is no problem.
    """
    problems = list(problems)
    if not problems:
        raise ValueError("accuracies need at least one problem, got none")
    messages = [task.messages(problem) for problem in problems]
    seen = [Prompt(m, problem.images) for m, problem in zip(messages, problems, strict=True)]
    blind = [Prompt(m, black_images(problem)) for m, problem in zip(messages, problems, strict=True)]
    plain = Decoding(longest_response)
    runs = {
        "greedy": [(seen, plain)],
        "sampled": [
            (seen, Decoding(longest_response, temperature=1.0, seed=seed + i)) for i in range(SAMPLES)
        ],
        "blind": [(blind, plain)],
    }

    def share_right(prompts: list[Prompt], decoding: Decoding) -> float:
        answers = generate(model, words_and_images, prompts, decoding, batch_size=128)
        return sum(is_right(a.text, p) for a, p in zip(answers, problems, strict=True)) / len(problems)

    return {name: sum(share_right(*run) for run in each) / len(each) for name, each in runs.items()}
