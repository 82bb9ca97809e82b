"""What "taking the image away" means: descriptions of the second view of a prompt.

`VIEWS` holds them by name, `view` builds one from plain data, `generator` seeds its random draws.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..value_checks import known_names, named
from .anneal import Anneal, anneal
from .attention import Counterfactual, TextOnly
from .image_stages import at_final_size, is_final, original, with_original
from .images import Black, Blur, Grey, Noise, Patches, Swapped, fingerprint, rgb
from .noised import Augmented, Diffusion
from .view import STAGES, PixelView, View, generator

VIEWS: dict[str, type[View]] = {
    kind.name: kind
    for kind in (
        Patches,
        Noise,
        Diffusion,
        Augmented,
        Blur,
        Grey,
        Black,
        Swapped,
        TextOnly,
        Counterfactual,
    )
}


def view(description: str | dict[str, Any] | View, **options: Any) -> View:
    """A view from its name and options, from plain data with a `name`, or unchanged if it is one.

    Raises `UserError` for an unknown name or option or a value out of range.
    """
    if isinstance(description, View):
        return description
    name, given = named("view", description)
    known_names("view", [name], VIEWS)
    chosen = {**given, **options}
    known_names(f"option of view {name}", chosen, [item.name for item in fields(VIEWS[name])])
    return VIEWS[name](**chosen)


__all__ = [
    "STAGES",
    "VIEWS",
    "Anneal",
    "Augmented",
    "Black",
    "Blur",
    "Counterfactual",
    "Diffusion",
    "Grey",
    "Noise",
    "Patches",
    "PixelView",
    "Swapped",
    "TextOnly",
    "View",
    "anneal",
    "at_final_size",
    "fingerprint",
    "generator",
    "is_final",
    "original",
    "rgb",
    "view",
    "with_original",
]
