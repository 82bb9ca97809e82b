"""Pages that stand alone: report, results, comparison, inspect."""
