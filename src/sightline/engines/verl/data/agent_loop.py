"""verl's single-turn rollout, which says what went wrong and never samples a multimodal placeholder."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError  # pyright: ignore[reportMissingImports]
from verl.experimental.agent_loop.agent_loop import register  # pyright: ignore[reportMissingImports]
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop  # pyright: ignore[reportMissingImports]

from ..run_signals import RunSignals

NAME = "sightline"
PLACE = "sightline_place"
"""Sampling parameter that names a rollout, so that draws need not depend on the order of calls."""
_LEAST_BIAS = -100.0
"""The smallest logit bias that vLLM and SGLang take; no sampled token comes back from it."""


@register(NAME)
class SightlineAgentLoop(SingleTurnAgentLoop):
    """One prompt, one response."""

    def __init__(self, *args: Any, hf_model_type: str | None = None, **kwargs: Any):
        try:
            super().__init__(*args, hf_model_type=hf_model_type, **kwargs)
        except ValueError:  # a chat template that is not its model family's; no turn follows the first
            super().__init__(*args, hf_model_type=None, **kwargs)
        self.asked = self.config["sightline"]

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        """verl's rollout; the first failure of a run is kept for the person who started it."""
        chosen = sampling_params | self._never_sampled(kwargs)
        try:
            return await super().run(chosen, **kwargs)
        except Exception as error:
            RunSignals(self.asked["folder"]).fail(error, stopped=isinstance(error, RayActorError))
            raise

    def _never_sampled(self, row: dict[str, Any]) -> dict[str, Any]:
        sampler, banned = self.rollout_config.name, self.asked["never_sampled"]
        if sampler == "vllm":
            return {"logit_bias": {int(token): _LEAST_BIAS for token in banned}}
        if sampler == "sglang":
            return {"logit_bias": {str(token): _LEAST_BIAS for token in banned}}
        return {PLACE: f"{row['uid']}-{int(row['session_id']):05d}"}
