"""A task's problems as the rows TRL trains on, and the order of their groups."""
