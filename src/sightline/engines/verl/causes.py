"""What went wrong behind Ray's own errors, which wrap it once for every process on its way."""

from __future__ import annotations

from typing import Any


def cause_of(error: BaseException) -> BaseException:
    """The error that a remote task raised, however many tasks handed it on; others as they are."""
    from ray.exceptions import RayTaskError  # pyright: ignore[reportMissingImports]

    found: Any = error
    while (
        isinstance(found, RayTaskError)
        and isinstance(found.cause, BaseException)
        and found.cause is not found
    ):
        found = found.cause
    return found
