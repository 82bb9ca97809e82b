"""Whether the scoring pass fits a model: two prompts scored by it and by the model's own forward, at load.

Families differ in ways that no config says: token types that change who sees whom, positions that start
elsewhere, processors that write other tokens. A family that is unknown today gets the same test.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from ..errors import UserError
from ..methods import Needs
from ..rollouts import Rollouts
from .families import image_features_inputs, placeholder_ids, type_ids
from .scoring.hidden_states import NOT_SHARED, why_not_shared
from .scoring.micro_batches import is_sharded
from .scoring.score import score

LIMIT = 1e-3
"""Largest difference between log-probs, in nats; where weights are in half precision also as much as
`_SLACK` times what rounding does to the model's own."""
_SLACK = 8.0
_LENGTHS = (6, 4)
"""Tokens of the two responses."""
_LAYERS = 4
"""Layers that run at least; more where a kind of layer first comes later."""
_NOTHING = Needs(frozenset(), None, second_view_gradient=False)

log = logging.getLogger(__name__)


@torch.no_grad()
def check_scores(model: PreTrainedModel, processor: Any) -> None:
    """Refuse a family whose scores would be wrong, and switch off sharing where only that is.

    The first layers of the text model run, as many as hold every kind of layer, behind the whole vision
    tower; two prompts of random words, with two images and with one, and responses of random tokens. Shared
    prompts and whole rows are compared with the model's own forward over one row at a time, with what its
    processor wrote; and that forward with itself on a response that ends earlier, which changes nothing
    where answers cannot see later tokens.

    Raises:
        UserError: images are no tokens of the prompt, whole rows are scored otherwise than the model's own
            forward does, or answers see later tokens; with the family's name and the difference.
    """
    if "cross_attention_mask" in inspect.signature(model.base_model.forward).parameters:
        raise UserError(
            f"{model.config.model_type} cannot be trained or scored: its images reach the text by "
            "cross-attention and are no tokens of the prompt; use another model family"
        )
    if model.device.type == "meta" or is_sharded(model) or getattr(model, "is_quantized", False):
        log.info("%s: no self-test of scores, its weights are not here as they are", model.config.model_type)
        return
    with _first_layers(model):
        try:
            rollouts, rows, wanted = _asked(model, processor)
            limit = max(LIMIT, _SLACK * _rounding(model, rows, wanted))
        except Exception as error:
            log.warning("%s: no self-test of scores: %s", model.config.model_type, _said(error))
            return
        _check_order(model, rows[0], wanted[0], limit)
        apart = functools.partial(_apart, model, processor, rollouts, wanted)
        whole = apart(share=False)
        if isinstance(whole, str) or not whole <= limit:
            raise UserError(
                f"{model.config.model_type} cannot be scored: the scoring pass and the model's own forward "
                f"differ by {_shown(whole)}, expected at most {limit:.1g}; use another model family"
            )
        shared = apart(share=True) if why_not_shared(model) is None else 0.0
        if isinstance(shared, str) or not shared <= limit:
            setattr(model, NOT_SHARED, f"shared prompts differ from its own forward by {_shown(shared)}")
            log.warning("%s runs every rollout whole: %s", model.config.model_type, why_not_shared(model))


def _check_order(model: PreTrainedModel, row: dict[str, Tensor], wanted: Tensor, limit: float) -> None:
    late = _difference(wanted[:-1], _own(model, [_shorter(row)])[0])
    if not late <= limit:
        raise UserError(
            f"{model.config.model_type} cannot be trained or scored: its answers see later tokens (log-probs "
            f"change by {late:.2g} nats with a token that comes after); use another model family"
        )


def _shown(difference: float | str) -> str:
    return difference if isinstance(difference, str) else f"{difference:.2g} nats"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@contextlib.contextmanager
def _first_layers(model: Any) -> Iterator[None]:
    """Run the first layers of the text model alone."""
    decoder: Any = model.get_decoder()
    layers = decoder.layers
    kinds: Sequence[str] = getattr(model.config.get_text_config(), "layer_types", None) or ()
    # Layers that read another's keys and values need all others before them.
    borrowed = getattr(model.config.get_text_config(), "num_kv_shared_layers", None)
    count = max([_LAYERS, *(list(kinds).index(kind) + 1 for kind in set(kinds))])
    was_training = model.training
    model.eval()
    try:
        if not borrowed and count < len(layers):
            decoder.layers = layers[:count]
        yield
    finally:
        decoder.layers = layers
        model.train(was_training)


def _asked(model: Any, processor: Any) -> tuple[Rollouts, list[dict[str, Tensor]], list[Tensor]]:
    """Two prompts and their log-probs in the model's own forward; with one image each where two fail."""
    try:
        rollouts, rows = _two_prompts(model, processor, (2, 1))
        return rollouts, rows, _own(model, rows)
    except Exception as error:
        log.warning("%s: its self-test shows one image a prompt: %s", model.config.model_type, _said(error))
        rollouts, rows = _two_prompts(model, processor, (1, 1))
        return rollouts, rows, _own(model, rows)


def _two_prompts(
    model: Any, processor: Any, images_of: tuple[int, int]
) -> tuple[Rollouts, list[dict[str, Tensor]]]:
    """Both rollouts as a batch, and each as its processor writes it, one row at a time."""
    drawn = np.random.default_rng(0)
    drawings = iter([_noise(drawn, *size) for size in ((64, 96), (64, 64), (96, 64))])
    shown = [[next(drawings) for _ in range(count)] for count in images_of]
    banned = {*placeholder_ids(model.config), *processor.tokenizer.all_special_ids}
    count = min(model.get_output_embeddings().weight.shape[0], len(processor.tokenizer))
    free = np.array([token for token in range(count) if token not in banned])
    ids, responses, rows = [], [], []
    for images, length in zip(shown, _LENGTHS, strict=True):
        words = processor.tokenizer.decode(drawn.choice(free, 3 + length).tolist())
        content = [*({"type": "image"} for _ in images), {"type": "text", "text": words}]
        asked = [{"role": "user", "content": content}]
        text = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
        found = processor(text=[text], images=[images], return_tensors="pt", add_special_tokens=False)
        response = torch.from_numpy(drawn.choice(free, length))
        ids.append(found["input_ids"][0])
        responses.append(response)
        rows.append(_row(model, dict(found), response))
    device = model.device
    batch = Rollouts(
        prompt_ids=pad_sequence(ids, batch_first=True, padding_side="left").to(device),
        prompt_mask=pad_sequence([torch.ones_like(x) for x in ids], batch_first=True, padding_side="left").to(
            device
        ),
        response_ids=pad_sequence(responses, batch_first=True).to(device),
        mask=pad_sequence([torch.ones_like(x) for x in responses], batch_first=True).to(device),
        group_ids=torch.arange(len(ids), device=device),
        images=shown,
        sample_ids=[str(number) for number in range(len(ids))],
    )
    return batch, rows


def _noise(drawn: np.random.Generator, width: int, height: int) -> Image.Image:
    small = Image.fromarray(drawn.integers(0, 255, (4, 4, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.NEAREST)


def _row(model: Any, written: dict[str, Any], response: Tensor) -> dict[str, Tensor]:
    """What the model's own forward takes of one prompt and its response, as engines extend it."""
    ids = torch.cat([written["input_ids"], response[None]], 1)
    row = {**image_features_inputs(model, written), "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for name in type_ids(model, ids):
        types = written.get(name)
        if types is None:
            row |= {name: type_ids(model, ids)[name]}
        else:
            row[name] = torch.cat([types, torch.zeros_like(response[None])], 1)
    row["labels"] = response[None]
    return {name: value.to(model.device) for name, value in row.items()}


def _shorter(row: dict[str, Tensor]) -> dict[str, Tensor]:
    """The row without its last token."""
    length = row["input_ids"].shape
    return {
        key: value[:, :-1] if key == "labels" or value.shape == length else value
        for key, value in row.items()
    }


def _own(model: Any, rows: Sequence[dict[str, Tensor]]) -> list[Tensor]:
    """Log-probs of each row's response from the model's own forward."""
    found = []
    for row in rows:
        response = row["labels"]
        count = response.shape[1]
        inputs = {name: value for name, value in row.items() if name != "labels"}
        logits = model(**inputs, use_cache=False, logits_to_keep=count + 1).logits
        log_p = logits[:, -count - 1 : -1].float().log_softmax(-1)
        found.append(log_p.gather(-1, response[..., None])[0, :, 0])
    return found


def _rounding(model: PreTrainedModel, rows: Sequence[dict[str, Tensor]], wanted: Sequence[Tensor]) -> float:
    """How far log-probs move where embeddings move by a rounding; 0 in float32."""
    embed: Any = model.get_input_embeddings()
    dtype = embed.weight.dtype
    if dtype == torch.float32:
        return 0.0
    unit = torch.finfo(dtype).eps

    def move(_: Any, __: Any, out: Tensor) -> Tensor:
        sign = 2 * (torch.arange(out.shape[-1], device=out.device) % 2) - 1
        return (out.float() * (1 + unit * sign)).to(out.dtype)

    handle = embed.register_forward_hook(move)
    try:
        moved = _own(model, rows)
    finally:
        handle.remove()
    return max(_difference(one, other) for one, other in zip(wanted, moved, strict=True))


def _apart(
    model: PreTrainedModel, processor: Any, rollouts: Rollouts, wanted: Sequence[Tensor], *, share: bool
) -> float | str:
    """The largest difference of the scoring pass from `wanted`; what it raised, if it did."""
    try:
        scores = score(model, processor, rollouts, _NOTHING, seed=0, step=0, share_prefix=share)
    except Exception as error:
        return f"an error ({_said(error)})"
    if scores.skipped:
        return f"an error ({next(iter(scores.skipped.values()))})"
    rows = zip(scores.log_probs, wanted, strict=True)
    return max(_difference(found[: len(one)], one) for found, one in rows)


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().amax())
