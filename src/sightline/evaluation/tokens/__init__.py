"""Scores of single tokens: measured for answers, summed up, and prepared for people to look at."""
