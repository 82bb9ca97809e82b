"""Runs the vision tower on a blank image on ranks without one, so that collectives match.

Gradients are reduced and sharded parameters gathered by all ranks together, module by module. A rank whose
rows show no image would leave the vision tower out, and the others would wait for it for ever.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..models.families import image_features_inputs, process_images
from ..models.scoring.micro_batches import is_sharded

_IMAGE_INPUTS = ("pixel_values", "mm_encoder_outputs")
"""What a backbone is given where there are images."""
_CACHES = ("cache", "past_key_values")
"""Under which name a backbone is given a cache, from transformers 5.24 on and before."""
_USED = ("pooler_output", "deepstack_features")
"""Of what a tower puts out, that which goes into the text model."""
_SIDE = 64
"""Pixels of the blank image that stands in for none."""


def sync_vision_tower(model: Any, processor: Any) -> None:
    """Have `model` run its vision tower on a blank image wherever a whole sequence shows none.

    What comes out counts 0 times: no number changes, and gradients of the tower are 0 instead of missing.
    Steps of a decoding go without, as an image is encoded with the prompt.
    """
    body = model.base_model
    original = body.forward

    @functools.cache
    def blank() -> dict[str, Tensor]:
        image = Image.new("RGB", (_SIDE, _SIDE))
        return image_features_inputs(model, process_images(processor, [image]))

    @functools.wraps(type(body).forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _needs_no_blank(kwargs) or not (torch.is_grad_enabled() or is_sharded(model)):
            return original(*args, **kwargs)
        with _after_first_call(body.get_input_embeddings(), lambda: _nothing(body, blank())):
            return original(*args, **kwargs)

    body.forward = types.MethodType(forward, body)


def _needs_no_blank(given: Mapping[str, Any]) -> bool:
    caches = [given[name] for name in _CACHES if given.get(name) is not None]
    decoding = any(cache.get_seq_length() > 0 for cache in caches)
    return decoding or any(given.get(name) is not None for name in _IMAGE_INPUTS)


@contextlib.contextmanager
def _after_first_call(module: Any, more: Callable[[], Tensor]) -> Iterator[None]:
    """Add `more()` to what `module` puts out the next time.

    Behind the embedding of tokens a backbone encodes its images. The hook is made late so that it comes
    after those of sharding, which release the embedding.
    """

    def add(_: Any, __: Any, output: Tensor) -> Tensor:
        handle.remove()
        return output + more().to(output.device, output.dtype)

    handle = module.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def _nothing(body: Any, vision: Mapping[str, Tensor]) -> Tensor:
    """0, as it depends on every weight through which images go."""
    device = next(body.parameters()).device
    taken = inspect.signature(body.get_image_features).parameters
    shown = {name: value.to(device) for name, value in vision.items() if name in taken}
    features = body.get_image_features(**shown, return_dict=True)
    used = _tensors([getattr(features, name, None) for name in _USED])
    return sum((value.flatten()[0].float() * 0.0 for value in used), torch.zeros((), device=device))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
