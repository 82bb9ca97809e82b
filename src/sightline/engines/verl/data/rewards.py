"""Sightline's rewards where verl asks for them: one response at a time, in processes of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase  # pyright: ignore[reportMissingImports]

from ....rewards import reward
from ..reward_names import REWARD
from ..run_signals import RunSignals

_AT_ONCE = 16
"""Responses that one process grades side by side; the comparisons run in the pool's own processes."""


class SightlineRewards(RewardManagerBase):
    """verl's reward manager over the functions and weights of the setting `rewards`.

    The first failure ends the run: verl itself would train on with fewer rollouts.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any = None, **_: Any):
        super().__init__(config, tokenizer, compute_score)
        asked = config["sightline"]
        os.chdir(asked["directory"])  # where the command runs, so that relative paths are the user's
        self.signals = RunSignals(asked["folder"])
        self.threads = ThreadPoolExecutor(_AT_ONCE)
        try:
            self.functions: dict[str, tuple[Callable[..., Any], float]] = {
                name: (reward(name), float(weight)) for name, weight in asked["rewards"].items()
            }
        except Exception as error:
            self.signals.fail(error)
            raise

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The weighted sum of all rewards of one response, and each of them with what it logs."""
        item = data[-1:][0]
        length = item.batch["responses"].shape[-1]
        valid = int(item.batch["attention_mask"][-length:].sum())
        ids = item.batch["responses"][:valid].tolist()
        columns = item.non_tensor_batch
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.threads, self._graded, ids, columns)
        except Exception as error:
            self.signals.fail(error)
            raise

    def _graded(self, ids: list[int], row: Any) -> dict[str, Any]:
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        logged: dict[str, float] = {}
        gold, info = row["reward_model"], row["extra_info"]
        columns = {
            "answer": [gold["ground_truth"]],
            "accepted_answers": [gold["accepted"]],
            "choices": [gold["choices"]],
            "id": [info["id"]],
            "kind": [info["kind"]],
            "prompts": [_without_images(list(row["raw_prompt"]))],
            "completion_ids": [ids],
            "log_metric": logged.__setitem__,
        }
        total, values = 0.0, {}
        for name, (function, weight) in self.functions.items():
            (value,) = function(completions=[[{"role": "assistant", "content": text}]], **columns)
            values[REWARD + name] = float(value)
            total += weight * float(value)
        return {"reward_score": total, "reward_extra_info": values | logged}


def _without_images(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chat without the bytes of its images."""
    return [
        message
        if isinstance(message["content"], str)
        else message
        | {"content": [{"type": "image"} if one["type"] == "image" else one for one in message["content"]]}
        for message in messages
    ]
