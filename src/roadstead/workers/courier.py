"""Brings devices what waits for them: from rows of the database to the sessions of one gateway process."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from roadstead.core import provisioning
from roadstead.core.downlinks import Downlink, Hearer, Manners, Source, Speller
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


_Place = tuple[bytes, str]
"""A device (the 12 bytes of its id) and a kind of downlinks."""


class _Load(msgspec.Struct):
    """What one session has been handed of a kind and has not acknowledged."""

    count: int = 0
    waiting: dict[bytes, None] = {}
    """Devices for which the source may have more than the session could take at once."""


class _Way(msgspec.Struct, frozen=True):
    """How a device is told something."""

    carrier: bytes
    """Whose session it is: the device's own, or that of the one that speaks for it."""
    seat: Seat
    topic: str


class Courier:
    """Fetches what waits for devices that are connected here and hear it, and notes what has arrived.

    A downlink is claimed in a transaction of its own before it is handed over, and noted when the device has
    acknowledged it. A crash between the two means that the device gets it once more in its next session, with the same
    id; never less. What no session here hears stays as it is. Where a dialect lets devices speak for others, what waits
    for those goes to the session of the one that does. Memory: at most `most_each` downlinks of each kind are on their
    way to a session; the rest waits in the database.
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
        self._due: dict[_Place, bytes] = {}
        """What is to be looked at, with whose session it is for."""
        self._come: dict[bytes, None] = {}
        """Who hears more than before: perhaps for others as well."""
        self._away: dict[tuple[TenantId, bytes, str], None] = {}
        """What may wait for devices without a session here: perhaps another one speaks for them."""
        self._has_carriers = False
        """Whether anybody here ever spoke for others; until then nobody asks who does."""
        self._news = asyncio.Event()
        self._loads: dict[_Place, _Load] = {}
        self._arrived: list[tuple[str, Downlink]] = []
        self._arrivals = asyncio.Event()
        self._attempt = 0
        """Counts the claims of which nobody knows whether they were committed."""

    def wake(self, device: bytes, kind: str | None = None) -> None:
        """Something may wait for this device, or (no kind) it hears more than before. Returns at once."""
        if kind is None:
            self._come[device] = None
        for each in self._sources if kind is None else (kind,):
            self._due[device, each] = device
        self._news.set()

    def wake_carried(self, device: bytes, carrier: bytes, kind: str | None = None) -> None:
        """Something (no kind: of any) may wait for a device that the session of another one hears for."""
        for each in self._sources if kind is None else (kind,):
            self._due.setdefault((device, each), carrier)
        self._news.set()

    def wake_away(self, tenant: TenantId, devices: Iterable[bytes], kind: str | None = None) -> None:
        """Something (no kind: of any) may wait for devices that have no session here. Returns at once."""
        if not self._has_carriers:
            return
        for device in devices:
            for each in self._sources if kind is None else (kind,):
                self._away[tenant, device, each] = None
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
            while self._due or self._come or self._away:
                due: dict[_Place, bytes] = {}
                try:
                    await self._find_ways(sessions)
                    due = dict(islice(self._due.items(), _DEVICES_AT_ONCE))
                    for place in due:
                        del self._due[place]
                    await self._fetch(sessions, due)
                except Unavailable as error:
                    log.warning("downlinks wait", reason=str(error))
                    # It may have been committed all the same: under another name everything is claimed once more.
                    self._attempt += 1
                    self._due.update(due)
                    await asyncio.sleep(_PAUSE_S)

    async def _find_ways(self, sessions: Sessions) -> None:
        """Who of those that have come speaks for whom, and who speaks for those that are not here."""
        come, self._come = self._come, {}
        carriers = []
        for device in come:
            seat = sessions.find(device)
            speller = None if seat is None else self._spellers.get(seat.dialect)
            if seat is not None and speller is not None and speller.manners.carries:
                carriers.append((seat.tenant, DeviceId(ids.from_bytes(device))))
        # Before anything is asked: who is told of news from now on need not be found by asking.
        self._has_carriers = self._has_carriers or bool(carriers)
        away = list(islice(self._away, _DEVICES_AT_ONCE))
        for one in away:
            del self._away[one]
        if not carriers and not away:
            return
        strangers = {(tenant, DeviceId(ids.from_bytes(device))): None for tenant, device, _ in away}
        try:
            async with self._database.tx() as tx:
                carried = await provisioning.find_carried(tx, carriers)
                found = await provisioning.find_carriers(tx, list(strangers))
        except Unavailable:
            self._come = come | self._come
            self._away.update(dict.fromkeys(away))
            raise
        for device_id, carrier_id in carried.items():
            for kind in self._sources:
                self._due.setdefault((ids.to_bytes(device_id), kind), ids.to_bytes(carrier_id))
        for _, device, kind in away:
            carrier = found.get(DeviceId(ids.from_bytes(device)))
            if carrier is not None:
                self._due.setdefault((device, kind), ids.to_bytes(carrier))

    async def _fetch(self, sessions: Sessions, due: Mapping[_Place, bytes]) -> None:
        """Claim what waits for these, commit, and hand it over."""
        ways: dict[tuple[str, DeviceId], _Way] = {}
        own: dict[str, list[Hearer]] = {}
        others: dict[str, list[Hearer]] = {}
        planned: Counter[_Place] = Counter()
        for (device, kind), carrier in due.items():
            way = self._find_way(sessions, device, kind, carrier)
            if way is None or self._is_loaded((way.carrier, kind), device):
                continue
            if way.carrier != device:
                if planned[way.carrier, kind] >= self._most_each:
                    self._due[device, kind] = way.carrier
                    continue
                planned[way.carrier, kind] += 1
            manners = self._spellers[way.seat.dialect].manners
            device_id = DeviceId(ids.from_bytes(device))
            hearer = Hearer(way.seat.tenant, device_id, f"{way.seat.name}/{self._attempt}", manners)
            (own if way.carrier == device else others).setdefault(kind, []).append(hearer)
            ways[kind, device_id] = way
        if not ways:
            return
        claimed: list[Downlink] = []
        full: list[_Place] = []
        async with self._database.tx() as tx:
            # Those that share a session get one at a time.
            for hearers, most in ((own, self._most_each), (others, 1)):
                for kind, listening in hearers.items():
                    found = await self._sources[kind].claim(tx, listening, most=most)
                    counts = Counter(downlink.device for downlink in found)
                    full += [(ids.to_bytes(device), kind) for device, count in counts.items() if count >= most]
                    claimed += found
            named = [one for one in claimed if self._manners(ways[one.kind, one.device].seat).carries]
            aliases = await provisioning.find_aliases(tx, [(one.tenant, one.device) for one in named]) if named else {}
        for downlink in claimed:
            told = msgspec.structs.replace(downlink, aliases=tuple(aliases.get(downlink.device, ())))
            self._hand_over(sessions, told, ways[downlink.kind, downlink.device])
        for device, kind in full:
            carrier = ways[kind, DeviceId(ids.from_bytes(device))].carrier
            load = self._loads.get((carrier, kind))
            if load is None:
                self._due.setdefault((device, kind), carrier)
            else:
                load.waiting[device] = None

    def _find_way(self, sessions: Sessions, device: bytes, kind: str, carrier: bytes) -> _Way | None:
        """Through the device's own session, if it has one; None when nobody here hears what it is to be told."""
        if carrier != device and sessions.find(device) is not None:
            carrier = device
        seat = sessions.find(carrier)
        speller = None if seat is None else self._spellers.get(seat.dialect)
        if seat is None or speller is None or kind not in self._sources:
            return None
        for named in (device,) if speller.manners.apart else dict.fromkeys((device, carrier)):
            topic = speller.topic(kind, seat.organization, DeviceId(ids.from_bytes(named)))
            if topic is not None and seat.hears(topic):
                return _Way(carrier, seat, topic)
        return None

    def _manners(self, seat: Seat) -> Manners:
        return self._spellers[seat.dialect].manners

    def _hand_over(self, sessions: Sessions, downlink: Downlink, way: _Way) -> None:
        current = sessions.find(way.carrier)
        if current is None or current.name != way.seat.name:
            return  # The next session has woken us for itself.
        place = (way.carrier, downlink.kind)
        try:
            spelled = self._spellers[way.seat.dialect].spell(downlink)
        except Exception:
            # A fault of ours, and no reason to keep the others waiting.
            log.exception("downlink cannot be spelled", kind=downlink.kind, id=str(downlink.id))
            return
        if spelled is None:
            return
        self._loads.setdefault(place, _Load()).count += 1
        is_on_its_way = sessions.deliver(
            way.carrier,
            way.topic,
            spelled.payload,
            retain=spelled.retain,
            key=f"{downlink.kind} {downlink.id}",
            done=partial(self._done, place, downlink),
        )
        if not is_on_its_way:
            self._unload(place)

    def _is_loaded(self, place: _Place, device: bytes) -> bool:
        """Whether a session has as much on its way as it may; then the device is looked at when that has arrived."""
        load = self._loads.get(place)
        if load is None or load.count < self._most_each:
            return False
        load.waiting[device] = None
        return True

    def _done(self, place: _Place, downlink: Downlink, arrived: bool) -> None:
        self._unload(place)
        if arrived:
            self._arrived.append((downlink.kind, downlink))
            self._arrivals.set()

    def _unload(self, place: _Place) -> None:
        load = self._loads[place]
        load.count -= 1
        if load.count:
            return
        del self._loads[place]
        carrier, kind = place
        for device in load.waiting:
            self._due.setdefault((device, kind), carrier)
        if load.waiting:
            self._news.set()

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
