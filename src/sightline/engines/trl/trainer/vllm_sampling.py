"""TRL's sampling by vLLM, held to the trainer's own prompts, weights and images."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trl.data_utils import prepare_multimodal_messages
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer

from ....models.families import image_token_id, own_end_ids
from ....models.vllm_prompts import check_same_prompt, image_runs
from ....models.vllm_weight_names import folder_for_vllm, name_in_vllm
from ...image_placeholders import shortened

log = logging.getLogger(__name__)

_REVISIONS = ("revision", "tokenizer_revision")
"""vLLM's names for the revisions of weights and processor, and of the tokenizer."""
_INSTEAD = "use_vllm: false"


class PromptIds(list[int]):
    """A prompt's ids for the trainer, with image tokens expanded, or for vLLM, which expands them itself."""

    def __init__(self, ids: Sequence[int], other: Sequence[int]):
        super().__init__(ids)
        self.other = list(other)
        """The ids for the other one of the two."""


class TrainersVllm(VLLMGeneration):
    """TRL's vLLM, with the policy's revision, names of weights that vLLM knows, and prompts compared."""

    def __init__(self, *args: Any, revision: str | None = None, **kwargs: Any):
        self.revision = revision
        super().__init__(*args, **kwargs)

    @property
    def _config(self) -> Any:
        return self.accelerator.unwrap_model(self.model).config

    def _init_vllm(self) -> None:
        revision = {} if self.revision is None else dict.fromkeys(_REVISIONS, self.revision)

        def with_ours(plain: Any) -> Any:
            def make(model: str, **given: Any) -> Any:
                with folder_for_vllm(model, self._config) as path:
                    return plain(model=path, **given, **revision)

            return make

        with _replaced(vllm_generation, "LLM", with_ours):
            super()._init_vllm()

    def _fix_param_name_to_vllm(self, name: str, extra_prefixes: list[str] | None = None) -> str:
        return name_in_vllm(super()._fix_param_name_to_vllm(name, extra_prefixes), self._config)

    def _place_features(self, features: Any, prompt_ids: list[int]) -> Any:
        """A server's features at the image tokens of `prompt_ids`, if it counts as many of them."""
        if features is not None:
            theirs = [placed["length"] for placed in features["mm_placeholders"]["image"]]
            ours = image_runs(prompt_ids, image_token_id(self._config))
            check_same_prompt(ours, theirs, self._config.model_type, _INSTEAD)
        return super()._place_features(features, prompt_ids)

    def generate(self, prompts: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """TRL's, once vLLM is seen to have expanded each of `prompts` (`PromptIds`) as the processor did.

        Raises:
            UserError: it has not; naming the family.
        """
        generated = super().generate(prompts, *args, **kwargs)
        for ours, theirs in zip(prompts, generated[0], strict=True):
            if isinstance(ours, PromptIds):
                check_same_prompt(ours.other, theirs, self._config.model_type, _INSTEAD)
        return generated


@contextmanager
def trainers_vllm(revision: str | None) -> Iterator[None]:
    """While a trainer is made, have TRL make its vLLM of `TrainersVllm`, which loads this revision."""
    ours = functools.partial(TrainersVllm, revision=revision)
    with _replaced(grpo_trainer, "VLLMGeneration", lambda _: ours):
        yield


@contextmanager
def _replaced(module: Any, name: str, by: Callable[[Any], Any]) -> Iterator[None]:
    plain = getattr(module, name, None)
    setattr(module, name, by(plain))
    try:
        yield
    finally:
        setattr(module, name, plain)


def with_written_ids(trainer: Any, prompts: Sequence[Any], expanded: Sequence[list[int]]) -> list[PromptIds]:
    """The processor's ids of every prompt, beside those of the text that the chat template wrote."""
    processor, found = trainer.processing_class, {}
    for prompt, ids in zip(prompts, expanded, strict=True):
        if tuple(ids) in found:  # equal tokens were written alike, whatever the images show
            continue
        text = processor.apply_chat_template(
            prepare_multimodal_messages(prompt),
            tools=trainer.tools or None,
            chat_template=trainer.chat_template,
            add_generation_prompt=True,
            tokenize=False,
            **trainer.chat_template_kwargs,
        )
        start = processor.tokenizer.bos_token  # a template that begins with it is tokenized as it stands
        plain = start is not None and text.startswith(start)
        more = {"add_special_tokens": False} if plain else {}
        found[tuple(ids)] = list(processor.tokenizer(text, **more)["input_ids"])
    return [PromptIds(ids, found[tuple(ids)]) for ids in expanded]


def prompts_for_vllm(trainer: Any, prompt_ids: Any, images: Any) -> Any:
    """The prompts as the vLLM of this run takes them, whose cache of images holds none of older weights.

    A server is sent the processor's ids. Beside the trainer, vLLM expands image tokens itself, and is given
    what the template wrote; a prompt that goes on behind it (a turn after a tool's) image tokens shortened.
    """
    if trainer.state.global_step != trainer._last_loaded_step:
        forget_images(trainer)
    if trainer.vllm_mode != "colocate":
        return prompt_ids
    placeholder = image_token_id(trainer.model.config)
    return [
        PromptIds(ids.other if isinstance(ids, PromptIds) else shortened([ids], [shown], placeholder)[0], ids)
        for ids, shown in zip(prompt_ids, images or [None] * len(prompt_ids), strict=True)
    ]


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


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "top_p": (1,),
    "top_k": (0, 50),
    "temperature": (1,),
    "repetition_penalty": (1,),
}
_DECODING = (*_NEUTRAL, "min_p", "typical_p", "no_repeat_ngram_size", "bad_words_ids", "suppress_tokens",
             "sequence_bias", "min_new_tokens", "min_length", "exponential_decay_length_penalty")  # fmt: skip


def ignored_generation_config(model: Any) -> str | None:
    """What of the model's generation_config.json a run with vLLM does not follow, as one line."""
    saved = model.generation_config
    asked = []
    for name in _DECODING:
        value = getattr(saved, name, None)
        if value not in (None, False, 0, [], {}) and value not in _NEUTRAL.get(name, ()):
            asked.append(f"{name} {value}")
    if not asked:
        return None
    ends = ", ".join(map(str, own_end_ids(model))) or "none"
    return (
        f"the model's generation_config.json asks for {', '.join(asked)}: vLLM samples by the run's own "
        f"settings instead; its end ids ({ends}) do end a response"
    )
