"""Shapes are checked in tests only: every call into the pure rooms goes through beartype."""

from jaxtyping import install_import_hook

PURE = [
    "sightline.masked",
    "sightline.views",
    "sightline.signals",
    "sightline.shaping",
    "sightline.objectives",
    "sightline.methods",
]
install_import_hook(PURE, "beartype.beartype")
