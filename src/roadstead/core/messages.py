"""What travels on the log: uplinks from devices, what became of them, and facts of the core."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import repeat
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec

from roadstead.kernel.ids import DeviceId, ExportId, GroupId, KeyId, SensorId, TenantId, TypeId

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
    received: int = 0
    """Messages that it has sent, of a session that is over; ..."""
    sent: int = 0
    """... and those that it was sent."""


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


class Paths:
    """The paths of the values of a message, in order. Of those that are alike there is one object (`paths_of`)."""

    __slots__ = ("__weakref__", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names


_known_paths: WeakValueDictionary[tuple[str, ...], Paths] = WeakValueDictionary()


def paths_of(names: tuple[str, ...]) -> Paths:
    """The one object for these paths, as long as somebody holds it."""
    paths = _known_paths.get(names)
    if paths is None:
        paths = _known_paths[names] = Paths(names)
    return paths


class Accepted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One uplink that was checked and stored. Goes to the ACCEPTED stream, packed (`encode_accepted`).

    Its readings lie in columns: most messages have the same paths as others, and one time for all values.
    """

    tenant: TenantId
    device: bytes
    dialect: str
    channel: str
    received: int
    paths: Paths
    at: int | list[int]
    """When all were measured, in ms since 1970, or when each was."""
    values: tuple[Value, ...]
    metas: list[str] | None = None
    """What came with each, see `Reading.meta`; None: with none of them."""
    payload: bytes = b""
    """Untouched, for channels that carry no readings: session notices, command answers, reported configuration; and
    a `Removal`, which may come with readings."""
    replayed: bool = False
    """Taken out of quarantine: stored and shown, but no reason to raise an alert."""
    source: str = ""
    """The door it came through, see `Uplink.source`; empty for the one that most come through, MQTT."""
    size_bytes: int = 0
    """How long it was when it came."""

    @classmethod
    def of(
        cls,
        tenant: TenantId,
        device: bytes,
        dialect: str,
        channel: str,
        received: int,
        readings: Sequence[Reading] = (),
        *,
        payload: bytes = b"",
        replayed: bool = False,
        source: str = "",
        size_bytes: int = 0,
    ) -> "Accepted":
        """From readings, one by one."""
        paths = paths_of(tuple([reading.path for reading in readings]))
        times = [reading.at for reading in readings]
        at = times if len(set(times)) > 1 else times[0] if times else 0
        metas = [reading.meta for reading in readings]
        values = tuple([reading.value for reading in readings])
        return cls(
            tenant, device, dialect, channel, received, paths, at, values, metas if any(metas) else None,
            payload, replayed, source, size_bytes,
        )  # fmt: skip

    @property
    def readings(self) -> list[Reading]:
        """One by one."""
        return _spread(self.paths, self.at, self.values, self.metas)


class Logged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An `Accepted` as it is read from the log: its values are decoded when somebody asks for them.

    It holds on to the whole pack it came in.
    """

    tenant: TenantId
    device: bytes
    dialect: str
    channel: str
    received: int
    paths: Paths
    at: int | list[int]
    raw_values: msgspec.Raw
    raw_metas: msgspec.Raw
    payload: bytes
    replayed: bool
    source: str = ""
    size_bytes: int = 0

    @property
    def readings(self) -> list[Reading]:
        """One by one."""
        return _spread(self.paths, self.at, _values(self.raw_values), _metas(self.raw_metas))


REMOVAL = "removal"
"""The channel of accepted messages whose payload is a `Removal`; the readings beside it hold as well."""


class Removal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Values that a device has no longer; what was measured before `at` does not come back."""

    at: int
    """In ms since 1970."""
    paths: list[str]


def encode_removal(removal: Removal) -> bytes:
    """As the payload of an accepted message."""
    return msgspec.msgpack.encode(removal)


def decode_removal(payload: bytes) -> Removal:
    """The removal again. Raises `msgspec.DecodeError`."""
    return _removal(payload)


def encode_accepted(messages: Sequence[Accepted]) -> bytes:
    """A pack for the ACCEPTED stream: all paths that occur, each once, and the messages, which name them by number."""
    names: list[tuple[str, ...]] = []
    numbers: dict[Paths, int] = {}

    def number_of(paths: Paths) -> int:
        number = numbers.get(paths)
        if number is None:
            number = numbers[paths] = len(names)
            names.append(paths.names)
        return number

    body = msgspec.msgpack.Encoder(enc_hook=number_of).encode(messages)
    return msgspec.msgpack.encode((names, msgspec.Raw(body)))


def decode_accepted(payload: bytes) -> list[Logged]:
    """The messages of a pack. Raises `msgspec.DecodeError`."""
    names, body = _pack(payload)
    known = [paths_of(one) for one in names]

    def find(_: type, number: int) -> Paths:
        if not 0 <= number < len(known):
            raise ValueError("paths are missing")
        return known[number]

    return msgspec.msgpack.Decoder(list[Logged], dec_hook=find).decode(body)


def _spread(paths: Paths, at: int | list[int], values: Sequence[Value], metas: list[str] | None) -> list[Reading]:
    times = repeat(at) if isinstance(at, int) else at
    return list(map(Reading, paths.names, times, values, repeat("") if metas is None else metas))


_pack = msgspec.msgpack.Decoder(tuple[list[tuple[str, ...]], msgspec.Raw]).decode
_values = msgspec.msgpack.Decoder(tuple[Value, ...]).decode
_metas = msgspec.msgpack.Decoder(list[str] | None).decode
_removal = msgspec.msgpack.Decoder(Removal).decode


class Severity(StrEnum):
    """How bad an event or alert is."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """Grows with how bad it is."""
        return list(Severity).index(self)


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
    """An API key or access key is no longer good, or has other rules: cut the sessions it has opened."""

    key_id: KeyId


class OrganizationChanged(Fact, frozen=True):
    """Name, settings or status of an organization changed."""


class DeviceTypeChanged(Fact, frozen=True):
    """What the devices of a type report is checked against something else than before."""

    type_id: TypeId


class SensorsChanged(Fact, frozen=True):
    """Sensors of a device were added, changed or removed."""

    device_id: DeviceId


class GroupChanged(Fact, frozen=True):
    """A group of devices means others than before."""

    group_id: GroupId


class SitesChanged(Fact, frozen=True):
    """Sites have another place in the tree, or their devices another site: groups that name sites may mean others."""


class BindingChanged(Fact, frozen=True):
    """A configuration was bound, bound otherwise, or unbound."""

    binding_id: UUID


class DesiredStateChanged(Fact, frozen=True):
    """A device shall have another configuration than before."""

    device_id: DeviceId


class ConfigurationReported(Fact, frozen=True):
    """A device has said something new about its configuration."""

    device_id: DeviceId


class DownlinkQueued(Fact, frozen=True):
    """Something new waits for these devices: whoever has their sessions fetches it."""

    kind: str
    """Of downlinks, see `ports.Downlink`."""
    device_ids: list[DeviceId]


class CommandChanged(Fact, frozen=True):
    """A command has another status than before."""

    device_id: DeviceId
    command_id: UUID
    status: str


class EventRaised(Fact, frozen=True):
    """An event was written down, or its life cycle went on."""

    event_id: UUID
    device_id: DeviceId | None
    event_type: str | None = None
    """Of one that was just written down; None: its life cycle went on."""


class AlertRuleChanged(Fact, frozen=True):
    """An alert rule was made, changed, switched or deleted."""

    rule_id: UUID


class AlertChanged(Fact, frozen=True):
    """An alert was raised, or has another status than before."""

    alert_id: UUID
    device_id: DeviceId
    status: str
    rule_id: UUID
    sensor_id: SensorId
    resolution: str | None = None
    """Why it is over, when it is."""


class DeviceFirmwareChanged(Fact, frozen=True):
    """A device says that it runs another firmware than before."""

    device_id: DeviceId
    firmware_version: str


class RolloutChanged(Fact, frozen=True):
    """A rollout, or one of its devices, is further than before."""

    rollout_id: UUID
    status: str


class ExportChanged(Fact, frozen=True):
    """An export has another status."""

    export_id: ExportId
    status: str


AnyFact = (
    ExportChanged
    | DeviceCreated
    | DeviceChanged
    | DeviceDeleted
    | DeviceStatusChanged
    | SessionsRevoked
    | KeyRevoked
    | OrganizationChanged
    | DeviceTypeChanged
    | SensorsChanged
    | GroupChanged
    | SitesChanged
    | BindingChanged
    | DesiredStateChanged
    | ConfigurationReported
    | DownlinkQueued
    | CommandChanged
    | EventRaised
    | AlertRuleChanged
    | AlertChanged
    | DeviceFirmwareChanged
    | RolloutChanged
)


class FactMessage(msgspec.Struct, frozen=True, array_like=True):
    """A fact as it travels on the FACTS stream, together with others (`encode_facts`)."""

    id: int
    """Counts up over all tenants; a message may come twice with one id."""
    tenant: TenantId
    at: int
    """When it happened, ms since 1970."""
    fact: bytes
    """JSON: decode with `decode_fact`."""


_facts: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)
_fact_pack = msgspec.msgpack.Decoder(list[FactMessage]).decode


def encode_fact(fact: Fact) -> bytes:
    """JSON with the name of the fact in `fact`."""
    return msgspec.json.encode(fact)


def decode_fact(body: bytes | msgspec.Raw) -> AnyFact:
    """The fact again."""
    return _facts.decode(body)


def encode_facts(messages: Sequence[FactMessage]) -> bytes:
    """A pack for the FACTS stream."""
    return msgspec.msgpack.encode(messages)


def decode_facts(payload: bytes) -> list[FactMessage]:
    """The messages of a pack. Raises `msgspec.DecodeError`."""
    return _fact_pack(payload)
