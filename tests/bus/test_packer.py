"""Packing: what is acknowledged is on the log, what is not is said so, and nothing piles up."""

import asyncio
import itertools
import time
from collections import Counter

import msgspec
import pytest

from roadstead.bus import UPLINK, Bus, Packer, Publisher, Reader, StreamPlan, ensure_streams, stream_state
from roadstead.kernel.errors import TooLarge, Unavailable

from .conftest import NatsServer, eventually


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something small on its way."""

    device: int
    number: int
    payload: bytes = b""


class Ledger:
    """A waiter that keeps what it is told."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.lost: list[int] = []
        self.calls = 0

    def stored(self, tokens: list[int]) -> None:
        self.calls += 1
        self.kept += tokens

    def failed(self, tokens: list[int]) -> None:
        self.calls += 1
        self.lost += tokens


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Item]).decode


async def packer_on(own_bus: Bus, **options: object) -> Packer[Item]:
    packer: Packer[Item] = Packer(
        own_bus,
        encode=_encode,
        size_of=lambda item: 32 + len(item.payload),
        **options,  # type: ignore[arg-type]
    )
    await packer.start()
    return packer


async def items_on(own_bus: Bus, stream: str = UPLINK) -> list[Item]:
    """Everything that is on a stream, in order."""
    last = (await stream_state(own_bus, stream)).last_sequence
    reader, found = Reader(own_bus, stream), []
    while last:
        pack = await reader.next(5)
        assert pack is not None
        found += _decode(pack.payload)
        if pack.sequence == last:
            break
    await reader.close()
    return found


async def test_items_leave_together_and_each_waiter_is_told_once_a_pack(own_bus: Bus) -> None:
    packer, one, two = await packer_on(own_bus), Ledger(), Ledger()
    for number in range(100):
        packer.add(Item(1, number), one, number)
        packer.add(Item(2, number), two, 1000 + number)
    packer.add(Item(3, 0), None, 0)
    await eventually(lambda: packer.unacknowledged_bytes == 0)
    assert one.kept == list(range(100))
    assert two.kept == list(range(1000, 1100))
    assert (one.calls, two.calls) == (1, 1)
    assert (await stream_state(own_bus, UPLINK)).messages == 1
    assert len(await items_on(own_bus)) == 201
    await packer.close()


async def test_put_returns_when_the_items_are_on_the_log(own_bus: Bus) -> None:
    packer = await packer_on(own_bus)
    await packer.put(Item(1, 1), Item(1, 2))
    assert await items_on(own_bus) == [Item(1, 1), Item(1, 2)]
    await packer.close()


async def test_an_idle_packer_runs_no_timer(own_bus: Bus) -> None:
    packer = await packer_on(own_bus)
    await packer.put(Item(1, 1))
    loop = asyncio.get_running_loop()
    scheduled = [handle for handle in getattr(loop, "_scheduled", []) if not handle.cancelled()]
    assert not [handle for handle in scheduled if getattr(handle._callback, "__self__", None) is packer]
    await packer.close()


async def test_shards_have_subjects_of_their_own_and_keep_the_order_of_each_device(own_bus: Bus) -> None:
    packer = await packer_on(own_bus, shards=3, shard_of=lambda item: item.device % 3, interval_s=0.001)
    for number in range(300):
        await packer.put(Item(number % 7, number))
    reader = Reader(own_bus, UPLINK)
    subjects: dict[int, set[str]] = {}
    for _ in range(300):
        pack = await reader.next(5)
        assert pack is not None
        for item in _decode(pack.payload):
            subjects.setdefault(item.device, set()).add(pack.subject)
    assert {device: {f"uplink.{device % 3}"} for device in range(7)} == subjects
    await reader.close()
    await packer.close()


async def test_packs_are_closed_before_they_outgrow_the_servers_limit(own_bus: Bus) -> None:
    packer, ledger = await packer_on(own_bus), Ledger()
    for number in range(10):
        packer.add(Item(1, number, b"x" * 400_000), ledger, number)
    await eventually(lambda: len(ledger.kept) == 10)
    assert (await stream_state(own_bus, UPLINK)).messages == 5
    assert [item.number for item in await items_on(own_bus)] == list(range(10))
    await packer.close()


async def test_an_item_that_can_never_fit_fails_alone(own_bus: Bus) -> None:
    packer, ledger = await packer_on(own_bus), Ledger()
    packer.add(Item(1, 1), ledger, 1)
    packer.add(Item(1, 2, b"x" * 1_100_000), ledger, 2)
    packer.add(Item(1, 3), ledger, 3)
    await eventually(lambda: ledger.calls == 2)
    assert (ledger.kept, ledger.lost) == ([1, 3], [2])
    with pytest.raises(TooLarge):
        await packer.put(Item(1, 2, b"x" * 1_100_000))
    await packer.close()


async def test_a_log_that_refuses_makes_items_fail_and_takes_them_again_when_there_is_room(own_bus: Bus) -> None:
    await ensure_streams(
        own_bus, [StreamPlan(name=UPLINK, subjects=["uplink.*"], max_bytes=100_000, refuse_when_full=True)]
    )
    packer, ledger = await packer_on(own_bus), Ledger()
    packer.add(Item(1, 1, b"x" * 60_000), ledger, 1)
    await eventually(lambda: ledger.calls == 1)
    packer.add(Item(1, 2, b"x" * 60_000), ledger, 2)
    await eventually(lambda: ledger.calls == 2)
    assert (ledger.kept, ledger.lost) == ([1], [2])
    with pytest.raises(Unavailable):
        await packer.put(Item(1, 3, b"x" * 60_000))

    await ensure_streams(
        own_bus, [StreamPlan(name=UPLINK, subjects=["uplink.*"], max_bytes=1_000_000, refuse_when_full=True)]
    )
    await packer.put(Item(1, 4, b"x" * 60_000))
    assert [item.number for item in await items_on(own_bus)] == [1, 4]
    await packer.close()


async def test_the_same_message_id_is_stored_once(own_bus: Bus) -> None:
    publisher = Publisher(own_bus)
    await publisher.start()
    first = await publisher.put("uplink.0", b"once", message_id="a")
    again = await publisher.put("uplink.0", b"once", message_id="a")
    assert first == again == (await stream_state(own_bus, UPLINK)).last_sequence == 1
    await publisher.close()


async def test_what_is_not_acknowledged_is_bounded(own_bus: Bus, server: NatsServer) -> None:
    packer, ledger = await packer_on(own_bus, max_unacknowledged_bytes=100_000), Ledger()
    await server.freeze()
    tokens = itertools.count()
    while not packer.full:
        packer.add(Item(1, 0, b"x" * 1000), ledger, next(tokens))
    assert packer.unacknowledged_bytes < 102_000
    room = asyncio.Event()
    packer.when_room(room.set)
    with pytest.raises(Unavailable, match="keep up"):
        await packer.put(Item(1, 1))
    assert not room.is_set()
    server.thaw()
    await asyncio.wait_for(room.wait(), 10)
    await packer.put(Item(1, 1))
    assert not ledger.lost
    await packer.close()


async def test_when_nats_stays_away_items_fail_in_time(own_bus: Bus, server: NatsServer) -> None:
    packer, ledger = await packer_on(own_bus, give_up_s=0.5), Ledger()
    await server.kill()
    packer.add(Item(1, 1), ledger, 1)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await packer.put(Item(1, 2))
    assert time.monotonic() - began < 3
    assert ledger.lost == [1]
    await packer.close()


async def test_a_log_that_starts_late_is_waited_for(own_bus: Bus, server: NatsServer) -> None:
    packer = await packer_on(own_bus)
    await server.kill()
    putting = asyncio.create_task(packer.put(Item(1, 1)))
    await eventually(lambda: not own_bus.is_connected)
    await server.start()
    await asyncio.wait_for(putting, 10)
    await packer.close()


async def test_closing_stores_what_was_added(own_bus: Bus) -> None:
    packer, ledger = await packer_on(own_bus, interval_s=60), Ledger()
    packer.add(Item(1, 1), ledger, 1)
    await packer.close()
    assert ledger.kept == [1]


@pytest.mark.parametrize("crashes", [3])
async def test_killing_nats_under_load_loses_and_doubles_nothing_and_keeps_the_order(
    own_bus: Bus, server: NatsServer, crashes: int
) -> None:
    packer, ledger = await packer_on(own_bus, interval_s=0.001), Ledger()
    numbers = itertools.count()
    running = True

    async def load() -> None:
        while running:
            for _ in range(20):
                number = next(numbers)
                packer.add(Item(number % 5, number, b"x" * 200), ledger, number)
            await asyncio.sleep(0.001)

    loading = asyncio.create_task(load())
    for _ in range(crashes):
        enough = len(ledger.kept) + 1000
        await eventually(lambda enough=enough: len(ledger.kept) >= enough)  # type: ignore[misc]
        await server.kill()
        await asyncio.sleep(0.05)
        await server.start()
    enough = len(ledger.kept) + 1000
    await eventually(lambda: len(ledger.kept) >= enough)
    running = False
    await loading
    await eventually(lambda: packer.unacknowledged_bytes == 0)

    found = await items_on(own_bus)
    counted = Counter(item.number for item in found)
    assert not ledger.lost
    assert set(ledger.kept) == set(counted)
    assert max(counted.values()) == 1
    assert [item.number for item in found] == sorted(counted)
    await packer.close()


async def test_adding_is_cheap(own_bus: Bus) -> None:
    """The gateway does this for every message: two microseconds are many times what it takes."""
    packer = await packer_on(own_bus, interval_s=60, pack_bytes=10**9, max_unacknowledged_bytes=10**10)
    ledgers = [Ledger() for _ in range(100)]
    item = Item(1, 1, b"x" * 100)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for number in range(10_000):
            packer.add(item, ledgers[number % 100], number)
        best = min(best, (time.perf_counter() - began) / 10_000)
    print(f"add: {best * 1e9:.0f} ns")
    assert best < 2e-6
