"""How devices are: snapshots that they report of themselves, kept as points under `$health/`."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from roadstead.core.messages import Uplink, ValueType
from roadstead.core.operation import operation
from roadstead.core.ports import Function, PointPosition, Series, Span, StoredPoint
from roadstead.core.telemetry import aggregation, store
from roadstead.core.telemetry.intake import Intake
from roadstead.core.telemetry.model import AggregateQuery, check_span, value_of
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Forbidden, Invalid, NotFound
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import Page, PageQuery, decode_cursor, encode_cursor
from roadstead.kernel.time import from_millis, to_millis

PREFIX = "$health/"
_METADATA = "metadata"
_DIALECT, _CHANNEL, _SOURCE = "native", "health", "HTTP"
_MOST_SNAPSHOTS = 5_000
"""Among which pages by number and totals are counted."""


class HealthSnapshot(msgspec.Struct, frozen=True):
    """What a device said about itself at one time. Names are those of the native contract (`DeviceHealth`)."""

    device_id: DeviceId
    at: datetime
    values: dict[str, Any]


class HealthQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which snapshots are wanted."""

    span: Span
    interval: str | None = None
    """One snapshot for each stretch of this length (ISO 8601 duration): the last value of everything in it."""


@operation(Grant.DEVICES_READ)
async def get_health(work: Work, device_id: DeviceId) -> HealthSnapshot:
    """The newest of everything the device has said about itself, with the time of the newest of it."""
    states = await store.select_own_states(work.tx, work.tenant_id, device_id, PREFIX)
    if not states:
        raise NotFound("health of device", device_id)
    return _newest(device_id, states)


async def load_health(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, HealthSnapshot]:
    """The same for those of the devices that have said something, without asking for rights."""
    found = await store.select_own_states_of_many(work.tx, work.tenant_id, device_ids, PREFIX)
    return {device_id: _newest(device_id, states) for device_id, states in found.items()}


@operation(Grant.DEVICES_READ)
async def list_health(work: Work, device_id: DeviceId, query: HealthQuery, page: PageQuery) -> Page[HealthSnapshot]:
    """Snapshots of a span, newest first."""
    check_span(query.span)
    if not await store.has_device(work.tx, work.tenant_id, device_id):
        raise NotFound("device", device_id)
    paths = list(await store.select_own_states(work.tx, work.tenant_id, device_id, PREFIX))
    if not paths:
        return Page(items=[], total=0 if page.include_total else None)
    before = _read_cursor(page.cursor)
    counted = page.page is not None or page.include_total
    if query.interval is not None:
        snapshots = await _thinned(work, device_id, paths, query.span, query.interval)
    elif counted:
        snapshots = await _snapshots(work, device_id, len(paths), query.span, _MOST_SNAPSHOTS + 1)
        if len(snapshots) > _MOST_SNAPSHOTS:
            detail = f"cannot count more than {_MOST_SNAPSHOTS} snapshots: ask for less time, or page by cursor"
            raise Invalid.field("page" if page.page is not None else "includeTotal", detail, place="query")
    else:
        snapshots = await _snapshots(work, device_id, len(paths), query.span, page.limit + 1, before=before)
    rest = [snapshot for snapshot in snapshots if before is None or to_millis(snapshot.at) < before]
    start = (page.page or 0) * page.limit
    items = rest[start : start + page.limit]
    more = len(rest) > start + page.limit and page.page is None
    return Page(
        items=items,
        next_cursor=encode_cursor([to_millis(items[-1].at)]) if more else None,
        total=len(snapshots) if counted else None,
    )


@operation(Grant.DEVICES_WRITE, changes=False)
async def report_health(work: Work, intake: Intake, device_id: DeviceId, payload: bytes) -> Uplink:
    """Check a snapshot (`DeviceHealthInput` as JSON); answers the uplink to be put on the log.

    Raises `Forbidden` when a device speaks for another and `Invalid` for a snapshot that is not taken.
    """
    if not work.actor.speaks_for(device_id):
        raise Forbidden("a device speaks for itself only")
    if not await store.has_device(work.tx, work.tenant_id, device_id):
        raise NotFound("device", device_id)
    received = to_millis(work.now())
    uplink = Uplink(work.tenant_id, ids.to_bytes(device_id), _DIALECT, _CHANNEL, received, payload, _SOURCE)
    taken = await intake.take_in([uplink])
    for _, refusal in taken.refused:
        raise Invalid.field("/timestamp" if "timestamp" in refusal.detail else "", refusal.detail)
    return uplink


def _newest(device_id: DeviceId, states: Mapping[str, store.State]) -> HealthSnapshot:
    values = {path.removeprefix(PREFIX): state[0] for path, state in states.items()}
    return HealthSnapshot(device_id, from_millis(max(state[1] for state in states.values())), _spell(values))


async def _snapshots(
    work: Work, device_id: DeviceId, width: int, span: Span, most: int, *, before: int | None = None
) -> list[HealthSnapshot]:
    """The newest snapshots of a span; each has at most `width` values."""
    points = await work.ports.telemetry.device_points(
        work.tenant_id,
        device_id,
        span,
        prefix=PREFIX,
        limit=most * width,
        descending=True,
        after=None if before is None else PointPosition(before, ""),
    )
    snapshots = [
        HealthSnapshot(device_id, from_millis(at), _read(group))
        for at, group in itertools.groupby(points, key=lambda point: point.at)
    ]
    if len(points) == most * width and len(snapshots) > most:
        # The last one may be cut off in the middle.
        del snapshots[most:]
    return snapshots


async def _thinned(
    work: Work, device_id: DeviceId, paths: Iterable[str], span: Span, interval: str
) -> list[HealthSnapshot]:
    text, _ = aggregation.choose_interval(AggregateQuery(span=span, interval=interval))
    buckets = await work.ports.telemetry.buckets(
        work.tenant_id,
        [Series(device_id, path) for path in paths],
        span,
        interval=aggregation.read_interval(text),
        time_zone="UTC",
        functions=[Function.LAST],
    )
    stretches: dict[datetime, dict[str, Any]] = {}
    for bucket in buckets:
        value = bucket.values[Function.LAST]
        name = bucket.series.path.removeprefix(PREFIX)
        stretches.setdefault(bucket.start, {})[name] = _whole(value) if isinstance(value, float) else value
    return [HealthSnapshot(device_id, start, _spell(stretches[start])) for start in sorted(stretches, reverse=True)]


def _read(points: Iterable[StoredPoint]) -> dict[str, Any]:
    return _spell(
        {point.path.removeprefix(PREFIX): value_of(ValueType.BIGINT, point.number, point.text) for point in points}
    )


def _spell(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata are an object that is kept as text."""
    return {name: msgspec.json.decode(value) if name == _METADATA else value for name, value in values.items()}


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _read_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    match decode_cursor(cursor, 1):
        case [int(before)]:
            return before
    raise Invalid.field("cursor", "is not a cursor of this list", place="query")
