"""Messages to devices: who hears what, and that what was sent arrives."""

import threading

import pytest

from roadstead.gateways.mqtt import Limits, Reason
from roadstead.gateways.mqtt.packets import (
    V5,
    V311,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
)
from roadstead.gateways.mqtt.properties import Properties
from tests.gateways.harness import Caller, Device, Door, until


class Delivery:
    """One message on its way."""

    def __init__(self, door: Door, device: Device, payload: bytes, **options: object) -> None:
        self.arrived: bool | None = None
        self._settled = threading.Event()
        topic = str(options.pop("topic", device.commands))

        def send() -> bool:
            return door.gateway.deliver(device.key, topic, payload, done=self._done, **options)  # type: ignore[arg-type]

        self.is_accepted = door.call(send)

    def _done(self, arrived: bool) -> None:
        assert self.arrived is None, "told twice"
        self.arrived = arrived
        self._settled.set()

    def wait(self) -> bool | None:
        """Whether it arrived, when that is known."""
        assert self._settled.wait(5)
        return self.arrived


def hear(caller: Caller, *payloads: bytes) -> list[Publish]:
    """These messages come, in this order; they are not acknowledged yet."""
    messages = [caller.expect(Publish) for _ in payloads]
    assert [each.payload for each in messages] == list(payloads)
    return messages


def test_a_device_hears_its_own_topics_only(door: Door, version: int) -> None:
    """[MQTT-3.8.4-5] [MQTT-3.8.4-6]."""
    acme, globex = door.add_device(tenant=1), door.add_device(tenant=2)
    caller = door.connect(acme, version)

    codes = caller.subscribe(acme.commands, globex.commands, acme.readings, "$share/all/" + acme.commands, "#", qos=1)

    refused = 0x80 if version < V5 else Reason.NOT_AUTHORIZED
    shared = 0x80 if version < V5 else Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    assert codes == bytes((1, refused, refused, shared, 1))
    assert Delivery(door, globex, b"not for acme").is_accepted is False
    Delivery(door, acme, b"for acme")
    hear(caller, b"for acme")


@pytest.mark.parametrize(("asked", "sent", "granted"), [(0, 1, 0), (1, 0, 0), (1, 1, 1), (2, 1, 1)])
def test_the_lower_qos_counts(door: Door, device: Device, version: int, asked: int, sent: int, granted: int) -> None:
    """[MQTT-3.8.4-8]."""
    caller = door.connect(device, version)
    assert caller.subscribe(device.commands, qos=asked) == bytes((min(asked, 1),))
    delivery = Delivery(door, device, b"do", qos=sent)

    (message,) = hear(caller, b"do")
    assert (message.qos, message.topic, message.duplicate) == (granted, device.commands.encode(), False)
    if granted:
        assert delivery.arrived is None
        caller.send(Puback(message.packet_id))
    assert delivery.wait() is True


def test_a_message_the_device_refuses_did_not_arrive(door: Door, device: Device) -> None:
    caller = door.connect(device)
    caller.subscribe(device.commands)
    delivery = Delivery(door, device, b"do")
    (message,) = hear(caller, b"do")
    caller.send(Puback(message.packet_id, Reason.IMPLEMENTATION_SPECIFIC_ERROR))

    assert delivery.wait() is False


@pytest.mark.parametrize("pattern", ["v1/gateways/+/+/commands", "v1/#", "+/+/+/+/+"])
def test_a_wildcard_that_covers_its_topics_is_granted(door: Door, device: Device, version: int, pattern: str) -> None:
    caller = door.connect(device, version)
    assert caller.subscribe(pattern) == b"\1"

    Delivery(door, device, b"do")
    hear(caller, b"do")


def test_a_message_that_comes_before_the_subscription_waits_for_it(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)
    assert Delivery(door, device, b"first").is_accepted
    assert Delivery(door, device, b"config", topic=device.desired, retain=True).is_accepted

    caller.send(Subscribe(5, (Subscription(filter=device.commands, qos=1),)))
    caller.expect(Suback)
    hear(caller, b"first")
    caller.send(Subscribe(6, (Subscription(filter=device.desired, qos=1),)))
    caller.expect(Suback)
    assert hear(caller, b"config")[0].retain is True


def test_after_unsubscribing_nothing_comes(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.11.3-1]."""
    caller = door.connect(device, version)
    caller.subscribe(device.commands)
    caller.send(Unsubscribe(9, (device.commands, "never/subscribed")))
    codes = bytes((0, Reason.NO_SUBSCRIPTION_EXISTED)) if version == V5 else b""
    assert caller.expect(Unsuback) == Unsuback(9, codes)

    Delivery(door, device, b"do")
    assert caller.subscribe(device.desired) == b"\1"
    assert caller.subscribe(device.commands) == b"\1"
    hear(caller, b"do")


def test_subscription_identifiers_come_along(door: Door, device: Device) -> None:
    """[MQTT-3.3.4-3] [MQTT-3.3.4-4]."""
    caller = door.connect(device)
    for number, filter_ in ((7, device.commands), (268_435_455, "#")):
        wanted = (Subscription(filter=filter_, qos=1),)
        caller.send(Subscribe(number % 100, wanted, Properties(subscription_ids=(number,))))
        caller.expect(Suback)
    Delivery(door, device, b"do")

    assert set(hear(caller, b"do")[0].properties.subscription_ids) == {7, 268_435_455}


def test_no_more_messages_are_in_flight_than_the_device_wants(door: Door, device: Device) -> None:
    """[MQTT-3.3.4-9]."""
    caller = door.connect(device, properties=Properties(receive_maximum=2))
    caller.subscribe(device.commands)
    for payload in (b"1", b"2", b"3", b"4"):
        Delivery(door, device, payload)
    first, second = hear(caller, b"1", b"2")
    assert caller.subscribe(device.desired) == b"\1"  # nothing else came before this answer

    caller.send(Puback(second.packet_id), Puback(first.packet_id))
    hear(caller, b"3", b"4")


def test_a_packet_larger_than_the_device_takes_is_not_sent(door: Door, device: Device) -> None:
    """[MQTT-3.1.2-24] [MQTT-3.1.2-25]."""
    caller = door.connect(device, properties=Properties(maximum_packet_size=300))
    caller.subscribe(device.commands)

    assert Delivery(door, device, bytes(300)).wait() is False
    Delivery(door, device, b"small")
    hear(caller, b"small")


def test_what_was_not_acknowledged_comes_again_in_the_resumed_session(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-4.4.0-1]: with DUP and its old packet identifier, before anything new."""
    terms = {"clean_start": False, "properties": Properties(session_expiry_s=60) if version == V5 else Properties()}
    caller = door.connect(device, version, **terms)
    caller.subscribe(device.commands)
    delivery = Delivery(door, device, b"do", key="command-1")
    (before,) = hear(caller, b"do")
    caller.hang_up()
    until(lambda: door.gateway.session_count == 0)
    assert delivery.arrived is None

    caller = door.connect(device, version, **terms)
    assert caller.connack.session_present is True
    Delivery(door, device, b"next")
    again, _ = hear(caller, b"do", b"next")
    assert (again.duplicate, again.packet_id) == (True, before.packet_id)
    caller.send(Puback(again.packet_id))
    assert delivery.wait() is True


def test_the_same_command_is_not_sent_twice_while_it_is_on_its_way(door: Door, device: Device, version: int) -> None:
    caller = door.connect(device, version)
    caller.subscribe(device.commands)
    deliveries = [Delivery(door, device, b"do", key="command-1") for _ in range(3)]
    (message,) = hear(caller, b"do")
    assert caller.subscribe(device.desired) == b"\1"

    caller.send(Puback(message.packet_id))
    assert [each.wait() for each in deliveries] == [True, True, True]


def test_a_newer_configuration_replaces_one_that_has_not_left(door: Door, device: Device) -> None:
    caller = door.connect(device)
    old = Delivery(door, device, b"v1", topic=device.desired, key="config")
    Delivery(door, device, b"v2", topic=device.desired, key="config")

    assert caller.subscribe(device.desired) == b"\1"
    hear(caller, b"v2")
    assert old.wait() is False


def test_a_session_begun_clean_has_forgotten(door: Door, device: Device, version: int) -> None:
    """[MQTT-3.1.2-4] [MQTT-3.1.2-6]."""
    kept = {"properties": Properties(session_expiry_s=60)} if version == V5 else {}
    caller = door.connect(device, version, clean_start=False, **kept)
    caller.subscribe(device.commands)
    delivery = Delivery(door, device, b"do")
    hear(caller, b"do")
    caller.hang_up()
    until(lambda: door.gateway.session_count == 0)

    caller = door.connect(device, version, clean_start=True, **kept)
    assert caller.connack.session_present is False
    assert delivery.wait() is False
    Delivery(door, device, b"again")
    assert caller.subscribe(device.desired) == b"\1"


def test_a_device_that_does_not_take_its_messages_is_closed(device: Device) -> None:
    with Door(limits=Limits(outgoing_messages=5, send_window=2)) as door:
        door.keeper.devices[device.name] = device
        caller = door.connect(device)
        caller.subscribe(device.commands)
        dropped = Delivery(door, device, b"qos 0", qos=0)
        assert dropped.wait() is True
        deliveries = [Delivery(door, device, b"1") for _ in range(4)]
        dropped = Delivery(door, device, b"qos 0", qos=0)
        deliveries.append(Delivery(door, device, b"1"))
        assert dropped.wait() is False  # QoS 0 makes room first
        assert Delivery(door, device, b"one too many").is_accepted is False

        hear(caller, b"qos 0", b"1", b"1")
        caller.expect_end(Reason.QUOTA_EXCEEDED)
        assert [each.wait() for each in deliveries] == [False] * 5
        assert door.log.notices(device)[1][1].reason == "does not take its messages"


def test_messages_nobody_subscribed_to_make_room_without_harm(device: Device) -> None:
    with Door(limits=Limits(outgoing_messages=2)) as door:
        door.keeper.devices[device.name] = device
        caller = door.connect(device)
        deliveries = [Delivery(door, device, payload) for payload in (b"1", b"2", b"3")]
        assert deliveries[0].wait() is False

        assert caller.subscribe(device.commands) == b"\1"
        hear(caller, b"2", b"3")


def test_a_device_that_stops_reading_is_closed_before_it_costs_much_memory(device: Device) -> None:
    with Door(limits=Limits(outgoing_bytes=1_000_000, outgoing_messages=10_000, linger_s=0.05)) as door:
        door.keeper.devices[device.name] = device
        caller = door.connect(device, V311)
        caller.subscribe(device.commands, qos=0)
        accepted = 0
        while Delivery(door, device, bytes(100_000)).is_accepted:
            accepted += 1
            assert accepted < 500
        assert door.gateway.session_count == 0


def test_there_is_a_limit_to_subscriptions(device: Device, version: int) -> None:
    with Door(limits=Limits(subscriptions=2)) as door:
        door.keeper.devices[device.name] = device
        caller = door.connect(device, version)

        codes = caller.subscribe("#", "+/#", "v1/#", "#")
        assert codes == bytes((1, 1, Reason.QUOTA_EXCEEDED if version == V5 else 0x80, 1))
