"""Reading: every pack once and in order, whatever happens to the server."""

import asyncio
from datetime import timedelta

import pytest

from roadstead.bus import (
    ACCEPTED,
    NEW,
    UPLINK,
    Bus,
    Consumer,
    Publisher,
    Reader,
    Start,
    first_sequence,
    last_sequence,
    pending,
    stream_state,
    waiting_since,
)
from roadstead.bus.streams import truncate
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable

from .conftest import NatsServer, eventually


async def publish(own_bus: Bus, subject: str, numbers: range) -> None:
    publisher = Publisher(own_bus)
    await publisher.start()
    await asyncio.gather(*(publisher.put(subject, b"%d" % n, message_id=f"{subject}/{n}") for n in numbers))
    await publisher.close()


async def read(reader: Reader, count: int) -> list[int]:
    found = []
    for _ in range(count):
        pack = await reader.next(10)
        assert pack is not None
        found.append(int(pack.payload))
    return found


async def test_a_reader_starts_where_it_is_told_to(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 6))
    oldest, sixth, new = (
        Reader(own_bus, ACCEPTED),
        Reader(own_bus, ACCEPTED, start=Start(sequence=3)),
        Reader(own_bus, ACCEPTED, start=NEW),
    )
    await new.open()
    assert new.position == 5
    between = time.now()
    await asyncio.sleep(0.002)
    await publish(own_bus, "accepted.0", range(6, 9))
    late = Reader(own_bus, ACCEPTED, start=Start(time=between + timedelta(milliseconds=1)))
    assert await read(oldest, 8) == list(range(1, 9))
    assert await read(sixth, 6) == list(range(3, 9))
    assert await read(new, 3) == [6, 7, 8]
    assert await read(late, 3) == [6, 7, 8]
    assert await oldest.next(0.02) is None
    assert not oldest.gap
    assert oldest.position == 8
    for reader in (oldest, sixth, new, late):
        await reader.close()


async def test_a_reader_says_when_its_start_is_gone(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 11))
    await truncate(own_bus, ACCEPTED, below=6)
    reader = Reader(own_bus, ACCEPTED, start=Start(sequence=2))
    await reader.open()
    assert reader.gap
    first, second = await reader.next(5), await reader.next(5)
    assert first is not None and second is not None
    assert (first.sequence, first.gap, second.gap) == (6, True, False)
    await reader.close()


async def test_a_position_in_a_log_that_was_replaced_is_a_gap_too(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 4))
    reader = Reader(own_bus, ACCEPTED, start=Start(sequence=500))
    await reader.open()
    assert reader.gap
    assert await read(reader, 3) == [1, 2, 3]
    await reader.close()


async def test_a_slow_reader_is_told_what_the_stream_dropped_meanwhile(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 4))
    reader = Reader(own_bus, ACCEPTED)
    assert await read(reader, 3) == [1, 2, 3]
    reader._consumer = ""  # as after a lost connection
    await publish(own_bus, "accepted.0", range(4, 10))
    await truncate(own_bus, ACCEPTED, below=8)
    pack = await reader.next(5)
    assert pack is not None
    assert (pack.sequence, pack.gap) == (8, True)
    await reader.close()


async def test_a_reader_goes_on_after_a_crash_of_nats_without_gap_or_repeat(own_bus: Bus, server: NatsServer) -> None:
    reader = Reader(own_bus, ACCEPTED)
    await publish(own_bus, "accepted.0", range(1, 1001))
    found = await read(reader, 500)
    await server.kill()
    waiting = asyncio.create_task(read(reader, 1000))
    await eventually(lambda: not own_bus.is_connected)
    await server.start()
    await own_bus.connected(10)
    await publish(own_bus, "accepted.0", range(1001, 1501))
    assert found + await waiting == list(range(1, 1501))
    await reader.close()


async def test_a_reader_whose_consumer_the_server_forgot_makes_another(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 3))
    reader = Reader(own_bus, ACCEPTED)
    assert await read(reader, 2) == [1, 2]
    waiting = asyncio.create_task(read(reader, 1))
    async with own_bus.asking() as jetstream:
        for consumer in await jetstream.consumers_info(ACCEPTED):
            await jetstream.delete_consumer(ACCEPTED, consumer.name)
    await publish(own_bus, "accepted.0", range(3, 4))
    assert await asyncio.wait_for(waiting, 10) == [3]
    await reader.close()


async def test_a_closed_reader_leaves_nothing_on_the_server(own_bus: Bus) -> None:
    reader = Reader(own_bus, ACCEPTED)
    assert await reader.next(0.01) is None
    await reader.close()
    async with own_bus.asking() as jetstream:
        assert await jetstream.consumers_info(ACCEPTED) == []


async def test_a_reader_of_one_subject_sees_only_that(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.1", range(1, 4))
    await publish(own_bus, "accepted.2", range(11, 14))
    reader = Reader(own_bus, ACCEPTED, subject="accepted.2")
    assert await read(reader, 3) == [11, 12, 13]
    assert await reader.next(0.02) is None
    await reader.close()


async def test_large_packs_arrive_within_bounded_memory(own_bus: Bus) -> None:
    publisher = Publisher(own_bus)
    await publisher.start()
    for number in range(30):
        await publisher.put("accepted.0", bytes(1_000_000), message_id=f"large {number}")
    await publisher.close()
    reader, most = Reader(own_bus, ACCEPTED), 0
    for _ in range(30):
        pack = await reader.next(10)
        assert pack is not None and len(pack.payload) == 1_000_000
        most = max(most, len(reader._ready))
    assert most < 10
    await reader.close()


async def test_states_and_lag_are_told(own_bus: Bus) -> None:
    assert (await last_sequence(own_bus, ACCEPTED), await pending(own_bus, ACCEPTED)) == (0, 0)
    await publish(own_bus, "accepted.0", range(1, 11))
    await truncate(own_bus, ACCEPTED, below=4)
    assert (await first_sequence(own_bus, ACCEPTED), await last_sequence(own_bus, ACCEPTED)) == (4, 10)
    assert await pending(own_bus, ACCEPTED, position=7) == 3
    assert await pending(own_bus, ACCEPTED, position=1) == 7
    first, eighth = await waiting_since(own_bus, ACCEPTED), await waiting_since(own_bus, ACCEPTED, position=7)
    assert first is not None and eighth is not None and first < eighth < time.now()
    assert await waiting_since(own_bus, ACCEPTED, position=10) is None
    with pytest.raises(Unavailable):
        await waiting_since(own_bus, "NOTHING")
    with pytest.raises(Unavailable):
        await stream_state(own_bus, "NOTHING")


async def test_batches_are_bounded_and_an_acknowledged_one_leaves_the_log(own_bus: Bus) -> None:
    await publish(own_bus, "uplink.0", range(1, 101))
    consumer = Consumer(own_bus, UPLINK)
    found: list[int] = []
    async for batch in consumer.batches(most=30, most_bytes=1 << 20, wait_s=0.05):
        assert len(batch.packs) <= 30
        found += [int(pack.payload) for pack in batch.packs]
        await batch.ack()
        assert await pending(own_bus, UPLINK) == 100 - len(found)
        if len(found) == 100:
            break
    assert found == list(range(1, 101))
    await consumer.close()


async def test_a_later_batch_does_not_acknowledge_an_earlier_one(own_bus: Bus) -> None:
    await publish(own_bus, "uplink.0", range(1, 5))
    consumer = Consumer(own_bus, UPLINK)
    batches = consumer.batches(most=2, most_bytes=1 << 20, wait_s=0.05)
    first, second = await anext(batches), await anext(batches)
    await second.ack()
    assert await pending(own_bus, UPLINK) == 4
    await first.ack()
    assert await pending(own_bus, UPLINK) == 0
    await consumer.close()


async def test_what_a_dead_consumer_left_comes_again_at_once_and_first(own_bus: Bus) -> None:
    await publish(own_bus, "uplink.0", range(1, 11))
    dead = Consumer(own_bus, UPLINK)
    batch = await anext(dead.batches(most=5, most_bytes=1 << 20, wait_s=0.05))
    assert len(batch.packs) == 5

    await publish(own_bus, "uplink.0", range(11, 16))
    heir = Consumer(own_bus, UPLINK)
    inherited = await anext(heir.batches(most=15, most_bytes=1 << 20, wait_s=0.5))
    assert [int(pack.payload) for pack in inherited.packs] == list(range(1, 16))
    await dead.close()
    await heir.close()


async def test_shards_are_worked_off_apart(own_bus: Bus) -> None:
    await publish(own_bus, "uplink.0", range(1, 4))
    await publish(own_bus, "uplink.1", range(11, 14))
    consumer = Consumer(own_bus, UPLINK, subject="uplink.1")
    batch = await anext(consumer.batches(most=10, most_bytes=1 << 20, wait_s=0.05))
    assert [int(pack.payload) for pack in batch.packs] == [11, 12, 13]
    await batch.ack()
    other = Consumer(own_bus, UPLINK, subject="uplink.0")
    rest = await anext(other.batches(most=10, most_bytes=1 << 20, wait_s=0.05))
    assert [int(pack.payload) for pack in rest.packs] == [1, 2, 3]
    await consumer.close()
    await other.close()


async def test_a_consumer_survives_crashes_of_nats_and_misses_nothing(own_bus: Bus, server: NatsServer) -> None:
    consumer = Consumer(own_bus, UPLINK)
    found: list[int] = []
    await publish(own_bus, "uplink.0", range(1, 201))

    async def work() -> None:
        async for batch in consumer.batches(most=7, most_bytes=1 << 20, wait_s=0.01):
            found.extend(int(pack.payload) for pack in batch.packs)
            await batch.ack()
            if found[-1] == 400:
                return

    working = asyncio.create_task(work())
    await eventually(lambda: len(found) >= 50)
    await server.kill()
    await eventually(lambda: not own_bus.is_connected)
    await server.start()
    await own_bus.connected(10)
    await publish(own_bus, "uplink.0", range(201, 401))
    await asyncio.wait_for(working, 20)
    assert found == list(range(1, 401))
    await consumer.close()

    async def is_empty() -> bool:
        return await pending(own_bus, UPLINK) == 0

    await eventually(is_empty)
