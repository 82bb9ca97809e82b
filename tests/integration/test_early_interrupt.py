"""Ctrl-C in the first seconds, while libraries are imported."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = str(Path(__file__).parents[2] / "recipes" / "demo.yaml")


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_interrupted_while_libraries_load(library: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "sightline", "train", "--config", DEMO]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        next(line for line in started.stderr if f" {library}." in line)
        started.send_signal(signal.SIGINT)
        rest = [line for line in started.stderr if not line.startswith("import time:")]
    assert (started.returncode, rest) == (130, ["sightline: interrupted\n"])
