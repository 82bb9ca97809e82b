"""The embedded world: shapes, bar charts and triangles, drawn on the fly, and questions about them."""

from .example import Example
from .task import SHAPES, ShapesTask, draw_example, draw_variations
from .world import Examples, PairsTask, World, WorldTask

__all__ = [
    "SHAPES",
    "Example",
    "Examples",
    "PairsTask",
    "ShapesTask",
    "World",
    "WorldTask",
    "draw_example",
    "draw_variations",
]
