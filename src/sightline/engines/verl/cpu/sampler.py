"""Rollouts of verl by Sightline's own sampler on the CPU, for small models where there is no vLLM."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
import torch
import torch.distributed as dist
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig
from verl.workers.rollout import base as rollout_base  # pyright: ignore[reportMissingImports]
from verl.workers.rollout.base import BaseRollout  # pyright: ignore[reportMissingImports]
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput  # pyright: ignore[reportMissingImports]

from ....models.families import end_ids, own_end_ids, placeholder_ids
from ....models.generation.decoder import sample
from ....models.generation.prompt_inputs import process, shown_prompts
from ....models.generation.sampling_params import choice
from ....models.loading import load_model
from ..data.agent_loop import PLACE

NAME = "sightline_cpu"
"""verl's `rollout.name` of this sampler."""
_QUIET = 1.0
"""Seconds without a new request after which those that wait are answered."""
_ROWS = 256
"""Responses sampled side by side."""


@dataclass
class _Request:
    place: str
    """Names the rollout; requests are sorted by it, so that draws do not depend on who came first."""
    prompt: tuple[int, ...]
    images: Sequence[Any]
    params: dict[str, Any]
    answer: asyncio.Future[TokenOutput]

    @property
    def kind(self) -> tuple[Any, ...]:
        """Requests of one kind are sampled together."""
        return tuple(self.params.get(name) for name in ("temperature", "top_p", "top_k"))


class Server:
    """Answers requests for responses; those that wait together run as one batch."""

    def __init__(self, path: str, longest: int, seed: int, expected: int):
        torch.set_num_threads(1)
        loaded = load_model(path, torch.float32)
        self.model: Any = loaded.model
        self.processor: Any = loaded.processor
        self.longest, self.seed, self.expected = longest, seed, expected
        self.version = 0
        self.waiting: list[_Request] = []
        self.arrived = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        """Whether the model is loaded."""
        return True

    async def load_weights(self, state: dict[str, Any], version: int | None) -> None:
        """Sample from these weights from now on."""
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        missing = set(missing) - set(self.model._tied_weights_keys or [])
        if missing or unexpected:
            raise ValueError(
                f"weights do not fit the sampler: missing {sorted(missing)[:3]}, unexpected {unexpected[:3]}"
            )
        self.version = int(version or 0)

    async def generate(
        self,
        request_id: str,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        image_data: Any = None,
        **_: Any,
    ) -> TokenOutput:
        """One response to one prompt."""
        answer = asyncio.get_running_loop().create_future()
        place = str(sampling_params.get(PLACE, request_id))
        self.waiting.append(_Request(place, tuple(prompt_ids), image_data or [], sampling_params, answer))
        self.arrived.set()
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._serve())
        return await answer

    async def _serve(self) -> None:
        while self.waiting:
            while len(self.waiting) < self.expected:
                self.arrived.clear()
                try:
                    await asyncio.wait_for(self.arrived.wait(), _QUIET)
                except TimeoutError:
                    break
            waiting, self.waiting = sorted(self.waiting, key=lambda one: one.place), []
            for start in range(0, len(waiting), _ROWS):
                await self._answer(waiting[start : start + _ROWS])

    async def _answer(self, requests: list[_Request]) -> None:
        for kind in dict.fromkeys(request.kind for request in requests):
            alike = [request for request in requests if request.kind == kind]
            try:
                outputs = self._sampled(alike)
            except Exception as error:
                for request in alike:
                    request.answer.set_exception(error)
                continue
            for request, output in zip(alike, outputs, strict=True):
                request.answer.set_result(output)
            await asyncio.sleep(0)

    def _sampled(self, requests: list[_Request]) -> list[TokenOutput]:
        """Responses from one stream of draws, seeded by the weights' version and the rollouts' names."""
        keys = [(one.prompt, *(image.tobytes() for image in one.images)) for one in requests]
        places = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        first = [requests[keys.index(key)] for key in places]
        ids = [torch.tensor(one.prompt) for one in first]
        pad = int(self.processor.tokenizer.pad_token_id or 0)
        prompts = shown_prompts(
            self.model,
            pad_sequence(ids, batch_first=True, padding_value=pad, padding_side="left"),
            pad_sequence([torch.ones_like(one) for one in ids], batch_first=True, padding_side="left"),
            process(self.model, self.processor, [list(one.images) for one in first]),
        )
        named = f"{self.seed}/{self.version}/{requests[0].place}/{requests[-1].place}".encode()
        torch.manual_seed(int.from_bytes(hashlib.sha256(named).digest()[:6], "big"))
        owner = torch.tensor([places[key] for key in keys])
        found = sample(
            self.model, prompts, owner, choice(self._config(requests[0]), self.model.generation_config)
        )
        return [
            TokenOutput(
                token_ids=tokens,
                log_probs=found.log_probs[row, : len(tokens)].tolist(),
                stop_reason="completed",
                extra_fields={"global_steps": self.version},
            )
            for row, tokens in enumerate(found.lists())
        ]

    def _config(self, request: _Request) -> GenerationConfig:
        temperature = float(request.params.get("temperature", 1.0))
        drawn = {
            "temperature": temperature,
            "top_p": float(request.params.get("top_p", 1.0)),
            "top_k": max(0, int(request.params.get("top_k", -1))),
        }
        config, tokenizer = self.model.config, self.processor.tokenizer
        return GenerationConfig(
            max_new_tokens=self.longest,
            do_sample=temperature > 0,
            suppress_tokens=placeholder_ids(config) or None,
            eos_token_id=sorted({*end_ids(config), *own_end_ids(self.model), tokenizer.eos_token_id}),
            pad_token_id=tokenizer.pad_token_id,
            **(drawn if temperature > 0 else {}),
        )

    # verl turns samplers on GPUs off and on again; this one has nothing to give back.

    async def wake_up(self, *_: Any, **__: Any) -> bool:
        return True

    sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = resume_generation = wake_up
    abort_all_requests = wake_up


def _server_name(replica: int) -> str:
    return f"sightline_cpu_sampler_{replica}"


class CpuReplica(RolloutReplica):
    """One server for the ranks of a replica."""

    async def launch_servers(self) -> None:
        """Start the server and wait until its model is loaded."""
        expected = int((self.config.engine_kwargs.get(NAME) or {}).get("rows", 1))
        remote = ray.remote(num_cpus=1, max_concurrency=10_000)(Server)
        server = remote.options(name=_server_name(self.replica_rank)).remote(
            self.model_config.path, self.config.response_length, self.config.seed, expected
        )
        await server.ready.remote()
        self.servers = [server]
        self._server_handle, self._server_address = server, f"{NAME}:{self.replica_rank}"


class CpuRollout(BaseRollout):
    """In a training rank: gathers the weights and hands them to its replica's server."""

    async def resume(self, tags: Any) -> None: ...

    async def release(self) -> None: ...

    async def update_weights(self, weights: Any, global_steps: int | None = None, **_: Any) -> None:
        """Every rank takes part, since gathering does; the first rank of a replica sends."""
        state = {name: tensor.detach().cpu().clone() for name, tensor in weights}
        size, rank = self.config.tensor_model_parallel_size, dist.get_rank()
        if rank % size == 0:
            server: Any = ray.get_actor(_server_name(rank // size))
            await server.load_weights.remote(state, global_steps)


RolloutReplicaRegistry.register(NAME, lambda: CpuReplica)
rollout_base._ROLLOUT_REGISTRY[(NAME, "async")] = f"{__name__}.CpuRollout"
