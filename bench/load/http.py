"""Programs that call the API: raw sockets with keep-alive, one request in flight on each."""

import asyncio
import time
from functools import partial
from typing import cast

from bench.load.counting import Counter
from bench.load.plan import Call, HttpPlan, Tally

_CLOSE_S = 5.0


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: "HttpLoad", first: int) -> None:
        self._load = load
        self._turn = first
        self._buffer = bytearray()
        self._wanted = 0
        self._asked_at = 0.0
        self.is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._wanted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._wanted = end + 4 + _content_length(self._buffer[:end])
        if len(self._buffer) >= self._wanted:
            self._take_answer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_waiting:
            self._load.counter.fail(f"connection lost: {exc or 'closed'}")
            self.is_waiting = False

    def ask(self) -> None:
        """Send the next request."""
        requests = self._load.requests
        self._asked_at = time.perf_counter()
        self.is_waiting = True
        self._transport.write(requests[self._turn % len(requests)])
        self._turn += 1
        self._load.counter.sent += 1

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _take_answer(self) -> None:
        counter, status = self._load.counter, bytes(self._buffer[9:12])
        if status == b"200":
            counter.done += 1
            counter.add(int((time.perf_counter() - self._asked_at) * 1e6))
        else:
            counter.fail(bytes(self._buffer[:500]).decode(errors="replace"))
        self._buffer.clear()
        self._wanted = 0
        self.is_waiting = False
        if self._load.is_running:
            self.ask()


class HttpLoad:
    """All callers of one process."""

    def __init__(self, plan: HttpPlan) -> None:
        self.requests = [_spell(plan, call) for call in plan.calls]
        self.counter = Counter()
        self.is_running = False
        self._plan = plan
        self._callers: list[Caller] = []

    async def open(self) -> Tally:
        """Connect."""
        loop, plan = asyncio.get_running_loop(), self._plan
        step = max(len(plan.calls) // plan.connections, 1)
        for number in range(plan.connections):
            caller = Caller(self, number * step)
            self._callers.append(caller)
            await loop.create_connection(partial(_itself, caller), plan.host, plan.port)
        return self.counter.tally()

    async def begin(self, at: float) -> Tally:
        """Load."""
        self.is_running = True
        for caller in self._callers:
            caller.ask()
        return self.counter.tally()

    async def mark(self) -> Tally:
        """What happened since the last mark."""
        return self.counter.tally()

    async def stop(self) -> Tally:
        """Wait for the last answers."""
        self.is_running = False
        deadline = time.perf_counter() + _CLOSE_S
        while any(caller.is_waiting for caller in self._callers) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        tally = self.counter.tally()
        for caller in self._callers:
            caller.close()
        return tally


def _itself(caller: Caller) -> Caller:
    return caller


def _spell(plan: HttpPlan, call: Call) -> bytes:
    body = call.body.encode()
    lines = [
        f"{'POST' if body else 'GET'} {call.path} HTTP/1.1",
        f"Host: {plan.host}:{plan.port}",
        *([f"Authorization: Bearer {plan.key}"] if plan.key else []),
        *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _content_length(head: bytearray) -> int:
    lowered = bytes(head).lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        raise ValueError(f"an answer without length: {bytes(head[:200])!r}")
    return int(lowered[at + 15 : (lowered + b"\r\n").find(b"\r\n", at)])
