"""Time buckets of series: up to three queries, joined by series and bucket."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.adapters.clickhouse import queries
from roadstead.adapters.clickhouse.buckets import Grid
from roadstead.adapters.clickhouse.queries import Range
from roadstead.adapters.clickhouse.reader import device_of, rows
from roadstead.adapters.clickhouse.transport import Transport
from roadstead.core.ports import Bucket, Function, Series
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import to_bytes
from roadstead.kernel.time import from_millis

MOST_BUCKETS = 200_000
"""In one answer, all series together."""

HOLDING = frozenset({Function.TIME_WEIGHTED_AVG, Function.DURATION_TRUE})
"""Functions of the time between points; they have a value in buckets without a point, too."""

_Key = tuple[str, str, int]
_Values = dict[Function, float | str | None]


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
    found: dict[_Key, _Values] = {}
    for part in parts:
        for key, values in part.items():
            found.setdefault(key, {}).update(values)
    if len(found) > MOST_BUCKETS:
        raise TooLarge(f"the answer has more than {MOST_BUCKETS} buckets: ask for a shorter time or longer buckets")
    order = {(to_bytes(one.device).hex(), one.path): place for place, one in enumerate(range_.series)}
    empty: _Values = {name: 0 if name is Function.COUNT else None for name in functions}
    return [
        Bucket(Series(device_of(device), path), from_millis(start), empty | found[device, path, start])
        for device, path, start in sorted(found, key=lambda key: (order[key[:2]], key[2]))
    ]


async def _plain(transport: Transport, range_: Range, grid: Grid, functions: Sequence[Function]) -> dict[_Key, _Values]:
    wanted = [name for name in functions if name not in HOLDING and name is not Function.MODE]
    if not wanted:
        return {}
    query = queries.select_buckets(range_, grid, wanted, MOST_BUCKETS + 1)
    return {
        (device, path, bucket): {name: _value(name, cell) for name, cell in zip(wanted, cells, strict=True)}
        for device, path, bucket, *cells in await rows(transport, query, list)
    }


async def _modes(transport: Transport, range_: Range, grid: Grid, functions: Sequence[Function]) -> dict[_Key, _Values]:
    if Function.MODE not in functions:
        return {}
    query = queries.select_modes(range_, grid, MOST_BUCKETS + 1)
    return {
        (device, path, bucket): {Function.MODE: _value(Function.MODE, cell)}
        for device, path, bucket, cell in await rows(transport, query, list)
    }


class _HoldRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
) -> dict[_Key, _Values]:
    wanted = HOLDING.intersection(functions)
    if not wanted:
        return {}
    if grid.count * len(range_.series) > MOST_BUCKETS:
        raise TooLarge(f"the time asked for has more than {MOST_BUCKETS} buckets: make it shorter or them longer")
    found: dict[_Key, _Values] = {}
    for row in await rows(transport, queries.select_holds(range_, grid, carried, until), _HoldRow):
        values: _Values = {Function.TIME_WEIGHTED_AVG: row.average, Function.DURATION_TRUE: row.seconds_true}
        found[row.device, row.path, row.bucket] = {name: values[name] for name in wanted}
    return found


def _value(function: Function, cell: Any) -> float | str | None:
    """A cell of an aggregate: a number, or number and text, of which the text counts when there is no number."""
    if isinstance(cell, list):
        number, text = cell
        return text if number is None else float(number)
    if cell is None:
        return None
    return int(cell) if function is Function.COUNT else float(cell)
