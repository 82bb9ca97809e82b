"""Measured accuracy: problems -> answers -> verdicts -> values with intervals."""
