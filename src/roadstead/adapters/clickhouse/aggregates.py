"""Time buckets of series: up to three queries, joined by series and bucket."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from roadstead.adapters.clickhouse import queries
from roadstead.adapters.clickhouse.buckets import Grid
from roadstead.adapters.clickhouse.queries import Range
from roadstead.adapters.clickhouse.reader import rows
from roadstead.adapters.clickhouse.transport import Transport
from roadstead.core.ports import Bucket, Function
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import to_bytes
from roadstead.kernel.time import from_millis

MOST_BUCKETS = 200_000
"""In one answer, all series together."""

HOLDING = frozenset({Function.TIME_WEIGHTED_AVG, Function.DURATION_TRUE})
"""Functions of the time between points; they have a value in buckets without a point, too."""

_Values = dict[Function, float | str | None]
_Found = dict[tuple[str, str], dict[int, _Values]]
"""By device and path, then by bucket."""


async def aggregate(
    transport: Transport,
    range_: Range,
    grid: Grid,
    functions: Sequence[Function],
    *,
    carried: Sequence[tuple[str, str, float]],
    until: int,
) -> list[Bucket]:
    """Buckets in order of series and time. `carried` and `until`: see `queries.select_holds`."""
    parts = await asyncio.gather(
        _plain(transport, range_, grid, functions),
        _modes(transport, range_, grid, functions),
        _holds(transport, range_, grid, functions, carried, until),
    )
    found = _join([part for part in parts if part is not None], functions)
    if sum(map(len, found.values())) > MOST_BUCKETS:
        raise TooLarge(f"the answer has more than {MOST_BUCKETS} buckets: ask for a shorter time or longer buckets")
    # Series mostly have the same buckets, so each instant is made once.
    starts = {start: from_millis(start) for buckets in found.values() for start in buckets}
    return [
        Bucket(series, starts[start], values)
        for series in range_.series
        for start, values in sorted(found.get((to_bytes(series.device).hex(), series.path), {}).items())
    ]


def _join(parts: Sequence[_Found], functions: Sequence[Function]) -> _Found:
    """The values of the parts that were asked for, in the order of the functions; what none of them knows is empty."""
    if len(parts) == 1:
        return parts[0]
    empty: _Values = {name: 0 if name is Function.COUNT else None for name in functions}
    joined: _Found = {}
    for part in parts:
        for series, buckets in part.items():
            known = joined.setdefault(series, {})
            for start, values in buckets.items():
                known[start] = known.get(start, empty) | values
    return joined


def _by_series(rows: Iterable[tuple[str, str, int, _Values]]) -> _Found:
    found: defaultdict[tuple[str, str], dict[int, _Values]] = defaultdict(dict)
    for device, path, start, values in rows:
        found[device, path][start] = values
    return found


async def _plain(transport: Transport, range_: Range, grid: Grid, functions: Sequence[Function]) -> _Found | None:
    wanted = [name for name in functions if name not in HOLDING and name is not Function.MODE]
    if not wanted:
        return None
    query = queries.select_buckets(range_, grid, wanted, MOST_BUCKETS + 1)
    # Cells are decoded as what they are, so that most rows need no second look.
    kind: Any = tuple[(str, str, int, *(_kind_of(name) for name in wanted))]  # type: ignore[misc]
    found: list[Any] = await rows(transport, query, kind)
    textual = [position for position, name in enumerate(wanted, 3) if name in queries.TEXTUAL]
    if textual:
        found = [_resolve(row, textual) for row in found]
    return _by_series((row[0], row[1], row[2], dict(zip(wanted, row[3:], strict=True))) for row in found)


async def _modes(transport: Transport, range_: Range, grid: Grid, functions: Sequence[Function]) -> _Found | None:
    if Function.MODE not in functions:
        return None
    query = queries.select_modes(range_, grid, MOST_BUCKETS + 1)
    found = await rows(transport, query, tuple[str, str, int, _NumberAndText])
    return _by_series((device, path, start, {Function.MODE: _value(cell)}) for device, path, start, cell in found)


class HoldRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `queries.select_holds`."""

    device: str
    path: str
    bucket: int
    average: float
    seconds_true: float


async def _holds(
    transport: Transport,
    range_: Range,
    grid: Grid,
    functions: Sequence[Function],
    carried: Sequence[tuple[str, str, float]],
    until: int,
) -> _Found | None:
    wanted = HOLDING.intersection(functions)
    if not wanted:
        return None
    if grid.count * len(range_.series) > MOST_BUCKETS:
        raise TooLarge(f"the time asked for has more than {MOST_BUCKETS} buckets: make it shorter or them longer")
    found = await rows(transport, queries.select_holds(range_, grid, carried, until), HoldRow)
    return _by_series((row.device, row.path, row.bucket, _hold(row, wanted)) for row in found)


def _hold(row: HoldRow, wanted: frozenset[Function]) -> _Values:
    values: _Values = {Function.TIME_WEIGHTED_AVG: row.average, Function.DURATION_TRUE: row.seconds_true}
    return {name: value for name, value in values.items() if name in wanted}


_NumberAndText = tuple[float | None, str]


def _kind_of(function: Function) -> Any:
    if function is Function.COUNT:
        return int
    return _NumberAndText if function in queries.TEXTUAL else float | None


def _resolve(row: Any, textual: Sequence[int]) -> list[Any]:
    cells = list(row)
    for position in textual:
        cells[position] = _value(cells[position])
    return cells


def _value(cell: _NumberAndText) -> float | str:
    """A number, or the text of what is none."""
    number, text = cell
    return text if number is None else number
