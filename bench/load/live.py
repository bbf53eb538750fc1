"""Programs that listen to the live stream, and know when what they hear was sent."""

import asyncio
import time
from datetime import datetime
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.load.counting import Counter
from bench.load.plan import LivePlan, Tally, due_at


class _Data(msgspec.Struct, rename="camel"):
    device_id: str = ""
    timestamp: datetime | None = None


class _Event(msgspec.Struct):
    type: str
    data: _Data | None = None


_events = msgspec.json.Decoder(list[_Event]).decode


class LiveLoad:
    """All listeners of one process."""

    def __init__(self, plan: LivePlan) -> None:
        self._plan = plan
        self._counter = Counter()
        self._began_at = 0.0
        self._places = {
            device: (place, len(senders.device_ids), senders.rate, senders.base_ms)
            for senders in plan.senders
            for place, device in enumerate(senders.device_ids)
        }
        self._sockets: list[ClientConnection] = []
        self._listening: list[asyncio.Task[None]] = []

    async def open(self) -> Tally:
        """Subscribe; returns when every stream has begun."""
        plan = self._plan
        for devices in plan.subscriptions:
            query = urlencode([("topics", "reading"), *(("deviceId", device) for device in devices)])
            socket = await connect(
                f"ws://{plan.host}:{plan.port}/api/v1/stream/ws?{query}",
                additional_headers={"Authorization": f"Bearer {plan.key}"},
                compression=None,
                max_size=None,
            )
            first = _events(await socket.recv())[0]
            if first.type == "error":
                raise ConnectionError(f"the stream was refused: {first}")
            self._sockets.append(socket)
            self._listening.append(asyncio.create_task(self._listen(socket)))
        self._counter.tally()
        self._counter.done = len(self._sockets)
        return self._counter.tally()

    async def begin(self, at: float) -> Tally:
        """From now on it is known when messages are due."""
        self._began_at = at
        return self._counter.tally()

    async def mark(self) -> Tally:
        """What happened since the last mark."""
        return self._counter.tally()

    async def stop(self) -> Tally:
        """Hang up."""
        tally = self._counter.tally()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in self._sockets))
        return tally

    async def _listen(self, socket: ClientConnection) -> None:
        try:
            while True:
                self._hear(_events(await socket.recv()))
        except ConnectionClosed as error:
            self._counter.fail(f"the stream was closed: {error}")

    def _hear(self, events: list[_Event]) -> None:
        now, counter = time.perf_counter(), self._counter
        for event in events:
            if event.type == "error":
                counter.fail(str(event))
            if event.data is None or event.data.timestamp is None or not self._began_at:
                continue
            counter.done += 1
            place, devices, rate, base_ms = self._places[event.data.device_id]
            if not rate:
                continue
            number = round(event.data.timestamp.timestamp() * 1000) - base_ms
            counter.add(max(int((now - due_at(self._began_at, rate, devices, place, number)) * 1e6), 0))
