"""Devices that report over MQTT: raw sockets, one protocol object each."""

import asyncio
import contextlib
import ssl
import time
from collections import deque
from typing import cast

from bench.load.counting import Counter
from bench.load.messages import DISCONNECT, Bodies, connect_packet, packet_id_of, publish_head
from bench.load.plan import Device, MqttPlan, Tally, due_at
from bench.load.tls import contexts_of

_PUBACK = 0x40
_CONNACK = 0x20
_DRAIN_S = 30.0
_FLOOD_MESSAGES = 64
_TICK_S = 0.001


class Reporter(asyncio.Protocol):
    """One device: signs in, reports when it is told to, and measures how long acknowledgements take."""

    def __init__(self, load: "MqttLoad", device: Device, number: int) -> None:
        self._load = load
        self._device = device
        self._head = publish_head(device.topic, load.bodies.payload_bytes, load.plan.qos)
        self._bodies = load.bodies.variant(number)
        self._flying: deque[tuple[float, int]] = deque()
        """When messages were due, and how many at once; oldest first."""
        self._rest = b""
        self._is_flooding = False
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent = 0
        self.acknowledged = 0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        plan = self._load.plan
        self._transport.write(connect_packet(self._device.id, self._device.id, plan.key))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        if not self.is_open:
            data = self._take_welcome(data)
        whole = len(data) & ~3
        if whole != len(data):
            data, self._rest = data[:whole], data[whole:]
        if data:
            # Acknowledgements leave in the order of the messages: the last one stands for all.
            if data[0] != _PUBACK:
                self.fail(f"unexpected packet 0x{data[0]:02x}")
            else:
                self._take_acknowledgements(whole >> 2, data[-2] << 8 | data[-1])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.is_stopped:
            self.fail(f"connection lost: {exc or 'closed by the platform'}")
        self.is_open = False
        if not self.welcome.done():
            self.welcome.set_exception(ConnectionError(f"not let in: {exc or 'closed'}"))

    def pause_writing(self) -> None:
        self._is_flooding = False

    def resume_writing(self) -> None:
        self.flood()

    def report(self, count: int, due_at: float) -> None:
        """Send so many messages, one after the other, in one go. `due_at`: from when on the device waits."""
        first, last = self.sent, self.sent + count
        if last > len(self._bodies):
            self._load.bodies.reach(last)
        head = self._head
        self._transport.write(head + head.join(self._bodies[first:last]))
        self.sent = last
        self._load.counter.sent += count
        if self._load.plan.qos:
            self._flying.append((due_at, count))

    def flood(self) -> None:
        """Send as long as the socket takes it."""
        if not self._is_flooding and self.is_open and self._load.is_running:
            self._is_flooding = True
            self._flood_on()

    def fail(self, problem: str) -> None:
        """What is on its way may be lost."""
        self._load.counter.fail(problem, max(self.sent - self.acknowledged, 1) if self._load.plan.qos else 1)
        self.is_open = False
        self._transport.abort()

    def close(self) -> None:
        """Say goodbye."""
        if self.is_open:
            self._transport.write(DISCONNECT)
        self._transport.close()

    @property
    def is_waiting(self) -> bool:
        """Whether acknowledgements are still to come."""
        return bool(self._flying) and self.is_open

    def _take_welcome(self, data: bytes) -> bytes:
        if len(data) < 4:
            self._rest = data
            return b""
        if data[0] != _CONNACK or data[3]:
            self._transport.abort()
            self.welcome.set_exception(ConnectionError(f"not let in: CONNACK says {data[3]}"))
            return b""
        self.is_open = True
        self.welcome.set_result(None)
        return data[4:]

    def _take_acknowledgements(self, count: int, packet_id: int) -> None:
        self.acknowledged += count
        if packet_id != packet_id_of(self.acknowledged - 1):
            self.fail("acknowledgements out of order")
            return
        load, flying = self._load, self._flying
        load.counter.done += count
        now, left = time.perf_counter(), count
        while left:
            due_at, waiting = flying.popleft()
            taken = min(left, waiting)
            load.counter.add(int((now - due_at) * 1e6), taken)
            if waiting > taken:
                flying.appendleft((due_at, waiting - taken))
            left -= taken
        if load.is_running and load.plan.pace == "closed":
            self.report(count, now)

    def _flood_on(self) -> None:
        if self._is_flooding and self.is_open and self._load.is_running:
            self.report(_FLOOD_MESSAGES, 0.0)
            asyncio.get_running_loop().call_soon(self._flood_on)


class MqttLoad:
    """All devices of one process."""

    def __init__(self, plan: MqttPlan) -> None:
        self.plan = plan
        self.bodies = Bodies(plan.shape, plan.base_ms, plan.qos)
        self.counter = Counter()
        self.is_running = False
        self.is_stopped = False
        self._reporters: list[Reporter] = []
        self._issued = 0
        self._began_at = 0.0
        self._ticking: asyncio.Task[None] | None = None

    async def open(self) -> Tally:
        """Connect and sign in, all of them."""
        plan = self.plan
        contexts = contexts_of(plan.devices, plan.authority) if plan.authority else None
        places = asyncio.Semaphore(plan.at_once)

        async def connect(number: int, device: Device) -> Reporter | None:
            context = contexts[number] if contexts else None
            async with places:
                return await self._connect(number, device, context)

        self.counter.tally()
        opened = await asyncio.gather(*(connect(number, device) for number, device in enumerate(plan.devices)))
        self._reporters = [reporter for reporter in opened if reporter is not None]
        self.counter.done = len(self._reporters)
        return self.counter.tally()

    async def begin(self, at: float) -> Tally:
        """Load."""
        self.bodies.reach(1)
        self.is_running = True
        self.counter.tally()
        self._began_at, now = at, time.perf_counter()
        match self.plan.pace:
            case "closed":
                for reporter in self._reporters:
                    reporter.report(self.plan.window, now)
            case "open":
                self._ticking = asyncio.create_task(self._tick())
            case "flood":
                for reporter in self._reporters:
                    reporter.flood()
        return self.counter.tally()

    async def mark(self) -> Tally:
        """What happened since the last mark."""
        return self.counter.tally()

    async def stop(self) -> Tally:
        """No new messages; wait for what is in flight, and go."""
        self.is_running = False
        if self._ticking is not None:
            self._ticking.cancel()
        deadline = time.perf_counter() + _DRAIN_S
        while any(reporter.is_waiting for reporter in self._reporters) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.is_stopped = True
        for reporter in self._reporters:
            reporter.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.sleep(0.05)
        return self.counter.tally([reporter.acknowledged for reporter in self._reporters])

    async def _connect(self, number: int, device: Device, context: ssl.SSLContext | None) -> Reporter | None:
        loop, plan = asyncio.get_running_loop(), self.plan
        began = time.perf_counter()
        try:
            _, reporter = await loop.create_connection(
                lambda: Reporter(self, device, number), plan.host, plan.port, ssl=context,
                server_hostname=plan.host if context else None,
            )  # fmt: skip
            await reporter.welcome
        except OSError as error:
            self.counter.fail(str(error))
            return None
        self.counter.add(int((time.perf_counter() - began) * 1e6))
        return reporter

    async def _tick(self) -> None:
        """Open loop: what is due goes out, late or not, and counts from when it was due."""
        rate, count = self.plan.rate, len(self._reporters)
        while True:
            due = int((time.perf_counter() - self._began_at) * rate)
            while self._issued < due:
                number, place = divmod(self._issued, count)
                reporter = self._reporters[place]
                if reporter.is_open:
                    reporter.report(1, due_at(self._began_at, rate, count, place, number))
                self._issued += 1
            await asyncio.sleep(_TICK_S)
