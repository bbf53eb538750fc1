"""Many series as curves, each in one row of a query or in many of the same length."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from roadstead.adapters.clickhouse import queries
from roadstead.adapters.clickhouse.aggregates import HoldRow
from roadstead.adapters.clickhouse.buckets import Grid
from roadstead.adapters.clickhouse.queries import Query, Range
from roadstead.adapters.clickhouse.reader import device_of, reach, rows
from roadstead.adapters.clickhouse.transport import NUMBERS, Transport
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
    if function in queries.TEXTUAL:
        return await _read(transport, queries.select_bucket_curves(range_, grid, function, most + 1), most)
    query = queries.select_bucket_numbers(range_, grid, function, most + 1)
    found = await reach(transport.query(query.sql, query.parameters, NUMBERS))
    if len(found) // _ROW > most:
        raise _too_large(most)
    return list(_split(found, sorted({one.path for one in range_.series})))


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
    """Curves of rows of device, path, and columns of its points."""
    found = await rows(transport, query, tuple[str, str, list[int], list[float | None], list[str]])
    if sum(len(at) for _, _, at, _, _ in found) > most:
        raise _too_large(most)
    return [Curve(Series(device_of(digits), path), at, numbers, texts) for digits, path, at, numbers, texts in found]


_ROW, _KEY = 32, 16
"""Bytes of a row of `queries.select_bucket_numbers`, and those of its device and path."""


def _split(found: bytes, paths: Sequence[str]) -> Iterator[Curve]:
    """Such rows as curves."""
    # Whole columns at once: every fourth word of eight bytes.
    at, numbers = list(array("q", found)[2::4]), list[float | None](array("d", found)[3::4])
    begin = 0
    while begin < len(at):
        key = _key(found, begin)
        end = bisect_left(range(len(at)), True, begin, key=lambda row: _key(found, row) != key)
        series = Series(device_of(key[:12].hex()), paths[int.from_bytes(key[12:], "little")])
        yield Curve(series, at[begin:end], numbers[begin:end])
        begin = end


def _key(found: bytes, row: int) -> bytes:
    return found[_ROW * row : _ROW * row + _KEY]


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the answer has more than {most} points: ask for a shorter time, longer buckets or fewer devices")
