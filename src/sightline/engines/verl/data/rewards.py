"""Sightline's rewards where verl asks for them: one response at a time, in processes of their own."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase  # pyright: ignore[reportMissingImports]

from ....rewards import reward
from ....rewards.functions import reads_whole_rows, undecided_columns
from ..reward_names import REWARD, UNJUDGED
from ..run_signals import RunSignals
from .dataset import TOLD
from .messages import shown_images

_AT_ONCE = 16
"""Responses that one process grades side by side; the comparisons run in the pool's own processes."""


class SightlineRewards(RewardManagerBase):
    """verl's reward manager over the functions and weights of the setting `rewards`.

    A response that no reward judges is marked, and the trainer leaves it out of its batch. The first failure
    ends the run: verl itself would train on with fewer rollouts.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any = None, **_: Any):
        super().__init__(config, tokenizer, compute_score)
        asked = config["sightline"]
        os.chdir(asked["directory"])  # where the command runs, so that relative paths are the user's
        self.signals, self.opening = RunSignals(asked["folder"]), str(asked["opening"])
        self.threads = ThreadPoolExecutor(_AT_ONCE)
        try:
            self.functions: dict[str, tuple[Callable[..., Any], float]] = {
                name: (reward(name), float(weight)) for name, weight in asked["rewards"].items()
            }
        except Exception as error:
            self.signals.fail(error)
            raise
        self.whole_rows = reads_whole_rows(one for one, _ in self.functions.values())

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
        chat = list(row["raw_prompt"])
        columns: dict[str, Any] = {name: [value] for name, value in row[TOLD].items()}
        if self.whole_rows:
            columns["images"] = [shown_images(chat)]
        columns |= {
            "prompts": [_without_images(chat)],
            "opening": [self.opening],
            "completion_ids": [ids],
            "log_metric": lambda name, value: logged.__setitem__(name, float(value)),
        }
        values = {}
        for name, (function, _) in self.functions.items():
            (value,) = function(completions=[[{"role": "assistant", "content": text}]], **columns)
            values[name] = math.nan if value is None else float(value)
        total = self._total(values)
        named = {REWARD + name: value for name, value in values.items()}
        marked = named | logged | {UNJUDGED: float(total is None)}
        return {"reward_score": total or 0.0, "reward_extra_info": marked}

    def _total(self, values: Mapping[str, float]) -> float | None:
        """The weighted sum of a response's rewards, NaN where one has no opinion.

        None if none has one, or if one that decides (`undecided_columns`) could not.
        """
        judged = {name: value for name, value in values.items() if not math.isnan(value)}
        decisive = [name for name, (one, _) in self.functions.items() if undecided_columns([one])]
        if not judged or set(decisive) - judged.keys():
            return None
        return sum(self.functions[name][1] * value for name, value in judged.items())


def _without_images(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chat without the bytes of its images."""
    return [
        message
        if isinstance(message["content"], str)
        else message
        | {"content": [{"type": "image"} if one["type"] == "image" else one for one in message["content"]]}
        for message in messages
    ]
