"""Estimates with intervals, paired differences, pass@k, and the scores benchmarks define."""
