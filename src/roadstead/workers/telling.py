"""From packs of the log to events for those who listen, in order."""

import zlib
from collections import deque

import msgspec
import structlog

from roadstead.bus import ACCEPTED, FACTS, Bus, Pack, stream_state
from roadstead.core.messages import (
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    FactMessage,
    SensorsChanged,
    decode_accepted,
    decode_fact,
)
from roadstead.core.streams import (
    Channels,
    Directory,
    Position,
    Told,
    Topic,
    find_lacking,
    read_fact,
    tell_fact,
    tell_readings,
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
        while lacking := find_lacking(messages, self._channels, self._directory):
            for tenant, wanted in lacking.items():
                await self._directory.learn(tenant, wanted)
        skip = self.position.index if pack.sequence == self.position.accepted + 1 else 0
        before = Position(self.position.epoch, pack.sequence - 1, 0, self.position.facts)
        told = tell_readings(messages, self._channels, self._directory, before, skip=skip)
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
        body = read_fact(message, fact)
        if body is not None and message.id not in self._facts:
            if body.device_id is not None:
                device = ids.to_bytes(body.device_id)
                while self._asks_for_site(message.tenant, body.topic, device) and self._directory.lacks(
                    message.tenant, device
                ):
                    await self._directory.learn(message.tenant, {device: frozenset()})
            after = msgspec.structs.replace(self.position, facts=pack.sequence)
            told = tell_fact(message.tenant, body, self._channels, self._directory, after)
        if isinstance(fact, DeviceDeleted):
            self._directory.forget(message.tenant, ids.to_bytes(fact.device_id))
        self._facts.append(message.id)
        self.position = after
        return told

    def _asks_for_site(self, tenant: TenantId, topic: Topic, device: bytes) -> bool:
        listening = self._channels.find(tenant, topic, device)
        return any(channel.filter.site_id is not None for channel in listening)


async def read_epoch(bus: Bus) -> str:
    """Tells the streams of today from those of the same name that were there before. `Unavailable` without NATS."""
    created = [to_millis((await stream_state(bus, stream)).created_at) for stream in (ACCEPTED, FACTS)]
    return f"{zlib.crc32(repr(created).encode()):08x}"
