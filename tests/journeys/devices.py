"""A device of a test: its identity, and a paho client that any transport can carry."""

import json
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, Literal

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from roadstead.cli.client import ApiClient
from roadstead.cli.provision import DeviceIdentity, provision
from tests.platform import wait_until

Transport = Literal["tcp", "websockets"]
NEVER_S = 3600


def register(url: str, key: str, name: str, **fields: Any) -> DeviceIdentity:
    """A new device with its certificate, by way of the public API alone."""
    with ApiClient(url, key) as api:
        token = api.post("/api/v1/devices/registration/tokens", {"deviceName": name, **fields})
        return provision(api, token["token"])


class Device:
    """A connected device; everything it hears and every acknowledgement is kept. It does not come back by itself."""

    def __init__(
        self,
        identity: DeviceIdentity,
        directory: Path,
        *,
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
        transport: Transport = "tcp",
    ) -> None:
        self.identity = identity
        self._directory = directory
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=identity.client_id, protocol=version, transport=transport
        )
        self.client.reconnect_delay_set(min_delay=NEVER_S, max_delay=NEVER_S)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.messages: list[tuple[str, bytes]] = []
        self.acknowledged: set[int] = set()
        """Packet ids."""
        self.answer: Any = None
        self.farewell: Any = None
        self.connected = threading.Event()
        self.cut_off = threading.Event()

    def use_tls(self) -> "Device":
        """Present its certificate, check the platform's."""
        self.client.tls_set_context(tls_context(self.identity, self._directory))
        return self

    def use_key(self, key: str) -> "Device":
        """Sign in with its id and an API key."""
        self.client.username_pw_set(self.identity.device_id, key)
        return self

    def connect(self, port: int) -> "Device":
        """Returns when the platform has answered, whatever it said."""
        self.client.connect("localhost", port, keepalive=30)
        self.client.loop_start()
        assert self.connected.wait(10), "no answer to CONNECT"
        return self

    def report(self, readings: list[dict[str, Any]] | dict[str, Any], *, qos: int = 1) -> None:
        """Publish readings; returns when they are acknowledged."""
        info = self.client.publish(self.identity.topics["readings"], json.dumps(readings), qos=qos)
        info.wait_for_publish(10)
        assert info.is_published()

    def close(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """The connection breaks, without a word."""
        connection = self.client.socket()
        assert connection is not None
        # The plain socket beneath: TLS would say goodbye.
        socket.socket(fileno=socket.dup(connection.fileno())).shutdown(socket.SHUT_RDWR)
        assert self.cut_off.wait(5)
        self.client.loop_stop()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.answer = reason
        self.connected.set()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.farewell = reason
        self.cut_off.set()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload)))

    def _on_publish(self, _client: Any, _data: Any, packet: int, _reason: Any, _properties: Any) -> None:
        self.acknowledged.add(packet)


def tls_context(identity: DeviceIdentity, directory: Path) -> ssl.SSLContext:
    """What a device trusts and shows; `directory` gets its key and certificates."""
    identity.store(directory)
    context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    context.load_cert_chain(directory / "device.crt", directory / "device.key")
    return context


def sensor_of(api: httpx.Client, device_id: str, key: str) -> str:
    """The id of a sensor, as soon as it is there."""

    def find() -> str | None:
        sensors = api.get(f"/api/v1/devices/{device_id}/sensors").json()["items"]
        return next((str(sensor["id"]) for sensor in sensors if sensor["key"] == key), None)

    found: str = wait_until(find)
    return found


def values_of(api: httpx.Client, sensor: str, start: str, end: str) -> list[Any]:
    """The values of a sensor in a span, oldest first."""
    params = {"from": start, "to": end, "limit": "10000"}
    return [item["value"] for item in api.get(f"/api/v1/readings/sensor/{sensor}", params=params).json()["items"]]
