"""From packs of the log to events for those who listen, in order."""

import zlib
from collections import deque
from collections.abc import Sequence

import msgspec
import structlog

from roadstead.bus import ACCEPTED, FACTS, Bus, Pack, stream_state
from roadstead.core.messages import (
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    DeviceTypeChanged,
    EventRaised,
    FactMessage,
    Logged,
    SensorsChanged,
    decode_accepted,
    decode_fact,
)
from roadstead.core.streams import (
    Channels,
    DeviceEvent,
    Directory,
    FactEvent,
    OccurrenceEvent,
    Position,
    Told,
    Topic,
    find_lacking,
    find_listening,
    find_unplaced,
    find_unread,
    read_fact,
    tell_fact,
    tell_occurrence,
    tell_readings,
    tell_reports,
)
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId
from roadstead.kernel.time import to_millis

log = structlog.get_logger()

_REMEMBERED = 1_000

_fact = msgspec.msgpack.Decoder(FactMessage).decode


class Teller:
    """Makes the events of some channels out of packs, and knows how far it has come.

    Both methods pause only before they have looked at the channels for the last time: what they answer is for exactly
    those who are there when they answer.
    """

    def __init__(self, directory: Directory, channels: Channels, position: Position) -> None:
        self._directory = directory
        self._channels = channels
        self._facts: deque[int] = deque(maxlen=_REMEMBERED)
        self.position = position
        """All packs up to here are told."""

    async def tell_accepted(self, pack: Pack) -> Told:
        """The events of a pack of ACCEPTED. `Unavailable` when the database is needed and away: nothing is told."""
        try:
            # Mostly nobody listens: then nobody needs to know what is in it.
            messages = decode_accepted(pack.payload) if self._channels else []
        except msgspec.DecodeError as error:
            log.error("pack cannot be read", stream=ACCEPTED, sequence=pack.sequence, reason=str(error))
            messages = []
        await self._prepare_pack(messages)
        skip = self.position.index if pack.sequence == self.position.accepted + 1 else 0
        before = Position(self.position.epoch, pack.sequence - 1, 0, self.position.facts)
        told = tell_readings(messages, self._channels, self._directory, before, skip=skip)
        told |= tell_reports(messages, self._channels, self._directory, before, skip=skip)
        self.position = Position(self.position.epoch, pack.sequence, 0, self.position.facts)
        return told

    async def tell_fact(self, pack: Pack) -> Told:
        """The events of a message of FACTS. `Unavailable` as above."""
        after = msgspec.structs.replace(self.position, facts=pack.sequence)
        try:
            message = _fact(pack.payload)
            fact = decode_fact(message.fact)
        except msgspec.DecodeError as error:
            log.error("fact cannot be read", sequence=pack.sequence, reason=str(error))
            self.position = after
            return {}
        told: Told = {}
        if isinstance(fact, DeviceCreated | DeviceChanged | SensorsChanged):
            self._directory.forget(message.tenant, ids.to_bytes(fact.device_id))
        if isinstance(fact, DeviceTypeChanged):
            self._directory.forget_types(message.tenant)
        body = read_fact(message, fact)
        if body is not None and message.id not in self._facts:
            occurrence = await self._prepare_fact(message.tenant, body)
            after = msgspec.structs.replace(self.position, facts=pack.sequence)
            told = tell_fact(message.tenant, body, self._channels, self._directory, after)
            if occurrence is not None:
                listening = find_listening(message.tenant, body, self._channels)
                told |= tell_occurrence(listening, occurrence, self._directory, after)
        if isinstance(fact, DeviceDeleted):
            self._directory.forget(message.tenant, ids.to_bytes(fact.device_id))
        self._facts.append(message.id)
        self.position = after
        return told

    async def _prepare_pack(self, messages: Sequence[Logged]) -> None:
        """Have everything at hand that telling needs, for those who listen when this returns."""
        while True:
            lacking = find_lacking(messages, self._channels, self._directory)
            for tenant, wanted in lacking.items():
                await self._directory.learn(tenant, wanted)
            unplaced = find_unplaced(messages, self._channels, self._directory)
            for (tenant, scope), devices in unplaced.items():
                await self._directory.place(tenant, scope, devices)
            unread = find_unread(messages, self._channels, self._directory)
            for tenant, devices in unread.items():
                await self._directory.learn_schemas(tenant, devices)
            if not (lacking or unplaced or unread):
                return

    async def _prepare_fact(self, tenant: TenantId, body: DeviceEvent | FactEvent) -> OccurrenceEvent | None:
        """The same for a fact; what has happened, if it is an event that somebody may want to hear of."""
        device = None if body.device_id is None else ids.to_bytes(body.device_id)
        occurrence, asked = None, False
        while device is not None:
            listening = find_listening(tenant, body, self._channels)
            scopes = {channel.filter.scope for channel in listening}
            if self._asks_for_site(tenant, body.topic, device) and self._directory.lacks(tenant, device):
                await self._directory.learn(tenant, {device: frozenset()})
            elif unplaced := [one for one in scopes if one and self._directory.is_within(tenant, one, device) is None]:
                await self._directory.place(tenant, unplaced[0], {device})
            elif listening and not asked and isinstance(body, FactEvent) and isinstance(body.fact, EventRaised):
                occurrence, asked = await self._directory.find_occurrence(tenant, body.fact.event_id), True
            else:
                break
        return occurrence

    def _asks_for_site(self, tenant: TenantId, topic: Topic, device: bytes) -> bool:
        listening = self._channels.find(tenant, topic, device)
        return any(channel.filter.site_id is not None for channel in listening)


async def read_epoch(bus: Bus) -> str:
    """Tells the streams of today from those of the same name that were there before. `Unavailable` without NATS."""
    created = [to_millis((await stream_state(bus, stream)).created_at) for stream in (ACCEPTED, FACTS)]
    return f"{zlib.crc32(repr(created).encode()):08x}"
