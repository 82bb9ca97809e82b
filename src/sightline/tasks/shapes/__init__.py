"""The embedded world: shapes, bar charts and triangles, drawn on the fly, and questions about them."""

from .example import Example
from .task import Examples, ShapesTask, draw_example, split_of

__all__ = ["Example", "Examples", "ShapesTask", "draw_example", "split_of"]
