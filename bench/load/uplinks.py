"""What a gateway puts on the log, without the devices: for loads of more devices than there are sockets."""

import asyncio
import contextlib
import time
from uuid import UUID

import msgspec

from bench.load.counting import Counter
from bench.load.messages import Bodies
from bench.load.plan import Tally, UplinkPlan
from roadstead.bus import Packer, connect
from roadstead.core.messages import Uplink, size_of_uplink
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId

_TICK_S = 0.005
_DRAIN_S = 10.0


class UplinkLoad:
    """All devices of one process, in turns."""

    def __init__(self, plan: UplinkPlan) -> None:
        self._plan = plan
        self._counter = Counter()
        self._bodies = Bodies("items", plan.base_ms, 0)
        self._keys = [ids.to_bytes(UUID(device)) for device in plan.device_ids]
        self._issued = 0
        self._ticking: asyncio.Task[None] | None = None

    async def open(self) -> Tally:
        """Connect."""
        self._bus = await connect(self._plan.nats_url, name="benchmark load", timeout_s=10)
        self._packer = Packer[Uplink](
            self._bus, encode=msgspec.msgpack.Encoder().encode, size_of=size_of_uplink, subject="uplink"
        )
        await self._packer.start()
        return self._counter.tally()

    async def begin(self, at: float) -> Tally:
        """Load."""
        self._ticking = asyncio.create_task(self._tick(at))
        return self._counter.tally()

    async def mark(self) -> Tally:
        """What happened since the last mark."""
        return self._counter.tally()

    async def stop(self) -> Tally:
        """Wait until all of it is on the log."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await self._packer.close(_DRAIN_S)
        await self._bus.close()
        return self._counter.tally()

    def stored(self, tokens: list[int]) -> None:
        """The log has them."""
        self._counter.done += len(tokens)

    def failed(self, tokens: list[int]) -> None:
        """The log may not have them."""
        self._counter.fail("the log did not take messages", len(tokens))

    async def _tick(self, began_at: float) -> None:
        plan, keys, add = self._plan, self._keys, self._packer.add
        tenant = TenantId(plan.tenant)
        while True:
            due = max(int((time.perf_counter() - began_at) * plan.rate), self._issued)
            self._bodies.reach(due // len(keys) + 1)
            received = time.time_ns() // 1_000_000
            for issued in range(self._issued, due):
                number, place = divmod(issued, len(keys))
                payload = self._bodies.variant(place)[number]
                add(Uplink(tenant, keys[place], "native", "readings", received, payload), self, 0)
            self._counter.sent += due - self._issued
            self._issued = due
            await asyncio.sleep(_TICK_S)
