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


_ROOM = 1 << 22
"""Numbers of float32 that one step of `hidden_similarity` and `mean_direction` may hold, 16 MiB."""


def mean_direction(hidden: Float[Tensor, "B S D"], is_image: Shaped[Tensor, "B S"]) -> Float[Tensor, "B D"]:
    """1/N Σ_n v_n/‖v_n‖: the mean unit state over a row's image tokens, in float32 (0 without image tokens).

    The mean over N of cosines to v_n is the product of a unit state with this one vector (PEPO).
    """
    found = torch.zeros(len(hidden), hidden.shape[-1], device=hidden.device)
    for row, (states, chosen) in enumerate(zip(hidden, is_image.bool(), strict=True)):
        units = torch.nn.functional.normalize(states[chosen].float(), dim=-1)
        found[row] = units.sum(0) / max(len(units), 1)
    return found


def hidden_similarity(
    hidden: Float[Tensor, "B T D"], mean_direction: Float[Tensor, "B D"]
) -> Float[Tensor, "B T"]:
    """1/N Σ_n cos(h_t, v_n) in [−1, 1] at one layer, h at the position of token o_t itself (PEPO).

    Not the cosine to the mean state, which `visual_focus` is. PEPO averages it over all layers, the
    embeddings and the last one after the final norm included. In float32; 0 for a zero state and without
    an image.
    """
    rows = max(1, _ROOM // max(hidden[0].numel(), 1)) if len(hidden) else 1
    found = []
    for states, mean in zip(hidden.split(rows), mean_direction.float().split(rows), strict=True):
        wide = states.float()
        norms = torch.linalg.vector_norm(wide, dim=-1)
        with torch.autocast(wide.device.type, enabled=False):
            product = torch.linalg.vecdot(wide, mean[:, None, :])
        found.append(torch.where(norms > 0, product / norms.clamp(min=1e-30), 0.0).clamp(-1.0, 1.0))
    return torch.cat(found) if found else hidden.new_zeros(hidden.shape[:-1], dtype=torch.float32)
