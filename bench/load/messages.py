"""The bytes of MQTT 3.1.1 packets that devices send, made so cheaply that the generator hardly counts."""

import math
import random
from datetime import UTC, datetime
from typing import Literal

FIELDS = ("temperature", "humidity", "pressure", "voltage", "current")
"""What a device of the benchmark measures."""
COMPONENT = "air"
VALUES = len(FIELDS)
"""Points of one message."""

_VARIANTS = 16
_CHUNK = 256


def connect_packet(client_id: str, username: str = "", password: str = "") -> bytes:
    """CONNECT with a clean session and no keep-alive."""
    flags = 0x02 | (0xC0 if password else 0)
    texts = [client_id, username, password] if password else [client_id]
    body = b"\0\4MQTT\4" + bytes([flags]) + b"\0\0"
    return _packet(0x10, body + b"".join(_text(text) for text in texts))


def subscribe_packet(topic: str) -> bytes:
    """SUBSCRIBE to one topic with QoS 1."""
    return _packet(0x82, b"\0\1" + _text(topic) + b"\1")


def publish_packet(topic: str, packet_id: int, payload: bytes) -> bytes:
    """A whole PUBLISH with QoS 1."""
    return _packet(0x32, _text(topic) + packet_id.to_bytes(2, "big") + payload)


def publish_head(topic: str, payload_bytes: int, qos: int) -> bytes:
    """A PUBLISH up to the packet id."""
    size = 2 + len(topic) + payload_bytes + (2 if qos else 0)
    return bytes([0x30 | qos << 1]) + _length(size) + _text(topic)


class Bodies:
    """What comes after the head: packet id and payload. Made once for many devices, for only the head differs.

    Values are noisy curves with two decimals; a few variants keep the devices from being all alike.
    """

    def __init__(self, shape: Literal["items", "object"], base_ms: int, qos: int) -> None:
        self._spell = {"items": _spell_items, "object": _spell_object}[shape]
        self._base_ms = base_ms
        self._qos = qos
        self._random = random.Random(base_ms)
        self._bodies: list[list[bytes]] = [[] for _ in range(_VARIANTS)]
        self.payload_bytes = len(self._spell(_instant(base_ms), self._values(0, 0)))

    def variant(self, index: int) -> list[bytes]:
        """The bodies of one variant, as many as there are by now; the list grows."""
        return self._bodies[index % _VARIANTS]

    def reach(self, number: int) -> None:
        """Make all up to this number, exclusive."""
        while len(self._bodies[0]) < number:
            start = len(self._bodies[0])
            for current in range(start, start + _CHUNK):
                instant = _instant(self._base_ms + current)
                packet_id = packet_id_of(current).to_bytes(2, "big") if self._qos else b""
                for index, bodies in enumerate(self._bodies):
                    bodies.append(packet_id + self._spell(instant, self._values(index, current)))

    def _values(self, variant: int, number: int) -> tuple[float, ...]:
        noise = self._random.random
        wave = math.sin(number / 500 + variant)
        return tuple(30 + 10 * position + 8 * wave + noise() for position in range(VALUES))


def packet_id_of(number: int) -> int:
    """Of the message with this number, counted from 0."""
    return number % 65_535 + 1


def _spell_items(instant: str, values: tuple[float, ...]) -> bytes:
    items = ",".join(
        f'{{"sensorId":"{COMPONENT}.{name}","timestamp":"{instant}","value":{value:.2f}}}'
        for name, value in zip(FIELDS, values, strict=True)
    )
    return f"[{items}]".encode()


def _spell_object(instant: str, values: tuple[float, ...]) -> bytes:
    fields = ",".join(f'"{name}":{value:.2f}' for name, value in zip(FIELDS, values, strict=True))
    return f'{{"sensorId":"{COMPONENT}","timestamp":"{instant}","value":{{{fields}}}}}'.encode()


def _instant(millis: int) -> str:
    return datetime.fromtimestamp(millis // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03}Z"


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _length(len(body)) + body


def _length(size: int) -> bytes:
    encoded = bytearray()
    while size >= 128:
        encoded.append(size & 127 | 128)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


DISCONNECT = b"\xe0\0"
