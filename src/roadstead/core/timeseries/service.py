"""What can be done with series of a tenant's own, and with their points."""

from datetime import timedelta
from functools import partial

import msgspec

from roadstead.core.messages import Reading
from roadstead.core.operation import operation
from roadstead.core.ports import Series, Span
from roadstead.core.timeseries import store
from roadstead.core.timeseries.curves import Curve, Point, list_recent_points, walk_frames
from roadstead.core.timeseries.frames import Frames, check_fit
from roadstead.core.timeseries.model import (
    PointDraft,
    SeriesId,
    Timeseries,
    TimeseriesChange,
    TimeseriesDraft,
    TimeseriesQuery,
    check_points,
    from_stored,
    to_stored,
)
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId, TenantId, new_id
from roadstead.kernel.page import Page, PageQuery
from roadstead.kernel.time import to_millis

_PATH = "value"
"""Where the points of a series lie in the store."""


class PurgedPoints(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log says about points that were deleted."""

    span: Span | None
    points: int


@operation(Grant.READINGS_READ)
async def list_timeseries(work: Work, query: TimeseriesQuery, *, page: PageQuery) -> Page[Timeseries]:
    """Series that the conditions hold for, newest first."""
    return await store.page_timeseries(work.tx, work.tenant_id, query, page)


@operation(Grant.READINGS_READ)
async def get_timeseries(work: Work, series_id: SeriesId) -> Timeseries:
    """One series."""
    return await _load(work, series_id)


@operation(Grant.READINGS_WRITE)
async def create_timeseries(work: Work, draft: TimeseriesDraft) -> Timeseries:
    """Add a series. Names may repeat."""
    now = work.now()
    series = Timeseries(
        id=SeriesId(new_id()),
        name=draft.name,
        data_type=draft.data_type,
        metadata=draft.metadata,
        created_at=now,
        updated_at=now,
    )
    series.check()
    await store.insert_timeseries(work.tx, work.tenant_id, series)
    work.record("timeseries.create", series.id, after=series)
    return series


@operation(Grant.READINGS_WRITE)
async def change_timeseries(work: Work, series_id: SeriesId, change: TimeseriesChange) -> Timeseries:
    """Change some of it, each as a whole. Points that are there stay as they are, also when their type changes."""
    before = await _load(work, series_id, lock=True)
    sent = change.sent()
    if not sent:
        raise Invalid("one of name, dataType, metadata is needed")
    after = msgspec.structs.replace(before, **sent, updated_at=work.now())
    after.check()
    await store.update_timeseries(work.tx, work.tenant_id, after)
    work.record("timeseries.update", series_id, before=before, after=after)
    return after


@operation(Grant.READINGS_DELETE)
async def delete_timeseries(work: Work, series_id: SeriesId) -> None:
    """Delete a series with all its points."""
    series = await _load(work, series_id, lock=True)
    await store.delete_timeseries(work.tx, work.tenant_id, series_id)
    work.record("timeseries.delete", series_id, before=series)
    # Last, because this cannot be taken back.
    await work.ports.telemetry.delete(work.tenant_id, _home(series_id), None, None)


@operation(Grant.READINGS_WRITE, changes=False)
async def add_points(work: Work, series_id: SeriesId, drafts: list[PointDraft]) -> list[Point]:
    """Add points, all or none; they are durable when this returns. Of two of one time the later one counts.

    Those without a time are of now: several of them are a millisecond apart, in their order.
    """
    series = await _load(work, series_id)
    check_points(series, drafts)
    now = work.now()
    untimed = sum(draft.at is None for draft in drafts)
    points: dict[int, Reading] = {}
    told = []
    for draft in drafts:
        if draft.at is None:
            untimed -= 1
        at = to_millis(draft.at or now - timedelta(milliseconds=untimed))
        points[at] = Reading(_PATH, at, to_stored(series.kind, draft.value))
        told.append(Point(at, draft.value))
    columns = work.ports.telemetry.columns()
    columns.add(work.tenant_id, ids.to_bytes(series_id), to_millis(now), list(points.values()))
    await work.ports.telemetry.insert(columns)
    return told


@operation(Grant.READINGS_DELETE)
async def delete_points(work: Work, series_id: SeriesId, span: Span | None) -> int:
    """Delete the points of a span, or all; says how many went."""
    await _load(work, series_id)
    deleted = await work.ports.telemetry.delete(work.tenant_id, _home(series_id), _PATH, span)
    work.record("timeseries.purge", series_id, after=PurgedPoints(span=span, points=deleted))
    return deleted


@operation(Grant.READINGS_READ)
async def list_recent(work: Work, series_id: SeriesId) -> list[Point]:
    """Points of the last hour, newest first, at most 4,000."""
    curve = curve_of(work.tenant_id, await _load(work, series_id))
    return await list_recent_points(work.ports.telemetry, curve, work.now())


@operation(Grant.READINGS_READ)
async def page_frames(work: Work, series_id: SeriesId, span: Span, frames: Frames, *, page: PageQuery) -> Page[Point]:
    """Frames that have a value, newest first."""
    curve = curve_of(work.tenant_id, await _load(work, series_id))
    check_fit(curve.value_type, frames.aggregation)
    skipped = (page.page or 0) * page.limit
    items: list[Point] = []
    total = 0
    async for found in walk_frames(work.ports.telemetry, curve, span, frames):
        points = [point for point in found if point.value is not None]
        items += points[max(0, skipped - total) : max(0, skipped + page.limit - total)]
        total += len(points)
    return Page(items=items, total=total)


# --- for this room ---------------------------------------------------------------------------------------------------


def curve_of(tenant: TenantId, series: Timeseries) -> Curve:
    """How its points are read."""
    return Curve(tenant, Series(_home(series.id), _PATH), series.kind.value_type, partial(from_stored, series.kind))


def _home(series_id: SeriesId) -> DeviceId:
    """What stands for a device in the store."""
    return DeviceId(series_id)


async def _load(work: Work, series_id: SeriesId, *, lock: bool = False) -> Timeseries:
    series = await store.select_timeseries(work.tx, work.tenant_id, series_id, lock=lock)
    if series is None:
        raise NotFound("timeseries", series_id)
    return series
