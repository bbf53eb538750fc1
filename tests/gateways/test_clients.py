"""A client that others wrote: paho, on every port, in both versions of the protocol."""

import ssl
import threading
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from roadstead.gateways.mqtt import Listener
from roadstead.gateways.tls import MQTT_ALPN, TlsServer
from tests.gateways.certificates import make
from tests.gateways.harness import PASSWORD, Device, Door, until

SERVER, CLIENT = make("server"), make("client")
MQTT311, MQTT5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
VERSIONS = {MQTT311: "mqtt311", MQTT5: "mqtt5"}


@pytest.fixture
def door() -> Iterator[Door]:
    """A door with every port."""
    with Door(tls=TlsServer(SERVER.identity, alpn=MQTT_ALPN)) as door:
        yield door


def properties(kind: int) -> Any:
    """Properties of a packet, in the untyped way of the library."""
    make: Any = Properties
    return make(kind)


class Client:
    """A paho client that runs in its own thread. Used as a context manager."""

    def __init__(
        self, door: Door, device: Device, listener: Listener, protocol: MQTTProtocolVersion, **connect: Any
    ) -> None:
        transport: Any = "websockets" if listener is Listener.WS else "tcp"
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=device.name,
            protocol=protocol,
            transport=transport,
        )
        self.paho.username_pw_set(device.name, PASSWORD.decode())
        if listener is Listener.MQTTS:
            context = ssl.create_default_context(cadata=SERVER.pem.decode())
            context.check_hostname = False
            self.paho.tls_set_context(context)
        self.messages: list[paho.MQTTMessage] = []
        self.connack: Any = None
        self.granted: list[ReasonCode] = []
        self.ended: ReasonCode | None = None
        self._published = threading.Semaphore(0)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_subscribe = lambda _, __, ___, codes, ____: self.granted.extend(codes)
        self.paho.on_message = lambda _, __, message: self.messages.append(message)
        self.paho.max_inflight_messages = 500
        self.paho.connect(door.host, door.port(listener), keepalive=30, **connect)
        self.paho.loop_start()
        until(lambda: self.connack is not None)

    def _on_connect(self, _: Any, __: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self.flags, self.properties, self.connack = flags, properties, reason

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        self.ended = reason

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Send a message and wait for its PUBACK."""
        info = self.paho.publish(topic, payload, qos)
        info.wait_for_publish(5)
        assert info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        assert info.is_published()


@pytest.mark.parametrize("protocol", VERSIONS, ids=VERSIONS.values())
@pytest.mark.parametrize("listener", Listener)
def test_messages_go_up_and_down(door: Door, listener: Listener, protocol: MQTTProtocolVersion) -> None:
    device, other = door.add_device(tenant=1), door.add_device(tenant=2)
    with Client(door, device, listener, protocol) as client, Client(door, other, listener, protocol) as neighbour:
        for each in (client, neighbour):
            assert not each.connack.is_failure
        for number in range(20):
            client.publish(device.readings, b"%d" % number, qos=number % 2)
        client.publish(device.readings, bytes(500_000))
        neighbour.publish(other.readings, b"mine")
        client.paho.subscribe([(device.commands, 1), (other.commands, 1)])
        until(lambda: len(client.granted) == 2)
        assert [code.is_failure for code in client.granted] == [False, True]

        outcomes: list[bool] = []
        door.call(lambda: door.gateway.deliver(device.key, device.commands, b"do", done=outcomes.append))
        until(lambda: outcomes == [True])
        assert [(each.topic, each.payload, each.qos) for each in client.messages] == [(device.commands, b"do", 1)]
        assert not neighbour.messages

    uplinks = door.log.of(device)
    assert [each.payload for each in uplinks] == [*(b"%d" % number for number in range(20)), bytes(500_000)]
    assert {each.tenant for each in uplinks} == {1}
    assert [each.payload for each in door.log.of(other)] == [b"mine"]
    until(lambda: [channel for channel, _ in door.log.notices(device)] == ["connected", "disconnected"])
    assert door.log.notices(device)[1][1].reason == "closed by the device"


@pytest.mark.parametrize("protocol", VERSIONS, ids=VERSIONS.values())
def test_a_wrong_password_is_understood(door: Door, protocol: MQTTProtocolVersion) -> None:
    device = door.add_device()
    del door.keeper.devices[device.name]
    with Client(door, device, Listener.MQTT, protocol) as client:
        assert client.connack.is_failure
        assert "user name or password" in str(client.connack).lower()


def test_many_messages_in_flight_arrive_once_and_in_order(door: Door) -> None:
    device = door.add_device()
    with Client(door, device, Listener.MQTT, MQTT5) as client:
        sent = [client.paho.publish(device.readings, b"%d" % number, 1) for number in range(3_000)]
        for each in sent:
            each.wait_for_publish(10)
    assert [each.payload for each in door.log.of(device)] == [b"%d" % number for number in range(3_000)]


def test_what_mqtt_5_adds_is_understood(door: Door) -> None:
    device = door.add_device()
    asked = properties(PacketTypes.CONNECT)
    asked.SessionExpiryInterval = 120
    with Client(door, device, Listener.MQTT, MQTT5, clean_start=False, properties=asked) as client:
        assert client.properties.MaximumQoS == 1
        assert client.properties.MaximumPacketSize == 1_114_112
        alias = properties(PacketTypes.PUBLISH)
        alias.TopicAlias = 1
        client.paho.publish(device.readings, b"1", 1, properties=alias).wait_for_publish(5)
        client.paho.publish("", b"2", 1, properties=alias).wait_for_publish(5)
        client.paho.subscribe(device.commands, 1)
        until(lambda: client.granted)
        door.call(lambda: door.gateway.kick(device.key))
        until(lambda: client.ended is not None)
        assert client.ended is not None
        assert client.ended.value == 0x87
    assert [each.payload for each in door.log.of(device)] == [b"1", b"2"]


@pytest.mark.parametrize("protocol", VERSIONS, ids=VERSIONS.values())
def test_a_session_is_resumed_with_the_message_that_was_missed(door: Door, protocol: MQTTProtocolVersion) -> None:
    device = door.add_device()
    options: dict[str, Any] = {}
    if protocol == MQTT5:
        options["properties"] = properties(PacketTypes.CONNECT)
        options["properties"].SessionExpiryInterval = 120
        options["clean_start"] = False
    first = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=device.name,
        protocol=protocol,
        clean_session=None if protocol == MQTT5 else False,
        manual_ack=True,
    )
    first.username_pw_set(device.name, PASSWORD.decode())
    heard: list[tuple[bytes | bytearray, bool]] = []
    sessions: list[bool] = []
    ready = threading.Event()

    def on_connect(client: paho.Client, _: Any, flags: paho.ConnectFlags, *__: Any) -> None:
        sessions.append(flags.session_present)
        client.subscribe(device.commands, 1)

    first.on_connect = on_connect
    first.on_subscribe = lambda *_: ready.set()
    first.on_message = lambda _, __, message: heard.append((message.payload, message.dup))
    first.connect(door.host, door.port(), **options)
    first.loop_start()
    assert ready.wait(5)
    door.call(lambda: door.gateway.deliver(device.key, device.commands, b"do"))
    until(lambda: heard)
    first.loop_stop()
    first.socket().close()  # type: ignore[union-attr]
    until(lambda: door.gateway.session_count == 0)

    first.reconnect()
    first.loop_start()
    until(lambda: len(heard) == 2)
    first.disconnect()
    first.loop_stop()
    assert sessions == [False, True]
    assert heard == [(b"do", False), (b"do", True)]
