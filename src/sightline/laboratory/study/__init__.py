"""A study: its plan, its runs in worker processes, its folder."""
