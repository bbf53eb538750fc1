"""From the log to the store: what devices said is decoded, checked, stored, passed on, and acknowledged last."""

import asyncio
import contextlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from msgspec import Meta

from roadstead.bus import ACCEPTED, UPLINK, Batch, Bus, Consumer, Pack, Publisher, last_message_id, stream_state
from roadstead.core import events, telemetry
from roadstead.core.events import ReportedEvent
from roadstead.core.messages import Accepted, Uplink, encode_accepted
from roadstead.core.ports import PointColumns, Refusal, TelemetryStore
from roadstead.core.telemetry import Intake, Quarantined
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import TenantId
from roadstead.workers.metrics import StoreMetrics
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_MOST_PACKS = 512
_MOST_BYTES = 8 << 20
_WAIT_S = 0.1
_BUSY_BYTES = 1 << 20
_BUSY_WAIT_S = 0.25
"""An insert costs the store some milliseconds whatever its size, and a part that has to be merged with others."""
_ENVELOPE_BYTES = 1024
_MOST_REFUSALS = 100

_YEAR_2200_MS = 7_258_118_400_000


class _Sound(Uplink, frozen=True, array_like=True, gc=False):
    """An uplink that says in a possible way whose it is. If it does not, there is nobody to tell."""

    tenant: Annotated[TenantId, Meta(ge=1, lt=2**31)]
    device: Annotated[bytes, Meta(min_length=12, max_length=12)]
    dialect: str
    channel: str
    received: Annotated[int, Meta(ge=0, lt=_YEAR_2200_MS)]


_uplinks = msgspec.msgpack.Decoder(list[_Sound]).decode
_uplink = msgspec.msgpack.Decoder(_Sound).decode
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class _Prepared(msgspec.Struct):
    """A batch that only has to be written down."""

    batch: Batch
    columns: PointColumns
    passed_on: list[tuple[str, bytes]]
    """Message id and pack for the ACCEPTED stream, one for each pack of the batch (more if one grew too large)."""
    refused: list[Quarantined]
    events: list[ReportedEvent]
    messages: int
    oldest_received: int | None
    """Of its messages, as far as the first of each pack tell; ms since 1970."""


class StoreWorker:
    """Works off the UPLINK stream (or one shard of it).

    A crash at any point means that a batch comes once more, and once more does no harm: points replace themselves,
    packs of accepted messages and refused items have ids made from where they came from. While one batch is written,
    the next is decoded.
    """

    def __init__(
        self,
        bus: Bus,
        database: Database,
        store: TelemetryStore,
        intake: Intake,
        *,
        metrics: StoreMetrics,
        shard: int | None = None,
    ) -> None:
        """`shard`: the part of the stream that is this worker's; None: all of it."""
        self._bus = bus
        self._database = database
        self._store = store
        self._intake = intake
        self._metrics = metrics
        self._consumer = Consumer(bus, UPLINK, subject=None if shard is None else f"uplink.{shard}")
        self._subject = f"accepted.{shard or 0}"
        self._publisher = Publisher(bus, give_up_s=60)
        self._epoch = ""
        """Tells the sequences of this stream from those of an earlier one of the same name."""
        self._passed = 0
        """Up to which sequence packs were passed on before this start: the log remembers ids for two minutes only."""

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for; meanwhile the log grows."""
        self._epoch, self._passed = await patiently("log", self._select_place)
        await self._publisher.start()
        writing: asyncio.Task[None] | None = None
        try:
            # The group ends everything as soon as a write fails, even if no other batch comes.
            async with asyncio.TaskGroup() as group:
                async for batch in self._consumer.batches(
                    most=_MOST_PACKS,
                    most_bytes=_MOST_BYTES,
                    wait_s=_WAIT_S,
                    busy_bytes=_BUSY_BYTES,
                    busy_wait_s=_BUSY_WAIT_S,
                ):
                    prepared = await self._prepare(batch)
                    if writing is not None:
                        await writing
                    writing = group.create_task(self._write(prepared), name="store write")
        finally:
            await self._consumer.close()
            await self._publisher.close()

    async def _prepare(self, batch: Batch) -> _Prepared:
        """Decode and check: nothing is changed yet, but for sensors that came into being."""
        members = [self._unpack(pack) for pack in batch.packs]
        uplinks = [uplink for pack in members for uplink in pack]
        taken = await patiently("database", lambda: self._intake.take_in(uplinks))
        columns = self._store.columns()
        for message in taken.accepted:
            if message.values:
                columns.add_message(message)
        for _, message in taken.forwarded:
            columns.add_message(message)
        starts = list(accumulate([len(pack) for pack in members], initial=0))
        passed_on: list[tuple[str, bytes]] = []
        forwarded: defaultdict[int, list[Accepted]] = defaultdict(list)
        for index, message in taken.forwarded:
            forwarded[bisect_right(starts, index) - 1].append(message)
        senders: defaultdict[int, dict[bytes, Accepted]] = defaultdict(dict)
        for index, sender in taken.senders:
            # Each once in a pack, however often it has spoken for others.
            senders[bisect_right(starts, index) - 1][sender.device] = sender
        for number, pack in enumerate(batch.packs):
            if pack.sequence > self._passed:
                accepted = taken.accepted[starts[number] : starts[number + 1]]
                if number in senders:
                    accepted += senders[number].values()
                if number in forwarded:
                    accepted += forwarded[number]
                passed_on += self._encode(f"{self._epoch}-{pack.sequence}", accepted)
        refused = [
            Quarantined(self._quarantine_id(batch, starts, index, uplinks[index], refusal), uplinks[index], refusal)
            for index, refusal in _bound(uplinks, taken.refused)
        ]
        reported = [
            ReportedEvent(self._event_id(batch, starts, index, uplinks[index]), uplinks[index].tenant, device, event)
            for index, device, event in taken.events
        ]
        oldest = min([pack[0].received for pack in members if pack], default=None)
        return _Prepared(batch, columns, passed_on, refused, reported, len(uplinks), oldest)

    def _quarantine_id(self, batch: Batch, starts: Sequence[int], index: int, uplink: Uplink, refusal: Refusal) -> UUID:
        """Made from where the item came from: its pack, its place in it, and what was refused of it."""
        place = _place(batch, starts, index)
        other = [refusal.device.hex()] if refusal.device else []
        what = refusal.index, refusal.reason, refusal.sensor_ref
        return telemetry.quarantine_id(uplink, self._epoch, *place, *what, *other)

    def _event_id(self, batch: Batch, starts: Sequence[int], index: int, uplink: Uplink) -> UUID:
        """Made from where its message came from."""
        return telemetry.quarantine_id(uplink, self._epoch, *_place(batch, starts, index), "event")

    async def _write(self, prepared: _Prepared) -> None:
        """Make it durable, tell others, and only then let go of it."""
        if prepared.columns.count:
            await patiently("store", lambda: self._store.insert(prepared.columns))
        await patiently("log", lambda: self._pass_on(prepared.passed_on))
        if prepared.refused or prepared.events:
            await patiently("database", lambda: self._keep(prepared))
        await prepared.batch.ack()
        self._metrics.count(
            prepared.messages, prepared.columns.count, prepared.refused, oldest_received=prepared.oldest_received
        )

    async def _pass_on(self, packs: Sequence[tuple[str, bytes]]) -> None:
        # Sent in order and stored in order; a pack that is there already is answered like a new one.
        await asyncio.gather(
            *(self._publisher.put(self._subject, payload, message_id=message_id) for message_id, payload in packs)
        )

    async def _keep(self, prepared: _Prepared) -> None:
        async with self._database.tx() as tx:
            await telemetry.insert_quarantined(tx, prepared.refused)
            await events.write_reported(tx, prepared.events)

    def _unpack(self, pack: Pack) -> list[_Sound]:
        try:
            return _uplinks(pack.payload)
        except msgspec.DecodeError:
            return self._salvage(pack)

    def _salvage(self, pack: Pack) -> list[_Sound]:
        """What can be read of a pack that is not as it should be. Only a fault of our own makes one."""
        found: list[_Sound] = []
        try:
            raws = _raws(pack.payload)
        except msgspec.DecodeError:
            raws = []
        for raw in raws:
            with contextlib.suppress(msgspec.DecodeError):
                found.append(_uplink(raw))
        log.error("pack cannot be read", sequence=pack.sequence, saved=len(found), lost=max(len(raws) - len(found), 1))
        self._metrics.unreadable.inc()
        return found

    def _encode(self, message_id: str, accepted: Sequence[Accepted]) -> list[tuple[str, bytes]]:
        """The pack for the ACCEPTED stream, halved as often as it takes to fit."""
        payload = encode_accepted(accepted)
        if len(payload) + _ENVELOPE_BYTES <= self._bus.max_payload or len(accepted) < 2:
            return [(message_id, payload)]
        middle = len(accepted) // 2
        return self._encode(f"{message_id}a", accepted[:middle]) + self._encode(f"{message_id}b", accepted[middle:])

    async def _select_place(self) -> tuple[str, int]:
        """The epoch of the UPLINK stream, and up to where its packs are on the ACCEPTED stream."""
        epoch = await read_epoch(self._bus)
        last_epoch, _, last = (await last_message_id(self._bus, ACCEPTED, self._subject)).partition("-")
        if last_epoch != epoch:
            return epoch, 0
        # A halved pack may not be there in full: it is passed on again.
        return epoch, int(last) if last.isdigit() else int(last.rstrip("ab")) - 1


async def read_epoch(bus: Bus) -> str:
    """How the ids of packs on the ACCEPTED stream begin: it tells this UPLINK stream from earlier ones."""
    return f"{time.to_millis((await stream_state(bus, UPLINK)).created_at):x}"


def passed_sequence(message_id: str) -> tuple[str, int]:
    """The epoch, and the sequence on UPLINK up to which packs have passed when the newest one of ACCEPTED has this id.

    Of a halved pack, the last half has nothing but the mark of last halves.
    """
    epoch, _, place = message_id.partition("-")
    digits = place.rstrip("ab")
    if not digits.isdigit():
        return epoch, 0
    return epoch, int(digits) - ("a" in place)


def _place(batch: Batch, starts: Sequence[int], index: int) -> tuple[int, int]:
    """The pack of an uplink and its place in it."""
    number = bisect_right(starts, index) - 1
    return batch.packs[number].sequence, index - starts[number]


def _bound(uplinks: Sequence[Uplink], refused: Sequence[tuple[int, Refusal]]) -> Iterator[tuple[int, Refusal]]:
    """The refusals, but of one message only so many apart; the others as one, with the whole message."""
    counts = Counter(index for index, _ in refused)
    seen: Counter[int] = Counter()
    for index, refusal in refused:
        seen[index] += 1
        if seen[index] <= _MOST_REFUSALS:
            yield index, refusal
        elif seen[index] == _MOST_REFUSALS + 1:
            detail = f"{counts[index] - _MOST_REFUSALS} more items of this message were refused: {refusal.detail}"
            yield index, Refusal(refusal.reason, detail, uplinks[index].payload, index=refusal.index, whole=True)
