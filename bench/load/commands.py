"""Programs that give commands and wait for their end, and the devices that carry them out at once."""

import asyncio
import contextlib
import re
import time
from functools import partial
from typing import cast

import msgspec

from bench.load.counting import Counter
from bench.load.messages import DISCONNECT, connect_packet, publish_packet, subscribe_packet
from bench.load.plan import CommandPlan, Device, Tally

_CONNACK, _PUBLISH, _SUBACK = 0x20, 0x30, 0x90
_TICK_S = 0.001
_DRAIN_S = 10.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Command(msgspec.Struct):
    id: str
    status: str = ""


_command = msgspec.json.Decoder(_Command).decode


class Executor(asyncio.Protocol):
    """One device: hears commands, acknowledges them and says that it has carried them out."""

    def __init__(self, load: "CommandLoad", device: Device) -> None:
        self._load = load
        self._device = device
        self._topic = device.topic.replace("v1/readings/", "v1/gateways/") + "/commands"
        self._rest = b""
        self._answers = 0
        self.listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(connect_packet(self._device.id, self._device.id, self._load.plan.key))
        self._transport.write(subscribe_packet(self._topic))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        while (frame := _frame_of(data)) is not None:
            start, end = frame
            self._take(data[0], data[start:end])
            data = data[end:]
        self._rest = data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.is_stopped:
            self._load.counter.fail(f"connection lost: {exc or 'closed by the platform'}")
        if not self.listening.done():
            self.listening.set_exception(ConnectionError("not let in"))

    def close(self) -> None:
        """Say goodbye."""
        self._transport.write(DISCONNECT)
        self._transport.close()

    def _take(self, first: int, body: bytes) -> None:
        match first & 0xF0:
            case 0x20 if body[1]:
                self.listening.set_exception(ConnectionError(f"not let in: CONNACK says {body[1]}"))
            case 0x90:
                self.listening.set_result(None)
            case 0x30:
                topic_end = 2 + int.from_bytes(body[:2], "big")
                self._answers = self._answers % 65_535 + 1
                answer = b'{"id":"%s","status":"SUCCESS"}' % _command(body[topic_end + 2 :]).id.encode()
                self._transport.write(
                    b"\x40\x02" + body[topic_end : topic_end + 2]
                    + publish_packet(f"{self._topic}/response", self._answers, answer)
                )  # fmt: skip


class CommandLoad:
    """An open loop: commands are given at a rate, to the devices in turn."""

    def __init__(self, plan: CommandPlan) -> None:
        self.plan = plan
        self.counter = Counter()
        self.is_stopped = False
        self._devices: list[Executor] = []
        self._due: asyncio.Queue[tuple[float, int]] = asyncio.Queue()
        self._programs: list[asyncio.Task[None]] = []
        self._ticking: asyncio.Task[None] | None = None
        self._under_way = 0

    async def open(self) -> Tally:
        """Connect the devices, and the programs."""
        loop, plan = asyncio.get_running_loop(), self.plan
        for device in plan.devices:
            executor = Executor(self, device)
            self._devices.append(executor)
            await loop.create_connection(partial(_itself, executor), plan.host, plan.mqtt_port)
            await executor.listening
        for _ in range(plan.programs):
            reader, writer = await asyncio.open_connection(plan.host, plan.http_port)
            self._programs.append(asyncio.create_task(self._give(reader, writer)))
        return self.counter.tally()

    async def begin(self, at: float) -> Tally:
        """Load."""
        self._ticking = asyncio.create_task(self._tick(at))
        return self.counter.tally()

    async def mark(self) -> Tally:
        """What happened since the last mark."""
        return self.counter.tally()

    async def stop(self) -> Tally:
        """Wait for the last ones."""
        if self._ticking is not None:
            self._ticking.cancel()
        deadline = time.perf_counter() + _DRAIN_S
        while self._under_way and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.is_stopped = True
        tally = self.counter.tally()
        for task in self._programs:
            task.cancel()
        await asyncio.gather(*self._programs, return_exceptions=True)
        for device in self._devices:
            device.close()
        return tally

    async def _tick(self, began_at: float) -> None:
        plan, issued = self.plan, 0
        while True:
            now = time.perf_counter()
            while (due_at := began_at + issued / plan.rate) <= now:
                self._due.put_nowait((due_at, issued))
                self._under_way += 1
                self.counter.sent += 1
                issued += 1
            await asyncio.sleep(_TICK_S)

    async def _give(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a command at a time; some of them until they have ended."""
        with contextlib.closing(writer):
            while True:
                due_at, number = await self._due.get()
                device = self.plan.devices[number % len(self.plan.devices)]
                place = f"/api/v1/devices/{device.id}/commands"
                try:
                    made = _command(await self._ask(reader, writer, "POST", place, b'{"type":"REBOOT"}'))
                    self.counter.done += 1
                    if number % self.plan.waits == 0:
                        ended = _command(await self._ask(reader, writer, "GET", f"{place}/{made.id}?wait=PT10S", b""))
                        if ended.status != "SUCCESS":
                            raise ValueError(f"the command is {ended.status}")
                        self.counter.add(int((time.perf_counter() - due_at) * 1e6))
                except (ValueError, msgspec.DecodeError) as error:
                    self.counter.fail(str(error))
                self._under_way -= 1

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, body: bytes
    ) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.plan.key}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(answer)
        content = await reader.readexactly(int(length[1])) if length else b""
        if answer[9:10] != b"2":
            raise ValueError((answer + content)[:500].decode(errors="replace"))
        return content


def _frame_of(data: bytes) -> tuple[int, int] | None:
    """Where the body of the first packet begins and ends; None while it is not whole."""
    length, shift = 0, 0
    for at in range(1, min(len(data), 5)):
        length |= (data[at] & 127) << shift
        shift += 7
        if data[at] < 128:
            end = at + 1 + length
            return (at + 1, end) if end <= len(data) else None
    return None


def _itself(executor: Executor) -> Executor:
    return executor
