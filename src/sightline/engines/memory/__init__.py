"""How much memory a run takes on each GPU, from its sizes alone; docs/recipes.md derives the formulas."""

from .architectures import ARCHITECTURES, Architecture, architecture
from .formulas import GIB, Layout, Memory, checkpoint_bytes, memory
from .run_plan import Batches, RunPlan

__all__ = [
    "ARCHITECTURES",
    "GIB",
    "Architecture",
    "Batches",
    "Layout",
    "Memory",
    "RunPlan",
    "architecture",
    "checkpoint_bytes",
    "memory",
]
