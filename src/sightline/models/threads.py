"""One CPU thread for small models, which are slower on several."""

from __future__ import annotations

import os

import torch

from .loading import LoadedModel

SMALL = 20_000_000
"""Parameters below which threads on a CPU wait for each other longer than they work."""


def one_thread_if_small(loaded: LoadedModel, device: torch.device) -> None:
    """Let a small model compute on one thread of the CPU, unless OMP_NUM_THREADS says how many."""
    if "OMP_NUM_THREADS" not in os.environ and device.type == "cpu" and loaded.model.num_parameters() < SMALL:
        torch.set_num_threads(1)
