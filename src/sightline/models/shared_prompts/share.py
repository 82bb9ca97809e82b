"""Getting a model ready for packed rows, and why one cannot run them."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..families import placeholder_ids
from ..generation.prompt_inputs import make_prompts
from ..scoring.hidden_states import why_not_shared
from ..scoring.micro_batches import is_sharded
from .attention import LAYOUT, NAME, PLAIN
from .layout import Layout
from .packing import pack

_KINDS = {"full_attention", "sliding_attention"}
_SEES_IMAGES_WHOLE = ("gemma3",)
"""Families that mark image tokens by `token_type_ids` so that they see each other, and nothing else."""
_NEAR = 0.1
"""Relative distance of states beyond which packed rows are not the same; bfloat16 rounds to less."""


def share_prompts(model: PreTrainedModel) -> str | None:
    """Let `model` run packed rows beside all others, whose numbers stay as they are; why not if it cannot.

    The text model's attention is switched for good, since backward may run it again; the vision tower
    keeps its own. For a packed row the backbone returns the states that predict, [1, N, D], alone.
    Parameters that are split have to be split afterwards, or a first wrong row raises. A model that was
    prepared before, as by an earlier trainer, stays as it is.
    """
    reason = why_not_packed(model)
    if reason is not None or _predicting_states in model.base_model._forward_hooks.values():
        return reason
    name = _text_name(model)
    model.set_attn_implementation({name: NAME})
    hook = model.base_model.register_forward_hook(_predicting_states, with_kwargs=True)
    if is_sharded(model) or model.device.type == "meta":
        return None
    reason = _why_not_same(model)
    if reason is not None:
        hook.remove()
        model.set_attn_implementation({name: PLAIN})
    return reason


def why_not_packed(model: PreTrainedModel) -> str | None:
    """Why packed rows cannot be run, as far as config and modules say; None if they can."""
    reason = why_not_shared(model)
    if reason is not None:
        return reason
    config: Any = model.config.get_text_config()
    if _text_name(model) is None:
        return "its text model has no config of its own"
    if config._attn_implementation not in (PLAIN, NAME):
        return f"its attention is {config._attn_implementation}, not {PLAIN}"
    unknown = set(getattr(config, "layer_types", None) or _KINDS) - _KINDS
    if unknown:
        return f"it has layers of {', '.join(sorted(unknown))}"
    accepted = inspect.signature(model.base_model.forward).parameters
    if "token_type_ids" in accepted and model.config.model_type not in _SEES_IMAGES_WHOLE:
        return "its token types may change who sees whom"
    if "mm_token_type_ids" in accepted and not hasattr(model.base_model, "get_rope_index"):
        return "its token types may change who sees whom"
    return _dropout(model)


def _dropout(model: PreTrainedModel) -> str | None:
    """Rows of one prompt would drop the same of it."""
    for name, module in model.named_modules():
        rate = module.p if isinstance(module, nn.Dropout) else getattr(module, "attention_dropout", 0.0)
        if isinstance(rate, float) and rate > 0.0:
            return f"{name or type(module).__name__} drops out {rate:g} of its values"
    return None


def _text_name(model: PreTrainedModel) -> str | None:
    config = model.config
    text = config.get_text_config()
    return next((name for name in config.sub_configs if getattr(config, name, None) is text), None)


def _predicting_states(module: Any, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
    layout: Layout | None = named.get(LAYOUT)
    if layout is None:
        return output
    missing = _blind_layers(module, layout)
    if missing:
        raise RuntimeError(
            f"the attention of layers {missing} did not see that the row is packed; set share_prompts: false"
        )
    output.last_hidden_state = output.last_hidden_state[:, layout.predicting]
    return output


def _blind_layers(model: Any, layout: Layout) -> str:
    """Numbers of the layers that a packed row went through as if it were any other."""
    every = set(range(len(model.get_decoder().layers)))
    return ", ".join(map(str, sorted(every - layout.ran)))


@torch.no_grad()
def _why_not_same(model: PreTrainedModel) -> str | None:
    """Runs two short responses both ways, with a prompt of text."""
    words = [word for word in range(40) if word not in placeholder_ids(model.config)]
    ids = torch.tensor([words[:8], words[:5] + words[8:11]], device=model.device)
    mask, owner = torch.ones_like(ids), torch.zeros(2, dtype=torch.long, device=model.device)
    packed = pack(make_prompts(model, ids[:1, :5], mask[:1, :5], {}), owner, ids[:, 5:], [3, 3])
    whole = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    wanted = whole[:, 4:-1].flatten(0, 1)
    try:
        found: Tensor = model.base_model(**packed.inputs, use_cache=False).last_hidden_state[0]
    except RuntimeError:
        missing = _blind_layers(model.base_model, packed.inputs[LAYOUT])
        if not missing:
            raise
        return f"the attention of layers {missing} does not go through transformers' AttentionInterface"
    distance = float((found - wanted).float().norm() / wanted.float().norm())
    return None if distance < _NEAR else f"a packed row differs from whole ones by {distance:.0%}"
