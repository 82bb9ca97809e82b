"""Every problem put to a model under every view, in a fixed order, stored as it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL.Image import Image

from ...models.draw_views import draw_view
from ...models.generation.generate import Decoding, Prompt
from ...tasks.problem import Problem
from ...views import PixelView, Swapped, fingerprint, generator
from ..backends import Backend, Reply, Request
from ..benchmarks.load import OpenBenchmark
from .jsonl_records import SIGHTED, Generation, Key, append_lines, recover
from .kept_images import keep_image
from .results_folder import ResultsFolder

Progress = Callable[[int], object]


@dataclass(frozen=True)
class EvalPlan:
    """How often and how every problem is asked."""

    views: Mapping[str, PixelView | None]
    """Name -> view; `sighted` is None."""
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int | None = None
    """None: each benchmark's own."""
    seed: int = 0

    def decoding(self, benchmark: OpenBenchmark) -> Decoding:
        """How one benchmark is decoded."""
        return Decoding(
            self.max_new_tokens or benchmark.max_new_tokens, self.temperature, self.top_p, self.seed
        )


def ask(
    folder: ResultsFolder,
    benchmarks: Sequence[OpenBenchmark],
    plan: EvalPlan,
    backend: Backend,
    stored_before: Progress = lambda count: None,
    progress: Progress = lambda count: None,
) -> None:
    """Ask what is not stored yet and append it, batch by batch.

    The order is benchmark, view, problem, sample; a sample's seed follows from these alone. A run that
    was killed goes on where it stopped: no sample is asked twice, none is lost, failed ones are asked
    again. `stored_before(n)` is called once with what is there already, `progress(n)` for every n that
    come to it.
    """
    stored = {generation.key for generation in recover(folder.generations)}
    stored_before(len(stored))
    for benchmark in benchmarks:
        for name, view in plan.views.items():
            shown = _Shown(benchmark, name, view, backend.processor, plan.seed)
            for keys in _batches(benchmark, name, plan, backend.at_once):
                fresh = [key for key in keys if key not in stored]
                if fresh:
                    rows = _answer(keys if backend.exact else fresh, shown, plan, backend, folder)
                    append_lines(folder.generations, [vars(row) for row in rows if row.key in set(fresh)])
                    progress(len(fresh))


def expected(benchmarks: Sequence[OpenBenchmark], plan: EvalPlan) -> int:
    """How many samples a whole run has."""
    return sum(len(benchmark.items) for benchmark in benchmarks) * len(plan.views) * plan.samples


def seed_of(seed: int, key: Key) -> int:
    """The seed of one sample, from 0 to 2^62: equal in every process, whatever else is asked."""
    digest = hashlib.sha256(json.dumps([seed, *key]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2


def _batches(benchmark: OpenBenchmark, view: str, plan: EvalPlan, size: int) -> Iterator[list[Key]]:
    keys = [
        (benchmark.name, view, item.id, sample) for item in benchmark.items for sample in range(plan.samples)
    ]
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _answer(
    keys: Sequence[Key], shown: _Shown, plan: EvalPlan, backend: Backend, folder: ResultsFolder
) -> list[Generation]:
    prompts = [shown.prompt(problem) for _, _, problem, _ in keys]
    requests = [Request(prompt, seed_of(plan.seed, key)) for prompt, key in zip(prompts, keys, strict=True)]
    replies = backend.answers(requests, plan.decoding(shown.benchmark))
    return [
        _generation(key, request, reply, folder)
        for key, request, reply in zip(keys, requests, replies, strict=True)
    ]


def _generation(key: Key, request: Request, reply: Reply, folder: ResultsFolder) -> Generation:
    benchmark, view, problem, sample = key
    kept = view == SIGHTED and sample == 0
    return Generation(
        benchmark,
        view,
        problem,
        sample,
        request.seed,
        prompt_hash(request.prompt),
        reply.text,
        reply.truncated,
        reply.tokens,
        reply.token_ids,
        reply.failed,
        [keep_image(folder.images, image) for image in request.prompt.images] if kept else [],
    )


def prompt_hash(prompt: Prompt) -> str:
    """A name for what was asked: equal for equal messages and equal pixels."""
    asked = json.dumps([list(prompt.messages), fingerprint(list(prompt.images))], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


class _Shown:
    """One benchmark's problems as one view shows them; images are decoded one problem at a time."""

    def __init__(
        self, benchmark: OpenBenchmark, name: str, view: PixelView | None, processor: Any, seed: int
    ):
        self.benchmark, self.name, self.processor, self.seed = benchmark, name, processor, seed
        # Without a processor the size the model sees is not known: the view is drawn on what is sent to it.
        unknown = view is not None and view.stage == "model" and processor is None
        self.view = replace(view, stage="budget") if view is not None and unknown else view
        self.index = {item.id: number for number, item in enumerate(benchmark.items)}
        self._partners: list[int] | None = None
        self._last: tuple[str, Prompt] | None = None

    def prompt(self, problem_id: str) -> Prompt:
        """What is asked about a problem; the last one is kept, for its further samples."""
        if self._last is None or self._last[0] != problem_id:
            problem = self.benchmark.decode(self.index[problem_id])
            prompt = Prompt(self.benchmark.messages(problem), self._images(problem_id, problem))
            self._last = (problem_id, prompt)
        return self._last[1]

    def _images(self, problem_id: str, problem: Problem) -> list[Image]:
        if self.view is None or not problem.images:
            return list(problem.images)
        if isinstance(self.view, Swapped):
            partner = self.benchmark.decode(self._swapped()[self.index[problem_id]])
            return self.view.replace(problem.images, partner.images)
        return draw_view(self.view, [problem.images], [problem_id], self.processor, seed=self.seed, step=0)[0]

    def _swapped(self) -> list[int]:
        """The problem whose images each problem gets, from the fingerprints of all of them."""
        if self._partners is None:
            assert isinstance(self.view, Swapped)
            prints = [fingerprint(self.benchmark.decode(i).images) for i in range(len(self.index))]
            self._partners = self.view.partners(prints, generator(self.seed, 0, "swapped"))
        return self._partners
