"""Reading one series, newest first: its points, or its frames. However long it is, memory holds a page."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from roadstead.core.messages import ValueType
from roadstead.core.ports import Series, Span, StoredPoint, TelemetryStore
from roadstead.core.timeseries.frames import Frames, FrameSize, frame_value
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import TenantId
from roadstead.kernel.time import EPOCH, from_millis, to_millis

MOST_RECENT = 4_000
"""Points of one answer."""
_RECENT = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)
"""So far a clock may be ahead."""
_PAGE = 5_000
_REACH, _GROWTH, _FARTHEST = timedelta(days=30), 16, timedelta(days=366 * 400)
"""How far back is looked at first, and how much further when that was in vain."""
ALL_TIME = Span(EPOCH, datetime(2299, 12, 31, tzinfo=UTC))


class Point(msgspec.Struct, frozen=True, gc=False):
    """A value at a time, or what became of a frame that begins then."""

    at: int
    """ms since 1970."""
    value: Any


class Curve(msgspec.Struct, frozen=True):
    """Where the points of a series lie, and how they are read."""

    tenant: TenantId
    series: Series
    value_type: ValueType
    read: Callable[[float | None, str], Any]
    """The value of a stored number and text."""

    def point(self, stored: StoredPoint) -> Point:
        """A stored point as it is told."""
        return Point(stored.at, self.read(stored.number, stored.text))


def read_span(start: datetime | None, end: datetime | None) -> Span:
    """From a start to before an end, open where there is none, since 1970. Raises `Invalid` for one that is empty."""
    span = Span(start or ALL_TIME.start, end or ALL_TIME.end)
    if span.start >= span.end:
        raise Invalid.field("startTime", "must be before endTime", code="range", place="query")
    return Span(max(span.start, EPOCH), max(span.end, EPOCH))


async def list_recent_points(store: TelemetryStore, curve: Curve, now: datetime) -> list[Point]:
    """Those of the last hour, at most `MOST_RECENT`."""
    span = Span(now - _RECENT, now + _AHEAD)
    found = await store.points(curve.tenant, [curve.series], span, limit=MOST_RECENT, descending=True)
    return [curve.point(stored) for stored in found]


async def walk_points(store: TelemetryStore, curve: Curve, span: Span) -> AsyncIterator[list[Point]]:
    """All points, some thousand at a time."""
    end, reach = span.end, _REACH
    while span.start < end:
        # Never from the very start: the store sorts all that it is asked about, however little of it is wanted.
        start = max(span.start, end - reach)
        found = await store.points(curve.tenant, [curve.series], Span(start, end), limit=_PAGE, descending=True)
        if found:
            yield [curve.point(stored) for stored in found]
        if len(found) < _PAGE:
            end, reach = start, min(reach * _GROWTH, _FARTHEST)
        else:
            end = from_millis(found[-1].at)
            reach = 2 * (from_millis(found[0].at) - end)


async def walk_frames(store: TelemetryStore, curve: Curve, span: Span, frames: Frames) -> AsyncIterator[list[Point]]:
    """All frames that have points, some thousand at a time; what has none is stepped over.

    Without a size it is one frame, if there is any point, which begins where the span does.
    """
    if frames.size is None:
        found = await _frames(store, curve, span, frames)
        if found:
            yield found
        return
    end = span.end
    while True:
        newest = await _find_newest(store, curve, Span(span.start, end))
        if newest is None:
            return
        top = from_millis(_frame_of(newest.at, frames.size) + frames.size.millis)
        bottom = top - timedelta(milliseconds=frames.size.millis * _PAGE)
        yield await _frames(store, curve, Span(max(span.start, bottom), min(end, top)), frames)
        end = bottom


async def _find_newest(store: TelemetryStore, curve: Curve, span: Span) -> StoredPoint | None:
    """The newest point of a span, looked for further and further back."""
    end, reach = span.end, _REACH
    while span.start < end:
        start = max(span.start, end - reach)
        found = await store.points(curve.tenant, [curve.series], Span(start, end), limit=1, descending=True)
        if found:
            return found[0]
        end, reach = start, min(reach * _GROWTH, _FARTHEST)
    return None


async def _frames(store: TelemetryStore, curve: Curve, span: Span, frames: Frames) -> list[Point]:
    aggregation = frames.aggregation
    buckets = await store.buckets(
        curve.tenant,
        [curve.series],
        span,
        interval=frames.size.duration if frames.size else None,
        time_zone="UTC",
        functions=[aggregation.function],
    )
    return [
        Point(
            to_millis(bucket.start),
            frame_value(curve.value_type, aggregation, bucket.values[aggregation.function]),
        )
        for bucket in reversed(buckets)
    ]


def _frame_of(at: int, size: FrameSize) -> int:
    """Where the frame of an instant begins."""
    return at - at % size.millis
