"""Lets devices of the Losant dialect in with access keys, and decides about their topics (contract section 28)."""

import msgspec

from roadstead.core import provisioning
from roadstead.core.free_topics import MOST_PAYLOAD_BYTES, Place
from roadstead.core.ports import Ports
from roadstead.core.provisioning import Admitted
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.dialects.losant import topics
from roadstead.dialects.losant.throttles import Rates
from roadstead.dialects.losant.wire import DIALECT
from roadstead.gateways.mqtt.door import Admission, Grant, Hello, Route, TopicRules, Verdict
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.reasons import MalformedPacket, Reason
from roadstead.kernel import ids
from roadstead.kernel.errors import TooMany
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.topics import matches
from roadstead.web.limits import RateLimiter

_HEADER_BYTES = 1_024
"""Enough for the longest topic, and for what stands before it."""
_MOST_KNOWN = 100_000


class Known:
    """Who speaks for whom, as far as somebody has asked: devices by the 12 bytes of their ids."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[bytes, bytes], None] = {}
        self._partners: dict[bytes, set[bytes]] = {}

    def __contains__(self, pair: tuple[bytes, bytes]) -> bool:
        return pair in self._pairs

    def add(self, speaker: bytes, device: bytes) -> None:
        """One may speak for the other. When there are too many, those go that are known for the longest time."""
        self._pairs[speaker, device] = None
        self._partners.setdefault(speaker, set()).add(device)
        self._partners.setdefault(device, set()).add(speaker)
        if len(self._pairs) > _MOST_KNOWN:
            self.forget(next(iter(self._pairs))[1])

    def forget(self, device: bytes) -> None:
        """Whom it speaks for, and who for it."""
        for partner in self._partners.pop(device, ()):
            self._pairs.pop((device, partner), None)
            self._pairs.pop((partner, device), None)
            others = self._partners.get(partner, set())
            others.discard(device)
            if not others:
                self._partners.pop(partner, None)


class LosantDoor:
    """The same for all sessions of one gateway process: what they have said, and who speaks for whom."""

    def __init__(self, database: Database, ports: Ports, rates: Rates) -> None:
        self._database = database
        self._ports = ports
        self.said = RateLimiter(rates.device_messages, window_s=rates.device_messages_s)
        self.told = RateLimiter(rates.device_messages, window_s=rates.device_messages_s)
        self._known = Known()
        self._forgotten = 0

    async def admit(self, entry: Entry, device_id: DeviceId, hello: Hello) -> Admission:
        """The device that the client id names. Raises as `provisioning.admit_access_key`."""
        # What is not UTF-8 is no secret of ours; replacing it keeps it from being one.
        secret = (hello.password or b"").decode(errors="replace")
        admitted = await provisioning.admit_access_key(entry, device_id, hello.username or "", secret)
        device = admitted.device
        return Admission(
            tenant=device.tenant_id,
            organization=device.organization_id,
            device=device.device_id,
            dialect=DIALECT,
            rules=TopicRules(publish={}, hear=topics.heard_by(device_id), house=LosantHouse(self, admitted)),
            credential=admitted.key.id.bytes,
            expires_at=device.expires_at,
        )

    def forget(self, device: bytes) -> None:
        """Something about a device (12 bytes of its id) has changed: who speaks for it has to be asked again."""
        self._forgotten += 1
        self._known.forget(device)

    def knows(self, speaker: bytes, device: bytes) -> bool:
        """Whether somebody is known to speak for a device."""
        return (speaker, device) in self._known

    async def ask(self, tenant: TenantId, speaker: DeviceId, device_id: DeviceId) -> bool:
        """Whether a device may speak for another one. Raises `Unavailable` when nobody can tell now."""
        before = self._forgotten
        async with self._database.tx() as tx:
            entry = Entry(tx, self._ports, address="", request_id="")
            may = await provisioning.speaks_for(entry, tenant, speaker, device_id)
        if may and before == self._forgotten:  # else the answer may be older than the news
            self._known.add(ids.to_bytes(speaker), ids.to_bytes(device_id))
        return may


class LosantHouse:
    """The rules of one session, see `House`."""

    def __init__(self, door: LosantDoor, admitted: Admitted) -> None:
        self._door = door
        self._device = admitted.device
        self._access = admitted.key
        self._key = ids.to_bytes(admitted.device.device_id)
        self._own = topics.heard_by(admitted.device.device_id)
        self.place: Place = (admitted.device.tenant_id, admitted.key.space_id)

    def narrow(self, limits: Limits) -> Limits:
        """See `House.narrow`. No session is kept, whatever a device asks for."""
        packet_bytes = min(limits.packet_bytes, MOST_PAYLOAD_BYTES + _HEADER_BYTES)
        return msgspec.structs.replace(limits, packet_bytes=packet_bytes, session_expiry_s=0)

    def judge(self, topic: bytes) -> Route | Verdict:
        """See `House.judge`."""
        text = topic.decode()
        if topics.is_free(text):
            return Verdict.FREE if self._access.may_publish(text) else Verdict.FORBIDDEN
        meant = topics.read_meant(text)
        if meant is None:
            return Verdict.FORBIDDEN
        if meant.device_id == self._device.device_id:
            if meant.what == topics.HELLO:
                return Verdict.IGNORED
            return Route(self._key, DIALECT, topics.STATE) if meant.what == topics.STATE else Verdict.FORBIDDEN
        if meant.what != topics.STATE:
            return Verdict.FORBIDDEN
        device = ids.to_bytes(meant.device_id)
        return Route(device, DIALECT, topics.STATE) if self._door.knows(self._key, device) else Verdict.UNKNOWN

    async def ask(self, topic: bytes) -> Route | Verdict:
        """See `House.ask`."""
        meant = topics.read_meant(topic.decode())
        if meant is None or not await self._speaks_for(meant.device_id):
            return Verdict.FORBIDDEN
        return Route(ids.to_bytes(meant.device_id), DIALECT, topics.STATE)

    async def grant(self, filter_: str) -> Grant | None:
        """See `House.grant`."""
        own = tuple(topic for topic in self._own if matches(filter_, topic))
        if topics.is_free(filter_):
            return Grant(own, is_free=True) if self._access.may_hear(filter_) else None
        meant = topics.read_meant(filter_)
        if meant is None:
            return None
        if own:
            return Grant(own)
        if meant.device_id == self._device.device_id:
            return Grant((filter_,)) if meant.what.startswith(topics.AGENT) else None
        if meant.what != topics.COMMAND or not await self._speaks_for(meant.device_id):
            return None
        return Grant((filter_,), carried=(ids.to_bytes(meant.device_id),))

    async def _speaks_for(self, device_id: DeviceId) -> bool:
        return await self._door.ask(self._device.tenant_id, self._device.device_id, device_id)

    def count_in(self, about: Route | Verdict) -> None:
        """See `House.count_in`. What is said for another device is counted as its own."""
        _count(self._door.said, about.device if isinstance(about, Route) else self._key)

    def count_out(self) -> None:
        """See `House.count_out`."""
        _count(self._door.told, self._key)


def _count(limiter: RateLimiter, device: bytes) -> None:
    try:
        limiter.take(device.hex())
    except TooMany as error:
        text = f"too many messages of one device: {error}"
        raise MalformedPacket(text, Reason.MESSAGE_RATE_TOO_HIGH) from error
