"""Many series as curves, each in one row of a query."""

from roadstead.adapters.clickhouse import queries
from roadstead.adapters.clickhouse.aggregates import HoldRow
from roadstead.adapters.clickhouse.buckets import Grid
from roadstead.adapters.clickhouse.queries import Query, Range
from roadstead.adapters.clickhouse.reader import device_of, rows
from roadstead.adapters.clickhouse.transport import Transport
from roadstead.core.ports import Curve, CurvePoint, Function, Series, StoredPoint, TimeAt
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import to_bytes


async def read_points(
    transport: Transport, range_: Range, *, newest: int | None, oldest: int | None, most: int
) -> list[Curve]:
    """Points as they are."""
    return await _read(transport, queries.select_curves(range_, newest=newest, oldest=oldest, most=most + 1), most)


async def read_buckets(transport: Transport, range_: Range, grid: Grid, function: Function, most: int) -> list[Curve]:
    """A point for each bucket; those of which the function says nothing are left out."""
    found = await _read(transport, queries.select_bucket_curves(range_, grid, function, most + 1), most)
    if function in (Function.COUNT, *queries.TEXTUAL):
        return found
    kept = [Curve(curve.series, [point for point in curve.points if point.number is not None]) for curve in found]
    return [curve for curve in kept if curve.points]


async def read_times_at(
    transport: Transport,
    range_: Range,
    grid: Grid,
    at: TimeAt,
    *,
    held: dict[Series, StoredPoint],
    until: int,
    most: int,
) -> list[Curve]:
    """A point for each bucket in which the value is known. `held`: what each series held when the range began."""
    if grid.count * len(range_.series) > most:
        raise _too_large(most)
    carried = [(to_bytes(one.device).hex(), one.path, float(is_at(point, at))) for one, point in held.items()]
    query = queries.select_holds(range_, grid, carried, until, at=at)
    curves: dict[tuple[str, str], list[CurvePoint]] = {}
    for row in await rows(transport, query, HoldRow):
        curves.setdefault((row.device, row.path), []).append(CurvePoint(row.bucket, round(row.seconds_true * 1000)))
    return [Curve(Series(device_of(digits), path), points) for (digits, path), points in curves.items()]


def is_at(point: StoredPoint, at: TimeAt) -> bool:
    """Whether a point is a value."""
    return point.text == at.text if point.number is None else point.number == at.number


async def _read(transport: Transport, query: Query, most: int) -> list[Curve]:
    found = await rows(transport, query, tuple[str, str, list[CurvePoint]])
    if sum(len(points) for _, _, points in found) > most:
        raise _too_large(most)
    return [Curve(Series(device_of(digits), path), points) for digits, path, points in found]


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the answer has more than {most} points: ask for a shorter time, longer buckets or fewer devices")
