"""Time buckets as the store's SQL reckons with them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from roadstead.core.ports import Span
from roadstead.kernel.buckets import bucket_starts
from roadstead.kernel.errors import Invalid, TooLarge
from roadstead.kernel.time import Duration, from_millis, to_millis

MOST_EDGES = 20_000
"""Fifty years of days."""

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, tzinfo=UTC)


class Grid(msgspec.Struct, frozen=True):
    """The buckets of a span. `sql_of` and `sql_starts` speak of parameters that are in `parameters`."""

    first: int
    """Start of the first bucket, at or before the start of the span; ms since 1970."""
    end: int
    """End of the span."""
    step: int | None
    """Length of a bucket where all have one."""
    edges: list[int]
    """Starts of the buckets where they have not."""

    @property
    def count(self) -> int:
        """How many buckets the span touches."""
        return len(self.edges) if self.step is None else -(-(self.end - self.first) // self.step)

    @property
    def parameters(self) -> dict[str, int | list[int]]:
        """What the expressions below need."""
        if self.step is None:
            return {"edges": self.edges}
        return {"first": self.first, "end": self.end, "step": self.step}

    def sql_of(self, millis: str) -> str:
        """The start of the bucket of an Int64 expression."""
        if self.step is None:
            return f"roundDown({millis}, {{edges:Array(Int64)}})"
        return f"({millis} - positiveModulo({millis}, {{step:Int64}}))"

    @property
    def sql_starts(self) -> str:
        """All starts, an Array(Int64)."""
        if self.step is None:
            return "{edges:Array(Int64)}"
        return "range({first:Int64}, {end:Int64}, {step:Int64})"


def clip(span: Span) -> tuple[int, int]:
    """Start and end in ms, no further than the store's times reach."""
    return to_millis(max(span.start, EARLIEST)), to_millis(min(span.end, LATEST))


def grid(span: Span, interval: Duration | None, time_zone: str) -> Grid:
    """The buckets of a span that is not empty; see `bucket_starts`. Without an interval it is the span."""
    start, end = clip(span)
    if interval is None:
        return Grid(start, end, None, [start])
    kinds = [bool(interval.months), bool(interval.days), bool(interval.millis)]
    if sum(kinds) != 1:
        raise Invalid.field("interval", "is either months, or days, or a time of the clock", place="query")
    if interval.approximate() > timedelta(days=36525):
        raise Invalid.field("interval", "is at most a hundred years", place="query")
    if not interval.is_calendar:
        return Grid(start - start % interval.millis, end, interval.millis, [])
    edges: list[int] = []
    for edge in map(to_millis, bucket_starts(from_millis(start), interval, _zone(time_zone))):
        if edge >= end:
            break
        edges.append(edge)
        if len(edges) > MOST_EDGES:
            raise TooLarge(f"the time asked for has more than {MOST_EDGES} buckets: make it shorter or them longer")
    return Grid(edges[0], end, None, edges)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid.field("timeZone", f"{name!r} is not a time zone", place="query") from error
