"""Many series as curves, each in one row of a query."""

from collections.abc import Sequence

from roadstead.adapters.clickhouse import queries
from roadstead.adapters.clickhouse.aggregates import HoldRow
from roadstead.adapters.clickhouse.buckets import Grid
from roadstead.adapters.clickhouse.queries import Query, Range
from roadstead.adapters.clickhouse.reader import device_of, rows
from roadstead.adapters.clickhouse.transport import Transport
from roadstead.core.ports import Curve, Function, Series, StoredPoint, TimeAt
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import to_bytes


async def read_points(
    transport: Transport, range_: Range, *, newest: int | None, oldest: int | None, most: int
) -> list[Curve]:
    """Points as they are."""
    return await _read(transport, queries.select_curves(range_, newest=newest, oldest=oldest, most=most + 1), most)


async def read_buckets(transport: Transport, range_: Range, grid: Grid, function: Function, most: int) -> list[Curve]:
    """A point for each bucket; those of which the function says nothing are left out."""
    query = queries.select_bucket_curves(range_, grid, function, most + 1)
    if function in queries.TEXTUAL:
        return await _read(transport, query, most)
    found = await rows(transport, query, tuple[str, str, list[int], list[float | None]])
    return _curves([(*row, []) for row in found], most)


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
    curves: dict[tuple[str, str], Curve] = {}
    for row in await rows(transport, query, HoldRow):
        key = (row.device, row.path)
        curve = curves.get(key) or curves.setdefault(key, Curve(Series(device_of(row.device), row.path), [], []))
        curve.at.append(row.bucket)
        curve.numbers.append(round(row.seconds_true * 1000))
    return list(curves.values())


def is_at(point: StoredPoint, at: TimeAt) -> bool:
    """Whether a point is a value."""
    return point.text == at.text if point.number is None else point.number == at.number


async def _read(transport: Transport, query: Query, most: int) -> list[Curve]:
    return _curves(await rows(transport, query, tuple[str, str, list[int], list[float | None], list[str]]), most)


_Row = tuple[str, str, list[int], list[float | None], list[str]]
"""Device, path, and columns of its points."""


def _curves(found: Sequence[_Row], most: int) -> list[Curve]:
    if sum(len(at) for _, _, at, _, _ in found) > most:
        raise _too_large(most)
    return [Curve(Series(device_of(digits), path), at, numbers, texts) for digits, path, at, numbers, texts in found]


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the answer has more than {most} points: ask for a shorter time, longer buckets or fewer devices")
