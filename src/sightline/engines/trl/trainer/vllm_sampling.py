"""What TRL's own sampling by vLLM needs for images."""

from __future__ import annotations

import logging
from typing import Any

from ....models.families import image_token_id
from ...image_placeholders import shortened

log = logging.getLogger(__name__)


def prompts_for_vllm(trainer: Any, prompt_ids: Any, images: Any) -> Any:
    """The prompts as the vLLM of this run takes them, whose cache of images holds none of older weights."""
    if trainer.state.global_step != trainer._last_loaded_step:
        forget_images(trainer)
    if trainer.vllm_mode == "colocate":
        return shortened(prompt_ids, images, image_token_id(trainer.model.config))
    return prompt_ids


def forget_images(trainer: Any) -> None:
    """Have vLLM drop the encodings of images it has seen, which an update of the vision tower outdates.

    TRL resets the cache of prompts with every update, not this one.
    """
    if trainer.vllm_mode == "colocate":
        trainer.vllm_generation.llm.llm_engine.reset_encoder_cache()
    elif trainer.accelerator.is_main_process:
        client = trainer.vllm_generation.vllm_client
        answer = client.session.post(f"{client.base_url}/reset_encoder_cache")
        if answer.status_code != 200:
            log.warning("the vLLM server kept its encodings of images: it answered %s", answer.status_code)
