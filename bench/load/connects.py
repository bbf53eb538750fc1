"""Devices that come and go: a TLS handshake with a certificate, CONNECT, CONNACK, and away."""

import asyncio
import itertools
import ssl
import time

from bench.load.counting import Counter
from bench.load.messages import DISCONNECT, connect_packet
from bench.load.plan import ConnectPlan, Device, Tally
from bench.load.tls import contexts_of


class ConnectLoad:
    """Some visitors at a time; each is another device than the one before."""

    def __init__(self, plan: ConnectPlan) -> None:
        self._plan = plan
        self._counter = Counter()
        self._visitors: list[asyncio.Task[None]] = []
        self._turns = itertools.cycle(list[tuple[Device, ssl.SSLContext]]())

    async def open(self) -> Tally:
        """Read the certificates."""
        plan = self._plan
        contexts = contexts_of(plan.devices, plan.authority)
        self._turns = itertools.cycle(list(zip(plan.devices, contexts, strict=True)))
        return self._counter.tally()

    async def begin(self, at: float) -> Tally:
        """Load."""
        self._visitors = [asyncio.create_task(self._visit_on()) for _ in range(self._plan.at_once)]
        return self._counter.tally()

    async def mark(self) -> Tally:
        """What happened since the last mark."""
        return self._counter.tally()

    async def stop(self) -> Tally:
        """Visitors that are at the door are let go."""
        for visitor in self._visitors:
            visitor.cancel()
        await asyncio.gather(*self._visitors, return_exceptions=True)
        return self._counter.tally()

    async def _visit_on(self) -> None:
        while True:
            device, context = next(self._turns)
            began = time.perf_counter()
            try:
                await self._visit(device, context)
            except (OSError, EOFError) as error:
                self._counter.fail(str(error) or type(error).__name__)
                await asyncio.sleep(0.01)
            else:
                self._counter.done += 1
                self._counter.add(int((time.perf_counter() - began) * 1e6))

    async def _visit(self, device: Device, context: ssl.SSLContext) -> None:
        plan = self._plan
        reader, writer = await asyncio.open_connection(plan.host, plan.port, ssl=context, server_hostname=plan.host)
        try:
            writer.write(connect_packet(device.id))
            answer = await reader.readexactly(4)
            if answer != b"\x20\x02\0\0":
                raise ConnectionError(f"not let in: {answer.hex()}")
            writer.write(DISCONNECT)
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()
