"""From packs of the log to events for those who listen, in order."""

import zlib
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from roadstead.bus import ACCEPTED, FACTS, Bus, Pack, stream_state
from roadstead.core.messages import (
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    DeviceTypeChanged,
    EventRaised,
    Logged,
    SensorsChanged,
    decode_accepted,
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
from roadstead.workers.fact_packs import facts_in

log = structlog.get_logger()

_REMEMBERED = 1_000


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
        before = msgspec.structs.replace(self.position, accepted=pack.sequence - 1, index=0)
        told = tell_readings(messages, self._channels, self._directory, before, skip=skip)
        told |= tell_reports(messages, self._channels, self._directory, before, skip=skip)
        self.position = msgspec.structs.replace(self.position, accepted=pack.sequence, index=0)
        return told

    async def tell_facts(self, pack: Pack) -> Told:
        """The events of a pack of FACTS. `Unavailable` as above."""
        after = msgspec.structs.replace(self.position, facts=pack.sequence, fact_index=0)
        facts = facts_in(pack)
        skip = self.position.fact_index if pack.sequence == self.position.facts + 1 else 0
        for message, fact in facts:
            if isinstance(fact, DeviceCreated | DeviceChanged | SensorsChanged):
                self._directory.forget(message.tenant, ids.to_bytes(fact.device_id))
            if isinstance(fact, DeviceTypeChanged):
                self._directory.forget_types(message.tenant)
        said = []
        for place, (message, fact) in enumerate(facts, 1):
            if fact is None or place <= skip or message.id in self._facts:
                continue
            body = read_fact(message, fact)
            if body is not None:
                said.append((place, message.tenant, body))
        occurrences = await self._prepare_facts([(tenant, body) for _, tenant, body in said])
        told: Told = {}
        before = msgspec.structs.replace(self.position, facts=pack.sequence - 1)
        for place, tenant, body in said:
            position = msgspec.structs.replace(before, fact_index=place) if place < len(facts) else after
            _add(told, tell_fact(tenant, body, self._channels, self._directory, position))
            raised = _raised_event(body)
            occurrence = occurrences.get(raised) if raised is not None else None
            if occurrence is not None:
                listening = find_listening(tenant, body, self._channels)
                _add(told, tell_occurrence(listening, occurrence, self._directory, position))
        for message, fact in facts:
            if isinstance(fact, DeviceDeleted):
                self._directory.forget(message.tenant, ids.to_bytes(fact.device_id))
        self._facts.extend(message.id for message, _ in facts)
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

    async def _prepare_facts(
        self, said: Sequence[tuple[TenantId, DeviceEvent | FactEvent]]
    ) -> dict[UUID, OccurrenceEvent | None]:
        """The same for facts; what has happened, where it is an event that somebody may want to hear of."""
        occurrences: dict[UUID, OccurrenceEvent | None] = {}
        while any([await self._learn_for(tenant, body, occurrences) for tenant, body in said]):
            pass
        return occurrences

    async def _learn_for(
        self,
        tenant: TenantId,
        body: DeviceEvent | FactEvent,
        occurrences: dict[UUID, OccurrenceEvent | None],
    ) -> bool:
        """One thing more that telling of a fact needs; False when everything is at hand."""
        device = None if body.device_id is None else ids.to_bytes(body.device_id)
        if device is None:
            return False
        listening = find_listening(tenant, body, self._channels)
        scopes = {channel.filter.scope for channel in listening}
        if self._asks_for_site(tenant, body.topic, device) and self._directory.lacks(tenant, device):
            await self._directory.learn(tenant, {device: frozenset()})
        elif unplaced := [one for one in scopes if one and self._directory.is_within(tenant, one, device) is None]:
            await self._directory.place(tenant, unplaced[0], {device})
        elif listening and (event_id := _raised_event(body)) and event_id not in occurrences:
            occurrences[event_id] = await self._directory.find_occurrence(tenant, event_id)
        else:
            return False
        return True

    def _asks_for_site(self, tenant: TenantId, topic: Topic, device: bytes) -> bool:
        listening = self._channels.find(tenant, topic, device)
        return any(channel.filter.site_id is not None for channel in listening)


def _raised_event(body: DeviceEvent | FactEvent) -> UUID | None:
    return body.fact.event_id if isinstance(body, FactEvent) and isinstance(body.fact, EventRaised) else None


def _add(told: Told, more: Told) -> None:
    for channel, events in more.items():
        told.setdefault(channel, []).extend(events)


async def read_epoch(bus: Bus) -> str:
    """Tells the streams of today from those of the same name that were there before. `Unavailable` without NATS."""
    created = [to_millis((await stream_state(bus, stream)).created_at) for stream in (ACCEPTED, FACTS)]
    return f"{zlib.crc32(repr(created).encode()):08x}"
