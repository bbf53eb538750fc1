"""Followers of facts take up what concerns them, once, and pass over the rest."""

from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import pytest_asyncio

from roadstead.bus import Bus, Publisher
from roadstead.core import telemetry
from roadstead.core.messages import AnyFact, DeviceChanged, Fact, FactMessage, KeyRevoked, encode_fact, encode_facts
from roadstead.db import Database, Tx
from roadstead.kernel.ids import DeviceId, KeyId, TenantId, new_id
from roadstead.workers.facts import FactFollower
from roadstead.workers.turns import Turn
from tests.conftest import Tenant
from tests.notifications import until
from tests.workers.conftest import running

_NAME = "what tests follow"


class Log:
    """An empty log, and who follows it."""

    def __init__(self, bus: Bus, database: Database, url: str, publisher: Publisher) -> None:
        self.bus, self.database, self.url, self.publisher = bus, database, url, publisher
        self.taken: list[tuple[TenantId, AnyFact]] = []
        self.told: list[FactMessage] = []
        """The last message."""
        self.turns = 0
        self._ids = count(1)

    async def tell(self, tenant: Tenant, *facts: Fact) -> int:
        """In one message; its place."""
        self.told = [FactMessage(next(self._ids), tenant.tenant_id, 1_000, encode_fact(fact)) for fact in facts]
        return await self.repeat(*self.told)

    async def repeat(self, *messages: FactMessage) -> int:
        """As a relay does that does not know that these were told before."""
        return await self.publisher.put("facts.pack", encode_facts(messages), message_id=str(new_id()))

    def following(self) -> Any:
        """A worker that wants to know of keys, for a `with`."""
        turn = Turn(self.url, f"facts of {id(self)}")
        return running(FactFollower(self.bus, self.database, turn, _NAME, self._take, wanted=[KeyRevoked]).run())

    async def move(self, place: int) -> None:
        """As another worker does, whose turn it is by now."""
        async with self.database.tx() as tx:
            await telemetry.update_position(tx, _NAME, place)

    async def _take(self, tx: Tx, facts: Sequence[tuple[TenantId, AnyFact]], *, lost: bool) -> None:
        assert not lost
        self.turns += 1
        self.taken += facts

    async def has_come_to(self, place: int) -> bool:
        """Whether everything up to here will never be looked at again."""
        async with self.database.tx() as tx:
            return await telemetry.select_position(tx, _NAME) >= place


@pytest_asyncio.fixture
async def log(own_bus: Bus, system_database: Database, database_url: str) -> AsyncIterator[Log]:
    """Nobody has followed it yet."""
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM projection WHERE name = %s", _NAME)
    publisher = Publisher(own_bus)
    await publisher.start()
    yield Log(own_bus, system_database, database_url, publisher)
    await publisher.close()


async def test_what_is_told_once_more_is_taken_up_once(log: Log, acme: Tenant) -> None:
    facts = [KeyRevoked(KeyId(new_id())) for _ in range(3)]
    async with log.following():
        await log.tell(acme, *facts[:2])
        first, second = log.told
        await log.tell(acme, facts[2])
        place = await log.repeat(second, *log.told, first)
        await until(lambda: log.has_come_to(place))
    assert log.taken == [(acme.tenant_id, fact) for fact in facts]


async def test_what_concerns_it_is_taken_up_once_whatever_lies_between(log: Log, acme: Tenant, globex: Tenant) -> None:
    told = [KeyRevoked(KeyId(new_id())) for _ in range(3)]
    other = DeviceChanged(DeviceId(new_id()))
    await log.tell(acme, other, told[0], other)
    place = await log.tell(globex, told[1])
    async with log.following():
        await until(lambda: log.has_come_to(place))
    await log.tell(acme, other)
    place = await log.tell(acme, told[2])
    async with log.following():
        await until(lambda: log.has_come_to(place))
    assert log.taken == [(acme.tenant_id, told[0]), (globex.tenant_id, told[1]), (acme.tenant_id, told[2])]


async def test_what_concerns_nobody_is_passed_over_and_not_looked_at_for_ever(log: Log, acme: Tenant) -> None:
    async with log.following():
        places = [await log.tell(acme, DeviceChanged(DeviceId(new_id()))) for _ in range(5)]
        await until(lambda: log.has_come_to(places[-1]))
        assert log.turns == 0
        key = KeyRevoked(KeyId(new_id()))
        place = await log.tell(acme, key)
        await until(lambda: log.has_come_to(place))
    assert (log.taken, log.turns) == ([(acme.tenant_id, key)], 1)


async def test_who_has_lost_its_turn_takes_up_nothing_that_another_has(log: Log, acme: Tenant) -> None:
    first, second, third = (KeyRevoked(KeyId(new_id())) for _ in range(3))
    async with log.following():
        place = await log.tell(acme, first)
        await until(lambda: log.has_come_to(place))
        await log.move(place + 1)
        assert await log.tell(acme, second) == place + 1
        last = await log.tell(acme, third)
        await until(lambda: log.has_come_to(last))
    assert log.taken == [(acme.tenant_id, first), (acme.tenant_id, third)]
