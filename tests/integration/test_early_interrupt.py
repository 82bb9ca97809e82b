"""Ctrl-C in the first seconds, while libraries are imported."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = str(Path(__file__).parents[2] / "recipes" / "demo.yaml")

AS_IN_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores Ctrl-C
from sightline.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_interrupted_while_libraries_load(library: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-c", AS_IN_A_TERMINAL]
    command += ["train", "--config", DEMO, "--output_dir", str(tmp_path / "run")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        next(line for line in started.stderr if f" {library}." in line)
        started.send_signal(signal.SIGINT)
        rest = [line for line in started.stderr if not line.startswith("import time:")]
    assert (started.returncode, rest) == (130, ["sightline: interrupted\n"])
