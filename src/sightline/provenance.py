"""What a result was made with: library versions and the revision of this code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .distribution import VERSION

_LIBRARIES = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "pillow",
    "numpy",
    "trl",
    "verl",
    "ray",
    "accelerate",
    "datasets",
    "peft",
    "math-verify",
    "vllm",
)

RESIZING = ("pillow", "torchvision")
"""Libraries that resize images; torchvision does where it is installed, Pillow else."""


def provenance() -> dict[str, Any]:
    """`{"git_revision": str | None, "versions": {library: version}}`; absent libraries are left out."""
    versions = {"python": platform.python_version(), "sightline": VERSION}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return {"git_revision": _git_revision(), "versions": versions}


def _git_revision() -> str | None:
    """The commit of the checkout this runs from, "-dirty" if it was changed; None if installed."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
