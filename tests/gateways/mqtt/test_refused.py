"""Messages that are refused at the door are told to the log, so that their owner can read of them."""

import asyncio

import pytest

from roadstead.core.messages import RefusalNotice
from roadstead.gateways.mqtt import Limits, Reason
from roadstead.gateways.mqtt.packets import V5, V311, Puback
from roadstead.gateways.mqtt.refused import RefusedMessages, make_notice
from tests.gateways.harness import Device, Door, until


def test_a_message_to_a_foreign_topic_is_told_with_topic_size_and_first_bytes(
    door: Door, device: Device, version: int
) -> None:
    stranger = door.add_device(tenant=2)
    caller = door.connect(device, version)
    payload = b'{"value":1}' + bytes(2_000)
    caller.publish(stranger.readings, payload)

    until(lambda: door.log.refusals(device))
    (notice,) = door.log.refusals(device)
    assert (notice.reason, notice.topic, notice.size_bytes) == ("FORBIDDEN_TOPIC", stranger.readings, len(payload))
    assert notice.head == payload[:1_024]
    assert not door.log.refusals(stranger)


def test_a_message_with_qos_2_is_told(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)
    caller.publish(device.readings, b"twice", qos=2)
    caller.expect_end(Reason.QOS_NOT_SUPPORTED)

    until(lambda: len(door.log.notices(device)) == 2)
    (notice,) = door.log.refusals(device)
    assert (notice.reason, notice.detail) == ("MALFORMED", "QoS 2 is not offered")
    assert (notice.topic, notice.head, notice.size_bytes) == (device.readings, b"twice", 5)


def test_a_message_that_is_too_large_is_told_before_it_is_here(version: int) -> None:
    with Door(limits=Limits(packet_bytes=1_000)) as door:
        device = door.add_device()
        caller = door.connect(device, version)
        caller.publish(device.readings, bytes(5_000))
        caller.expect_end(Reason.PACKET_TOO_LARGE)

        until(lambda: len(door.log.notices(device)) == 2)
        (notice,) = door.log.refusals(device)
        assert (notice.reason, notice.topic, notice.size_bytes) == ("TOO_LARGE", device.readings, 5_000)


def test_a_message_whose_topic_has_a_wildcard_is_told(door: Door, device: Device) -> None:
    caller = door.connect(device, V5)
    caller.publish("v1/readings/#", b"x")
    caller.expect_end(Reason.TOPIC_NAME_INVALID)

    until(lambda: len(door.log.notices(device)) == 2)
    (notice,) = door.log.refusals(device)
    assert (notice.reason, notice.topic) == ("MALFORMED", "v1/readings/#")


def test_a_flood_of_refusals_is_counted_and_not_written_one_by_one(door: Door, device: Device) -> None:
    caller = door.connect(device, V5)
    for packet_id in range(1, 501):
        caller.publish("not/mine", b"%d" % packet_id, packet_id=packet_id)
    for _ in range(500):
        assert caller.expect(Puback).reason is Reason.NOT_AUTHORIZED
    assert [notice.head for notice in door.log.refusals(device)] == [b"%d" % number for number in range(1, 11)]

    caller.hang_up()
    until(lambda: len(door.log.notices(device)) == 2)
    *told, last = door.log.refusals(device)
    assert (len(told), last.head, last.others) == (10, b"500", 489)
    assert sum(1 + notice.others for notice in door.log.refusals(device)) == 500


def test_ordinary_messages_and_other_broken_packets_tell_nothing(door: Door, device: Device) -> None:
    caller = door.connect(device, V311)
    caller.publish(device.readings, b"1", packet_id=1)
    caller.expect_pubacks(1)
    caller.send(b"\x82\x00")
    caller.expect_end()
    until(lambda: len(door.log.notices(device)) == 2)
    assert not door.log.refusals(device)


async def test_what_was_only_counted_is_told_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadstead.gateways.mqtt.refused._EVERY_S", 0.01)
    told: list[RefusalNotice] = []
    refused = RefusedMessages(told.append)

    def add(number: int) -> None:
        payload = b"%d" % number
        refused.add(make_notice(Reason.NOT_AUTHORIZED, "no", b"topic", payload, size_bytes=len(payload)))

    async def have(count: int) -> None:
        async with asyncio.timeout(5):
            while len(told) < count:
                await asyncio.sleep(0.001)

    for number in range(30):
        add(number)
    assert len(told) == 10
    await have(11)
    assert (told[-1].head, told[-1].others) == (b"29", 19)

    # After a minute without one, each is worth a line again.
    async with asyncio.timeout(5):
        while refused._timer is not None:
            await asyncio.sleep(0.001)
    add(30)
    assert (told[-1].head, told[-1].others) == (b"30", 0)
    refused.close()
    assert len(told) == 12
