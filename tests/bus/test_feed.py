"""Followers of one stream share what comes, and each still gets every pack once and in order, whatever happens."""

import asyncio

import pytest

from roadstead.bus import ACCEPTED, NEW, Bus, Follower, Publisher, Reader, Start, stream_state
from roadstead.bus.streams import truncate

from .conftest import NatsServer, eventually
from .test_reader import publish


async def read(follower: Follower, count: int) -> list[int]:
    """What the next packs hold."""
    found = []
    for _ in range(count):
        pack = await follower.next(10)
        assert pack is not None
        assert not pack.gap
        found.append(int(pack.payload))
    return found


async def consumers(bus: Bus) -> int:
    """How often the server sends the stream."""
    async with bus.asking() as jetstream:
        return len(await jetstream.consumers_info(ACCEPTED))


async def is_sent_once(bus: Bus) -> bool:
    """Whether all read together."""
    return await consumers(bus) == 1


async def test_what_comes_is_sent_once_for_all_followers(own_bus: Bus) -> None:
    followers = [Follower(own_bus, ACCEPTED, start=NEW) for _ in range(5)]
    for follower in followers:
        await follower.open()
    reading = [asyncio.create_task(read(follower, 100)) for follower in followers]
    await publish(own_bus, "accepted.0", range(1, 101))
    assert await asyncio.gather(*reading) == [list(range(1, 101))] * 5
    assert await consumers(own_bus) == 1
    assert [follower.position for follower in followers] == [100] * 5
    for follower in followers:
        await follower.close()
    assert await consumers(own_bus) == 0


async def test_one_that_begins_far_behind_reads_alone_until_it_has_caught_up(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 51))
    near, far = Follower(own_bus, ACCEPTED, start=NEW), Follower(own_bus, ACCEPTED, start=Start(sequence=11))
    await near.open()
    assert await read(far, 39) == list(range(11, 50))
    assert await consumers(own_bus) == 2
    await publish(own_bus, "accepted.0", range(51, 61))
    assert await read(near, 10) == list(range(51, 61))
    assert await read(far, 11) == list(range(50, 61))
    await eventually(lambda: is_sent_once(own_bus))
    await publish(own_bus, "accepted.0", range(61, 63))
    assert [await read(far, 2), await read(near, 2)] == [[61, 62]] * 2
    for follower in (near, far):
        await follower.close()


async def test_a_new_follower_begins_at_the_end_though_the_others_are_not_there_yet(own_bus: Bus) -> None:
    slow = Follower(own_bus, ACCEPTED, start=NEW)
    await slow.open()
    await publish(own_bus, "accepted.0", range(1, 11))
    late = Follower(own_bus, ACCEPTED, start=NEW)
    await late.open()
    assert late.position == 10
    await publish(own_bus, "accepted.0", range(11, 13))
    assert await read(late, 2) == [11, 12]
    assert await read(slow, 12) == list(range(1, 13))
    for follower in (slow, late):
        await follower.close()


async def test_a_slow_follower_misses_nothing_of_what_is_not_kept_for_it(own_bus: Bus) -> None:
    slow, fast = (Follower(own_bus, ACCEPTED, start=NEW, most_bytes=10) for _ in range(2))
    await slow.open()
    await fast.open()
    await publish(own_bus, "accepted.0", range(1, 3))
    assert await read(slow, 1) == [1]
    await publish(own_bus, "accepted.0", range(3, 101))
    assert await read(fast, 100) == list(range(1, 101))
    assert await read(slow, 99) == list(range(2, 101))
    await publish(own_bus, "accepted.0", range(101, 102))
    assert [await read(slow, 1), await read(fast, 1)] == [[101], [101]]
    for follower in (slow, fast):
        await follower.close()


async def test_nothing_within_a_time_is_none(own_bus: Bus) -> None:
    one, other = Follower(own_bus, ACCEPTED), Follower(own_bus, ACCEPTED)
    assert await asyncio.gather(one.next(0.02), other.next(0.02)) == [None, None]  # type: ignore[comparison-overlap]
    assert await one.next(0) is None
    await publish(own_bus, "accepted.0", range(1, 3))
    assert await read(one, 2) == [1, 2]
    assert await one.next(0) is None
    for follower in (one, other):
        await follower.close()


async def test_a_follower_that_gives_up_waiting_costs_the_others_nothing(own_bus: Bus) -> None:
    one, other = Follower(own_bus, ACCEPTED, start=NEW), Follower(own_bus, ACCEPTED, start=NEW)
    await one.open()
    await other.open()
    waiting = asyncio.create_task(one.next())
    hearing = asyncio.create_task(read(other, 3))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await one.close()
    await publish(own_bus, "accepted.0", range(1, 4))
    assert await hearing == [1, 2, 3]
    await other.close()


async def test_all_followers_are_told_what_the_stream_dropped(own_bus: Bus) -> None:
    followers = [Follower(own_bus, ACCEPTED, start=NEW) for _ in range(2)]
    for follower in followers:
        await follower.open()
    await publish(own_bus, "accepted.0", range(1, 3))
    for follower in followers:
        assert await read(follower, 2) == [1, 2]
    feed = followers[0]._feed
    assert feed is not None
    feed._reader._consumer = ""  # as after a lost connection
    await publish(own_bus, "accepted.0", range(3, 10))
    await truncate(own_bus, ACCEPTED, below=8)
    for follower in followers:
        pack = await follower.next(10)
        assert pack is not None
        assert (pack.sequence, pack.gap) == (8, True)
        await follower.close()


@pytest.mark.parametrize("reads_first", [True, False])
async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(own_bus: Bus, *, reads_first: bool) -> None:
    await publish(own_bus, "accepted.0", range(1, 101))
    fast, slow = Follower(own_bus, ACCEPTED, start=NEW), Follower(own_bus, ACCEPTED, start=NEW)
    await fast.open()
    await slow.open()
    await publish(own_bus, "accepted.0", range(101, 103))
    assert await read(fast, 2) == [101, 102]
    assert await read(slow, 2 if reads_first else 1) == [101, 102][: 2 if reads_first else 1]
    async with own_bus.asking() as jetstream:
        config = (await jetstream.stream_info(ACCEPTED)).config
        await jetstream.delete_stream(ACCEPTED)
        await jetstream.add_stream(config)
    publisher = Publisher(own_bus)
    await publisher.start()
    for number in range(1, 4):
        await publisher.put("accepted.0", b"%d" % number, message_id=f"anew {number}")
    await publisher.close()
    for follower in (fast, slow):
        first = await follower.next(10)
        assert first is not None
        assert (first.sequence, first.gap) == (1, True)
        assert await read(follower, 2) == [2, 3]
    # Where somebody had come to before is no place in it.
    late = Follower(own_bus, ACCEPTED, start=Start(sequence=103))
    first = await late.next(10)
    assert first is not None
    assert (first.sequence, first.gap) == (1, True)
    for follower in (fast, slow, late):
        await follower.close()


async def test_followers_go_on_after_a_crash_of_nats_without_gap_or_repeat(own_bus: Bus, server: NatsServer) -> None:
    await publish(own_bus, "accepted.0", range(1, 1001))
    followers = [Follower(own_bus, ACCEPTED, start=Start(sequence=first)) for first in (1, 900)]
    found = [await read(follower, 50) for follower in followers]
    await server.kill()
    waiting = [
        asyncio.create_task(read(follower, 1500 - count)) for follower, count in zip(followers, (50, 949), strict=True)
    ]
    await eventually(lambda: not own_bus.is_connected)
    late = Follower(own_bus, ACCEPTED, start=Start(sequence=1001))
    hearing = asyncio.create_task(read(late, 500))
    await server.start()
    await own_bus.connected(10)
    await publish(own_bus, "accepted.0", range(1001, 1501))
    rest = await asyncio.gather(*waiting)
    assert [before + after for before, after in zip(found, rest, strict=True)] == [
        list(range(1, 1501)),
        list(range(900, 1501)),
    ]
    assert await hearing == list(range(1001, 1501))
    for follower in (*followers, late):
        await follower.close()


async def test_a_follower_that_outran_the_feed_brings_it_along(own_bus: Bus) -> None:
    first = Follower(own_bus, ACCEPTED, start=NEW)
    await first.open()
    await publish(own_bus, "accepted.0", range(1, 21))
    second = Follower(own_bus, ACCEPTED, start=Start(sequence=1))
    assert await read(second, 20) == list(range(1, 21))
    await first.close()
    await publish(own_bus, "accepted.0", range(21, 23))
    assert await read(second, 2) == [21, 22]
    await eventually(lambda: is_sent_once(own_bus))
    await second.close()
    assert (await stream_state(own_bus, ACCEPTED)).last_sequence == 22


async def test_followers_and_readers_see_the_same(own_bus: Bus) -> None:
    await publish(own_bus, "accepted.0", range(1, 31))
    reader, follower = Reader(own_bus, ACCEPTED), Follower(own_bus, ACCEPTED)
    for _ in range(30):
        assert await reader.next(10) == await follower.next(10)
    await reader.close()
    await follower.close()
