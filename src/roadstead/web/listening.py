"""What a live stream needs in every dialect: to be followed as long as its listener may hear it and keeps up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from roadstead.core.streams import Parcel, Subscription
from roadstead.web.edge import Edge

KEEP_ALIVE_S = 15.0
STALL_S = 20.0
"""How long a listener may keep us waiting before it is given up."""
_LEAST_PACE_S = 0.005


async def follow(
    edge: Edge, subscription: Subscription, check: Callable[[], Awaitable[None]]
) -> AsyncIterator[list[Parcel]]:
    """What there is to tell; an empty list every 15 s in which there is nothing.

    Ends by raising what ends it: what `check` raises, who is asked before anything is told, or that the listener is too
    slow.
    """
    loop = asyncio.get_running_loop()
    spoke_at = loop.time()
    while True:
        left_s = spoke_at + KEEP_ALIVE_S - loop.time()
        parcels = await subscription.next(max(min(left_s, edge.vigil.every_s), 0.0))
        await check()
        if parcels or loop.time() >= spoke_at + KEEP_ALIVE_S:
            yield parcels
            spoke_at = loop.time()
            if edge.live.pace_s > _LEAST_PACE_S:
                await asyncio.sleep(edge.live.pace_s)


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
