"""Room on the disk: checked before a run, waited for at its end."""

from __future__ import annotations

import errno
import os
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
_WORDS = (
    *("No space left", "os error 28", "code: 28", "Disk quota exceeded", "os error 122", "File too large"),
    *("os error 27", "unexpected pos"),
)
_LOOK = 2.0
"""Seconds between two tries."""
_OPTIMIZER_BYTES = 8
"""Of one trained parameter: AdamW's two moments in float32."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full.

    safetensors and tokenizers have only words for it, the latter in a bare `Exception`; `torch.save` says
    that it is not where it should be in its file.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    by_words = isinstance(error, SafetensorError | RuntimeError) or type(error) is Exception
    return by_words and any(word in str(error) for word in _WORDS)


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


def trouble(error: BaseException, folder: Path) -> str | None:
    """What an error says about the disk of a run, in words; None if it is about anything else."""
    if is_full(error):
        return f"the disk is full ({error})"
    if not isinstance(error, OSError) or not isinstance(error.filename, str | os.PathLike):
        return None
    path = Path(error.filename)
    inside = path.absolute().is_relative_to(folder.absolute())
    return f"{path} cannot be written or read: {error.strerror}" if inside else None


def when_there_is_room(
    save: Callable[[], Value], folder: Path, needed: int, seconds: float, say: Callable[[str], None]
) -> Value:
    """What `save` returns; tried again for `seconds`, with what it saves in memory, while the disk is full
    or takes nothing for another reason (rights, a lost network disk).

    Raises:
        OSError: it still does not; of `folder`, in words.
    """
    end = time.monotonic() + seconds
    told = False
    while True:
        try:
            return save()
        except Exception as error:
            full = is_full(error)
            if not full and not isinstance(error, OSError):
                raise
            if time.monotonic() >= end:
                missing = f"its disk is full, {_size(max(0, needed - free(folder)))} are missing"
                why = missing if full else str(error)
                number = errno.ENOSPC if full else getattr(error, "errno", None) or errno.EIO
                raise OSError(number, why, str(folder)) from error
            now = f"{_size(free(folder))} are free" if full else str(error)
        if not told:
            told = True
            say(
                f"the trained model, {_size(needed)}, cannot be written to {folder}"
                f"{', whose disk is full' * full}: {now}. It is kept in memory for {seconds:g} s; "
                f"{'make room' if full else 'put it right'} meanwhile (--wait-for-disk)"
            )
        time.sleep(min(_LOOK, max(0.05, end - time.monotonic())))


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
