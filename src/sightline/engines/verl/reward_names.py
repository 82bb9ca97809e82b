"""Names under which rewards travel with a response."""

REWARD = "rewards/"
"""Before the name of a reward function: its value of one response."""
