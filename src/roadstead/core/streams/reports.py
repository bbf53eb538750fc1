"""From the log to events for those who do not think in sensors: reports of devices, and occurrences. Pure."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from roadstead.core.messages import EventRaised, Logged, Reading
from roadstead.core.streams.directory import Directory
from roadstead.core.streams.matching import Channel, Channels, Told
from roadstead.core.streams.model import (
    DeviceEvent,
    Event,
    FactEvent,
    OccurrenceEvent,
    Position,
    ReportEvent,
    Topic,
)
from roadstead.core.types import Section, Step, from_stored, nest, split_path
from roadstead.kernel import ids
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TenantId

Unplaced = dict[tuple[TenantId, Filter], set[bytes]]
"""Devices of which the directory has to be asked whether a filter is true for them."""
Unread = dict[TenantId, set[bytes]]
"""Devices of which the directory has to be asked what their values are like."""

_split = lru_cache(maxsize=65_536)(split_path)
_TOPICS = {Section.ATTRIBUTES: Topic.ATTRIBUTES, Section.CONFIGURATION: Topic.CONFIGURATION}


def find_unplaced(pack: Sequence[Logged], channels: Channels, directory: Directory) -> Unplaced:
    """What the directory has to learn before `tell_reports` can tell everything."""
    unplaced: Unplaced = {}
    for message in pack if channels.mind_reports else ():
        for topic in _TOPICS.values():
            for channel in channels.find(message.tenant, topic, message.device):
                scope = channel.filter.scope
                if scope is not None and directory.is_within(message.tenant, scope, message.device) is None:
                    unplaced.setdefault((message.tenant, scope), set()).add(message.device)
    return unplaced


def find_unread(pack: Sequence[Logged], channels: Channels, directory: Directory) -> Unread:
    """The same, of texts that may stand for something else."""
    unread: Unread = {}
    for message in pack if channels.mind_reports else ():
        if directory.knows_schema(message.tenant, message.device) or not _has_listeners(message, channels):
            continue
        if any(isinstance(reading.value, str) for reading in message.readings):
            unread.setdefault(message.tenant, set()).add(message.device)
    return unread


def tell_reports(
    pack: Sequence[Logged], channels: Channels, directory: Directory, before: Position, *, skip: int = 0
) -> Told:
    """The events of a pack of ACCEPTED; `before` and `skip` as in `tell_readings`.

    What a message says of a section at one time is one event. Values of the platform's own paths are nobody's.
    """
    told: Told = {}
    index = 0
    for message in pack if channels.mind_reports else ():
        first, index = index, index + len(message.paths.names)
        if index <= skip or not _has_listeners(message, channels):
            continue
        for section, place, run in _runs(message.readings, first):
            if place <= skip:
                continue
            said = [_split(reading.path)[1] for reading in run]
            event: Event | None = None
            for channel in channels.find(message.tenant, _TOPICS[section], message.device):
                if not _is_wanted(channel, section, said) or not _is_within(channel, directory, message.device):
                    continue
                if event is None:
                    body = _report(message, section, run, directory)
                    position = Position(before.epoch, before.accepted, place, before.facts, before.fact_index)
                    event = Event(body, position)
                told.setdefault(channel, []).append(event)
    return told


def find_listening(tenant: TenantId, body: DeviceEvent | FactEvent, channels: Channels) -> list[Channel]:
    """Who may want to hear what an event says that was just written down."""
    fact = body.fact if isinstance(body, FactEvent) else None
    if not isinstance(fact, EventRaised) or fact.device_id is None or fact.event_type is None:
        return []
    return [
        channel
        for channel in channels.find(tenant, Topic.OCCURRENCE, ids.to_bytes(fact.device_id))
        if channel.filter.event_types is None or fact.event_type in channel.filter.event_types
    ]


def tell_occurrence(
    listening: Sequence[Channel], body: OccurrenceEvent, directory: Directory, position: Position
) -> Told:
    """The event for each of these that it is about; `position` is the one after it."""
    event, device = Event(body, position), ids.to_bytes(body.device_id)
    return {channel: [event] for channel in listening if _is_within(channel, directory, device)}


def _has_listeners(message: Logged, channels: Channels) -> bool:
    return any(channels.find(message.tenant, topic, message.device) for topic in _TOPICS.values())


def _runs(readings: Sequence[Reading], first: int) -> Iterator[tuple[Section, int, list[Reading]]]:
    """Neighbours of one section and time, none of them twice, with the place of the last one."""
    run: list[Reading] = []
    names: set[str] = set()
    section = Section.ATTRIBUTES
    for place, reading in enumerate(readings, first):
        own = reading.path.startswith("$")
        if run and (own or reading.at != run[0].at or reading.path in names or _split(reading.path)[0] != section):
            yield section, place, run
            run, names = [], set()
        if not own:
            section = _split(reading.path)[0]
            run.append(reading)
            names.add(reading.path)
    if run:
        yield section, first + len(readings), run


def _is_wanted(channel: Channel, section: Section, said: Sequence[tuple[Step, ...]]) -> bool:
    wanted = [steps for of, steps in channel.filter.paths if of is section]
    return not wanted or any(path[: len(steps)] == steps for steps in wanted for path in said)


def _is_within(channel: Channel, directory: Directory, device: bytes) -> bool:
    scope = channel.filter.scope
    return scope is None or directory.is_within(channel.tenant, scope, device) is True


def _report(message: Logged, section: Section, run: Sequence[Reading], directory: Directory) -> ReportEvent:
    schema = directory.schema_of(message.tenant, message.device)
    pairs = []
    for reading in run:
        leaf = schema.leaf(reading.path) if schema is not None and isinstance(reading.value, str) else None
        pairs.append((reading.path, from_stored(leaf, reading.value)))
    return ReportEvent(section, DeviceId(ids.from_bytes(message.device)), run[0].at, nest(pairs)[section])
