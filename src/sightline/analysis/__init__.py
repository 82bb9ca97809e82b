"""Saved runs as pages and figures to look at: reads files only, never an engine or a model."""

from .comparison import write_comparison
from .figures import write_figures
from .inspect_page import write_inspection
from .inspected import INSPECTION
from .report import write_report

__all__ = ["INSPECTION", "write_comparison", "write_figures", "write_inspection", "write_report"]
