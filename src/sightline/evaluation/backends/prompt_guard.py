"""Prompts as a sampler expanded them beside the processor's own: the same images on both sides, or a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig

from ...errors import UserError
from ...models.families import image_token_id
from ...models.generation.generate import Prompt
from ...models.processors import load_processor
from ...models.vllm_prompts import check_same_policy, check_same_prompt, image_runs


class PromptGuard:
    """Compares token ids of prompts; the processor runs once for prompts whose images have equal sizes."""

    def __init__(self, processor: Any, config: Any):
        self.processor, self.config, self.family = processor, config, config.model_type
        self.placeholder = image_token_id(config)
        self._runs: dict[tuple[tuple[int, int], ...], list[int]] = {}

    @classmethod
    def of(cls, folder: str) -> PromptGuard | None:
        """The guard of a model in a folder; None if that holds none."""
        try:
            return cls(load_processor(folder), AutoConfig.from_pretrained(folder))
        except (OSError, ValueError, UserError):
            return None

    def trouble(self) -> str | None:
        """Why vLLM would answer otherwise than transformers, whatever the prompt; None if it does not."""
        try:
            check_same_policy(self.config, _INSTEAD)
        except UserError as error:
            return str(error)
        return None

    def check_tokens(self, prompt: Prompt, theirs: Sequence[int]) -> None:
        """All tokens where images have sizes not seen before, and the image tokens of every prompt.

        Raises:
            UserError: they differ from the processor's (`vllm_prompts.check_same_prompt`).
        """
        if prompt.images and _sizes(prompt) not in self._runs:
            check_same_prompt(self._expanded(prompt), theirs, self.family, _INSTEAD)
        self.check_images(prompt, theirs)

    def check_images(self, prompt: Prompt, theirs: Sequence[int]) -> None:
        """The image tokens alone, where the text around them is the sampler's own.

        Raises:
            UserError: there are more or fewer of them than the processor makes of the images.
        """
        if not prompt.images:
            return
        sizes = _sizes(prompt)
        if sizes not in self._runs:
            self._runs[sizes] = image_runs(self._expanded(prompt), self.placeholder)
        runs = image_runs(theirs, self.placeholder)
        if runs != self._runs[sizes]:
            check_same_prompt(self._runs[sizes], runs, self.family, _INSTEAD)

    def _expanded(self, prompt: Prompt) -> list[int]:
        text = self.processor.apply_chat_template(
            list(prompt.messages), add_generation_prompt=True, tokenize=False
        )
        shown = [list(prompt.images)]
        ids = self.processor(text=[text], images=shown, add_special_tokens=False)["input_ids"][0]
        return [int(token) for token in ids]


_INSTEAD = "--backend hf"


def _sizes(prompt: Prompt) -> tuple[tuple[int, int], ...]:
    return tuple(image.size for image in prompt.images)
