"""A gateway in a thread of its own, on uvloop as in the product, and what it is plugged into in these tests."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import msgspec
import uvloop
from prometheus_client import CollectorRegistry

from roadstead.core.free_topics import Done, Place, Said
from roadstead.core.messages import REFUSED, SESSION, RefusalNotice, SessionNotice, Uplink
from roadstead.gateways.mqtt import (
    Account,
    Admission,
    Gateway,
    Hello,
    Limits,
    Listener,
    Metrics,
    Peers,
    Reason,
    Rejection,
    TopicRules,
    Waiter,
)
from roadstead.gateways.mqtt.packets import (
    V5,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
)
from roadstead.gateways.mqtt.reader import find_frame, read_packet
from roadstead.gateways.mqtt.writer import write_packet
from roadstead.gateways.tls import TlsServer
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId, TenantId, new_id, to_bytes

T = TypeVar("T")
PASSWORD = b"open sesame"


def until(is_so: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.002)


class Log:
    """Stands in for the packer: takes uplinks into memory and acknowledges them at once, or when told."""

    def __init__(self) -> None:
        self.uplinks: list[Uplink] = []
        self.full = False
        self.behind = False
        self.is_slow = False
        """Whether messages wait for `answer`."""
        self._waiting: dict[Waiter, list[int]] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._charged: list[tuple[Account, int]] = []

    def add(self, uplink: Uplink, waiter: Waiter | None, token: int) -> None:
        """As the packer does."""
        self.uplinks.append(uplink)
        if waiter is None:
            return
        if not self._waiting and not self.is_slow:
            asyncio.get_running_loop().call_soon(self.answer)
        self._waiting.setdefault(waiter, []).append(token)

    def charge(self, account: Account, size: int) -> None:
        """As the packer does: with the next answer."""
        if self.is_slow:
            self._charged.append((account, size))
        else:
            asyncio.get_running_loop().call_soon(account.settled, size)

    def when_room(self, callback: Callable[[], None]) -> None:
        """As the packer does."""
        self._callbacks.append(callback)

    def answer(self, *, stored: bool = True) -> None:
        """Everything that waits is on the log, or could not be written."""
        waiting, self._waiting = self._waiting, {}
        charged, self._charged = self._charged, []
        for waiter, tokens in waiting.items():
            (waiter.stored if stored else waiter.failed)(tokens)
        for account, size in charged:
            account.settled(size)

    def when_caught_up(self, callback: Callable[[], None]) -> None:
        """As the packer does."""
        self._callbacks.append(callback)

    def make_room(self) -> None:
        """It can keep up again, and the store has caught up."""
        self.full = self.behind = False
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def of(self, device: "Device") -> list[Uplink]:
        """What a device said, without the door's notices."""
        return [each for each in self.uplinks if each.device == device.key and each.dialect != "session"]

    def notices(self, device: "Device") -> list[tuple[str, SessionNotice]]:
        """What the door said about a device."""
        return [
            (each.channel, msgspec.msgpack.decode(each.payload, type=SessionNotice))
            for each in self.uplinks
            if each.device == device.key and each.dialect == SESSION and each.channel != REFUSED
        ]

    def refusals(self, device: "Device") -> list[RefusalNotice]:
        """What the door said about messages it did not take."""
        return [
            msgspec.msgpack.decode(each.payload, type=RefusalNotice)
            for each in self.uplinks
            if each.device == device.key and (each.dialect, each.channel) == (SESSION, REFUSED)
        ]


class Talk:
    """Stands in for the bus: passes on at once what is said on free topics, or when told."""

    def __init__(self) -> None:
        self.said: list[tuple[Place, Said]] = []
        self.full = False
        self.is_slow = False
        """Whether messages wait for `answer`."""
        self._ears: dict[Place, list[Callable[[Said], None]]] = {}
        self._waiting: list[tuple[Place, Said, Done | None]] = []
        self._callbacks: list[Callable[[], None]] = []

    def say(self, place: Place, said: Said, done: Done | None = None) -> None:
        """As the bus does."""
        self.said.append((place, said))
        self._waiting.append((place, said, done))
        if not self.is_slow:
            asyncio.get_running_loop().call_soon(self.answer)

    async def listen(self, place: Place, hear: Callable[[Said], None]) -> "Talk":
        """As the bus does, for ever."""
        self._ears.setdefault(place, []).append(hear)
        return self

    async def close(self) -> None:
        """Nobody minds."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """As the bus does."""
        self._callbacks.append(callback)

    def make_room(self) -> None:
        """It can keep up again."""
        self.full = False
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def answer(self, *, arrived: bool = True) -> None:
        """Everything that waits is with the bus, or was lost."""
        waiting, self._waiting = self._waiting, []
        for place, said, done in waiting:
            for hear in self._ears.get(place, ()) if arrived else ():
                hear(said)
            if done is not None:
                done(arrived)


class Device:
    """A device of a test, with the topics of the native contract."""

    def __init__(self, tenant: TenantId, organization: UUID, *, drop_forbidden: bool = False) -> None:
        self.id = DeviceId(new_id())
        self.key = to_bytes(self.id)
        self.name = str(self.id)
        self.readings = f"v1/readings/{organization}/{self.id}"
        self.status = f"v1/gateways/{organization}/{self.id}/status"
        self.commands = f"v1/gateways/{organization}/{self.id}/commands"
        self.desired = f"v1/gateways/{organization}/{self.id}/config/desired"
        self.response = f"{self.commands}/response"
        self.admission = Admission(
            tenant=tenant,
            organization=organization,
            device=self.id,
            dialect="native",
            rules=TopicRules(
                publish={
                    self.readings.encode(): ("native", "readings"),
                    self.status.encode(): ("native", "status"),
                },
                answers={self.response.encode(): ("native", "commands/response")},
                hear=(self.commands, self.desired),
                drop_forbidden=drop_forbidden,
            ),
        )


class Keeper:
    """Stands in for the doorkeeper: a user name is a device's id and the password always the same; or a certificate."""

    def __init__(self) -> None:
        self.hellos: list[Hello] = []
        self.devices: dict[str, Device] = {}
        self.fingerprints: dict[bytes, Device] = {}
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def admit(self, hello: Hello) -> Admission | Rejection:
        """Waits for the gate, then looks."""
        self.hellos.append(hello)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if hello.certificate is not None:
            known = self.fingerprints.get(sha256(hello.certificate).digest())
            return known.admission if known else Rejection(Reason.NOT_AUTHORIZED, "unknown certificate")
        device = self.devices.get(hello.username or "")
        if device is None or hello.password != PASSWORD:
            return Rejection(Reason.BAD_USER_NAME_OR_PASSWORD, "nobody we know")
        return device.admission

    def is_away(self) -> None:
        """It cannot decide now."""
        self.failure = Unavailable("no database")


class Door:
    """A started gateway. Used as a context manager."""

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        peers: Peers | None = None,
        tls: TlsServer | None = None,
        port: int = 0,
    ) -> None:
        self._port = port
        self.log = Log()
        self.limits = limits or Limits()
        self._peers = peers
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(5)
        assert not self.failures, self.failures

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.failures: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self.keeper = Keeper()
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.answers = Log()
        self.talk = Talk()
        self.hearing: list[bytes] = []
        self.gateway = Gateway(
            self.keeper,
            self.log,
            metrics,
            self.limits,
            answers=self.answers,
            peers=self._peers,
            on_hearing=self.hearing.append,
            free_topics=self.talk,
        )
        await self.gateway.start(
            tcp=(self.host, self._port),
            tls=(self.host, 0, self._tls) if self._tls is not None else None,
            websocket=(self.host, 0),
        )
        self._is_ready.set()
        await self._over.wait()

    def stop(self) -> None:
        """Stop the gateway; the loop goes on."""
        self.wait(self.gateway.stop())

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the gateway's loop."""
        return self.begin(work).result(10)

    def call(self, work: Callable[[], T]) -> T:
        """Call in the gateway's loop."""

        async def run() -> T:
            return work()

        return self.wait(run())

    def port(self, listener: Listener = Listener.MQTT) -> int:
        """Where it listens."""
        return self.gateway.ports[listener]

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def add_device(self, tenant: int = 1, *, drop_forbidden: bool = False) -> Device:
        """A device that may come in."""
        device = Device(TenantId(tenant), new_id(), drop_forbidden=drop_forbidden)
        self.keeper.devices[device.name] = device
        return device

    def dial(self, version: int = V5) -> "Caller":
        """A bare connection."""
        return Caller(self, version)

    def connect(self, device: Device, version: int = V5, **fields: Any) -> "Caller":
        """A session of a device; more fields of the CONNECT as keywords."""
        caller = Caller(self, version)
        caller.greet(device, **fields)
        answer = caller.expect(Connack)
        assert answer.reason == 0, answer
        caller.connack = answer
        return caller


class Caller:
    """A device made of a socket and our own codec."""

    connack: Connack

    def __init__(self, door: Door, version: int) -> None:
        self.version = version
        self.socket = socket.create_connection((door.host, door.port()), timeout=5)
        self._buffer = b""

    def greet(self, device: Device, **fields: Any) -> None:
        """Send a CONNECT with the right password."""
        usual: dict[str, Any] = {"client_id": device.name, "username": device.name, "password": PASSWORD}
        self.send(Connect(**(usual | {"version": self.version} | fields)))

    def send(self, *packets: Packet | bytes) -> None:
        """Packets, or bytes as they are."""
        parts = (each if isinstance(each, bytes) else write_packet(each, self.version) for each in packets)
        self.socket.sendall(b"".join(parts))

    def receive(self) -> Packet | None:
        """The next packet, or None when the gateway has closed."""
        while True:
            frame = find_frame(self._buffer, 0) if self._buffer else None
            if frame is not None and frame[1] <= len(self._buffer):
                first, body = self._buffer[0], self._buffer[frame[0] : frame[1]]
                self._buffer = self._buffer[frame[1] :]
                return read_packet(first, body, self.version)
            try:
                more = self.socket.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self._buffer += more

    def expect(self, kind: type[T]) -> T:
        """The next packet, which is of this kind."""
        packet = self.receive()
        assert isinstance(packet, kind), packet
        return packet

    def expect_end(self, reason: Reason | None = None) -> None:
        """The connection ends, in MQTT 5 after a DISCONNECT with this reason."""
        if reason is not None and self.version == V5:
            assert self.expect(Disconnect).reason is reason
        packet = self.receive()
        assert packet is None, packet

    def publish(self, topic: str, payload: bytes = b"{}", *, packet_id: int = 1, qos: int = 1, **fields: Any) -> None:
        """Send a message."""
        packet_id = packet_id if qos else 0
        self.send(Publish(topic=topic.encode(), payload=payload, qos=qos, packet_id=packet_id, **fields))

    def expect_pubacks(self, *packet_ids: int) -> None:
        """These, in this order, and all good."""
        for packet_id in packet_ids:
            assert self.expect(Puback) == Puback(packet_id)

    def subscribe(self, *filters: str, qos: int = 1, packet_id: int = 77) -> bytes:
        """Subscribe; answers the codes of the SUBACK."""
        wanted = tuple(Subscription(filter=each, qos=qos) for each in filters)
        self.send(Subscribe(packet_id, wanted))
        answer = self.expect(Suback)
        assert answer.packet_id == packet_id
        return answer.codes

    def hang_up(self) -> None:
        """Close without a word."""
        self.socket.close()
