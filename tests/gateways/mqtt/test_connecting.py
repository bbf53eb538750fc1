"""How a session begins, or does not."""

import pytest

from roadstead.gateways.mqtt import Limits, Listener, Reason
from roadstead.gateways.mqtt.packets import V5, V311, Connack, Connect, Disconnect, Pingreq, Pingresp, Publish, Will
from roadstead.gateways.mqtt.properties import Properties
from roadstead.gateways.mqtt.reasons import return_code
from tests.gateways.harness import PASSWORD, Device, Door, until


def test_a_device_with_the_right_password_comes_in(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)

    assert caller.connack.session_present is False
    hello = door.keeper.hellos[0]
    assert (hello.client_id, hello.username, hello.password) == (device.name, device.name, PASSWORD)
    assert (hello.listener, hello.version, hello.certificate) == (Listener.MQTT, version, None)
    assert hello.address == "{}:{}".format(*caller.socket.getsockname())
    ((channel, notice),) = door.log.notices(device)
    assert (channel, notice.address, notice.gateway) == ("connected", hello.address, door.gateway.name)
    assert door.metric("roadstead_mqtt_sessions", listener="mqtt") == 1


def test_a_stranger_stays_outside_and_learns_why(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.2.2-7]: after a CONNACK that refuses comes the end."""
    caller = door.dial(version)
    caller.greet(device, password=b"guess")

    answer = caller.expect(Connack)
    caller.expect_end()
    if version == V5:
        assert answer.reason is Reason.BAD_USER_NAME_OR_PASSWORD
        assert answer.properties.reason_string == "nobody we know"
    else:
        assert answer.reason == 4
    assert not door.log.uplinks


def test_the_terms_of_a_session_are_told(door: Door, device: Device) -> None:
    caller = door.connect(device, properties=Properties(session_expiry_s=0xFFFFFFFF))

    told = caller.connack.properties
    assert told.maximum_qos == 1
    assert told.receive_maximum == door.limits.receive_maximum
    assert told.maximum_packet_size == 1_114_112
    assert told.topic_alias_maximum == door.limits.topic_aliases
    assert told.session_expiry_s == door.limits.session_expiry_s
    assert told.shared_subscription_available == 0


def test_a_device_without_client_id_gets_one(door: Door, device: Device) -> None:
    """[MQTT-3.1.3-6] [MQTT-3.2.2-16]."""
    caller = door.connect(device, client_id="")

    assert caller.connack.properties.assigned_client_id == device.name


def test_a_kept_session_of_mqtt_311_needs_a_client_id(door: Door, device: Device) -> None:
    """3.1.1: [MQTT-3.1.3-8]."""
    caller = door.dial(V311)
    caller.greet(device, client_id="", clean_start=False)

    assert caller.expect(Connack).reason == return_code(Reason.CLIENT_IDENTIFIER_NOT_VALID) == 2
    caller.expect_end()


@pytest.mark.parametrize(("level", "code"), [(3, 1), (6, Reason.UNSUPPORTED_PROTOCOL_VERSION)])
def test_another_version_of_the_protocol_is_refused(door: Door, level: int, code: int) -> None:
    """[MQTT-3.1.2-2]."""
    caller = door.dial(V5 if level > V5 else V311)
    name = b"\0\x06MQIsdp" if level == 3 else b"\0\x04MQTT"
    body = name + bytes((level, 2)) + b"\0\0\0\0"
    caller.send(b"\x10" + bytes((len(body),)) + body)

    assert caller.expect(Connack).reason == code
    caller.expect_end()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\xc0\x00", b"\x00\x00", b"\x10\xff\xff\xff\xff\x01"])
def test_what_does_not_begin_with_a_connect_ends_at_once(door: Door, data: bytes) -> None:
    """[MQTT-3.1.0-1]."""
    caller = door.dial()
    caller.send(data)

    caller.expect_end()


def test_a_malformed_connect_of_mqtt_5_is_answered(door: Door) -> None:
    caller = door.dial()
    caller.send(b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x0a\x00\x00\x01c")

    assert caller.expect(Connack).reason is Reason.MALFORMED_PACKET
    caller.expect_end()


def test_a_first_packet_that_is_too_large_ends_the_connection_before_it_is_there(door: Door) -> None:
    caller = door.dial()
    caller.send(b"\x10\xff\xff\x7f")

    caller.expect_end()


def test_a_second_connect_is_an_error(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.1.0-2]."""
    caller = door.connect(device, version)
    caller.greet(device)

    caller.expect_end(Reason.PROTOCOL_ERROR)


def test_extended_authentication_is_refused(door: Door, device: Device) -> None:
    caller = door.dial()
    caller.greet(device, properties=Properties(authentication_method="SCRAM-SHA-1"))

    assert caller.expect(Connack).reason is Reason.BAD_AUTHENTICATION_METHOD
    caller.expect_end()


def test_a_will_to_a_foreign_topic_or_with_qos_2_is_refused(door: Door, device: Device) -> None:
    """[MQTT-3.2.2-12]."""
    stranger = door.add_device()
    for will, reason in (
        (Will(topic=stranger.status.encode(), payload=b""), Reason.NOT_AUTHORIZED),
        (Will(topic=device.status.encode(), payload=b"", qos=2), Reason.QOS_NOT_SUPPORTED),
    ):
        caller = door.dial()
        caller.greet(device, will=will)
        assert caller.expect(Connack).reason is reason
        caller.expect_end()
    assert not door.log.uplinks


def test_a_device_may_speak_before_it_is_let_in(door: Door, device: Device, version: int) -> None:
    """Section 3.1.4: packets sent before the CONNACK are processed after it."""
    door.keeper.gate.clear()
    caller = door.dial(version)
    connect = Connect(version=version, client_id="c", username=device.name, password=PASSWORD)
    caller.send(connect, Publish(topic=device.readings.encode(), payload=b"1", qos=1, packet_id=1), Pingreq())
    until(lambda: door.keeper.hellos)
    assert not door.log.uplinks

    door.call(door.keeper.gate.set)

    assert caller.expect(Connack).reason == 0
    caller.expect(Pingresp)
    caller.expect_pubacks(1)
    assert [each.payload for each in door.log.of(device)] == [b"1"]


def test_a_doorkeeper_that_is_away_asks_the_device_to_come_back(door: Door, device: Device, version: int) -> None:
    door.keeper.is_away()
    caller = door.dial(version)
    caller.greet(device)

    assert caller.expect(Connack).reason == (Reason.SERVER_UNAVAILABLE if version == V5 else 3)
    caller.expect_end()


def test_a_doorkeeper_that_fails_lets_nobody_in(door: Door, device: Device) -> None:
    door.keeper.failure = RuntimeError("secret detail")
    caller = door.dial()
    caller.greet(device)

    answer = caller.expect(Connack)
    assert answer.reason is Reason.UNSPECIFIED_ERROR
    assert "secret" not in str(answer)
    caller.expect_end()


def test_who_says_nothing_is_sent_away() -> None:
    with Door(limits=Limits(connect_s=0.05)) as door:
        caller = door.dial()
        caller.send(b"\x10")
        caller.expect_end()


def test_several_gateways_share_a_port(door: Door, device: Device) -> None:
    with Door(port=door.port()) as second:
        second.keeper.devices[device.name] = device
        for _ in range(200):
            door.connect(device).send(Disconnect())
            if door.log.uplinks and second.log.uplinks:
                break
        assert door.log.uplinks
        assert second.log.uplinks


def test_one_connection_too_many_is_closed_at_once() -> None:
    with Door(limits=Limits(connections=2)) as door:
        device = door.add_device()
        caller, _ = door.connect(device), door.dial()
        door.dial().expect_end()

        caller.publish(device.readings)
        caller.expect_pubacks(1)


def test_a_doorkeeper_that_thinks_too_long_is_away() -> None:
    with Door(limits=Limits(admission_s=0.05)) as door:
        door.keeper.gate.clear()
        caller = door.dial()
        caller.greet(door.add_device())
        assert caller.expect(Connack).reason is Reason.SERVER_UNAVAILABLE
        caller.expect_end()


def test_access_withdrawn_while_the_doorkeeper_looks_keeps_the_device_out(door: Door, device: Device) -> None:
    door.keeper.gate.clear()
    caller = door.dial()
    caller.greet(device)
    until(lambda: door.keeper.hellos)

    assert door.call(lambda: door.gateway.kick(device.key)) is False
    door.call(door.keeper.gate.set)

    assert caller.expect(Connack).reason is Reason.NOT_AUTHORIZED
    caller.expect_end()
    assert not door.log.uplinks


def test_a_device_that_hangs_up_while_the_doorkeeper_looks_comes_and_goes(door: Door, device: Device) -> None:
    door.keeper.gate.clear()
    caller = door.dial()
    caller.greet(device)
    until(lambda: door.keeper.hellos)
    caller.hang_up()

    door.call(door.keeper.gate.set)

    until(lambda: [channel for channel, _ in door.log.notices(device)] == ["connected", "disconnected"])
    assert door.gateway.session_count == 0
