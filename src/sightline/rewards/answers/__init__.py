"""Two answers compared: extracted, normalised, and decided by rules in a fixed order."""
