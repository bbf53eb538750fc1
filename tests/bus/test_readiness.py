"""Whether the log takes anything is found out by giving it something."""

import asyncio
import time

import pytest

from roadstead.bus import UPLINK, Bus, stream_state
from roadstead.bus import packer as module
from roadstead.kernel.errors import Unavailable

from .conftest import NatsServer, eventually
from .test_packer import Item, Ledger, packer_on


class Purse:
    """An account that keeps what it is told."""

    def __init__(self) -> None:
        self.settled_bytes = 0

    def settled(self, size: int) -> None:
        self.settled_bytes += size


async def test_a_log_is_ready_when_it_takes_a_pack_and_not_when_it_only_listens(
    own_bus: Bus, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READY_WITHIN_S", 0.3)
    packer = await packer_on(own_bus)
    await packer.ready()
    assert (await stream_state(own_bus, UPLINK)).messages == 1
    await packer.ready()  # it has just been seen to work
    assert (await stream_state(own_bus, UPLINK)).messages == 1

    packer._stored_at = float("-inf")
    await server.freeze()
    with pytest.raises(Unavailable):
        await packer.ready()
    server.thaw()
    await packer.ready()
    await packer.close()


async def test_nobody_waits_long_for_a_log_that_has_not_answered_for_seconds(
    own_bus: Bus, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK_S", 0.2)
    packer = await packer_on(own_bus)
    await server.freeze()
    first = asyncio.create_task(packer.put(Item(1, 1)))
    await eventually(lambda: packer._publisher.waiting_s > 0.2)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer"):
        await packer.put(Item(1, 2))
    assert time.monotonic() - began < 0.1
    server.thaw()
    await asyncio.wait_for(first, 10)
    await packer.put(Item(1, 3))
    await packer.close()


async def test_an_account_is_settled_when_the_pack_it_was_charged_for_is_answered(
    own_bus: Bus, server: NatsServer
) -> None:
    packer, purse = await packer_on(own_bus), Purse()
    await server.freeze()
    packer.add(Item(1, 1), Ledger(), 1)
    packer.charge(purse, 100)
    packer.charge(purse, 20)
    await asyncio.sleep(0.05)
    packer.charge(purse, 3)  # nothing was added since, but what was sent is still on its way
    assert purse.settled_bytes == 0
    server.thaw()
    await packer.put(Item(1, 2))
    assert purse.settled_bytes == 123
    packer.charge(purse, 1000)
    await asyncio.sleep(0)
    assert purse.settled_bytes == 1123
    await packer.close()
