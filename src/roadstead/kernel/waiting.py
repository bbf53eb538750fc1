"""Waiting for something, but not for ever."""

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Whether the event is set within so many seconds."""
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False


async def _wait_for(awaitable: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109
    """`asyncio.wait_for` as it is from Python 3.12 on."""
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(awaitable)
        if future.done():
            return future.result()
        future.cancel()
        try:
            return await future
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    async with asyncio.timeout(timeout):
        return await awaitable


def mend_wait_for() -> None:
    """Make cancelling reliable: `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with what
    it waits for (python/cpython issue 86296), and whoever was to end goes on for ever. Libraries use it at every turn.
    """
    if sys.version_info < (3, 12):
        asyncio.wait_for = asyncio.tasks.wait_for = _wait_for  # type: ignore[assignment]
