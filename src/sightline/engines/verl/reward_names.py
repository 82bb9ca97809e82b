"""Names under which rewards travel with a response."""

REWARD = "rewards/"
"""Before the name of a reward function: its value of one response."""
UNJUDGED = "sightline_unjudged"
"""1 of a response that no reward could judge, which takes part in no batch; else 0."""
