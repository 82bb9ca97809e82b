"""Saved runs as pages and figures to look at: reads files only, never an engine or a model."""

from .figures import write_figures
from .pages.comparison import write_comparison
from .pages.inspect import write_inspection
from .pages.report import write_report
from .readers.inspect_data import INSPECTION

__all__ = ["INSPECTION", "write_comparison", "write_figures", "write_inspection", "write_report"]
