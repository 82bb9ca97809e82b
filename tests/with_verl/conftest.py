"""Collected by `make test-verl` alone, in the environment it builds."""

import os

RUNS = os.environ.get("SIGHTLINE_TEST_VERL") == "1"
collect_ignore_glob = [] if RUNS else ["test_*.py"]
