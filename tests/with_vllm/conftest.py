"""Collected by `make test-vllm` alone, in the environment it builds.

The folder is not called `vllm`: tests/ is on the path, and TRL would take it for the library.
"""

import os

RUNS = os.environ.get("SIGHTLINE_TEST_VLLM") == "1"
collect_ignore_glob = [] if RUNS else ["test_*.py"]

if RUNS:
    os.environ |= {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
