"""How a session ends, who learns of it, and what stays."""

import time
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from roadstead.gateways.mqtt import Limits, Reason
from roadstead.gateways.mqtt.packets import V311, Disconnect, Pingreq, Pingresp, Will
from roadstead.gateways.mqtt.properties import NONE, Properties
from roadstead.kernel.time import now
from tests.gateways.harness import Caller, Device, Door, until


def ended(door: Door, device: Device) -> str:
    """Why the last session of a device ended, when it has."""
    until(lambda: door.log.notices(device)[-1][0] == "disconnected")
    return door.log.notices(device)[-1][1].reason


def will(device: Device, *, delay_s: int | None = None) -> Will:
    """OFFLINE to the status topic."""
    properties = NONE if delay_s is None else Properties(will_delay_s=delay_s)
    return Will(topic=device.status.encode(), payload=b"OFFLINE", qos=1, retain=True, properties=properties)


def last_words(door: Door, device: Device) -> list[bytes]:
    """What a device said on its status topic."""
    return [each.payload for each in door.log.of(device) if each.channel == "status"]


def test_a_device_that_disconnects_leaves_a_notice_and_no_will(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.14.4-3]."""
    caller = door.connect(device, version, will=will(device))
    caller.send(Disconnect())

    assert ended(door, device) == "closed by the device"
    caller.expect_end()
    assert not last_words(door, device)
    assert door.metric("roadstead_mqtt_sessions", listener="mqtt") == 0


def test_a_device_that_is_cut_off_has_its_will_published_as_if_it_had_said_so(
    door: Door, device: Device, version: int
) -> None:
    """[MQTT-3.1.2-8]."""
    caller = door.connect(device, version, will=will(device))
    caller.hang_up()

    assert ended(door, device) == "connection lost"
    (words,) = door.log.of(device)
    assert (words.tenant, words.dialect, words.channel, words.payload) == (1, "native", "status", b"OFFLINE")
    assert [each.channel for each in door.log.uplinks if each.device == device.key][-1] == "disconnected"


def test_a_device_of_mqtt_5_may_ask_for_its_will(door: Door, device: Device) -> None:
    caller = door.connect(device, will=will(device))
    caller.send(Disconnect(Reason.DISCONNECT_WITH_WILL))

    assert ended(door, device) == "closed by the device: disconnect with will"
    assert last_words(door, device) == [b"OFFLINE"]


def test_a_device_that_falls_silent_is_closed_after_one_and_a_half_keep_alives(
    door: Door, device: Device, version: int
) -> None:
    """[MQTT-3.1.2-22]."""
    caller = door.connect(device, version, keep_alive_s=1, will=will(device))
    caller.send(Pingreq())
    caller.expect(Pingresp)

    caller.expect_end(Reason.KEEP_ALIVE_TIMEOUT)
    assert ended(door, device) == "keep-alive"
    assert last_words(door, device) == [b"OFFLINE"]


def test_a_new_session_ousts_the_old_one(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.1.4-3]: by device, whatever client id it uses."""
    first = door.connect(device, version, client_id="one", will=will(device))
    second = door.connect(device, version, client_id="two")

    first.expect_end(Reason.SESSION_TAKEN_OVER)
    second.publish(device.readings)
    second.expect_pubacks(1)
    assert [channel for channel, _ in door.log.notices(device)] == ["connected", "disconnected", "connected"]
    numbers = [notice.session for _, notice in door.log.notices(device)]
    assert numbers[0] == numbers[1] < numbers[2]
    assert last_words(door, device) == [b"OFFLINE"]
    assert door.gateway.session_count == 1


def test_access_withdrawn_ends_the_session_at_once(door: Door, version: int) -> None:
    revoked, other = door.add_device(), door.add_device(tenant=2)
    caller, bystander = door.connect(revoked, version), door.connect(other, version)

    assert door.call(lambda: door.gateway.kick(revoked.key, "certificate revoked")) is True

    caller.expect_end(Reason.NOT_AUTHORIZED)
    assert ended(door, revoked) == "certificate revoked"
    bystander.publish(other.readings)
    bystander.expect_pubacks(1)


def test_nobody_stays_longer_than_the_credential_it_came_with(door: Door, version: int) -> None:
    device, other = door.add_device(), door.add_device(tenant=2)
    start = now()
    device.admission = msgspec.structs.replace(device.admission, expires_at=start + timedelta(seconds=0.3))
    other.admission = msgspec.structs.replace(other.admission, expires_at=start + timedelta(days=400))
    caller, bystander = door.connect(device, version), door.connect(other, version)
    caller.publish(device.readings, packet_id=1)
    caller.expect_pubacks(1)
    caller.expect_end(Reason.MAXIMUM_CONNECT_TIME)
    assert now() >= start + timedelta(seconds=0.3)

    assert ended(door, device) == "the credential has expired"
    bystander.publish(other.readings, packet_id=2)
    bystander.expect_pubacks(2)


def test_nothing_is_kept_for_a_device_that_was_thrown_out(door: Door, device: Device) -> None:
    terms: dict[str, Any] = {"clean_start": False, "properties": Properties(session_expiry_s=60)}
    door.connect(device, **terms).subscribe(device.commands)
    door.call(lambda: door.gateway.kick(device.key))

    assert door.connect(device, **terms).connack.session_present is False


class Post:
    """Carries the word between two gateways of a test."""

    def __init__(self) -> None:
        self.words: list[tuple[bytes, str, int]] = []

    def arrived(self, device: bytes, gateway: str, opened_at: int) -> None:
        """Keep it."""
        self.words.append((device, gateway, opened_at))


def test_a_new_session_ousts_the_old_one_in_another_process(device: Device, version: int) -> None:
    post = Post()
    with Door(peers=post) as one, Door(peers=post) as other:
        for door in (one, other):
            door.keeper.devices[device.name] = device
        first = one.connect(device, version)
        until(lambda: time.time() * 1_000 > post.words[0][2] + 1)
        second = other.connect(device, version)

        for door in (one, other):
            for word in post.words:
                door.call(partial(door.gateway.oust, *word))

        first.expect_end(Reason.SESSION_TAKEN_OVER)
        second.publish(device.readings)
        second.expect_pubacks(1)


def test_a_session_is_kept_as_long_as_agreed(device: Device) -> None:
    """[MQTT-3.1.2-23]."""
    outcomes: list[bool] = []
    with Door(limits=Limits(session_expiry_s=1)) as door:
        door.keeper.devices[device.name] = device
        terms: dict[str, Any] = {"clean_start": False, "properties": Properties(session_expiry_s=600)}
        caller = door.connect(device, **terms)
        assert caller.connack.properties.session_expiry_s == 1
        caller.subscribe(device.commands)
        door.call(lambda: door.gateway.deliver(device.key, device.commands, b"do", done=outcomes.append))
        caller.hang_up()
        until(lambda: outcomes == [False])

        assert door.connect(device, **terms).connack.session_present is False


def test_a_disconnect_may_change_how_long_the_session_is_kept(door: Door, device: Device) -> None:
    """[MQTT-3.14.2-2] forbids only to keep a session that was to end."""
    caller = door.connect(device, properties=Properties(session_expiry_s=60))
    caller.send(Disconnect(properties=Properties(session_expiry_s=0)))
    caller.expect_end()
    caller = door.connect(device, clean_start=False)
    assert caller.connack.session_present is False

    caller.send(Disconnect(properties=Properties(session_expiry_s=60)))
    caller.expect_end(Reason.PROTOCOL_ERROR)


def test_a_delayed_will_is_not_published_when_the_device_comes_back_in_time(door: Door, device: Device) -> None:
    """[MQTT-3.1.3-9]."""
    kept: dict[str, Any] = {"clean_start": False, "properties": Properties(session_expiry_s=60)}
    door.connect(device, will=will(device, delay_s=30), **kept).hang_up()
    assert ended(door, device) == "connection lost"

    caller = door.connect(device, **kept)
    assert caller.connack.session_present is True
    caller.send(Disconnect(properties=Properties(session_expiry_s=0)))
    caller.expect_end()
    assert not last_words(door, device)


def test_a_delayed_will_is_published_when_its_time_has_come_or_the_session_ends(door: Door) -> None:
    """[MQTT-3.1.2-8]."""
    late, replaced = door.add_device(), door.add_device()
    kept: dict[str, Any] = {"properties": Properties(session_expiry_s=60)}
    door.connect(late, will=will(late, delay_s=1), **kept).hang_up()
    door.connect(replaced, will=will(replaced, delay_s=30), **kept).hang_up()
    for device in (late, replaced):
        assert ended(door, device) == "connection lost"
    assert not last_words(door, late)

    door.connect(replaced, clean_start=True)
    assert last_words(door, replaced) == [b"OFFLINE"]
    until(lambda: last_words(door, late) == [b"OFFLINE"])


def test_only_so_many_sessions_are_kept() -> None:
    with Door(limits=Limits(parked_sessions=2)) as door:
        devices = [door.add_device() for _ in range(3)]
        kept: dict[str, Any] = {"clean_start": False, "properties": Properties(session_expiry_s=60)}
        for device in devices:
            door.connect(device, **kept).hang_up()
            assert ended(door, device) == "connection lost"

        callers = [door.connect(device, **kept) for device in devices]
        assert [caller.connack.session_present for caller in callers] == [False, True, True]


def test_stopping_lets_messages_reach_the_log_and_says_goodbye(door: Door, device: Device, version: int) -> None:
    door.log.is_slow = True
    waiting = Caller(door, version)
    caller = door.connect(device, version)
    caller.publish(device.readings, packet_id=4)
    until(lambda: door.log.of(device))
    stopping = door.begin(door.gateway.stop())
    with pytest.raises(ConnectionRefusedError):
        until(lambda: door.dial().hang_up())

    door.call(door.log.answer)

    caller.expect_pubacks(4)
    caller.expect_end(Reason.SERVER_SHUTTING_DOWN)
    waiting.expect_end()
    stopping.result(5)


def test_a_full_log_does_not_make_silent_devices_of_those_we_do_not_read(door: Door, device: Device) -> None:
    caller = door.connect(device, V311, keep_alive_s=1)
    door.log.full = True
    caller.publish(device.readings, qos=0)
    until(lambda: door.log.of(device))
    caller.socket.settimeout(1.8)
    with pytest.raises(TimeoutError):
        caller.socket.recv(1)

    assert door.gateway.session_count == 1
    door.call(door.log.make_room)
