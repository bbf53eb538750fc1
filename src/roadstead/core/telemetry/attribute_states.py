"""What devices report, for programs that think in attributes and in states: what was said of one instant."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from roadstead.core import files, registry
from roadstead.core.messages import Value
from roadstead.core.operation import operation, unguarded
from roadstead.core.ports import PointPosition, Ports, Span, StoredPoint
from roadstead.core.registry import Attribute
from roadstead.core.telemetry import store
from roadstead.core.telemetry.fitting import blob_name
from roadstead.core.telemetry.latest import read_state
from roadstead.core.telemetry.model import Channel, SensorReading, read_point, value_of
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import DeviceId, SensorId
from roadstead.kernel.time import from_millis

MOST_STATES = 10_000
"""Of one answer."""
_PAGE = 20_000
"""Points that are read at once."""
_MOST_COMPOSITE = 1_000_000

_Attributes = Mapping[SensorId, Attribute]


class AttributeState(msgspec.Struct, frozen=True):
    """What a device has said of one instant."""

    at: datetime
    values: list[tuple[Attribute, Value]]
    metadata: dict[str, object] | None


class AttributeValue(msgspec.Struct, frozen=True):
    """What an attribute was last."""

    attribute: Attribute
    value: Value
    at: datetime


@operation(Grant.READINGS_READ)
async def list_attribute_states(
    work: Work, device_id: DeviceId, span: Span, *, limit: int, descending: bool
) -> list[AttributeState]:
    """The states of a device in a span, in order of time, at most so many. Raises `NotFound`."""
    if not await store.has_device(work.tx, work.tenant_id, device_id):
        raise NotFound("device", device_id)
    known = {each.sensor_id: each for each in (await registry.find_attributes(work, [device_id]))[device_id]}
    if limit == 1 and descending:
        stated = await store.select_states_of_many(work.tx, work.tenant_id, [device_id])
        states = _put_together(known, [read_state(one) for one in stated])
        newest = max(states, key=lambda state: state.at, default=None)
        if newest is not None and span.start <= newest.at < span.end:
            return [newest]
    channels = await store.select_device_channels(work.tx, work.tenant_id, device_id)
    wanted = {path: channel for path, channel in channels.items() if channel.sensor_id in known}
    points = await _read_instants(work, wanted, span, limit=limit, descending=descending)
    return _put_together(known, [read_point(wanted[point.path], point) for point in points])


@operation(Grant.READINGS_READ)
async def list_composites(
    work: Work, device_ids: Sequence[DeviceId], span: Span, names: Collection[str] | None = None
) -> dict[DeviceId, list[AttributeValue]]:
    """What each attribute (of these names) of each device was last in a span, by name.

    Attributes that were nothing in it are left out.
    """
    attributes = await registry.find_attributes(work, device_ids, names)
    wanted = {each.sensor_id: each for known in attributes.values() for each in known}
    found: dict[SensorId, AttributeValue] = {}
    later: list[Channel] = []
    for one in await store.select_states_of_many(work.tx, work.tenant_id, device_ids):
        attribute = wanted.get(one.channel.sensor_id)
        if attribute is None:
            continue
        reading = read_state(one)
        if reading.at >= span.end:
            later.append(one.channel)  # what it was before is in the store alone
        elif reading.at >= span.start:
            found[attribute.sensor_id] = AttributeValue(attribute, reading.value, reading.at)
    for channel, value, at in await _read_newest(work, later, span):
        found[channel.sensor_id] = AttributeValue(wanted[channel.sensor_id], value, at)
    return {
        device_id: [found[each.sensor_id] for each in known if each.sensor_id in found]
        for device_id, known in attributes.items()
    }


@unguarded("for those who have read the value")
async def find_blob_url(
    work: Work, device_id: DeviceId, attribute: Attribute, value: Value, *, valid_for: timedelta
) -> str | None:
    """Where the file is read that a value of a blob attribute stands for; None when it stands for none."""
    name = blob_name(device_id, str(value))
    if name is None:
        return None
    content_type = attribute.content_type or "application/octet-stream"
    valid_until = work.now() + valid_for
    return await files.download_url(
        work, name, filename=attribute.name, content_type=content_type, valid_until=valid_until
    )


async def load_blob(ports: Ports, organization: UUID, device_id: DeviceId, value: Value) -> bytes | None:
    """The file that a value of a blob attribute stands for, without asking for rights; None when there is none."""
    name = blob_name(device_id, str(value))
    if name is None:
        return None
    try:
        return b"".join([piece async for piece in ports.blobs.read(files.blob_key(organization, name))])
    except NotFound:
        return None


def _put_together(known: _Attributes, readings: Sequence[SensorReading]) -> list[AttributeState]:
    """Readings of one instant as one state, instants in the order of their first readings."""
    instants: dict[datetime, list[SensorReading]] = {}
    for reading in readings:
        if reading.sensor_id in known:
            instants.setdefault(reading.at, []).append(reading)
    return [_state(known, at, members) for at, members in instants.items()]


def _state(known: _Attributes, at: datetime, readings: Sequence[SensorReading]) -> AttributeState:
    # What was said last about the instant says what is to be known of all of it.
    said = [reading for reading in readings if reading.metadata is not None]
    last = max(said, key=lambda reading: reading.received_at, default=None)
    values = [(known[reading.sensor_id], reading.value) for reading in readings]
    return AttributeState(at, values, last.metadata if last else None)


async def _read_instants(
    work: Work, channels: Mapping[str, Channel], span: Span, *, limit: int, descending: bool
) -> list[StoredPoint]:
    """All points of the first so many instants."""
    series = [channel.series for channel in channels.values()]
    page = min((limit + 1) * max(len(series), 1), _PAGE)
    found: list[StoredPoint] = []
    instants: set[int] = set()
    after: PointPosition | None = None
    while series:
        points = await work.ports.telemetry.points(
            work.tenant_id, series, span, limit=page, descending=descending, after=after
        )
        found += points
        instants.update(point.at for point in points)
        if len(points) < page or len(instants) > limit:
            break
        after = PointPosition(points[-1].at, points[-1].path)
    wanted = set(itertools.islice(dict.fromkeys(point.at for point in found), limit))
    return [point for point in found if point.at in wanted]


async def _read_newest(work: Work, channels: Sequence[Channel], span: Span) -> list[tuple[Channel, Value, datetime]]:
    if not channels:
        return []
    by_series = {channel.series: channel for channel in channels}
    curves = await work.ports.telemetry.curves(
        work.tenant_id, list(by_series), span, step_ms=None, function=None, newest=1, most=_MOST_COMPOSITE
    )
    found = []
    for curve in curves:
        channel = by_series[curve.series]
        value = value_of(channel.value_type, curve.numbers[-1], curve.texts[-1])
        found.append((channel, value, from_millis(curve.at[-1])))
    return found
