"""What a live stream is made of: topics, filters, events, and positions to go on from."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import msgspec

from roadstead.core.messages import (
    AlertChanged,
    BindingChanged,
    CommandChanged,
    ConfigurationReported,
    DesiredStateChanged,
    EventRaised,
    ExportChanged,
    Reading,
    ValueType,
)
from roadstead.core.types import Section, Step
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, TooMany
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, SensorId, SiteId, TenantId


class Topic(StrEnum):
    """What there is to hear."""

    READING = "reading"
    DEVICE = "device"
    COMMAND = "command"
    ALERT = "alert"
    EVENT = "event"
    BINDING = "binding"
    EXPORT = "export"
    ATTRIBUTES = "attributes"
    CONFIGURATION = "configuration"
    OCCURRENCE = "occurrence"


REPORT_TOPICS = frozenset({Topic.ATTRIBUTES, Topic.CONFIGURATION, Topic.OCCURRENCE})
"""For listeners who do not think in sensors: what a device says of a section in one message, and events with all that
they say. Nobody mixes them with the others, so that the events of a listener keep their order."""

LOGGED_TOPICS = frozenset({Topic.READING, Topic.ATTRIBUTES, Topic.CONFIGURATION})
"""Those that ACCEPTED tells of; FACTS tells of the others."""

UNSERVED_TOPICS = frozenset({"live"})
"""Topics of the native contract that nothing speaks on yet."""

GRANTS = {
    Topic.READING: Grant.READINGS_READ,
    Topic.DEVICE: Grant.DEVICES_READ,
    Topic.COMMAND: Grant.COMMANDS_READ,
    Topic.ALERT: Grant.ALERTS_READ,
    Topic.EVENT: Grant.EVENTS_READ,
    Topic.BINDING: Grant.CONFIG_READ,
    Topic.EXPORT: Grant.EXPORTS_READ,
    Topic.ATTRIBUTES: Grant.READINGS_READ,
    Topic.CONFIGURATION: Grant.READINGS_READ,
    Topic.OCCURRENCE: Grant.EVENTS_READ,
}
"""The right that hearing of a topic needs."""


class StreamWish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to hear; what is given narrows it, lists are or-ed inside."""

    topics: frozenset[Topic]
    device_ids: Sequence[DeviceId] = ()
    sensor_ids: Sequence[SensorId] = ()
    site_id: SiteId | None = None


class ReportWish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to hear who does not think in sensors; everything that is given narrows it."""

    topics: frozenset[Topic]
    """Of `REPORT_TOPICS`."""
    device_ids: Sequence[DeviceId] = ()
    scope: Filter | None = None
    """Of devices, as they are when they say something."""
    attributes: Sequence[str] = ()
    """Paths, of which a message has at least one, or something within it."""
    configuration: Sequence[str] = ()
    event_types: Sequence[str] = ()


class StreamFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Either of these, looked up. Equal filters of one tenant hear the same, which is made once for all of them."""

    topics: frozenset[Topic]
    devices: frozenset[bytes] | None = None
    """The 12 bytes of their ids, those of `sensors` too; None: all."""
    sensors: frozenset[UUID] | None = None
    """Of readings and alerts; None: all."""
    site_id: SiteId | None = None
    """Devices in this site and in those below it."""
    scope: Filter | None = None
    """Of reports: devices that this is true for."""
    paths: frozenset[tuple[Section, tuple[Step, ...]]] = frozenset()
    """Of reports: sections of which not everything is wanted, and what is wanted of them."""
    event_types: frozenset[str] | None = None
    """Of occurrences; None: all."""


# --- positions -------------------------------------------------------------------------------------------------------


class Position(msgspec.Struct, frozen=True):
    """How much of the log has been told: all packs of ACCEPTED up to a sequence and some items of the one after it,
    the same of FACTS. `epoch` tells the streams from others of the same name.
    """

    epoch: str
    accepted: int
    index: int
    facts: int
    fact_index: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}-{self.accepted:x}-{self.index:x}-{self.facts:x}-{self.fact_index:x}"


_POSITION = re.compile(r"([0-9a-f]{8})-([0-9a-f]{1,16})-([0-9a-f]{1,8})-([0-9a-f]{1,16})-([0-9a-f]{1,8})")


def read_position(text: str, *, name: str, place: str) -> Position:
    """The position that an event was told with. Raises `Invalid` that names where the text came from."""
    match = _POSITION.fullmatch(text)
    if match is None:
        raise Invalid.field(name, "is not the id of an event of this stream", place=place)
    epoch, *numbers = match.groups()
    return Position(epoch, *(int(number, 16) for number in numbers))


# --- events ----------------------------------------------------------------------------------------------------------


class ReadingEvent(msgspec.Struct, frozen=True, gc=False):
    """A sensor has reported something, and it is stored."""

    device_id: DeviceId
    sensor_id: SensorId
    value_type: ValueType
    reading: Reading
    received: int
    """When a door took it, ms since 1970."""


class DeviceEventType(StrEnum):
    """What has happened to a device."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    STATUS = "status"


class DeviceEvent(msgspec.Struct, frozen=True):
    """Something has happened to a device."""

    type: DeviceEventType
    device_id: DeviceId
    at: datetime
    status: str | None = None
    online: bool | None = None

    @property
    def topic(self) -> Topic:
        """Where it is told."""
        return Topic.DEVICE


Happening = (
    CommandChanged
    | AlertChanged
    | EventRaised
    | BindingChanged
    | DesiredStateChanged
    | ConfigurationReported
    | ExportChanged
)
"""What a fact tells as it is: which thing has changed, and how it stands."""


class FactEvent(msgspec.Struct, frozen=True):
    """Something that is neither a reading nor a device has changed."""

    topic: Topic
    fact: Happening
    at: datetime

    @property
    def device_id(self) -> DeviceId | None:
        """The device it is about, if it is about one."""
        return None if isinstance(self.fact, BindingChanged | ExportChanged) else self.fact.device_id


class ReportEvent(msgspec.Struct, frozen=True, gc=False):
    """A device has said something about a section, and it is stored."""

    section: Section
    device_id: DeviceId
    at: int
    """When it was so, ms since 1970."""
    value: dict[str, Any]
    """What it has said, by name."""


class OccurrenceEvent(msgspec.Struct, frozen=True):
    """Something has happened to a device."""

    device_id: DeviceId
    type: str
    at: datetime
    data: dict[str, Any] | None


class Gap(msgspec.Struct, frozen=True):
    """What came before is not kept any more: the stream goes on with what happened from `since` on."""

    since: datetime


Body: TypeAlias = ReadingEvent | DeviceEvent | FactEvent | ReportEvent | OccurrenceEvent | Gap


class Event:
    """One event with the position after it. `spelled` keeps what each dialect made of it, so that it is made once."""

    __slots__ = ("body", "position", "spelled")

    def __init__(self, body: Body, position: Position) -> None:
        self.body = body
        self.position = position
        self.spelled: dict[str, bytes] = {}


class Parcel:
    """Events that leave together, for all who hear the same."""

    __slots__ = ("_spelled", "events")

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self._spelled: dict[str, bytes] = {}

    def spell(self, language: str, make: Callable[[Event], bytes]) -> bytes:
        """All events in a row, each made by `make`, once for everybody who wants this language."""
        spelled = self._spelled.get(language)
        if spelled is None:
            for event in self.events:
                if language not in event.spelled:
                    event.spelled[language] = make(event)
            spelled = self._spelled[language] = b"".join([event.spelled[language] for event in self.events])
        return spelled


class TooSlow(TooMany):
    """A listener did not take what was said fast enough and is cut off."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=1.0, code="too-slow")


class Subscription(Protocol):
    """Somebody who listens."""

    @property
    def position(self) -> Position:
        """Everything up to here has been handed out, or was not meant for this listener."""

    async def next(self, timeout_s: float) -> list[Parcel]:
        """What there is to tell, as soon as there is something; nothing after `timeout_s`. Raises `TooSlow`."""

    async def close(self) -> None:
        """Stop listening."""


class Live(Protocol):
    """What is said on the log right now, to any number of listeners."""

    @property
    def pace_s(self) -> float:
        """How long listeners rest between two looks: with many of them, each takes more at once."""

    async def subscribe(self, tenant: TenantId, wanted: StreamFilter, after: Position | None) -> Subscription:
        """Listen from now on, or to everything after a position. Raises `Unavailable` when the log is away."""

    async def position_at(self, instant: datetime) -> Position:
        """What had been logged before an instant, or before the oldest that is kept. `Unavailable` as above."""
