"""Shapes-2: a world that can tell methods apart, by long chains of reading and reasoning in many words."""

from .difficulty import LEVELS, Difficulty
from .example import PuzzleExample
from .task import EVEN, SHAPES_2, Shapes2Task, world_of

__all__ = ["EVEN", "LEVELS", "SHAPES_2", "Difficulty", "PuzzleExample", "Shapes2Task", "world_of"]
