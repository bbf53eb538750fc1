"""Messages on their way to a device: bounded, numbered, and kept until the device has acknowledged them. No I/O."""

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from roadstead.gateways.mqtt.packets import V311, Publish
from roadstead.gateways.mqtt.properties import NONE, Properties
from roadstead.gateways.mqtt.subscriptions import Heard
from roadstead.gateways.mqtt.writer import write_packet

Done = Callable[[bool], None]
"""Told once whether a message arrived: acknowledged with QoS 1, written with QoS 0. Must not raise."""


class Message(msgspec.Struct, kw_only=True, eq=False):
    """One message to a device."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    key: str = ""
    """Names what the message is about, for instance a command's id: one that still waits is replaced by a newer one."""
    done: Done | None = None
    heard: Heard | None = None
    """How it goes out, when that does not depend on what the session has subscribed to by then."""
    packet_id: int = 0
    """Not 0 once it was sent."""

    @property
    def size(self) -> int:
        """Bytes it counts for."""
        return len(self.topic) + len(self.payload)

    def finish(self, arrived: bool) -> None:
        """Say what became of it."""
        done, self.done = self.done, None
        if done is not None:
            done(arrived)


class Outbox:
    """The outgoing side of a session; outlives the connection when the session does.

    A message whose topic the device has not subscribed to waits: devices subscribe a moment after they connect. When
    it gets too full, QoS 0 messages go first, then those nobody subscribed to, oldest first; then `offer` says no.
    """

    def __init__(self, heard: Mapping[str, Heard], *, most_messages: int, most_bytes: int) -> None:
        self._heard = heard
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._queue: deque[Message] = deque()
        self._unheard: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._taken: set[int] = set()
        self._last_id = 0
        self._version = V311
        self._window = 0
        self._packet_bytes = 0
        self.size_bytes = 0
        """Payload and topic bytes it holds."""

    def __len__(self) -> int:
        return len(self._queue) + len(self._unheard) + len(self._in_flight)

    def start(self, *, version: int, window: int, packet_bytes: int) -> None:
        """A connection begins: what was not acknowledged is sent again first, with its old number [MQTT-4.4.0-1].

        `window` is how many may be in flight, `packet_bytes` what the device takes at most (0: anything).
        """
        self._version, self._window, self._packet_bytes = version, window, packet_bytes
        self._queue.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()

    def offer(self, message: Message) -> bool:
        """Queue a message; False when there is no room left. Then nothing was queued, and `done` will not be called.

        One that would be the first to go again goes at once: that is no reason to end the session.
        """
        if message.key and self._join(message):
            return True
        is_heard = message.heard is not None or message.topic in self._heard
        if not self._make_room(message.size):
            if is_heard and message.qos:
                return False
            message.finish(False)
            return True
        (self._queue if is_heard else self._unheard).append(message)
        self.size_bytes += message.size
        return True

    def listen(self) -> None:
        """The subscriptions have changed: what waited for one moves up."""
        waiting, self._unheard = self._unheard, deque()
        for message in waiting:
            (self._queue if message.topic in self._heard else self._unheard).append(message)

    def take(self, most_bytes: int) -> tuple[bytes, int]:
        """Packets to be written now, about `most_bytes` and as far as the window allows, and how many they are."""
        parts, count = bytearray(), 0
        while self._queue and len(parts) < most_bytes:
            message = self._queue[0]
            heard = message.heard or self._heard.get(message.topic)
            if heard is None and not message.packet_id:
                self._unheard.append(self._queue.popleft())  # unsubscribed meanwhile
                continue
            qos = 1 if message.packet_id else min(message.qos, heard.qos if heard else 0)
            if qos and len(self._in_flight) >= self._window:
                break
            self._queue.popleft()
            packet = self._send(message, qos, heard.ids if heard else ())
            parts += packet
            count += bool(packet)
        return bytes(parts), count

    def acknowledge(self, packet_id: int, *, arrived: bool) -> None:
        """The device has taken (or refused) a message; an unknown number changes nothing."""
        message = self._in_flight.pop(packet_id, None)
        if message is None:
            # It may be about a message of the connection before, which is still to be sent again.
            message = next((each for each in self._queue if each.packet_id == packet_id), None)
            if message is None:
                return
            self._queue.remove(message)
        self._forget(message, arrived=arrived)

    def abandon(self) -> None:
        """The session is over: what did not arrive never will from here."""
        for message in (*self._in_flight.values(), *self._queue, *self._unheard):
            message.finish(False)
        self._in_flight.clear()
        self._queue.clear()
        self._unheard.clear()
        self._taken.clear()
        self.size_bytes = 0

    def _send(self, message: Message, qos: int, ids: tuple[int, ...]) -> bytes:
        duplicate = bool(message.packet_id)
        if qos and not duplicate:
            message.packet_id = self._next_id()
        packet = write_packet(
            Publish(
                topic=message.topic.encode(),
                payload=message.payload,
                qos=qos,
                packet_id=message.packet_id,
                retain=message.retain,
                duplicate=duplicate,
                properties=Properties(subscription_ids=ids) if ids else NONE,
            ),
            self._version,
        )
        if self._packet_bytes and len(packet) > self._packet_bytes:
            self._forget(message, arrived=False)  # as if it had been sent [MQTT-3.1.2-25]
            return b""
        if qos:
            self._in_flight[message.packet_id] = message
        else:
            self._forget(message, arrived=True)
        return packet

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._taken:
                self._taken.add(self._last_id)
                return self._last_id

    def _join(self, message: Message) -> bool:
        """Whether an equal message is on its way already. An older one of the same key that has not left goes."""
        for other in (*self._in_flight.values(), *self._queue, *self._unheard):
            if (other.key, other.topic) != (message.key, message.topic):
                continue
            if other.payload == message.payload:
                other.done = _both(other.done, message.done)
                return True
            if not other.packet_id:
                (self._queue if other in self._queue else self._unheard).remove(other)
                self._forget(other, arrived=False)
        return False

    def _has_room(self, size_bytes: int) -> bool:
        return len(self) < self._most_messages and self.size_bytes + size_bytes <= self._most_bytes

    def _make_room(self, size_bytes: int) -> bool:
        """Whether one more message of this size fits, after letting go of what goes first."""
        if not self._has_room(size_bytes):
            for message in [each for each in self._queue if not each.qos]:
                self._queue.remove(message)
                self._forget(message, arrived=False)
                if self._has_room(size_bytes):
                    return True
        while self._unheard and not self._has_room(size_bytes):
            self._forget(self._unheard.popleft(), arrived=False)
        return self._has_room(size_bytes)

    def _forget(self, message: Message, *, arrived: bool) -> None:
        self.size_bytes -= message.size
        self._taken.discard(message.packet_id)
        message.finish(arrived)


def _both(one: Done | None, other: Done | None) -> Done | None:
    if one is None or other is None:
        return one or other

    def tell(arrived: bool) -> None:
        one(arrived)
        other(arrived)

    return tell
