"""From the log to events: who wants what is in a pack. Pure, but for the directory that has to be asked before."""

from collections.abc import Iterable, Sequence
from typing import Any

from roadstead.core.messages import (
    AlertChanged,
    AnyFact,
    BindingChanged,
    CommandChanged,
    ConfigurationReported,
    DesiredStateChanged,
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    DeviceStatusChanged,
    EventRaised,
    ExportChanged,
    FactMessage,
    Logged,
)
from roadstead.core.streams.directory import Directory
from roadstead.core.streams.model import (
    REPORT_TOPICS,
    DeviceEvent,
    DeviceEventType,
    Event,
    FactEvent,
    Position,
    ReadingEvent,
    StreamFilter,
    Topic,
)
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.time import from_millis

Wanted = dict[TenantId, dict[bytes, set[str]]]
"""Paths by tenant and device that the directory has to be asked about."""


class Channel:
    """One filter of one tenant."""

    __slots__ = ("filter", "tenant")

    def __init__(self, tenant: TenantId, wanted: StreamFilter) -> None:
        self.tenant = tenant
        self.filter = wanted


class Channels:
    """Channels by tenant and, where their filters name devices, by device: most messages meet few of them."""

    def __init__(self, channels: Iterable[Channel] = ()) -> None:
        self._open: dict[tuple[TenantId, Topic], list[Channel]] = {}
        self._named: dict[tuple[TenantId, Topic, bytes], list[Channel]] = {}
        self._places: set[Channel] = set()
        self._reports: set[Channel] = set()
        for channel in channels:
            self.add(channel)

    def add(self, channel: Channel) -> None:
        """Take one in."""
        for topic in channel.filter.topics:
            if channel.filter.devices is None:
                self._open.setdefault((channel.tenant, topic), []).append(channel)
            else:
                for device in channel.filter.devices:
                    self._named.setdefault((channel.tenant, topic, device), []).append(channel)
        if channel.filter.site_id is not None or channel.filter.scope is not None:
            self._places.add(channel)
        if channel.filter.topics & REPORT_TOPICS:
            self._reports.add(channel)

    def remove(self, channel: Channel) -> None:
        """Let one go."""
        for topic in channel.filter.topics:
            if channel.filter.devices is None:
                _remove(self._open, (channel.tenant, topic), channel)
            else:
                for device in channel.filter.devices:
                    _remove(self._named, (channel.tenant, topic, device), channel)
        self._places.discard(channel)
        self._reports.discard(channel)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._open or self._named)

    @property
    def mind_places(self) -> bool:
        """Whether any of them asks in which site a device stands, or in which scope."""
        return bool(self._places)

    @property
    def mind_reports(self) -> bool:
        """Whether any of them wants reports."""
        return bool(self._reports)

    def find(self, tenant: TenantId, topic: Topic, device: bytes | None) -> Sequence[Channel]:
        """Those that may want to hear something about a device, or about no device in particular."""
        open_ = self._open.get((tenant, topic), ())
        named = () if device is None else self._named.get((tenant, topic, device), ())
        return [*open_, *named] if open_ and named else open_ or named


Told = dict[Channel, list[Event]]
"""The events for each channel that has some, in order."""


def find_lacking(pack: Sequence[Logged], channels: Channels, directory: Directory) -> Wanted:
    """What the directory has to learn before `tell_readings` can tell everything."""
    wanted: Wanted = {}
    for message in pack:
        if message.paths.names and channels.find(message.tenant, Topic.READING, message.device):
            paths = {path for path in message.paths.names if not path.startswith("$")}
            if paths and directory.lacks(message.tenant, message.device, paths):
                wanted.setdefault(message.tenant, {}).setdefault(message.device, set()).update(paths)
    return wanted


def tell_readings(
    pack: Sequence[Logged], channels: Channels, directory: Directory, before: Position, *, skip: int = 0
) -> Told:
    """The events of a pack of ACCEPTED; `before` is the position before it, `skip` how many readings were told already.

    Values of the platform's own paths, and of sensors that were deleted meanwhile, are nobody's events.
    """
    told: Told = {}
    index = 0
    for message in pack:
        first, index = index, index + len(message.paths.names)
        candidates = channels.find(message.tenant, Topic.READING, message.device)
        known = directory.find(message.tenant, message.device) if candidates and index > skip else None
        if known is None:
            continue
        listening = [
            channel for channel in candidates if channel.filter.site_id is None or channel.filter.site_id in known.sites
        ]
        for place, reading in enumerate(message.readings, first + 1):
            channel_of = known.channels.get(reading.path)
            if channel_of is None or place <= skip:
                continue
            sensor_id, value_type = channel_of
            event: Event | None = None
            for channel in listening:
                if channel.filter.sensors is None or sensor_id in channel.filter.sensors:
                    if event is None:
                        device_id = DeviceId(ids.from_bytes(message.device))
                        body = ReadingEvent(device_id, sensor_id, value_type, reading, message.received)
                        position = Position(before.epoch, before.accepted, place, before.facts, before.fact_index)
                        event = Event(body, position)
                    told.setdefault(channel, []).append(event)
    return told


def read_fact(message: FactMessage, fact: AnyFact) -> DeviceEvent | FactEvent | None:
    """What a fact says to listeners, if anything."""
    at = from_millis(message.at)
    match fact:
        case DeviceCreated():
            return DeviceEvent(DeviceEventType.CREATED, fact.device_id, at)
        case DeviceChanged():
            return DeviceEvent(DeviceEventType.CHANGED, fact.device_id, at)
        case DeviceDeleted():
            return DeviceEvent(DeviceEventType.DELETED, fact.device_id, at)
        case DeviceStatusChanged():
            return DeviceEvent(DeviceEventType.STATUS, fact.device_id, at, fact.status, fact.online)
        case CommandChanged():
            return FactEvent(Topic.COMMAND, fact, at)
        case AlertChanged():
            return FactEvent(Topic.ALERT, fact, at)
        case EventRaised():
            return FactEvent(Topic.EVENT, fact, at)
        case BindingChanged() | DesiredStateChanged() | ConfigurationReported():
            return FactEvent(Topic.BINDING, fact, at)
        case ExportChanged():
            return FactEvent(Topic.EXPORT, fact, at)
    return None


def tell_fact(
    tenant: TenantId, body: DeviceEvent | FactEvent, channels: Channels, directory: Directory, position: Position
) -> Told:
    """The event for each channel that wants it; `position` is the one after it."""
    event = Event(body, position)
    device = None if body.device_id is None else ids.to_bytes(body.device_id)
    known = None if device is None else directory.find(tenant, device)
    sensor_id = body.fact.sensor_id if isinstance(body, FactEvent) and isinstance(body.fact, AlertChanged) else None
    return {
        channel: [event]
        for channel in channels.find(tenant, body.topic, device)
        if (channel.filter.site_id is None or (known is not None and channel.filter.site_id in known.sites))
        and (sensor_id is None or channel.filter.sensors is None or sensor_id in channel.filter.sensors)
    }


def _remove(channels: dict[Any, list[Channel]], key: object, channel: Channel) -> None:
    members = channels[key]
    members.remove(channel)
    if not members:
        del channels[key]
