"""Runs what an asynchronous reward returns, on the one event loop of the process that rewards share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from functools import cache
from typing import Any


def awaited(result: Awaitable[Any]) -> Any:
    """What an awaitable gives; whatever it raises is raised here.

    Every call of the process runs on one loop in a thread of its own: a connection that a reward keeps
    between two batches belongs to the loop on which it was opened.
    """
    value, error = asyncio.run_coroutine_threadsafe(_outcome(result), _loop()).result()
    if error is not None:
        raise error
    return value


async def _outcome(result: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    try:
        return await result, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # a SystemExit would end the loop for every other reward
        return None, error


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="sightline-async-rewards", daemon=True).start()
    return loop
