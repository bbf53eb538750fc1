"""Free topics over the bus: everybody in the space hears, in order, and who says something learns if it arrived."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from roadstead.bus import Bus, connect
from roadstead.core.free_topics import Place, Said
from roadstead.kernel.ids import SpaceId, TenantId, new_id
from roadstead.supervisor.servers import Servers
from roadstead.workers.free_topics import BusFreeTopics
from tests.app.gateway import until


def place_of(tenant: int, space: UUID) -> Place:
    """A space of a tenant."""
    return (TenantId(tenant), SpaceId(space))


@pytest_asyncio.fixture
async def elsewhere(servers: Servers) -> AsyncIterator[BusFreeTopics]:
    """Another process."""
    own_bus = await connect(servers.nats_url, name="elsewhere")
    carrier = BusFreeTopics(own_bus)
    running = asyncio.create_task(carrier.run())
    yield carrier
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await own_bus.close()


async def test_what_is_said_is_heard_in_every_process_within_its_space_and_in_order(
    free_topics: BusFreeTopics, elsewhere: BusFreeTopics
) -> None:
    space, other = new_id(), new_id()
    here: list[bytes] = []
    there: list[bytes] = []
    strangers: list[bytes] = []
    places = [place_of(1, space), place_of(1, other), place_of(2, space)]
    ears = [
        await free_topics.listen(places[0], lambda said: here.append(said.payload)),
        await elsewhere.listen(places[0], lambda said: there.append(said.payload)),
        await elsewhere.listen(places[1], lambda said: strangers.append(said.payload)),
        await elsewhere.listen(places[2], lambda said: strangers.append(said.payload)),
    ]
    arrived: list[bool] = []
    said = [str(number).encode() for number in range(100)]
    for payload in said:
        free_topics.say(places[0], Said("chat", payload), arrived.append)
    await until(lambda: (here, there, arrived) == (said, said, [True] * 100))
    for place in places[1:]:
        free_topics.say(place, Said("chat", b"mine"))
    await until(lambda: strangers == [b"mine", b"mine"])
    await ears[1].close()
    free_topics.say(places[0], Said("chat", b"last"))
    await until(lambda: here[-1] == b"last")
    assert there == said
    for ear in ears:
        await ear.close()


async def test_who_says_something_learns_that_the_bus_is_away_and_those_that_wait_go_on() -> None:
    away = Bus("nats://127.0.0.1:1", name="away")
    carrier = BusFreeTopics(away, most_waiting_bytes=100)
    arrived: list[bool] = []
    room: list[bool] = []
    for _ in range(3):
        carrier.say(place_of(1, new_id()), Said("chat", b"x" * 50), arrived.append)
    assert carrier.full
    carrier.when_room(lambda: room.append(carrier.full))
    running = asyncio.create_task(carrier.run())
    await until(lambda: len(arrived) == 3)
    assert arrived == [False] * 3
    await until(lambda: room)
    assert room == [False]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
