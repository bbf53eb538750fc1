"""Answers of devices take a way of their own to the log, and their PUBACKs keep the order of all messages."""

import random
import struct

from roadstead.gateways.mqtt.asides import Asides
from roadstead.gateways.mqtt.packets import Disconnect, Puback, Publish
from roadstead.gateways.mqtt.reasons import Reason
from tests.gateways.harness import Device, Door, until


def test_an_answer_does_not_wait_for_what_was_measured_before_but_its_puback_does(door: Door, device: Device) -> None:
    """[MQTT-4.6.0-2]"""
    door.log.is_slow = True
    caller = door.connect(device)
    for topic, packet_id in ((device.readings, 1), (device.response, 2), (device.readings, 3), (device.response, 4)):
        caller.publish(topic, packet_id=packet_id)
    caller.publish(device.response, qos=0)
    until(lambda: len(door.answers.of(device)) == 3)
    until(lambda: len(door.log.of(device)) == 2)
    assert {uplink.channel for uplink in door.answers.of(device)} == {"commands/response"}

    door.call(door.log.answer)
    caller.expect_pubacks(1, 2, 3, 4)


def test_what_comes_after_an_answer_is_acknowledged_after_it(door: Door, device: Device) -> None:
    door.answers.is_slow = True
    caller = door.connect(device)
    for topic, packet_id in ((device.readings, 1), (device.response, 2), (device.readings, 3), ("x", 4)):
        caller.publish(topic, packet_id=packet_id)
    caller.expect_pubacks(1)
    door.call(door.answers.answer)
    caller.expect_pubacks(2, 3)
    assert caller.expect(Puback) == Puback(4, Reason.NOT_AUTHORIZED)


def test_an_answer_that_is_not_stored_ends_the_session_like_any_message(door: Door, device: Device) -> None:
    door.answers.is_slow = True
    caller = door.connect(device)
    caller.publish(device.response, packet_id=1)
    until(lambda: door.answers.of(device))
    door.call(lambda: door.answers.answer(stored=False))
    assert caller.expect(Disconnect).reason is Reason.SERVER_UNAVAILABLE


def test_nobody_reads_on_while_the_log_of_answers_is_full(door: Door, device: Device) -> None:
    caller = door.connect(device)
    door.answers.full = True
    caller.publish(device.response, packet_id=1)
    caller.expect_pubacks(1)
    until(lambda: door.gateway._registry.is_held)
    caller.publish(device.response, packet_id=2)

    door.answers.full = False
    door.call(door.answers.make_room)
    caller.expect_pubacks(2)
    assert not door.gateway._registry.is_held


def test_the_house_is_told_when_a_device_begins_to_hear(door: Door, device: Device) -> None:
    caller = door.connect(device)
    assert door.hearing == []
    session = door.gateway.find(device.key)
    assert session is not None and not session.hears(device.commands)

    caller.subscribe(device.commands)
    assert door.hearing == [device.key]
    assert session.hears(device.commands) and not session.hears(device.desired)
    caller.hang_up()

    # A session that was kept hears at once.
    until(lambda: door.gateway.find(device.key) is None)
    kept = door.connect(device, 4, clean_start=False)
    kept.subscribe(device.commands)
    kept.hang_up()
    until(lambda: door.gateway.find(device.key) is None)
    heard = len(door.hearing)
    again = door.connect(device, 4, clean_start=False)
    assert again.connack.session_present
    assert door.hearing[heard:] == [device.key]

    later = door.gateway.find(device.key)
    assert later is not None and later.name != session.name
    door.call(lambda: door.gateway.deliver(device.key, device.commands, b"{}"))
    assert again.expect(Publish).payload == b"{}"


def test_pubacks_keep_their_order_however_messages_come_to_be_stored() -> None:
    for seed in range(300):
        rolls = random.Random(seed)
        written: list[bytes] = []
        asides = Asides(written.append, lambda _: None)
        ordinary: list[int] = []
        elsewhere: list[int] = []
        for token in range(1, 30):
            kind = rolls.random()
            if kind < 0.5:
                ordinary.append(token)
            elif kind < 0.75:
                asides.expect(struct.pack(">I", token), behind=len(ordinary))
                elsewhere.append(token)
            elif ordinary or asides:
                asides.refuse(struct.pack(">I", token), behind=len(ordinary))
            else:
                written.append(struct.pack(">I", token))
            while rolls.random() < 0.4 and (ordinary or elsewhere):
                _store(rolls, asides, ordinary, elsewhere, written)
        while ordinary or elsewhere:
            _store(rolls, asides, ordinary, elsewhere, written)

        assert not asides and not asides.is_waiting
        data = b"".join(written)
        assert list(struct.unpack(f">{len(data) // 4}I", data)) == list(range(1, 30)), seed


def _store(
    rolls: random.Random, asides: Asides, ordinary: list[int], elsewhere: list[int], written: list[bytes]
) -> None:
    """One of the logs says that it has the next few."""
    source = rolls.choice([each for each in (ordinary, elsewhere) if each])
    count = rolls.randint(1, len(source))
    tokens, source[:] = source[:count], source[count:]
    if source is elsewhere:
        asides.stored(tokens)
    elif asides:
        asides.pass_by(tokens)
    else:
        written.append(struct.pack(f">{count}I", *tokens))
