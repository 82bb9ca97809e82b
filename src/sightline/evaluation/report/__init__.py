"""What a run's verdicts say, alone and against another run, as plain data and as tables."""
