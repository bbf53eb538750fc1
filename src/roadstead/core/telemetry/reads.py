"""Raw readings: of a sensor, of a device, of a component as rows; and deleting them."""

import itertools
from collections.abc import Sequence

from roadstead.core import registry
from roadstead.core.files import blob_key
from roadstead.core.operation import operation
from roadstead.core.ports import PointPosition, Series, Span, StoredPoint
from roadstead.core.registry import DataType
from roadstead.core.telemetry import store
from roadstead.core.telemetry.fitting import blob_name
from roadstead.core.telemetry.latest import renew_latest, renew_values
from roadstead.core.telemetry.model import (
    Channel,
    ComponentRow,
    ComponentRows,
    PurgedRange,
    ReadingQuery,
    SensorReading,
    check_span,
    read_point,
    value_of,
)
from roadstead.core.types import is_number
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, TenantId
from roadstead.kernel.page import Page, decode_cursor, encode_cursor
from roadstead.kernel.time import from_millis, to_millis

_AFTER_ALL_PATHS = "\U0010ffff"
_MOST_CELLS = 50_000
"""Points that are read for one page of rows."""
_MOST_FILES = 1_000_000
"""Values that stand for files, of one device."""
_ALL_TIME = Span(from_millis(0), from_millis(253_370_764_800_000))


@operation(Grant.READINGS_READ)
async def list_readings(work: Work, sensor_id: SensorId, query: ReadingQuery) -> Page[SensorReading]:
    """Readings of a sensor in order of time."""
    channel = await load_channel(work, sensor_id)
    return await page_readings(work, {channel.path: channel}, query)


@operation(Grant.READINGS_READ)
async def thin_readings(
    work: Work, sensor_id: SensorId, span: Span, *, most: int, descending: bool
) -> list[SensorReading]:
    """At most so many readings that keep the look of the curve. Raises `Invalid` for a sensor without numbers."""
    check_span(span)
    channel = await load_channel(work, sensor_id)
    if not is_number(channel.value_type):
        raise Invalid.field("thin", f"does not fit {channel.value_type} values", place="query")
    points = await work.ports.telemetry.thinned(work.tenant_id, channel.series, span, most=most)
    readings = [read_point(channel, point) for point in points]
    return readings[::-1] if descending else readings


@operation(Grant.READINGS_READ)
async def list_device_readings(work: Work, device_id: DeviceId, query: ReadingQuery) -> Page[SensorReading]:
    """Readings of all sensors of a device in order of time."""
    if not await store.has_device(work.tx, work.tenant_id, device_id):
        raise NotFound("device", device_id)
    return await page_readings(work, await store.select_device_channels(work.tx, work.tenant_id, device_id), query)


@operation(Grant.READINGS_READ)
async def list_component_rows(work: Work, component_id: ComponentId, query: ReadingQuery) -> ComponentRows:
    """What the sensors of a component reported, a row for each instant, in order of time."""
    check_span(query.span)
    if not await store.has_component(work.tx, work.tenant_id, component_id):
        raise NotFound("component", component_id)
    channels = await store.select_component_channels(work.tx, work.tenant_id, component_id)
    keys = [channel.key for channel in channels.values()]
    # Points enough for all rows and one more: a row that is cut in the middle is told on the next page.
    most = max(min(query.limit * len(channels), _MOST_CELLS), len(channels)) + 1
    points = await work.ports.telemetry.points(
        work.tenant_id,
        [channel.series for channel in channels.values()],
        query.span,
        limit=most,
        descending=query.descending,
        after=_read_row_cursor(query),
    )
    rows = _rows(channels, points)
    more = len(points) == most or len(rows) > query.limit
    if len(points) == most:
        rows.pop()
    rows = rows[: query.limit]
    return ComponentRows(keys, rows, encode_cursor([to_millis(rows[-1].at)]) if more else None)


@operation(Grant.READINGS_DELETE)
async def purge_readings(work: Work, sensor_id: SensorId, span: Span) -> int:
    """Delete the readings of a range; says how many went. They are gone from the newest values as well."""
    check_span(span)
    channel = await load_channel(work, sensor_id)
    deleted = await work.ports.telemetry.delete(work.tenant_id, channel.device_id, channel.path, span)
    await renew_latest(work, channel, span)
    work.record("reading.purge", sensor_id, after=PurgedRange(start=span.start, end=span.end, readings=deleted))
    return deleted


# --- for the rooms above ---------------------------------------------------------------------------------------------


async def erase_readings(work: Work, device_id: DeviceId, attributes: Sequence[str] | None, span: Span) -> int:
    """Delete what a device has reported in a range, of all attributes or some; says how many points went.

    Without asking for rights. The newest values that go are those that are left.
    """
    known = (await registry.find_attributes(work, [device_id]))[device_id]
    paths = {each.path for each in known if attributes is None or each.name in attributes}
    files = [each.path for each in known if each.data_type is DataType.BLOB and each.path in paths]
    gone = await _file_names(work, device_id, files, span)
    deleted = 0
    for path in [None] if attributes is None else sorted(paths):
        deleted += await work.ports.telemetry.delete(work.tenant_id, device_id, path, span)
    await renew_values(work, device_id, paths, span)
    if gone:
        # One file stands for all values that say the same.
        for name in gone - await _file_names(work, device_id, files, _ALL_TIME):
            await work.ports.blobs.delete(blob_key(work.actor.organization_id, name))
    if deleted:
        work.record("reading.purge", device_id, after=PurgedRange(start=span.start, end=span.end, readings=deleted))
    return deleted


async def load_channels(
    tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId], paths: Sequence[str]
) -> dict[tuple[DeviceId, str], Channel]:
    """Where devices keep what they report at these paths, by device and path; without asking for rights."""
    found = await store.select_channels_at(tx, tenant, device_ids, paths)
    return {(channel.device_id, channel.path): channel for channel in found}


async def _file_names(work: Work, device_id: DeviceId, paths: Sequence[str], span: Span) -> set[str]:
    """The files, among those of the organization, that values of a span stand for."""
    series = [Series(device_id, path) for path in paths]
    curves = await work.ports.telemetry.curves(
        work.tenant_id, series, span, step_ms=None, function=None, most=_MOST_FILES
    )
    names = {blob_name(device_id, text) for curve in curves for text in curve.texts}
    return {name for name in names if name is not None}


# --- for this room ---------------------------------------------------------------------------------------------------


async def load_channel(work: Work, sensor_id: SensorId) -> Channel:
    """Where the readings of a sensor lie. Raises `NotFound`."""
    channel = await store.select_channel(work.tx, work.tenant_id, sensor_id)
    if channel is None:
        raise NotFound("sensor", sensor_id)
    return channel


async def page_readings(work: Work, channels: dict[str, Channel], query: ReadingQuery) -> Page[SensorReading]:
    """One page of raw readings of channels of one device, which are given by path."""
    check_span(query.span)
    points = await work.ports.telemetry.points(
        work.tenant_id,
        [channel.series for channel in channels.values()],
        query.span,
        limit=query.limit + 1,
        descending=query.descending,
        after=_read_cursor(query.cursor),
    )
    last = points[query.limit - 1] if len(points) > query.limit else None
    return Page(
        items=[read_point(channels[point.path], point) for point in points[: query.limit]],
        next_cursor=encode_cursor([last.at, last.path]) if last else None,
    )


def _rows(channels: dict[str, Channel], points: list[StoredPoint]) -> list[ComponentRow]:
    rows = []
    for at, cells in itertools.groupby(points, key=lambda point: point.at):
        row = ComponentRow(from_millis(at), {})
        for cell in cells:
            channel = channels[cell.path]
            row.values[channel.key] = value_of(channel.value_type, cell.number, cell.text)
        rows.append(row)
    return rows


def _read_row_cursor(query: ReadingQuery) -> PointPosition | None:
    if query.cursor is None:
        return None
    match decode_cursor(query.cursor, 1):
        case [int(at)]:
            return PointPosition(at, "" if query.descending else _AFTER_ALL_PATHS)
    raise Invalid.field("cursor", "is not a cursor of this list", place="query")


def _read_cursor(cursor: str | None) -> PointPosition | None:
    if cursor is None:
        return None
    match decode_cursor(cursor, 2):
        case [int(at), str(path)]:
            return PointPosition(at, path)
    raise Invalid.field("cursor", "is not a cursor of this list", place="query")
