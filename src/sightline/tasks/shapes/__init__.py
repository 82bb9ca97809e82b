"""The embedded world: shapes, bar charts and triangles, drawn on the fly, and questions about them."""

from .example import Example
from .task import SHAPES, ShapesTask, draw_example
from .world import Examples, World, WorldTask

__all__ = ["SHAPES", "Example", "Examples", "ShapesTask", "World", "WorldTask", "draw_example"]
