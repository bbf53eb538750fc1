"""Messages from devices: who may send what, when it is acknowledged, and what holds a sender back."""

import msgspec
import pytest

from roadstead.gateways.mqtt import Limits, Reason, Route
from roadstead.gateways.mqtt.packets import V5, V311, Puback, Publish
from roadstead.gateways.mqtt.properties import Properties
from roadstead.gateways.mqtt.writer import write_packet
from roadstead.kernel.ids import new_id, to_bytes
from tests.gateways.harness import Device, Door, until


def test_a_message_becomes_an_uplink_and_then_a_puback(door: Door, version: int) -> None:
    acme, globex = door.add_device(tenant=1), door.add_device(tenant=2)
    for device in (acme, globex):
        caller = door.connect(device, version)
        caller.publish(device.readings, b'{"value":1}', packet_id=9)
        caller.expect_pubacks(9)

    for device, tenant in ((acme, 1), (globex, 2)):
        (uplink,) = door.log.of(device)
        assert (uplink.tenant, uplink.device, uplink.dialect, uplink.channel) == (
            tenant,
            device.key,
            "native",
            "readings",
        )
        assert (uplink.payload, uplink.source) == (b'{"value":1}', "MQTT")


def test_no_puback_leaves_before_the_log_has_the_message(door: Door, device: Device, version: int) -> None:
    door.log.is_slow = True
    caller = door.connect(device, version)
    for packet_id in (3, 1, 2):
        caller.publish(device.readings, packet_id=packet_id)
    assert caller.subscribe("nothing/of/its/own") in (b"\x80", bytes((Reason.NOT_AUTHORIZED,)))
    until(lambda: len(door.log.of(device)) == 3)

    door.call(door.log.answer)

    caller.expect_pubacks(3, 1, 2)


def test_qos_0_is_taken_without_an_answer(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)
    caller.publish(device.readings, b"0", qos=0)
    caller.publish(device.readings, b"1", packet_id=1)

    caller.expect_pubacks(1)
    assert [each.payload for each in door.log.of(device)] == [b"0", b"1"]


@pytest.mark.parametrize("size", [0, 1, 100, 20_000, 1_000_000])
def test_packets_arrive_whole_however_they_are_cut(door: Door, device: Device, version: int, size: int) -> None:
    caller = door.connect(device, version)
    payload = bytes(index % 251 for index in range(size))
    data = write_packet(Publish(topic=device.readings.encode(), payload=payload, qos=1, packet_id=5), version)
    step = max(1, len(data) // 90)
    for at in range(0, len(data), step):
        caller.send(data[at : at + step])

    caller.expect_pubacks(5)
    assert door.log.of(device)[0].payload == payload


def test_a_repeated_and_a_retained_message_are_ordinary_messages(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)
    caller.publish(device.status, b"ON", packet_id=1, retain=True, duplicate=True)

    caller.expect_pubacks(1)
    assert door.log.of(device)[0].channel == "status"


def test_a_message_to_a_foreign_topic_ends_a_session_of_mqtt_311(door: Door, device: Device) -> None:
    stranger = door.add_device(tenant=2)
    caller = door.connect(device, V311)
    caller.publish(stranger.readings)

    caller.expect_end()
    until(lambda: len(door.log.notices(device)) == 2)
    assert stranger.readings in door.log.notices(device)[1][1].reason
    assert not door.log.of(device)
    assert not door.log.of(stranger)
    assert door.metric("roadstead_mqtt_refused_total", what="message", reason="topic") == 1


def test_a_dialect_may_want_such_messages_dropped_instead(door: Door) -> None:
    device = door.add_device(drop_forbidden=True)
    caller = door.connect(device, V311)
    caller.publish("somewhere/else", packet_id=1)
    caller.publish(device.readings, packet_id=2)

    caller.expect_pubacks(1, 2)
    assert len(door.log.of(device)) == 1


def test_a_message_to_a_foreign_topic_is_refused_in_order_in_mqtt_5(door: Door, device: Device) -> None:
    """[MQTT-4.6.0-2]: PUBACKs leave in the order of their messages."""
    door.log.is_slow = True
    caller = door.connect(device)
    caller.publish("x", packet_id=1)
    assert caller.expect(Puback) == Puback(1, Reason.NOT_AUTHORIZED)

    for topic, packet_id in ((device.readings, 2), ("x", 3), ("x", 4), (device.readings, 5), ("x", 6)):
        caller.publish(topic, packet_id=packet_id)
    caller.publish("x", qos=0)
    until(lambda: len(door.log.of(device)) == 2)
    door.call(door.log.answer)

    answers = [caller.expect(Puback) for _ in range(5)]
    assert [each.packet_id for each in answers] == [2, 3, 4, 5, 6]
    assert [each.packet_id for each in answers if each.reason] == [3, 4, 6]


def test_a_gateway_speaks_for_the_devices_behind_it(door: Door, device: Device) -> None:
    behind = to_bytes(new_id())

    def others(topic: bytes) -> Route | None:
        return Route(behind, "native", "readings") if topic == b"v1/behind/it" else None

    rules = msgspec.structs.replace(device.admission.rules, others=others)
    device.admission = msgspec.structs.replace(device.admission, rules=rules)
    caller = door.connect(device)
    caller.publish("v1/behind/it", b"2", packet_id=1)
    caller.publish("v1/behind/him", packet_id=2)

    caller.expect_pubacks(1)
    assert caller.expect(Puback).reason is Reason.NOT_AUTHORIZED
    assert [each.payload for each in door.log.uplinks if each.device == behind] == [b"2"]


def test_qos_2_ends_the_session(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.2.2-11] with Maximum QoS 1 in the CONNACK."""
    caller = door.connect(device, version)
    caller.publish(device.readings, qos=2)

    caller.expect_end(Reason.QOS_NOT_SUPPORTED)
    assert not door.log.of(device)


def test_a_topic_alias_stands_for_its_topic(door: Door, device: Device) -> None:
    """[MQTT-3.3.2-12]."""
    caller = door.connect(device)
    caller.publish(device.readings, b"1", packet_id=1, properties=Properties(topic_alias=16))
    caller.publish("", b"2", packet_id=2, properties=Properties(topic_alias=16))

    caller.expect_pubacks(1, 2)
    assert [each.payload for each in door.log.of(device)] == [b"1", b"2"]


@pytest.mark.parametrize(("alias", "reason"), [(17, Reason.TOPIC_ALIAS_INVALID), (16, Reason.PROTOCOL_ERROR)])
def test_a_topic_alias_too_large_or_never_set_is_an_error(
    door: Door, device: Device, alias: int, reason: Reason
) -> None:
    """[MQTT-3.3.2-9]."""
    caller = door.connect(device)
    caller.publish("", properties=Properties(topic_alias=alias))

    caller.expect_end(reason)


def test_properties_of_a_message_do_not_disturb_it(door: Door, device: Device) -> None:
    caller = door.connect(device)
    asked = Properties(payload_format=1, content_type="application/json", user=(("a", "b"),), message_expiry_s=5)
    caller.publish(device.readings, b"1", properties=asked)

    caller.expect_pubacks(1)
    assert door.log.of(device)[0].payload == b"1"


def test_a_device_does_not_send_subscription_identifiers(door: Door, device: Device) -> None:
    """[MQTT-3.3.4-6]."""
    caller = door.connect(device)
    caller.publish(device.readings, properties=Properties(subscription_ids=(1,)))

    caller.expect_end(Reason.PROTOCOL_ERROR)


def test_a_packet_over_the_limit_ends_the_session_before_it_is_there(device: Device, version: int) -> None:
    """[MQTT-3.2.2-15]."""
    with Door(limits=Limits(packet_bytes=1_000)) as door:
        door.keeper.devices[device.name] = device
        caller = door.connect(device, version)
        data = write_packet(Publish(topic=device.readings.encode(), payload=bytes(2_000)), version)
        caller.send(data[:100])

        caller.expect_end(Reason.PACKET_TOO_LARGE)


@pytest.mark.parametrize(
    "data",
    [b"\x32\x05\x00\x09abc", b"\x00\x00", b"\x36\x05\x00\x01a\x00\x01", b"\x32\x05\x00\x01a\x00\x00", b"\xc0\x01x"],
)
def test_a_malformed_packet_ends_the_session_and_nothing_else(
    door: Door, device: Device, version: int, data: bytes
) -> None:
    """[MQTT-4.13.1-1]."""
    other = door.add_device()
    bystander = door.connect(other, version)
    caller = door.connect(device, version)
    caller.send(data)

    reason = Reason.PROTOCOL_ERROR if data.endswith(b"\0\0") and len(data) > 2 else Reason.MALFORMED_PACKET
    caller.expect_end(reason)
    bystander.publish(other.readings)
    bystander.expect_pubacks(1)


def test_more_messages_in_flight_than_agreed_end_a_session_of_mqtt_5(device: Device) -> None:
    """[MQTT-3.3.4-7] [MQTT-3.3.4-9]."""
    with Door(limits=Limits(receive_maximum=3)) as door:
        door.keeper.devices[device.name] = device
        door.log.is_slow = True
        caller = door.connect(device)
        for packet_id in range(1, 5):
            caller.publish(device.readings, packet_id=packet_id)

        caller.expect_end(Reason.RECEIVE_MAXIMUM_EXCEEDED)


def test_mqtt_311_has_no_such_agreement_so_its_socket_is_not_read(device: Device) -> None:
    with Door(limits=Limits(receive_maximum=10)) as door:
        door.keeper.devices[device.name] = device
        door.log.is_slow = True
        caller = door.connect(device, V311)
        for packet_id in range(1, 11):
            caller.publish(device.readings, packet_id=packet_id)
        until(lambda: len(door.log.of(device)) == 10)
        caller.publish(device.readings, packet_id=11)
        door.connect(door.add_device())  # a round trip, in which the eleventh would have been read
        assert len(door.log.of(device)) == 10

        door.call(door.log.answer)
        until(lambda: len(door.log.of(device)) == 11)
        door.call(door.log.answer)

        caller.expect_pubacks(*range(1, 12))


def test_nobody_is_read_while_the_log_is_full(door: Door, device: Device, version: int) -> None:
    other = door.add_device(tenant=2)
    first, second = door.connect(device, version), door.connect(other, version)
    door.log.full = True
    first.publish(device.readings, b"the last one in", packet_id=1)
    first.expect_pubacks(1)
    for number in range(10):
        first.publish(device.readings, b"x" * 1_000, qos=0)
        second.publish(other.readings, b"y" * 1_000, packet_id=number + 1)
    late = door.add_device()
    door.connect(late, version).publish(late.readings)
    assert len(door.log.of(device)) == 1
    assert not door.log.of(other)
    assert not door.log.of(late)

    door.call(door.log.make_room)

    second.expect_pubacks(*range(1, 11))
    until(lambda: len(door.log.of(device)) == 11 and door.log.of(late))


def test_while_the_store_is_behind_everybody_gets_a_word_in_and_nobody_more(
    door: Door, device: Device, version: int
) -> None:
    other = door.add_device(tenant=2)
    eager, quiet = door.connect(device, version), door.connect(other, version)
    door.log.behind = True
    eager.publish(device.readings, b"first", packet_id=1)
    eager.expect_pubacks(1)
    for number in range(10):
        eager.publish(device.readings, b"more", packet_id=number + 2)
    quiet.publish(other.readings, b"first", packet_id=1)
    quiet.expect_pubacks(1)
    assert len(door.log.of(device)) == 1

    door.call(door.log.make_room)

    eager.expect_pubacks(*range(2, 12))


def test_messages_the_log_could_not_take_end_the_session_without_a_puback(
    door: Door, device: Device, version: int
) -> None:
    door.log.is_slow = True
    caller = door.connect(device, version)
    caller.publish(device.readings)
    until(lambda: door.log.of(device))

    door.call(lambda: door.log.answer(stored=False))

    caller.expect_end(Reason.SERVER_UNAVAILABLE)


def test_a_device_that_does_not_read_its_pubacks_is_not_read_either(door: Door, device: Device) -> None:
    caller = door.connect(device, V311)
    data = write_packet(Publish(topic=device.readings.encode(), payload=b"", qos=1, packet_id=1), V311)
    caller.socket.settimeout(0.5)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 400_000_000:
            sent += caller.socket.send(data * 1_000)

    taken = len(door.log.of(device))
    door.connect(door.add_device())
    assert len(door.log.of(device)) == taken


def test_acknowledgement_latency_is_measured(door: Door, device: Device) -> None:
    caller = door.connect(device)
    caller.publish(device.readings)
    caller.expect_pubacks(1)

    assert door.metric("roadstead_mqtt_acknowledgement_seconds_count") == 1
    assert door.metric("roadstead_mqtt_messages_in_total") == 1


def test_steps_of_qos_2_from_an_earlier_server_are_answered(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)
    caller.send(b"\x62\x02\x00\x07")
    expected = b"\x70\x02\x00\x07" if version < V5 else b"\x70\x03\x00\x07\x92"
    assert caller.socket.recv(100) == expected
