"""Waiting that is cancelled just as it ends."""

import asyncio
from typing import Any

import pytest

from roadstead.kernel.waiting import happens


async def test_an_event_that_is_set_in_time_happens_and_another_does_not() -> None:
    event = asyncio.Event()
    assert not await happens(event, 0.01)
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await happens(event, 10)


@pytest.mark.parametrize("moments", range(4))
@pytest.mark.parametrize("way", [happens, lambda event, within_s: asyncio.wait_for(event.wait(), within_s)])
async def test_a_cancellation_that_comes_with_the_event_is_heard(way: Any, moments: int) -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(way(event, 10))
    for _ in range(3):
        await asyncio.sleep(0)
    event.set()
    for _ in range(moments):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_what_is_ready_is_answered_without_time_and_what_is_not_is_too_late() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    ready = asyncio.get_running_loop().create_future()
    ready.set_result(3)
    assert await asyncio.wait_for(ready, 0) == 3
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(never(), 0)
