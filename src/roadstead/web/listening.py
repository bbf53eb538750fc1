"""What a live stream needs in every dialect: to be followed as long as its listener may hear it and keeps up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from roadstead.web.edge import Edge

T = TypeVar("T")

log = structlog.get_logger()

KEEP_ALIVE_S = 15.0
STALL_S = 20.0
"""How long a listener may keep us waiting before it is given up."""
_LEAST_PACE_S = 0.005


class Telling(Protocol[T]):
    """What somebody listens to: a subscription of a live stream, or the like."""

    async def next(self, timeout_s: float) -> list[T]:
        """What there is to tell, as soon as there is something; nothing after `timeout_s`. Raises `TooSlow`."""

    async def close(self) -> None:
        """Stop listening."""


async def follow(
    edge: Edge,
    subscription: Telling[T],
    check: Callable[[], Awaitable[None]],
    *,
    keep_alive_s: float | None = None,
) -> AsyncIterator[list[T]]:
    """What there is to tell; an empty list each time that there is nothing for so long, else for 15 s.

    Ends by raising what ends it: what `check` raises, who is asked before anything is told, or that the listener is too
    slow.
    """
    loop = asyncio.get_running_loop()
    spoke_at = loop.time()
    silence_s = KEEP_ALIVE_S if keep_alive_s is None else keep_alive_s
    while True:
        left_s = spoke_at + silence_s - loop.time()
        found = await subscription.next(max(min(left_s, edge.vigil.every_s), 0.0))
        await check()
        if found or loop.time() >= spoke_at + silence_s:
            yield found
            spoke_at = loop.time()
            if edge.live.pace_s > _LEAST_PACE_S:
                await asyncio.sleep(edge.live.pace_s)


def in_time(app: ASGIApp) -> ASGIApp:
    """Gives up a listener that does not take what is sent to it."""

    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        async def sendin_time(message: Message) -> None:
            async with asyncio.timeout(STALL_S):
                await send(message)

        try:
            await app(scope, receive, sendin_time)
        except* TimeoutError:
            log.info("listener stalled", path=scope["path"])

    return patient


async def until_one_ends(*deeds: Coroutine[Any, Any, None]) -> None:
    """Do these side by side until one of them ends, and raise what it raises."""
    tasks = [asyncio.create_task(deed) for deed in deeds]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
