"""Brings devices what waits for them: from rows of the database to the sessions of one gateway process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from roadstead.core.downlinks import Downlink, Hearer, Source, Speller
from roadstead.db import Database
from roadstead.kernel import ids
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_DEVICES_AT_ONCE = 500
_MOST_EACH = 50
_PAUSE_S = 0.5
_GATHER_S = 0.02
_NOTED_AT_ONCE = 1_000


class Seat(Protocol):
    """The session of a device in this process."""

    tenant: TenantId
    organization: UUID
    dialect: str
    name: str
    """Tells it from all other sessions there ever were."""

    def hears(self, topic: str) -> bool:
        """Whether the device has subscribed to this topic."""


class Sessions(Protocol):
    """The sessions of this process, as far as the courier needs them."""

    def find(self, device: bytes) -> Seat | None:
        """The session of a device (the 12 bytes of its id), if it has one here."""

    def deliver(
        self, device: bytes, topic: str, payload: bytes, *, retain: bool, key: str, done: Callable[[bool], None]
    ) -> bool:
        """Send with QoS 1. True when it is on its way, then `done` hears once whether it arrived; else False."""


class _Load(msgspec.Struct):
    """What one device has been handed and has not acknowledged."""

    count: int = 0
    more: bool = False
    """The source may have more than it could take at once."""


class Courier:
    """Fetches what waits for devices that are connected here and hear it, and notes what has arrived.

    A downlink is claimed in a transaction of its own before it is handed over, and noted when the device has
    acknowledged it. A crash between the two means that the device gets it once more in its next session, with the same
    id; never less. What no session here hears stays as it is. Memory: at most `most_each` downlinks of each kind are on
    their way to a device; the rest waits in the database.
    """

    def __init__(
        self,
        database: Database,
        sources: Sequence[Source],
        spellers: Mapping[str, Speller],
        *,
        most_each: int = _MOST_EACH,
    ) -> None:
        """`spellers` by dialect; `database` has the system duty: devices of all tenants are asked for together."""
        self._database = database
        self._sources = {source.kind: source for source in sources}
        self._spellers = spellers
        self._most_each = most_each
        self._due: dict[tuple[bytes, str], None] = {}
        self._news = asyncio.Event()
        self._loads: dict[tuple[bytes, str], _Load] = {}
        self._arrived: list[tuple[str, Downlink]] = []
        self._arrivals = asyncio.Event()
        self._attempt = 0
        """Counts the claims of which nobody knows whether they were committed."""

    def wake(self, device: bytes, kind: str | None = None) -> None:
        """Something may wait for this device (None: of any kind), or it hears more than before. Returns at once."""
        for each in self._sources if kind is None else (kind,):
            self._due[device, each] = None
        self._news.set()

    async def run(self, sessions: Sessions) -> None:
        """Until cancelled. A database that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(sessions), name="courier")
            group.create_task(self._note(), name="courier's notes")

    async def _carry(self, sessions: Sessions) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._due:
                due = list(islice(self._due, _DEVICES_AT_ONCE))
                for place in due:
                    del self._due[place]
                try:
                    await self._fetch(sessions, due)
                except Unavailable as error:
                    log.warning("downlinks wait", reason=str(error))
                    # It may have been committed all the same: under another name everything is claimed once more.
                    self._attempt += 1
                    self._due.update(dict.fromkeys(due))
                    await asyncio.sleep(_PAUSE_S)

    async def _fetch(self, sessions: Sessions, due: Sequence[tuple[bytes, str]]) -> None:
        """Claim what waits for these, commit, and hand it over."""
        hearers: dict[str, list[Hearer]] = {}
        topics: dict[tuple[str, DeviceId], tuple[Seat, str]] = {}
        for device, kind in due:
            seat, device_id = sessions.find(device), DeviceId(ids.from_bytes(device))
            speller = None if seat is None else self._spellers.get(seat.dialect)
            if seat is None or speller is None or kind not in self._sources:
                continue
            topic = speller.topic(kind, seat.organization, device_id)
            if topic is None or not seat.hears(topic) or self._is_loaded((device, kind)):
                continue
            hearers.setdefault(kind, []).append(Hearer(seat.tenant, device_id, f"{seat.name}/{self._attempt}"))
            topics[kind, device_id] = (seat, topic)
        if not hearers:
            return
        claimed: list[Downlink] = []
        async with self._database.tx() as tx:
            for kind, listening in hearers.items():
                claimed += await self._sources[kind].claim(tx, listening, most=self._most_each)
        for downlink in claimed:
            self._hand_over(sessions, downlink, *topics[downlink.kind, downlink.device])

    def _hand_over(self, sessions: Sessions, downlink: Downlink, seat: Seat, topic: str) -> None:
        device = ids.to_bytes(downlink.device)
        current = sessions.find(device)
        if current is None or current.name != seat.name:
            return  # The device's next session has woken us for itself.
        place = (device, downlink.kind)
        try:
            spelled = self._spellers[seat.dialect].spell(downlink)
        except Exception:
            # A fault of ours, and no reason to keep the others waiting.
            log.exception("downlink cannot be spelled", kind=downlink.kind, id=str(downlink.id))
            return
        load = self._loads.setdefault(place, _Load())
        load.count += 1
        load.more = load.more or load.count >= self._most_each
        is_on_its_way = sessions.deliver(
            device,
            topic,
            spelled.payload,
            retain=spelled.retain,
            key=f"{downlink.kind} {downlink.id}",
            done=partial(self._done, place, downlink),
        )
        if not is_on_its_way:
            self._unload(place)

    def _is_loaded(self, place: tuple[bytes, str]) -> bool:
        """Whether the device has as much on its way as it may; then it is looked at again when that has arrived."""
        load = self._loads.get(place)
        if load is None or load.count < self._most_each:
            return False
        load.more = True
        return True

    def _done(self, place: tuple[bytes, str], downlink: Downlink, arrived: bool) -> None:
        self._unload(place)
        if arrived:
            self._arrived.append((downlink.kind, downlink))
            self._arrivals.set()

    def _unload(self, place: tuple[bytes, str]) -> None:
        load = self._loads[place]
        load.count -= 1
        if not load.count:
            del self._loads[place]
            if load.more:
                self.wake(*place)

    async def _note(self) -> None:
        while True:
            await self._arrivals.wait()
            await asyncio.sleep(_GATHER_S)
            self._arrivals.clear()
            while self._arrived:
                noted = self._arrived[:_NOTED_AT_ONCE]
                await patiently("database", partial(self._write_down, noted))
                del self._arrived[: len(noted)]

    async def _write_down(self, arrived: Sequence[tuple[str, Downlink]]) -> None:
        async with self._database.tx() as tx:
            for kind, source in self._sources.items():
                downlinks = [downlink for each, downlink in arrived if each == kind]
                if downlinks:
                    await source.note_arrived(tx, downlinks)
