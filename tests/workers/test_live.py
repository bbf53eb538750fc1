"""Live streams: everybody hears everything that is theirs, once and in order, wherever they begin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from roadstead.bus import ACCEPTED, FACTS, Bus, Publisher
from roadstead.core.messages import (
    Accepted,
    AlertChanged,
    CommandChanged,
    DeviceChanged,
    DeviceDeleted,
    DeviceStatusChanged,
    ExportChanged,
    Fact,
    FactMessage,
    Reading,
    SensorsChanged,
    ValueType,
    encode_accepted,
    encode_fact,
    encode_facts,
)
from roadstead.core.ports import Ports
from roadstead.core.streams import (
    REPORT_TOPICS,
    DeviceEvent,
    FactEvent,
    Gap,
    Position,
    ReadingEvent,
    StreamFilter,
    Subscription,
    TooSlow,
    Topic,
)
from roadstead.db import Database
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, ExportId, SensorId, SiteId, new_id
from roadstead.workers.live import LiveHub, LiveMetrics
from tests.bus.conftest import NatsServer
from tests.conftest import Tenant
from tests.fleet import add_device, add_sensor

READINGS = StreamFilter(topics=frozenset({Topic.READING}))
DEVICES = StreamFilter(topics=frozenset({Topic.DEVICE}))
EVERYTHING = StreamFilter(topics=frozenset(Topic) - REPORT_TOPICS)


class World:
    """A log of its own, a hub that reads it, and what devices are made to say."""

    def __init__(self, bus: Bus, publisher: Publisher, hub: LiveHub) -> None:
        self.bus = bus
        self.publisher = publisher
        self.hub = hub
        self._messages = 0

    async def put(self, subject: str, payload: bytes) -> int:
        """A message on the log; its sequence."""
        self._messages += 1
        return await self.publisher.put(subject, payload, message_id=f"{subject}-{self._messages}")

    async def report(self, *messages: Accepted) -> int:
        """A pack of accepted messages."""
        return await self.put("accepted.0", encode_accepted(messages))

    async def tell(self, tenant: Tenant, *facts: Fact, number: int | None = None) -> int:
        """Facts, together."""
        first = number or self._messages * 100 + 1_000
        pack = [FactMessage(id_, tenant.tenant_id, 1_000, encode_fact(fact)) for id_, fact in enumerate(facts, first)]
        return await self.put("facts.pack", encode_facts(pack))


@asynccontextmanager
async def running(bus: Bus, database: Database, ports: Ports, *, most_waiting: int = 16_384) -> AsyncIterator[LiveHub]:
    """A hub."""
    hub = LiveHub(bus, database, ports, metrics=LiveMetrics(CollectorRegistry()), most_waiting=most_waiting)
    task = asyncio.create_task(hub.run())
    try:
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture
async def world(own_bus: Bus, acme: Tenant) -> AsyncIterator[World]:
    """A hub on an empty log."""
    publisher = Publisher(own_bus)
    await publisher.start()
    async with running(own_bus, acme.edge.tenant_database, acme.edge.ports) as hub:
        # Whoever could subscribe knows that the hub listens: its position is one in this log from now on.
        await (await hub.subscribe(acme.tenant_id, DEVICES, None)).close()
        yield World(own_bus, publisher, hub)
    await publisher.close()


async def make_sensor(tenant: Tenant, path: str = "one") -> tuple[UUID, UUID]:
    """A device with a sensor."""
    database = tenant.edge.system_database
    device = await add_device(database, tenant.tenant_id)
    return device, await add_sensor(database, tenant.tenant_id, device, path, ValueType.BIGINT)


def said(tenant: Tenant, device: UUID, *values: int, path: str = "one") -> Accepted:
    """A message of a device."""
    readings = [Reading(path, value, value) for value in values]
    return Accepted.of(tenant.tenant_id, ids.to_bytes(device), "native", "readings", 5_000, readings)


async def hear(subscription: Subscription, count: int) -> list[object]:
    """The next so many events: values of readings, and other bodies as they are."""
    heard: list[object] = []
    async with asyncio.timeout(20):
        while len(heard) < count:
            for parcel in await subscription.next(1.0):
                heard += [
                    event.body.reading.value if isinstance(event.body, ReadingEvent) else event.body
                    for event in parcel.events
                ]
    assert len(heard) == count
    return heard


async def collect(subscription: Subscription, count: int) -> list[tuple[str, Position]]:
    """The next so many events, by what they say, with their positions."""
    heard: list[tuple[str, Position]] = []
    async with asyncio.timeout(20):
        while len(heard) < count:
            for parcel in await subscription.next(1.0):
                heard += [(repr(event.body), event.position) for event in parcel.events]
    assert len(heard) == count
    return heard


async def test_everybody_hears_their_own_readings_and_no_others(world: World, acme: Tenant, globex: Tenant) -> None:
    ours, sensor = await make_sensor(acme)
    theirs, _ = await make_sensor(globex)
    listener = await world.hub.subscribe(acme.tenant_id, READINGS, None)
    other = await world.hub.subscribe(globex.tenant_id, READINGS, None)

    await world.report(said(acme, ours, 1, 2), said(globex, theirs, 8), said(acme, ours, 3), said(globex, theirs, 9))

    [parcel] = await listener.next(10)
    first = parcel.events[0].body
    assert isinstance(first, ReadingEvent)
    assert (first.sensor_id, first.device_id, first.value_type) == (sensor, ours, ValueType.BIGINT)
    assert [event.body.reading.value for event in parcel.events if isinstance(event.body, ReadingEvent)] == [1, 2, 3]
    assert await hear(other, 2) == [8, 9]


async def test_filters_by_device_sensor_and_site(world: World, acme: Tenant) -> None:
    one, sensor = await make_sensor(acme)
    two, _ = await make_sensor(acme)
    await add_sensor(acme.edge.system_database, acme.tenant_id, one, "other", ValueType.BIGINT)
    site = await put_in_site(acme, two)
    by_device = msgspec.structs.replace(READINGS, devices=frozenset({ids.to_bytes(one)}))
    by_sensor = msgspec.structs.replace(by_device, sensors=frozenset({sensor}))
    by_site = msgspec.structs.replace(READINGS, site_id=site)
    listeners = [await world.hub.subscribe(acme.tenant_id, wanted, None) for wanted in (by_device, by_sensor, by_site)]

    await world.report(said(acme, two, 1), said(acme, one, 2, path="other"), said(acme, one, 3), said(acme, two, 4))

    assert [await hear(listener, 2 - place % 2) for place, listener in enumerate(listeners)] == [[2, 3], [3], [1, 4]]


async def test_what_becomes_of_alerts_and_commands_is_filtered_the_same_way(world: World, acme: Tenant) -> None:
    one, sensor = await make_sensor(acme)
    two, other = await make_sensor(acme)
    site = await put_in_site(acme, two)
    topics = frozenset({Topic.ALERT, Topic.COMMAND, Topic.EXPORT})
    everything = StreamFilter(topics=topics)
    by_device = msgspec.structs.replace(everything, devices=frozenset({ids.to_bytes(two)}))
    by_sensor = msgspec.structs.replace(by_device, devices=frozenset({ids.to_bytes(one)}), sensors=frozenset({sensor}))
    by_site = msgspec.structs.replace(everything, site_id=site)
    only_alerts = msgspec.structs.replace(everything, topics=frozenset({Topic.ALERT}))
    facts: list[Fact] = [
        CommandChanged(DeviceId(one), new_id(), "SENT"),
        AlertChanged(new_id(), DeviceId(one), "ACTIVE", new_id(), SensorId(sensor)),
        AlertChanged(new_id(), DeviceId(one), "ACTIVE", new_id(), SensorId(new_id())),
        ExportChanged(ExportId(new_id()), "READY"),
        AlertChanged(new_id(), DeviceId(two), "ACTIVE", new_id(), SensorId(other)),
        CommandChanged(DeviceId(two), new_id(), "SENT"),
    ]
    expected = {everything: facts, by_device: facts[4:], by_sensor: facts[:2], by_site: facts[4:]}
    expected[only_alerts] = [facts[1], facts[2], facts[4]]
    listeners = {wanted: await world.hub.subscribe(acme.tenant_id, wanted, None) for wanted in expected}

    for fact in facts:
        await world.tell(acme, fact)

    for wanted, listener in listeners.items():
        heard = await hear(listener, len(expected[wanted]))
        assert [body.fact for body in heard if isinstance(body, FactEvent)] == expected[wanted]


async def put_in_site(tenant: Tenant, device: UUID) -> SiteId:
    """The device stands in a site below this one."""
    top, below = new_id(), new_id()
    async with tenant.edge.system_database.tx() as tx:
        for id_, parent, lineage in ((top, None, [top]), (below, top, [top, below])):
            await tx.run(
                """
                INSERT INTO site (tenant_id, id, parent_id, lineage, name, created_at, updated_at)
                VALUES (%s, %s, %s, %s, %s, now(), now())
                """,
                tenant.tenant_id,
                id_,
                parent,
                lineage,
                str(id_),
            )
        await tx.run("UPDATE device SET site_id = %s WHERE id = %s", below, device)
    return SiteId(top)


async def test_what_is_the_platforms_own_and_what_has_no_sensor_is_nobodys_event(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    listener = await world.hub.subscribe(acme.tenant_id, READINGS, None)

    await world.report(said(acme, device, 1, path="$health/uptimeSeconds"), said(acme, device, 2, path="gone"))
    await world.report(said(acme, device, 3))

    assert await hear(listener, 1) == [3]


async def test_a_sensor_that_came_into_being_meanwhile_is_known(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    listener = await world.hub.subscribe(acme.tenant_id, READINGS, None)
    await world.report(said(acme, device, 1))
    assert await hear(listener, 1) == [1]

    await add_sensor(acme.edge.system_database, acme.tenant_id, device, "new", ValueType.BIGINT)
    await world.report(said(acme, device, 2, path="new"))

    assert await hear(listener, 1) == [2]


async def test_a_path_that_was_strange_is_looked_at_again_when_sensors_changed(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    listener = await world.hub.subscribe(acme.tenant_id, EVERYTHING, None)
    await world.report(said(acme, device, 1, path="late"), said(acme, device, 2))
    assert await hear(listener, 1) == [2]

    await add_sensor(acme.edge.system_database, acme.tenant_id, device, "late", ValueType.BIGINT)
    await world.tell(acme, SensorsChanged(DeviceId(device)))
    await world.tell(acme, DeviceStatusChanged(DeviceId(device), "ACTIVE", True))
    await hear(listener, 1)
    await world.report(said(acme, device, 3, path="late"))

    assert await hear(listener, 1) == [3]


async def test_devices_are_told_about_once_even_when_a_fact_comes_twice(
    world: World, acme: Tenant, globex: Tenant
) -> None:
    device, _ = await make_sensor(acme)
    listener = await world.hub.subscribe(acme.tenant_id, DEVICES, None)
    foreign, _ = await make_sensor(globex)

    await world.tell(globex, DeviceChanged(DeviceId(foreign)))
    await world.tell(acme, DeviceStatusChanged(DeviceId(device), "OFFLINE", False), number=7)
    await world.tell(acme, DeviceStatusChanged(DeviceId(device), "OFFLINE", False), number=7)
    await world.tell(acme, DeviceDeleted(DeviceId(device), False), number=8)

    heard = await hear(listener, 2)
    assert [(body.type, body.device_id, body.status) for body in heard if isinstance(body, DeviceEvent)] == [
        ("status", device, "OFFLINE"),
        ("deleted", device, None),
    ]


async def test_who_goes_on_anywhere_hears_the_rest_and_nothing_twice(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    listener = await world.hub.subscribe(acme.tenant_id, EVERYTHING, None)
    for start in range(0, 30, 3):
        await world.report(said(acme, device, start, start + 1), said(acme, device, start + 2))
        ends = (f"S{start}", f"T{start}", f"U{start}")
        await world.tell(acme, *(DeviceStatusChanged(DeviceId(device), status, True) for status in ends))
    heard = await collect(listener, 60)

    assert len({what for what, _ in heard}) == 60
    for place in (0, 1, 2, 3, 4, 5, 20, 33, 34, 35, 58):
        late = await world.hub.subscribe(acme.tenant_id, EVERYTHING, heard[place][1])
        # How the two streams interleave may differ from one time to the next; what is told of each may not.
        rest = [what for what, _ in await collect(late, 59 - place)]
        assert sorted(rest) == sorted(what for what, _ in heard[place + 1 :])
        await late.close()


async def test_the_change_from_the_past_to_the_present_loses_and_repeats_nothing(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    start = world.hub.position
    total, told = 400, asyncio.Event()

    async def speak() -> None:
        for number in range(total):
            await world.report(said(acme, device, number))
            if number == 50:
                told.set()

    speaking = asyncio.create_task(speak())
    await told.wait()
    late = [await world.hub.subscribe(acme.tenant_id, READINGS, start) for _ in range(5)]
    heard = await asyncio.gather(*(hear(listener, total) for listener in late))
    await speaking

    assert heard == [list(range(total))] * 5
    assert all(listener.replay is None for listener in late)


async def test_what_is_not_kept_any_more_is_told_as_one_gap(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    start = world.hub.position
    for number in range(5):
        await world.report(said(acme, device, number))
        await world.tell(acme, DeviceStatusChanged(DeviceId(device), f"S{number}", True))
    async with world.bus.asking() as jetstream:
        await jetstream.purge_stream(ACCEPTED, seq=4)
        await jetstream.purge_stream(FACTS, seq=5)

    listener = await world.hub.subscribe(acme.tenant_id, EVERYTHING, start)
    gap, *rest = await hear(listener, 4)

    assert isinstance(gap, Gap)
    assert [one for one in rest if isinstance(one, int)] == [3, 4]
    assert [one.status for one in rest if isinstance(one, DeviceEvent)] == ["S4"]


async def test_a_position_of_another_log_is_a_gap_too(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    await world.report(said(acme, device, 1))

    listener = await world.hub.subscribe(acme.tenant_id, READINGS, Position("00000000", 1, 0, 0))

    gap, first = await hear(listener, 2)
    assert isinstance(gap, Gap)
    assert first == 1


async def test_who_does_not_listen_is_cut_off_and_the_others_are_not(own_bus: Bus, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    publisher = Publisher(own_bus)
    await publisher.start()
    async with running(own_bus, acme.edge.tenant_database, acme.edge.ports, most_waiting=10) as hub:
        world = World(own_bus, publisher, hub)
        asleep = await hub.subscribe(acme.tenant_id, READINGS, None)
        awake = await hub.subscribe(acme.tenant_id, READINGS, None)
        for number in range(12):
            await world.report(said(acme, device, number))
            assert await hear(awake, 1) == [number]

        position = asleep.position
        with pytest.raises(TooSlow, match="10 events"):
            await asleep.next(1)

        again = await hub.subscribe(acme.tenant_id, READINGS, position)
        assert await hear(again, 12) == list(range(12))
    await publisher.close()


async def test_events_are_spelled_once_for_a_thousand_listeners(world: World, acme: Tenant) -> None:
    device, _ = await make_sensor(acme)
    listeners = [await world.hub.subscribe(acme.tenant_id, READINGS, None) for _ in range(1_000)]
    spelled = 0

    def spell(event: object) -> bytes:
        nonlocal spelled
        spelled += 1
        return b"event;"

    await world.report(said(acme, device, *range(50)))
    heard = await asyncio.gather(*(listener.next(10) for listener in listeners))

    assert {parcel.spell("test", spell) for [parcel] in heard} == {b"event;" * 50}
    assert spelled == 50
    assert 0 < world.hub.pace_s <= 0.25


async def test_a_log_that_goes_away_and_comes_back_costs_nothing(
    world: World, server: NatsServer, acme: Tenant
) -> None:
    device, _ = await make_sensor(acme)
    listener = await world.hub.subscribe(acme.tenant_id, READINGS, None)
    await world.report(said(acme, device, 1))
    assert await hear(listener, 1) == [1]

    await server.kill()
    await server.start()
    await world.bus.connected(20)
    await world.report(said(acme, device, 2))

    assert await hear(listener, 1) == [2]
