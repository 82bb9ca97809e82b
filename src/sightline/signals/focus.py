"""How much a token's hidden state looks like the image's: one view is enough."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def image_state(hidden: Float[Tensor, "B S D"], is_image: Shaped[Tensor, "B S"]) -> Float[Tensor, "B D"]:
    """μ_i: the mean hidden state over a row's image tokens, in float32 (VGPO; 0 without image tokens).

    Take `hidden` from the layer that `visual_focus` compares, the last one after the final norm by
    default. States elsewhere than at image tokens may be anything.
    """
    image = is_image.bool()
    total = hidden.float().masked_fill(~image[..., None], 0.0).sum(1)
    return total / image.sum(1, keepdim=True).clamp(min=1)


def visual_focus(hidden: Float[Tensor, "B T D"], image_state: Float[Tensor, "B D"]) -> Float[Tensor, "B T"]:
    """cos(h_{i,t}, μ_i) in [−1, 1], h at the position of token o_t itself (VGPO App. C).

    In float32, whatever comes in. 0 where either vector is 0, so a row without image gives 0.
    """
    states, mean = hidden.float(), image_state.float()[:, None, :]
    norms = states.norm(dim=-1) * mean.norm(dim=-1)
    product = (states * mean).sum(-1)
    return torch.where(norms > 0, product / norms.clamp(min=1e-30), 0.0).clamp(-1.0, 1.0)
