"""Waiting for servers: what is away comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


async def patiently(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it works, at ever longer intervals; `what` is waited for, the log says."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            log.warning("waiting", what=what, reason=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
