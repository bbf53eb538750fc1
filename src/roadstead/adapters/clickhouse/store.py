"""The telemetry store in ClickHouse."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from roadstead.adapters.clickhouse import curves, erasures, queries
from roadstead.adapters.clickhouse.aggregates import HOLDING, aggregate
from roadstead.adapters.clickhouse.buckets import EARLIEST, LATEST, clip, grid
from roadstead.adapters.clickhouse.columns import NativeColumns
from roadstead.adapters.clickhouse.erasures import Erasure
from roadstead.adapters.clickhouse.history import count_history, read_history
from roadstead.adapters.clickhouse.queries import Query, Range
from roadstead.adapters.clickhouse.reader import ContentRow, PointRow, decode, device_of, reach, rows
from roadstead.adapters.clickhouse.schema import (
    SELECT_VIEW_VERSION,
    SELECT_WEAK_TABLES,
    TABLE,
    VIEW_VERSION,
    table_statements,
    view_statement,
)
from roadstead.adapters.clickhouse.tables import read_rows
from roadstead.adapters.clickhouse.transport import Address, HttpTransport, StatementFailed, Transport
from roadstead.core.history import Cell, HistoryQuery
from roadstead.core.ports import (
    Bucket,
    Curve,
    Function,
    PointColumns,
    PointPosition,
    PointStatistics,
    RowColumn,
    Series,
    Span,
    StoredPoint,
    TimeAt,
)
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId, TenantId, to_bytes
from roadstead.kernel.time import Duration, now, to_millis

_ALL_TIME = Span(EARLIEST, LATEST)
_DISTINCT_TEXTS = 20
_LOOK_BACK = (timedelta(hours=1), timedelta(days=2), timedelta(days=62), None)
"""How far the newest point is looked for: a series that reports is found in the first step, at the least cost."""


class StoreSizes(msgspec.Struct, frozen=True):
    """How the table lies on disk."""

    parts: int
    points: int
    """Rows, keys that are there twice until they are merged included."""
    size_bytes: int


class ClickHouseStore:
    """`TelemetryStore` over a ClickHouse database, near or far."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Callable[[], datetime] = now,
        on_insert: Callable[[int, float], None] | None = None,
    ) -> None:
        """`on_insert` is told points and seconds of each batch that was stored."""
        self._transport = transport
        self._clock = clock
        self._on_insert = on_insert

    async def prepare(self, *, cluster: str = "", replicated: bool = False) -> None:
        """Make the tables where they are missing."""
        for statement in table_statements(cluster=cluster, replicated=replicated):
            await reach(self._transport.command(statement, {}))
        views = decode(await reach(self._transport.query(SELECT_VIEW_VERSION, {})), tuple[str])
        # In a cluster only one server was asked, and another may be new.
        if cluster or views != [(VIEW_VERSION,)]:
            await reach(self._transport.command(view_statement(cluster=cluster), {}))

    async def weak_tables(self) -> list[str]:
        """Tables that do not sync every insert to disk, though we have made them so: names."""
        return [name for (name,) in decode(await self._transport.query(SELECT_WEAK_TABLES, {}), tuple[str])]

    def columns(self) -> NativeColumns:
        """An empty batch."""
        return NativeColumns()

    async def insert(self, columns: PointColumns) -> None:
        """Store a batch, durably. Of two points of one series and time the one received last counts."""
        if not isinstance(columns, NativeColumns):
            raise TypeError("these columns are another store's")
        if not columns.count:
            return
        begun = time.perf_counter()
        block, is_distinct = await asyncio.to_thread(lambda: (columns.encode(), columns.are_distinct()))
        check = erasures.select_erasures(columns.oldest_received)
        answer = await reach(
            self._transport.insert(TABLE, block, is_distinct=is_distinct, then=check.sql, parameters=check.parameters)
        )
        for erasure in decode(answer, Erasure):
            if (erasure.tenant, bytes.fromhex(erasure.device)) in columns.devices:
                await self._erase(erasure)
        if self._on_insert is not None:
            self._on_insert(columns.count, time.perf_counter() - begun)

    async def points(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        span: Span,
        *,
        limit: int,
        descending: bool = False,
        after: PointPosition | None = None,
    ) -> list[StoredPoint]:
        """Points of one device's series in order of time, then path."""
        if len({one.device for one in series}) > 1:
            raise ValueError("points of several devices have no order that a page could end in")
        start, end = clip(span)
        if not series or start >= end:
            return []
        range_ = Range(tenant, series, start, end)
        return await self._points(queries.select_points(range_, limit=limit, descending=descending, after=after))

    async def device_points(
        self,
        tenant: TenantId,
        device: DeviceId,
        span: Span,
        *,
        prefix: str = "",
        limit: int,
        descending: bool = False,
        after: PointPosition | None = None,
    ) -> list[StoredPoint]:
        """Points of all paths of a device that begin with `prefix`; those with `$` only when the prefix has it."""
        start, end = clip(span)
        if start >= end:
            return []
        range_ = Range(tenant, (), start, end)
        return await self._points(
            queries.select_device_points(range_, device, prefix, limit=limit, descending=descending, after=after)
        )

    async def rows(
        self, tenant: TenantId, devices: Sequence[DeviceId], columns: Sequence[RowColumn], span: Span
    ) -> AsyncIterator[bytes]:
        """What these paths of these devices hold, as rows in Arrow IPC streams of some MB."""
        start, end = clip(span)
        if devices and columns and start < end:
            async for piece in read_rows(self._transport, tenant, devices, columns, start, end):
                yield piece

    async def latest(self, tenant: TenantId, series: Sequence[Series]) -> list[StoredPoint]:
        """The newest point of each series that has one, in the order asked for."""
        newest = await self._newest(tenant, series, to_millis(self._clock()), None, queries.select_newest)
        return [newest[one] for one in dict.fromkeys(series) if one in newest]

    async def buckets(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        span: Span,
        *,
        interval: Duration | None,
        time_zone: str,
        functions: Sequence[Function],
    ) -> list[Bucket]:
        """Buckets with something in them, in order of series and time. The first may begin before the span."""
        start, end = clip(span)
        series = list(dict.fromkeys(series))
        if not series or not functions or start >= end:
            return []
        buckets = grid(span, interval, time_zone)
        carried = []
        if HOLDING.intersection(functions):
            held = await self._newest(tenant, series, start, start, queries.select_newest_number)
            carried = [(to_bytes(one.device).hex(), one.path, point.number or 0.0) for one, point in held.items()]
        return await aggregate(
            self._transport,
            Range(tenant, series, start, end),
            buckets,
            functions,
            carried=carried,
            until=min(end, to_millis(self._clock())),
        )

    async def curves(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        span: Span,
        *,
        step_ms: int | None,
        function: Function | TimeAt | None,
        newest: int | None = None,
        oldest: int | None = None,
        most: int,
    ) -> list[Curve]:
        """Those of many series that have points, each as one."""
        start, end = clip(span)
        series = list(dict.fromkeys(series))
        if not series or start >= end:
            return []
        range_ = Range(tenant, series, start, end)
        if function is None:
            return await curves.read_points(self._transport, range_, newest=newest, oldest=oldest, most=most)
        buckets = grid(span, None if step_ms is None else Duration(0, 0, step_ms), "UTC")
        if not isinstance(function, TimeAt):
            return await curves.read_buckets(self._transport, range_, buckets, function, most)
        held = await self._newest(tenant, series, start, start, queries.select_newest)
        until = min(end, to_millis(self._clock()))
        return await curves.read_times_at(self._transport, range_, buckets, function, held=held, until=until, most=most)

    async def thinned(self, tenant: TenantId, series: Series, span: Span, *, most: int) -> list[StoredPoint]:
        """At most so many points with a number that keep the look of the curve, first and last among them."""
        start, end = clip(span)
        if start >= end:
            return []
        return await self._points(queries.select_thinned(Range(tenant, [series], start, end), most))

    async def statistics(self, tenant: TenantId, series: Series, span: Span) -> PointStatistics:
        """One row about a span. Deviation is that of a sample; median and 95th percentile interpolate."""
        start, end = clip(span)
        if start >= end:
            return PointStatistics(count=0)
        range_ = Range(tenant, [series], start, end)
        [row] = await rows(self._transport, queries.select_statistics(range_), _StatisticsRow)
        if not row.count:
            return PointStatistics(count=0)
        distinct: list[tuple[str, int]] = []
        if row.texts:
            frequent = queries.select_frequent_texts(range_, _DISTINCT_TEXTS)
            distinct = await rows(self._transport, frequent, tuple[str, int])
        return PointStatistics(
            count=row.count,
            min=row.min,
            max=row.max,
            avg=row.avg,
            sum=row.sum,
            stddev=row.stddev,
            median=row.median,
            p95=row.p95,
            first=row.first.point(series.device, series.path),
            last=row.last.point(series.device, series.path),
            distinct=distinct,
        )

    async def history(
        self, tenant: TenantId, devices: Sequence[DeviceId] | None, span: Span, query: HistoryQuery
    ) -> list[list[Cell]]:
        """Rows of these devices, a cell for each of the query's columns."""
        start, end = clip(span)
        return await read_history(self._transport, Range(tenant, (), start, max(start, end)), devices, query)

    async def count_history(
        self, tenant: TenantId, devices: Sequence[DeviceId] | None, span: Span, query: HistoryQuery
    ) -> int:
        """How many rows a history query has."""
        start, end = clip(span)
        return await count_history(self._transport, Range(tenant, (), start, max(start, end)), devices, query)

    async def count(self, tenant: TenantId, series: Series) -> int:
        """How many points a series has."""
        return await self._number(queries.select_count(Range(tenant, [series])))

    async def delete(self, tenant: TenantId, device: DeviceId, path: str | None, span: Span | None) -> int:
        """Delete what was received until now of a range; says how many points went.

        They are gone for every later read, also when the log delivers them once more. Disk space comes back as parts
        are merged.
        """
        start, end = clip(span or _ALL_TIME)
        if start >= end:
            return 0
        erasure = Erasure(tenant, to_bytes(device).hex(), path, start, end, to_millis(self._clock()))
        await self._command(erasure.record())
        return await self._erase(erasure)

    async def delete_before(self, tenant: TenantId, before: datetime) -> None:
        """Begin to delete what is older; the store goes on with it by itself, beside inserts and reads."""
        boundary = to_millis(max(before, EARLIEST))
        if await self._number(erasures.count_older(tenant, boundary)):
            await self._command(erasures.delete_older(tenant, boundary))

    async def sizes(self) -> StoreSizes:
        """How the points of all tenants lie on disk."""
        [row] = await rows(self._transport, queries.select_sizes(), tuple[int, int, int])
        return StoreSizes(*row)

    async def ready(self) -> None:
        """Raises `Unavailable` when the store cannot be reached or has no tables yet."""
        try:
            await self._transport.query(f"SELECT 1 FROM {queries.VIEW} LIMIT 1", {"tenant": 0})
        except StatementFailed as error:
            raise Unavailable("the telemetry store is not ready") from error

    async def close(self) -> None:
        """Let go of connections."""
        await self._transport.close()

    async def _erase(self, erasure: Erasure) -> int:
        count = await self._number(erasure.count())
        if count:
            await self._command(erasure.delete())
        return count

    async def _newest(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        reference: int,
        before: int | None,
        select: Callable[[Range], Query],
    ) -> dict[Series, StoredPoint]:
        """The newest point of each series, looked for further and further back from `reference`."""
        missing = dict.fromkeys(series)
        found: dict[Series, StoredPoint] = {}
        for distance in _LOOK_BACK:
            if not missing:
                break
            start = None if distance is None else reference - distance // timedelta(milliseconds=1)
            query = select(Range(tenant, list(missing), start, before))
            for digits, path, content in await rows(self._transport, query, tuple[str, str, ContentRow]):
                one = Series(device_of(digits), path)
                found[one] = content.point(one.device, path)
                missing.pop(one, None)
        return found

    async def _points(self, query: Query) -> list[StoredPoint]:
        return [row.point() for row in await rows(self._transport, query, PointRow)]

    async def _number(self, query: Query) -> int:
        [[number]] = await rows(self._transport, query, tuple[int])
        return number

    async def _command(self, query: Query) -> None:
        await reach(self._transport.command(query.sql, query.parameters))


class _StatisticsRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `queries.select_statistics`."""

    count: int
    texts: int
    min: float | None
    max: float | None
    avg: float | None
    sum: float | None
    stddev: float | None
    median: float | None
    p95: float | None
    first: ContentRow
    last: ContentRow


async def open_clickhouse(url: str) -> ClickHouseStore:
    """The store of a server by URL (see `Address.parse`), its tables made. Raises `Unavailable` without a server."""
    address = Address.parse(url)
    store = ClickHouseStore(HttpTransport(address))
    try:
        await store.prepare(cluster=address.cluster, replicated=address.replicated)
    except BaseException:
        await store.close()
        raise
    return store
