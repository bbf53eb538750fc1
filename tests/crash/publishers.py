"""Those who report without a pause, whatever happens to the platform, and write down what they were promised."""

import contextlib
import json
import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.cli.provision import DeviceIdentity
from roadstead.gateways.mqtt.packets import V311, Connack, Connect, Packet, Puback, Publish
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.writer import write_packet
from tests.journeys.devices import Device
from tests.platform import Platform, wait_until

START = datetime(2026, 4, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=100)

_PAUSE_S = 0.05
_BATCH = 5
_MOST_WAITING = 300
_REFUSED_EVERY = 20
_LAST_WORDS_S = 10.0


class Ledger:
    """Numbers that were sent as readings, and numbers of messages that cannot be stored; which of them were taken."""

    def __init__(self, *, resends: bool) -> None:
        self.resends = resends
        """Whether what was not acknowledged is sent again; else it may be there or not, once at most."""
        self.sent: set[int] = set()
        self.acknowledged: set[int] = set()
        self.refused_sent: set[int] = set()
        self.refused_acknowledged: set[int] = set()
        self._next = 0

    def take(self, count: int) -> range:
        """The next numbers, which count as sent from now on."""
        numbers = range(self._next, self._next + count)
        self._next += count
        self.sent |= set(numbers)
        return numbers

    def take_refused(self) -> int:
        """The next number of a message that is no reading."""
        number = len(self.refused_sent)
        self.refused_sent.add(number)
        return number


class Publisher:
    """A thread that sends 0, 1, 2, ... as values of sensor `n`, 100 ms of time apart, and now and then nonsense."""

    def __init__(self, identity: DeviceIdentity, key: str, *, resends: bool) -> None:
        """`key`: of its organization."""
        self.identity = identity
        self.key = key
        self.ledger = Ledger(resends=resends)
        self.problem: BaseException | None = None
        self.stopped = threading.Event()
        self._extra = 0
        self._turn = 0
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def acknowledged(self) -> int:
        """How much was taken so far."""
        assert self.problem is None, self.problem
        return len(self.ledger.acknowledged)

    def burst(self, count: int) -> None:
        """Send so many more as soon as possible."""
        self._extra += count

    def finish(self) -> None:
        """Stop; whoever sends again does so until all is acknowledged."""
        self.stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a publisher does not come to its end"
        assert self.problem is None, self.problem

    def run(self) -> None:
        """Until stopped."""
        raise NotImplementedError

    def _due(self) -> int:
        extra, self._extra = self._extra, 0
        return _BATCH + extra

    def _next(self) -> list[tuple[set[int], int, str]]:
        """Messages to send now, each with its number and the set that it belongs to once it is acknowledged."""
        self._turn += 1
        ledger = self.ledger
        found = [(ledger.acknowledged, number, json.dumps(reading_of(number))) for number in ledger.take(self._due())]
        if self._turn % _REFUSED_EVERY == 0:
            number = ledger.take_refused()
            found.append((ledger.refused_acknowledged, number, nonsense_of(number)))
        return found

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.problem = error


def reading_of(number: int) -> dict[str, Any]:
    """One of its readings."""
    return {"sensorId": "n", "timestamp": (START + number * STEP).isoformat(), "value": number}


def nonsense_of(number: int) -> str:
    """One of its messages that are no readings."""
    return f"nonsense {number}"


class Resender(Publisher):
    """A device over mutual TLS whose library sends again what was not acknowledged, after each new connection."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, key: str, directory: Path) -> None:
        super().__init__(identity, key, resends=True)
        self._port = platform.ports["MQTTS"]
        self._device = Device(identity, directory, version=MQTTProtocolVersion.MQTTv311).use_tls()
        self._waiting: dict[int, tuple[set[int], int]] = {}
        self._told: deque[int] = deque()
        """Packet ids that were acknowledged and are not written down yet."""
        self._device.client.on_publish = self._on_publish
        self._device.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._device.client.max_inflight_messages_set(_MOST_WAITING)

    def run(self) -> None:
        client, topic = self._device.connect(self._port).client, self.identity.topics["readings"]
        while not self.stopped.wait(_PAUSE_S):
            self._write_down()
            if len(self._waiting) < _MOST_WAITING:
                for taken, number, payload in self._next():
                    self._waiting[client.publish(topic, payload, qos=1).mid] = (taken, number)
        wait_until(lambda: self._write_down() == 0, timeout_s=50)
        self._device.close()

    def _on_publish(self, _client: Any, _data: Any, packet: int, _reason: Any, _properties: Any) -> None:
        # Only remembered, for `publish` may not have returned yet.
        self._told.append(packet)

    def _write_down(self) -> int:
        """What is acknowledged; how many messages still are not."""
        while self._told:
            taken, number = self._waiting.pop(self._told.popleft())
            taken.add(number)
        return len(self._waiting)


class Teller(Publisher):
    """A device over plain MQTT that says everything once: after a broken connection it goes on with what is next."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, key: str) -> None:
        super().__init__(identity, key, resends=False)
        self._port = platform.ports["MQTT"]
        self._topic = identity.topics["readings"].encode()

    def run(self) -> None:
        while not self.stopped.is_set():
            with contextlib.suppress(OSError), _Line(self._port) as line:
                self._talk(line)
            self.stopped.wait(0.2)

    def _talk(self, line: "_Line") -> None:
        name = self.identity.device_id
        line.send(Connect(version=V311, client_id=name, username=name, password=self.key.encode(), keep_alive_s=30))
        answer = line.receive(10)
        if not isinstance(answer, Connack) or answer.reason:
            return
        waiting: deque[tuple[int, set[int], int]] = deque()
        packet_id = 0
        while not self.stopped.is_set():
            packets: list[Packet] = []
            for taken, number, payload in self._next() if len(waiting) < _MOST_WAITING else ():
                packet_id = packet_id % 65535 + 1
                waiting.append((packet_id, taken, number))
                packets.append(Publish(topic=self._topic, payload=payload.encode(), qos=1, packet_id=packet_id))
            line.send(*packets)
            self._write_down(line, waiting, _PAUSE_S)
            self.stopped.wait(_PAUSE_S)
        self._write_down(line, waiting, _LAST_WORDS_S)

    def _write_down(self, line: "_Line", waiting: deque[tuple[int, set[int], int]], within_s: float) -> None:
        """What is acknowledged, until all is or the time is up."""
        until = time.monotonic() + within_s
        while waiting and (packet := line.receive(until - time.monotonic())) is not None:
            expected, taken, number = waiting.popleft()
            assert packet == Puback(expected), "acknowledgements come in the order of their messages"
            taken.add(number)


class _Line:
    """A connection that knows packets."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("localhost", port), timeout=10)
        self._kept = b""

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *packets: Packet) -> None:
        self._socket.sendall(b"".join(write_packet(packet, V311) for packet in packets))

    def receive(self, within_s: float) -> Packet | None:
        """The next packet, None when there is none in time. Raises `OSError` at the end of the connection."""
        while True:
            frame = find_frame(self._kept, 0) if self._kept else None
            if frame is not None and frame[1] <= len(self._kept):
                first, body = self._kept[0], self._kept[frame[0] : frame[1]]
                self._kept = self._kept[frame[1] :]
                return read_packet(first, body, V311)
            if not select.select([self._socket], [], [], max(within_s, 0))[0]:
                return None
            more = self._socket.recv(65_536)
            if not more:
                raise ConnectionError("closed")
            self._kept += more


class Program(Publisher):
    """A program with an API key that sends batches; again until it is told that one was taken, or never again."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, key: str, *, resends: bool) -> None:
        super().__init__(identity, key, resends=resends)
        self._client = platform.client(key)

    def run(self) -> None:
        with self._client:
            while not self.stopped.wait(_PAUSE_S):
                self._turn += 1
                numbers = self.ledger.take(self._due())
                batch: list[Any] = [self._item(number) for number in numbers]
                refused = self.ledger.take_refused() if self._turn % _REFUSED_EVERY == 0 else None
                if refused is not None:
                    batch.append({"deviceId": self.identity.device_id, "sensorId": "n", "value": nonsense_of(refused)})
                while not self._is_taken(batch, numbers, refused) and self.ledger.resends:
                    time.sleep(_PAUSE_S)

    def _item(self, number: int) -> dict[str, Any]:
        return reading_of(number) | {"deviceId": self.identity.device_id}

    def _is_taken(self, batch: Sequence[Any], numbers: Sequence[int], refused: int | None) -> bool:
        try:
            answer = self._client.post("/api/v1/readings", json=batch, timeout=20)
        except httpx.TransportError:
            return False
        if answer.status_code in {503, 429}:
            assert int(answer.headers["Retry-After"]) >= 1
            return False
        assert answer.status_code == (202 if refused is None else 207), answer.text
        self.ledger.acknowledged |= set(numbers)
        if refused is not None:
            self.ledger.refused_acknowledged.add(refused)
        return True


class Clerk(Publisher):
    """Somebody who adds devices, and looks at things, all the time. `ledger` counts the devices."""

    def __init__(self, platform: Platform, identity: DeviceIdentity, key: str, luck: random.Random) -> None:
        super().__init__(identity, key, resends=False)
        self._client = platform.client(key)
        self._luck = luck
        self.created: dict[int, str] = {}
        """Ids of the devices that it was told are there."""
        self.longest_s = 0.0
        """How long it waited for an answer, at most."""

    def run(self) -> None:
        since = START.isoformat()
        looks = [
            ("/api/v1/devices", {"limit": "5"}),
            (f"/api/v1/devices/{self.identity.device_id}", {}),
            (f"/api/v1/readings/device/{self.identity.device_id}", {"from": since, "limit": "5"}),
        ]
        with self._client:
            while not self.stopped.wait(_PAUSE_S):
                (number,) = self.ledger.take(1)
                made = self._ask("POST", "/api/v1/devices", json={"name": f"device {number}"})
                if made is not None:
                    assert made.status_code == 201, made.text
                    self.created[number] = made.json()["id"]
                    self.ledger.acknowledged.add(number)
                path, params = self._luck.choice(looks)
                seen = self._ask("GET", path, params=params)
                assert seen is None or seen.status_code == 200, seen.text

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response | None:
        """The answer, or None when the platform says or shows that it cannot give one now."""
        began = time.monotonic()
        try:
            answer = self._client.request(method, path, timeout=60, **content)
        except httpx.TransportError:
            return None
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        return None if answer.status_code == 503 else answer
