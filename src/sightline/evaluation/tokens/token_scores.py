"""How much the tokens of answers depend on the image, measured once and kept in the results folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...methods import Needs
from ...models.generation.generate import Answer, Prompt
from ...models.loading import LoadedModel
from ...models.scoring.score import score
from ...rollouts import Rollouts
from ...views import Black
from ..benchmarks.load import OpenBenchmark
from ..run.jsonl_records import SIGHTED, Generation, append_lines, read_generations, read_lines
from ..run.results_folder import ResultsFolder
from .scored_samples import as_rollouts
from .token_summaries import DEPENDENCY, FOCUS

AT_ONCE = 8


def score_tokens(
    folder: ResultsFolder,
    benchmarks: Sequence[OpenBenchmark],
    loaded: LoadedModel,
    count: int,
    *,
    seed: int = 0,
    progress: Callable[[int], object] = lambda number: None,
) -> None:
    """Score `count` sighted answers per benchmark, spread evenly, and append them to `token_scores.jsonl`.

    Per token: the exact KL between the policy with the image and with a black one, and the visual
    focus. Answers that are scored already are kept; answers without tokens or images have none.
    """
    stored = {(row["benchmark"], row["problem"]) for row in read_lines(folder.token_scores)}
    first = {
        (g.benchmark, g.problem): g
        for g in read_generations(folder.generations)
        if g.view == SIGHTED and g.sample == 0 and g.token_ids
    }
    for benchmark in benchmarks:
        indices = _spread(len(benchmark.items), count)
        wanted = [(index, first.get((benchmark.name, benchmark.items[index].id))) for index in indices]
        chosen = [(index, g) for index, g in wanted if g is not None]
        fresh = [(index, g) for index, g in chosen if (benchmark.name, g.problem) not in stored]
        progress(len(indices) - len(fresh))
        for start in range(0, len(fresh), AT_ONCE):
            rows = _score(benchmark, loaded, fresh[start : start + AT_ONCE], seed)
            append_lines(folder.token_scores, rows)
            progress(len(fresh[start : start + AT_ONCE]))


def _spread(length: int, count: int) -> list[int]:
    return sorted(set(np.linspace(0, length - 1, min(length, count)).round().astype(int).tolist()))


def _score(
    benchmark: OpenBenchmark, loaded: LoadedModel, chosen: Sequence[tuple[int, Generation]], seed: int
) -> list[dict[str, Any]]:
    problems = [benchmark.decode(index) for index, _ in chosen]
    kept = [(p, g) for p, (_, g) in zip(problems, chosen, strict=True) if p.images]
    if not kept:
        return []
    answers = [
        Answer(
            _prompt_ids(loaded.processor, Prompt(benchmark.messages(p), p.images)),
            list(g.token_ids or []), str(g.text), g.truncated,
        )
        for p, g in kept
    ]  # fmt: skip
    rollouts = as_rollouts(
        answers, [p.images for p, _ in kept], loaded.processor.tokenizer.pad_token_id, [p.id for p, _ in kept]
    )
    needs = Needs(frozenset((DEPENDENCY, FOCUS)), Black(), second_view_gradient=False)
    device = loaded.model.device
    found = score(loaded.model, loaded.processor, _on(rollouts, device), needs, seed=seed, step=0).signals
    return [
        {
            "benchmark": benchmark.name,
            "problem": g.problem,
            "sample": g.sample,
            **{
                name: [round(v, 6) for v in found[name][row, : len(g.token_ids or [])].tolist()]
                for name in (DEPENDENCY, FOCUS)
            },
        }
        for row, (_, g) in enumerate(kept)
    ]


def _on(rollouts: Rollouts, device: Any) -> Rollouts:
    names = ("prompt_ids", "prompt_mask", "response_ids", "mask", "group_ids")
    return replace(rollouts, **{name: getattr(rollouts, name).to(device) for name in names})


def _prompt_ids(processor: Any, prompt: Prompt) -> list[int]:
    """The prompt's tokens, image placeholders expanded."""
    text = processor.apply_chat_template(list(prompt.messages), add_generation_prompt=True, tokenize=False)
    inputs = processor(
        text=[text], images=[list(prompt.images)], return_tensors="pt", add_special_tokens=False
    )
    return inputs["input_ids"][0].tolist()
