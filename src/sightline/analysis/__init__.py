"""Saved runs as pages to look at: reads files only, never an engine or a model."""

from .report import write_report

__all__ = ["write_report"]
