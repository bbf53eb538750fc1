"""Points as rows, in pieces that fit into memory."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import product

from roadstead.adapters.clickhouse import queries
from roadstead.adapters.clickhouse.queries import Range
from roadstead.adapters.clickhouse.reader import device_of, reach, rows
from roadstead.adapters.clickhouse.transport import ARROW, Transport
from roadstead.core.ports import RowColumn, Series
from roadstead.kernel.ids import DeviceId, TenantId, to_bytes

_MOST_WEIGHT = 16_000_000
"""Bytes of points, about, that one piece is made from."""
_MOST_DEVICES = 200
_HOUR_MS = 3_600_000


async def read_rows(
    transport: Transport,
    tenant: TenantId,
    devices: Sequence[DeviceId],
    columns: Sequence[RowColumn],
    start: int,
    end: int,
    *,
    most_weight: int = _MOST_WEIGHT,
) -> AsyncIterator[bytes]:
    """See `TelemetryStore.rows`. What is written meanwhile is in it or not."""
    devices = sorted(devices, key=to_bytes)
    for first in range(0, len(devices), _MOST_DEVICES):
        some = _range(tenant, devices[first : first + _MOST_DEVICES], columns, start, end)
        weights = await rows(transport, queries.select_weights(some), tuple[str, int])
        for group, weight in _pack([(device_of(digits), weight) for digits, weight in weights], most_weight):
            parts = [(start, end)]
            if weight > most_weight:
                hourly = queries.select_hourly_weights(_range(tenant, group, columns, start, end))
                parts = list(_cut(await rows(transport, hourly, tuple[int, int]), start, end, most_weight))
            for since, until in parts:
                query = queries.select_rows(_range(tenant, group, columns, since, until), columns)
                yield await reach(transport.query(query.sql, query.parameters, ARROW))


def _range(tenant: TenantId, devices: Sequence[DeviceId], columns: Sequence[RowColumn], start: int, end: int) -> Range:
    return Range(tenant, [Series(device, column.path) for device, column in product(devices, columns)], start, end)


def _pack(weights: Sequence[tuple[DeviceId, int]], most: int) -> Iterator[tuple[list[DeviceId], int]]:
    """Devices together, as many as weigh not too much; one that weighs too much is by itself."""
    group: list[DeviceId] = []
    total = 0
    for device, weight in weights:
        if group and total + weight > most:
            yield group, total
            group, total = [], 0
        group.append(device)
        total += weight
    if group:
        yield group, total


def _cut(hours: Sequence[tuple[int, int]], start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Stretches of time that do not weigh too much: whole hours together, or equal parts of an hour that does."""
    since, total = start, 0
    for hour, weight in hours:
        if total and total + weight > most:
            yield since, hour
            since, total = hour, 0
        pieces = -(-weight // most)
        for piece in range(1, pieces):
            edge = hour + _HOUR_MS * piece // pieces
            if since < edge < end:
                yield since, edge
                since = edge
        total += weight // pieces
    yield since, end
