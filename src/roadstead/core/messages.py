"""What travels on the log: uplinks from devices, what became of them, and facts of the core."""

from enum import StrEnum

import msgspec

from roadstead.kernel.ids import DeviceId, KeyId, TenantId

SESSION = "session"
"""The dialect of what the doors themselves say."""
CONNECTED, DISCONNECTED, REFUSED = "connected", "disconnected", "refused"
"""Its channels: `SessionNotice`, `SessionNotice`, `RefusalNotice`."""


class Uplink(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message as it came through a device door; nothing of it has been parsed."""

    tenant: TenantId
    device: bytes
    """The 12 free bytes of the id of the device the message speaks for."""
    dialect: str
    """Whose codec reads it: `native`, `lightelligence`, ... or `SESSION` for the door's own notices."""
    channel: str
    """What kind of message it is in that dialect, for instance `readings` or `health`; never the whole topic."""
    received: int
    """When the door took it, in ms since 1970."""
    payload: bytes
    source: str = "MQTT"
    """The door: `MQTT` or `HTTP`."""


def size_of_uplink(uplink: Uplink) -> int:
    """Never less than the bytes it takes in a pack."""
    # Array and lengths 31, tenant and time 18, device 12; dialect and source are short words of ours.
    return 96 + len(uplink.payload) + 4 * len(uplink.channel)


class SessionNotice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The door says that a device came or went: `CONNECTED` or `DISCONNECTED`.

    A notice of an older session of the same device changes nothing.
    """

    gateway: str
    """Which gateway process; unique for each start of one."""
    session: int
    """Counts up within the gateway; orders the sessions of one device."""
    reason: str = ""
    """Why it ended, for people: `closed by the device`, `keep-alive`, `revoked`, `taken over`..."""
    address: str = ""
    """Where the device called from, host and port."""


class RefusalNotice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The door says that it did not take a message of a device: `REFUSED`. It becomes an entry in quarantine."""

    reason: str
    """A `RefusalReason`."""
    detail: str
    topic: str
    size_bytes: int
    """Of its payload."""
    head: bytes
    """As much of the payload as is kept."""
    others: int = 0
    """So many more messages of the session were refused since the notice before; they are only counted."""


Value = float | int | bool | str
"""What a reading can be."""


class ValueType(StrEnum):
    """Which of these a sensor has, once and for all."""

    DOUBLE = "DOUBLE"
    BIGINT = "BIGINT"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted value."""

    path: str
    """`<component key>/<sensor key>` or `<sensor key>`; what begins with `$` is the platform's own."""
    at: int
    """When it was measured, in ms since 1970."""
    value: Value
    meta: str = ""
    """JSON object that came with it, or nothing."""


class Accepted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One uplink that was checked and stored. Goes to the ACCEPTED stream, packed."""

    tenant: TenantId
    device: bytes
    dialect: str
    channel: str
    received: int
    readings: list[Reading]
    payload: bytes = b""
    """Untouched, for channels that carry no readings: session notices, command answers, reported configuration."""
    replayed: bool = False
    """Taken out of quarantine: stored and shown, but no reason to raise an alert."""


# --- facts: what the core tells the rooms above, in the past tense ---------------------------------------------------


class Fact(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """Something that has happened. Leaves with the commit, through the outbox, to the FACTS stream."""


class DeviceCreated(Fact, frozen=True):
    """A device was added."""

    device_id: DeviceId


class DeviceChanged(Fact, frozen=True):
    """A device, or what its readings are checked against, is no longer what caches may hold."""

    device_id: DeviceId


class DeviceDeleted(Fact, frozen=True):
    """A device is gone; with `purge` its readings shall go as well."""

    device_id: DeviceId
    purge: bool


class DeviceStatusChanged(Fact, frozen=True):
    """A device went on or off line, or an operator changed its status."""

    device_id: DeviceId
    status: str
    online: bool


class SessionsRevoked(Fact, frozen=True):
    """A device may no longer be connected with some credential, or at all: cut its sessions."""

    device_id: DeviceId
    fingerprint: str | None
    """Hex SHA-256 of the one certificate, or None for all sessions of the device."""
    reason: str


class KeyRevoked(Fact, frozen=True):
    """An API key is no longer good: cut the sessions it has opened."""

    key_id: KeyId


class OrganizationChanged(Fact, frozen=True):
    """Name, settings or status of an organization changed."""


class SensorsChanged(Fact, frozen=True):
    """Sensors of a device were added, changed or removed."""

    device_id: DeviceId


AnyFact = (
    DeviceCreated
    | DeviceChanged
    | DeviceDeleted
    | DeviceStatusChanged
    | SessionsRevoked
    | KeyRevoked
    | OrganizationChanged
    | SensorsChanged
)


class FactMessage(msgspec.Struct, frozen=True, array_like=True):
    """A fact as it travels on the FACTS stream, subject `facts.<tenant>`."""

    id: int
    """Counts up over all tenants; a message may come twice with one id."""
    tenant: TenantId
    at: int
    """When it happened, ms since 1970."""
    fact: bytes
    """JSON: decode with `decode_fact`."""


_facts: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)


def encode_fact(fact: Fact) -> bytes:
    """JSON with the name of the fact in `fact`."""
    return msgspec.json.encode(fact)


def decode_fact(body: bytes | msgspec.Raw) -> AnyFact:
    """The fact again."""
    return _facts.decode(body)
