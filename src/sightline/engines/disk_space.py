"""Room on the disk: checked before a run, waited for at its end."""

from __future__ import annotations

import errno
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError

from ..errors import UserError

Value = TypeVar("Value")

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOOK = 2.0
"""Seconds between two tries."""
_OPTIMIZER_BYTES = 8
"""Of one trained parameter: AdamW's two moments in float32."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full; safetensors has only words for it."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    words = ("No space left", "os error 28", "code: 28", "Disk quota exceeded", "File too large")
    return isinstance(error, SafetensorError | RuntimeError) and any(word in str(error) for word in words)


def free(folder: Path) -> int:
    """Bytes that may be written at a path, which need not be there yet."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    usage = shutil.disk_usage(there)
    return (
        usage.free if usage.total or usage.free else sys.maxsize
    )  # /proc and its like count no space at all


def check_space(folder: Path, model: Any, keeps_checkpoints: bool, kept: int | None) -> str | None:
    """Whether a run fits on its disk: `model/`, and with checkpoints `kept` of them and one being written.

    Returns a line if not all of it does (as many checkpoints as steps, if `kept` is None, are not counted).

    Raises:
        UserError: not even the model and one checkpoint fit.
    """
    parameters = list(model.parameters())
    weights = sum(one.numel() * one.element_size() for one in parameters)
    moments = sum(_OPTIMIZER_BYTES * one.numel() for one in parameters if one.requires_grad)
    checkpoint = weights + moments
    least = weights + (checkpoint if keeps_checkpoints else 0)
    room = free(folder)
    if room < least:
        what = "the model and one checkpoint" if keeps_checkpoints else "the model"
        raise UserError(
            f"{folder} has {_size(room)} free, but {what} take {_size(least)}; make room, or choose another "
            "--output_dir"
        )
    wanted = weights + checkpoint * ((kept or 1) + 1) if keeps_checkpoints else weights
    if room >= wanted:
        return None
    return (
        f"{folder} has {_size(room)} free; the model and the checkpoints that are kept take {_size(wanted)}. "
        "A full disk ends a run at its last good checkpoint: make room, or lower --save_total_limit"
    )


def when_there_is_room(
    save: Callable[[], Value], folder: Path, needed: int, seconds: float, say: Callable[[str], None]
) -> Value:
    """What `save` returns; if the disk is full, tried again for `seconds`, with what it saves in memory.

    Raises:
        OSError: it is full still, with `ENOSPC`.
    """
    end = time.monotonic() + seconds
    told = False
    while True:
        try:
            return save()
        except (OSError, RuntimeError, SafetensorError) as error:
            if not is_full(error):
                raise
            if time.monotonic() >= end:
                missing = max(0, needed - free(folder))
                raise OSError(errno.ENOSPC, f"{_size(missing)} are missing", str(folder)) from error
        if not told:
            told = True
            say(
                f"the disk of {folder} is full: the trained model takes {_size(needed)}, "
                f"{_size(free(folder))} are free. It is kept in memory for {seconds:g} s; make room "
                "meanwhile (--wait-for-disk)"
            )
        time.sleep(min(_LOOK, max(0.05, end - time.monotonic())))


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
