"""Free topics at one door: who hears what, when a PUBACK leaves, and what becomes of those who do not listen."""

import asyncio
from collections.abc import Iterator
from typing import cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.core.free_topics import FreeTopics, Place, Said
from roadstead.gateways.mqtt import Limits, Reason, Route, TopicRules
from roadstead.gateways.mqtt.door import Grant, Verdict
from roadstead.gateways.mqtt.free_topics import FilterTree, Guest, Halls, Wish
from roadstead.gateways.mqtt.packets import V5, V311, Publish, Suback, Subscribe, Subscription
from roadstead.gateways.mqtt.reasons import MalformedPacket
from roadstead.gateways.mqtt.subscriptions import Heard
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import SpaceId, TenantId, new_id
from roadstead.kernel.topics import covers, matches, overlap
from tests.gateways.harness import Device, Door, until

ELSEWHERE = b"e" * 12


class OpenHouse:
    """Everything is free but `log/...`, `ask/...` (on the log, when that has been found out), `no/...`, `idle/...`."""

    def __init__(self, device: Device, space: UUID) -> None:
        self.place: Place = (device.admission.tenant, SpaceId(space))
        self.key = device.key
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.failure: Exception | None = None
        self.most = 1_000

    def narrow(self, limits: Limits) -> Limits:
        """No sessions are kept."""
        return msgspec.structs.replace(limits, session_expiry_s=0)

    def judge(self, topic: bytes) -> Route | Verdict:
        """By its first level."""
        verdicts: dict[bytes, Route | Verdict] = {
            b"log": Route(self.key, "open", "log"),
            b"ask": Verdict.UNKNOWN,
            b"no": Verdict.FORBIDDEN,
            b"idle": Verdict.IGNORED,
        }
        return verdicts.get(topic.partition(b"/")[0], Verdict.FREE)

    async def ask(self, topic: bytes) -> Route | Verdict:
        """Waits for the gate."""
        self.asked.append(topic.decode())
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Route(ELSEWHERE, "open", "ask")

    async def grant(self, filter_: str) -> Grant | None:
        """What is not forbidden."""
        return None if filter_.startswith("no/") else Grant(is_free=True)

    def count_in(self, about: Route | Verdict) -> None:
        """Down to none."""
        self.most -= 1
        if self.most < 0:
            raise MalformedPacket("too many", Reason.MESSAGE_RATE_TOO_HIGH)

    def count_out(self) -> None:
        """Any number."""


@pytest.fixture
def space() -> UUID:
    """A space of several devices."""
    return new_id()


def move_in(door: Door, space: UUID, tenant: int = 1) -> tuple[Device, OpenHouse]:
    """A device with an open house."""
    device = door.add_device(tenant)
    house = OpenHouse(device, space)
    device.admission = msgspec.structs.replace(device.admission, rules=TopicRules(publish={}, house=house))
    return device, house


@pytest.fixture
def door() -> Iterator[Door]:
    """A gateway that lets little wait for a device."""
    with Door(limits=Limits(outgoing_messages=5)) as opened:
        yield opened


@pytest.mark.parametrize("version", [V311, V5])
def test_a_puback_leaves_when_the_bus_has_the_message_and_in_its_turn(door: Door, space: UUID, version: int) -> None:
    device, _ = move_in(door, space)
    caller = door.connect(device, version)
    door.talk.is_slow = True
    for packet_id, topic in enumerate(("log/1", "chat", "log/2", "idle", "chat"), start=1):
        caller.publish(topic, packet_id=packet_id)
    caller.expect_pubacks(1)
    until(lambda: len(door.talk.said) == 2 and len(door.log.of(device)) == 2)
    door.call(door.talk.answer)
    caller.expect_pubacks(2, 3, 4, 5)


@pytest.mark.parametrize("version", [V311, V5])
def test_what_the_bus_has_lost_is_not_acknowledged(door: Door, space: UUID, version: int) -> None:
    device, _ = move_in(door, space)
    caller = door.connect(device, version)
    door.talk.is_slow = True
    caller.publish("chat", qos=0)
    caller.publish("chat", packet_id=7)
    until(lambda: len(door.talk.said) == 2)
    door.call(lambda: door.talk.answer(arrived=False))
    caller.expect_end(Reason.SERVER_UNAVAILABLE)


def test_a_hall_is_of_one_space_of_one_tenant(door: Door, space: UUID) -> None:
    here, _ = move_in(door, space)
    near, _ = move_in(door, space)
    callers = [door.connect(near, V311)]
    places = []
    for stranger, house in (move_in(door, new_id()), move_in(door, space, tenant=2)):
        callers.append(door.connect(stranger, V311))
        places.append(house.place)
    for caller in callers:
        assert caller.subscribe("#") == b"\1"
    speaker = door.connect(here, V311)
    speaker.publish("chat", b"hello")
    speaker.expect_pubacks(1)
    heard = callers[0].expect(Publish)
    assert (heard.topic, heard.payload, heard.qos, heard.retain) == (b"chat", b"hello", 1, False)
    for caller in callers[1:]:
        caller.publish("own", b"mine", qos=0)
        assert caller.expect(Publish).payload == b"mine"
    assert [place for place, _ in door.talk.said] == [(1, space), *places]


def test_who_does_not_take_its_messages_is_dropped_and_others_go_on(door: Door, space: UUID) -> None:
    slow, lossy, speaker = [door.connect(move_in(door, space)[0], V311) for _ in range(3)]
    assert slow.subscribe("chat/#", qos=1) == b"\1"
    assert lossy.subscribe("chat/#", qos=0) == b"\0"
    for packet_id in range(1, 9):
        speaker.publish("chat/room", bytes([packet_id]), packet_id=packet_id)
    speaker.expect_pubacks(*range(1, 9))
    # It acknowledges nothing: five wait for that, the sixth has no room.
    assert [slow.expect(Publish).payload for _ in range(5)] == [bytes([number]) for number in range(1, 6)]
    slow.expect_end()
    assert [lossy.expect(Publish).payload for _ in range(8)] == [bytes([number]) for number in range(1, 9)]


@pytest.mark.parametrize("version", [V311, V5])
def test_while_something_is_found_out_nothing_else_is_read(door: Door, space: UUID, version: int) -> None:
    device, house = move_in(door, space)
    caller = door.connect(device, version)
    caller.publish("ask/1", packet_id=1)
    caller.publish("log/1", packet_id=2)
    caller.send(Subscribe(3, (Subscription(filter="chat"),)))
    caller.publish("ask/2", packet_id=4)
    until(lambda: house.asked)
    assert not door.log.of(device)
    door.call(house.gate.set)
    caller.expect_pubacks(1, 2)
    assert caller.expect(Suback).packet_id == 3
    caller.expect_pubacks(4)
    said = [(each.device, each.channel) for each in door.log.uplinks if each.dialect == "open"]
    assert said == [(ELSEWHERE, "ask"), (device.key, "log"), (ELSEWHERE, "ask")]


def test_when_nothing_can_be_found_out_the_device_has_to_come_again(door: Door, space: UUID) -> None:
    device, house = move_in(door, space)
    caller = door.connect(device, V311)
    house.failure = Unavailable("no database")
    door.call(house.gate.set)
    caller.publish("ask/1")
    caller.expect_end()
    assert not [each for each in door.log.uplinks if each.dialect == "open"]


def test_a_device_that_leaves_while_something_is_found_out_leaves_nothing_behind(door: Door, space: UUID) -> None:
    device, house = move_in(door, space)
    caller = door.connect(device, V311)
    caller.publish("ask/1")
    until(lambda: house.asked)
    caller.hang_up()
    again = door.connect(device, V311)  # ousts the one before, if nobody has seen it go
    door.call(house.gate.set)
    again.publish("log/1")
    again.expect_pubacks(1)
    assert [each.channel for each in door.log.uplinks if each.dialect == "open"] == ["log"]


@pytest.mark.parametrize("version", [V311, V5])
def test_what_breaks_the_rules_of_a_house_ends_the_connection(door: Door, space: UUID, version: int) -> None:
    for packet in (
        Publish(topic=b"no/1", payload=b"", qos=1, packet_id=1),
        Subscribe(1, (Subscription(filter="no/1"),)),
    ):
        caller = door.connect(move_in(door, space)[0], version)
        caller.send(packet)
        caller.expect_end(Reason.NOT_AUTHORIZED)


@pytest.mark.parametrize("version", [V311, V5])
def test_who_says_too_much_is_cut_off_and_its_owner_reads_of_it(door: Door, space: UUID, version: int) -> None:
    device, house = move_in(door, space)
    house.most = 2
    caller = door.connect(device, version)
    for packet_id in (1, 2):
        caller.publish("chat", packet_id=packet_id)
        caller.expect_pubacks(packet_id)
    caller.publish("chat", b"one too many", packet_id=3)
    caller.expect_end(Reason.MESSAGE_RATE_TOO_HIGH)
    (refusal,) = door.log.refusals(device)
    assert (refusal.topic, refusal.head) == ("chat", b"one too many")


def test_devices_are_not_read_while_too_much_waits_for_the_bus(door: Door, space: UUID) -> None:
    device, _ = move_in(door, space)
    caller = door.connect(device, V311)
    door.talk.full = True
    caller.publish("chat", packet_id=1)
    caller.expect_pubacks(1)
    caller.publish("chat", packet_id=2)
    door.call(lambda: None)
    assert len(door.talk.said) == 1
    door.call(door.talk.make_room)
    caller.expect_pubacks(2)


class Anybody:
    """A guest of a tree."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def overhear(self, said: Said, heard: Heard) -> None:
        """Not asked here."""


_levels = st.lists(st.sampled_from(["a", "b", "", "$c"]), min_size=1, max_size=4)
_filters = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(st.sampled_from(["a", "b", "", "$c", "+"]), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
) | st.just("#")


@given(st.lists(_filters, max_size=12), _levels, st.data())
def test_a_tree_finds_the_filters_that_are_about_a_topic(
    filters: list[str], levels: list[str], data: st.DataObject
) -> None:
    topic, tree = "/".join(levels), FilterTree()
    guests = [Anybody(bytes([number])) for number in range(len(filters))]
    for guest, filter_ in zip(guests, filters, strict=True):
        tree.add(filter_, guest, Wish(1, 0, False))
    found = tree.find(Said(topic, b""))
    assert set(found) == {guest for guest, each in zip(guests, filters, strict=True) if matches(each, topic)}
    for guest, filter_ in data.draw(st.permutations(list(zip(guests, filters, strict=True)))):
        tree.remove(filter_, guest)
    assert tree.is_empty


@given(_filters, _filters, _levels)
def test_what_covers_another_filter_is_about_its_topics_and_what_overlaps_may_be(
    one: str, other: str, levels: list[str]
) -> None:
    topic = "/".join(levels)
    if covers(one, other) and not topic.startswith("$"):
        assert matches(one, topic) or not matches(other, topic)
    if matches(one, topic) and matches(other, topic):
        assert overlap(one, other)


def test_a_guest_hears_the_best_of_what_it_asked_for_and_need_not_hear_itself() -> None:
    tree, guest = FilterTree(), Anybody(b"k" * 12)
    tree.add("a/#", guest, Wish(0, 3, False))
    tree.add("a/b", guest, Wish(1, 4, True))
    tree.add("c", guest, Wish(1, 0, False))
    assert tree.find(Said("a/b", b"")) == {guest: Heard(1, (3, 4))}
    assert tree.find(Said("a/b", b"", speaker=guest.key)) == {guest: Heard(0, (3,))}


class Moody:
    """A bus that is away at first."""

    def __init__(self) -> None:
        self.away = True

    async def listen(self, place: Place, hear: object) -> "Moody":
        """Somebody listens, once it is there."""
        if self.away:
            raise Unavailable("the bus is away")
        return self

    async def close(self) -> None:
        """Nobody does."""


async def test_a_hall_that_could_not_be_opened_is_opened_for_the_next_guest() -> None:
    bus = Moody()
    halls, place = Halls(cast(FreeTopics, bus)), (TenantId(1), SpaceId(new_id()))
    guest, wanted = cast(Guest, object()), Subscription(filter="a/b", qos=1)
    with pytest.raises(Unavailable):
        await halls.listen(place, guest, wanted, 0)
    bus.away = False
    await halls.listen(place, guest, wanted, 0)
    halls.leave(place, guest, "a/b")
