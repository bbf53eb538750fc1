"""Doors slow down while more waits on the log than may wait there, and go on when it is worked off."""

import asyncio

import msgspec
import pytest

from roadstead.bus import UPLINK, BacklogWatch, Bus, Packer
from roadstead.bus.streams import last_sequence, truncate
from roadstead.kernel.errors import Unavailable
from tests.bus.conftest import NatsServer, eventually

_ITEM = b"x" * 10_000


async def packer_on(bus: Bus) -> Packer[bytes]:
    """A packer that has begun."""
    packer = Packer[bytes](bus, encode=msgspec.msgpack.encode, size_of=len, interval_s=0)
    await packer.start()
    return packer


async def test_nothing_is_let_in_while_too_much_waits_and_all_again_when_it_is_worked_off(own_bus: Bus) -> None:
    packer = await packer_on(own_bus)
    watching = asyncio.create_task(BacklogWatch(own_bus, [packer], most_bytes=100_000).run())
    with pytest.raises(Unavailable, match="stored"):
        while True:
            await packer.put(_ITEM)
    assert await last_sequence(own_bus, UPLINK) >= 10

    caught_up = asyncio.Event()
    packer.when_caught_up(caught_up.set)
    # What has been read from a device is taken all the same.
    packer.add(_ITEM, None, 0)
    assert not caught_up.is_set()
    await truncate(own_bus, UPLINK, below=await last_sequence(own_bus, UPLINK) + 1)
    await asyncio.wait_for(caught_up.wait(), 5)
    await packer.put(_ITEM)

    watching.cancel()
    await packer.close()


async def test_a_log_that_is_away_changes_nothing(own_bus: Bus, server: NatsServer) -> None:
    packer = await packer_on(own_bus)
    watching = asyncio.create_task(BacklogWatch(own_bus, [packer], most_bytes=20_000).run())
    for _ in range(3):
        packer.add(_ITEM, None, 0)
    await eventually(lambda: packer.behind)
    await server.kill()
    await eventually(lambda: not own_bus.is_connected)
    assert packer.behind
    await server.start()
    await eventually(lambda: own_bus.is_connected)
    await truncate(own_bus, UPLINK, below=await last_sequence(own_bus, UPLINK) + 1)
    await eventually(lambda: not packer.behind)
    watching.cancel()
    await packer.close()
