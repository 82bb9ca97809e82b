"""Answers by vLLM, which is imported only here and only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig

from ...errors import UserError
from ...models.families import placeholder_ids
from ...models.generation.generate import Decoding
from ...models.loading import resolve, unloadable
from ...models.processors import load_processor
from ...models.vllm_prompts import check_same_policy
from ...models.vllm_weight_names import folder_for_vllm
from .backend import Reply, Request
from .prompt_guard import PromptGuard

NEVER = -100.0
"""Added to the logits of placeholder tokens, which a policy must not sample."""


class VllmBackend:
    """One engine over all visible GPUs; it batches by itself, so all requests may come at once."""

    name = "vllm"
    exact = False

    def __init__(
        self,
        name: str,
        dtype: str,
        *,
        revision: str | None = None,
        most_images: int = 8,
        max_model_len: int | None = None,
        trust_remote_code: bool = False,
    ):
        """Load `name`.

        Raises:
            UserError: vLLM is not installed, or samples another policy than transformers.
        """
        try:
            import torch
            import vllm  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise UserError(
                f"--backend vllm needs vLLM, which cannot be imported ({error}); pip install vllm, or use "
                "--backend hf, or serve the model elsewhere and give its URL"
            ) from error
        path = resolve(name)
        hub: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
        try:
            config = AutoConfig.from_pretrained(path, **hub)
        except (OSError, ValueError) as error:
            raise unloadable(name, error) from error
        check_same_policy(config, "--backend hf")
        self.at_once = 1024
        self.processor = load_processor(path, **hub)
        self._placeholders = placeholder_ids(config)
        self._guard = PromptGuard(self.processor, config)
        self._vllm = vllm
        with folder_for_vllm(path, config) as folder:
            self._engine = vllm.LLM(
                model=folder,
                dtype=dtype,
                revision=revision,
                tokenizer_revision=revision,
                tensor_parallel_size=shards(config, torch.cuda.device_count()),
                limit_mm_per_prompt={"image": most_images},
                max_model_len=max_model_len,
                generation_config="vllm",  # what a checkpoint saved for chatting must not change the policy
                trust_remote_code=trust_remote_code,
            )

    def answers(self, requests: Sequence[Request], decoding: Decoding) -> list[Reply]:
        """One reply per request.

        Raises:
            UserError: vLLM expanded a prompt's images otherwise than the processor does.
        """
        inputs = [engine_input(self.processor, request) for request in requests]
        options = [
            self._vllm.SamplingParams(**sampling_options(request, decoding, self._placeholders))
            for request in requests
        ]
        outputs = self._engine.generate(inputs, options, use_tqdm=False)
        for request, output in zip(requests, outputs, strict=True):
            self._guard.check_tokens(request.prompt, output.prompt_token_ids)
        return [
            Reply(o.text, o.finish_reason == "length", len(o.token_ids), list(o.token_ids))
            for o in (output.outputs[0] for output in outputs)
        ]


def shards(config: Any, devices: int) -> int:
    """Over how many of the GPUs one copy of a model is spread: the most that divide the attention heads of
    its language and its vision half (4 of 8 for 28 and 16 heads); vLLM takes no other number."""
    halves = [config.get_text_config(), getattr(config, "vision_config", None)]
    names = ("num_attention_heads", "num_heads")
    heads = [
        getattr(half, name) for half in halves for name in names if isinstance(getattr(half, name, None), int)
    ]
    return max(n for n in range(1, max(1, devices) + 1) if all(count % n == 0 for count in heads))


def engine_input(processor: Any, request: Request) -> dict[str, Any]:
    """A request as vLLM takes it: the tokens of the chat template's text and of nothing else (vLLM would
    add the tokenizer's own beginning to a text), and the images in its order."""
    text = processor.apply_chat_template(
        list(request.prompt.messages), add_generation_prompt=True, tokenize=False
    )
    shown = list(request.prompt.images)
    tokens = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return {"prompt_token_ids": tokens, **({"multi_modal_data": {"image": shown}} if shown else {})}


def sampling_options(request: Request, decoding: Decoding, placeholders: Sequence[int]) -> dict[str, Any]:
    """The arguments of vLLM's `SamplingParams`: no top-k, no penalties, the sample's own seed."""
    return {
        "n": 1,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p if decoding.temperature > 0 else 1.0,
        "max_tokens": decoding.max_new_tokens,
        "seed": request.seed,
        "repetition_penalty": 1.0,
        "skip_special_tokens": True,
        "logit_bias": dict.fromkeys(placeholders, NEVER) or None,
    }
