"""Curves and figures: buckets, statistics, and several sensors at once."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

import msgspec

from roadstead.core.messages import ValueType
from roadstead.core.operation import operation
from roadstead.core.ports import Bucket, Function, Series, Span
from roadstead.core.telemetry import aggregation, store
from roadstead.core.telemetry.latest import read_state
from roadstead.core.telemetry.model import (
    AggregatedReadings,
    AggregateQuery,
    Channel,
    ReadingQuery,
    ReadingStatistics,
    Selection,
    SensorReading,
    check_span,
    read_point,
)
from roadstead.core.telemetry.reads import load_channel, page_readings
from roadstead.core.types import is_number
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound, RoadsteadError
from roadstead.kernel.ids import SensorId

LONGEST_STATISTICS = timedelta(days=3_660)
"""Ten years: how much time one statistic may cover."""
MOST_BATCH_ROWS = 100_000
"""Readings or buckets of one batch, all sensors together."""
_AT_ONCE = 4
"""Queries of one batch that run side by side."""


class BatchMode(StrEnum):
    """What is wanted of each sensor of a batch."""

    RAW = "raw"
    AGGREGATED = "aggregated"
    STATS = "stats"
    LATEST = "latest"


class BatchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Several sensors at once."""

    sensor_ids: Sequence[SensorId]
    mode: BatchMode
    span: Span
    limit: int
    """Of raw readings of each sensor."""
    aggregate: AggregateQuery


class BatchSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one sensor of a batch: one of these is there."""

    sensor_id: SensorId
    readings: list[SensorReading] | None = None
    aggregated: AggregatedReadings | None = None
    statistics: ReadingStatistics | None = None
    latest: SensorReading | None = None
    error: RoadsteadError | None = None


@operation(Grant.READINGS_READ)
async def aggregate_readings(work: Work, sensor_id: SensorId, query: AggregateQuery) -> AggregatedReadings:
    """Time buckets of a sensor. Raises `Invalid` for functions that do not fit its type and for too many buckets."""
    check_span(query.span)
    channel = await load_channel(work, sensor_id)
    functions = _choose_functions(channel, query)
    [found] = await _aggregate(work, [channel], query, functions)
    return found


@operation(Grant.READINGS_READ)
async def get_statistics(work: Work, sensor_id: SensorId, span: Span) -> ReadingStatistics:
    """One row about a span of at most ten years."""
    check_span(span, longest=LONGEST_STATISTICS)
    return await _summarize(work, await load_channel(work, sensor_id), span)


@operation(Grant.READINGS_READ)
async def read_batch(work: Work, query: BatchQuery) -> list[BatchSeries]:
    """The same question about several sensors, in their order. What is wrong with one of them is its `error`."""
    check_span(query.span, longest=LONGEST_STATISTICS if query.mode is BatchMode.STATS else None)
    channels = await store.select_channels(work.tx, work.tenant_id, query.sensor_ids)
    answers = await _answer(work, list(channels.values()), query)
    return [answers.get(id_) or BatchSeries(sensor_id=id_, error=_missing(channels, id_)) for id_ in query.sensor_ids]


async def _answer(work: Work, channels: list[Channel], query: BatchQuery) -> dict[SensorId, BatchSeries]:
    match query.mode:
        case BatchMode.RAW:
            return await _batch_raw(work, channels, query)
        case BatchMode.AGGREGATED:
            return await _batch_aggregated(work, channels, query.aggregate)
        case BatchMode.STATS:
            return await _batch_statistics(work, channels, query.span)
        case BatchMode.LATEST:
            return await _batch_latest(work, query.sensor_ids)


def _missing(channels: dict[SensorId, Channel], sensor_id: SensorId) -> NotFound:
    return NotFound("reading of sensor" if sensor_id in channels else "sensor", sensor_id)


async def _batch_raw(work: Work, channels: list[Channel], query: BatchQuery) -> dict[SensorId, BatchSeries]:
    if query.limit * len(query.sensor_ids) > MOST_BATCH_ROWS:
        detail = f"with {len(query.sensor_ids)} sensors may be {MOST_BATCH_ROWS // len(query.sensor_ids)} at most"
        raise Invalid.field("/limit", detail, code="range")
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(channel: Channel) -> BatchSeries:
        async with gate:
            page = await page_readings(work, {channel.path: channel}, ReadingQuery(span=query.span, limit=query.limit))
        return BatchSeries(sensor_id=channel.sensor_id, readings=page.items)

    return {series.sensor_id: series for series in await asyncio.gather(*map(read, channels))}


async def _batch_statistics(work: Work, channels: list[Channel], span: Span) -> dict[SensorId, BatchSeries]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(channel: Channel) -> BatchSeries:
        async with gate:
            statistics = await _summarize(work, channel, span)
        return BatchSeries(sensor_id=channel.sensor_id, statistics=statistics)

    return {series.sensor_id: series for series in await asyncio.gather(*map(read, channels))}


async def _batch_latest(work: Work, sensor_ids: Sequence[SensorId]) -> dict[SensorId, BatchSeries]:
    selection = Selection(sensor_ids=sensor_ids)
    stated = await store.select_states(work.tx, work.tenant_id, selection, len(sensor_ids))
    return {
        item.channel.sensor_id: BatchSeries(sensor_id=item.channel.sensor_id, latest=read_state(item))
        for item in stated
    }


async def _batch_aggregated(work: Work, channels: list[Channel], query: AggregateQuery) -> dict[SensorId, BatchSeries]:
    """Sensors that take the same functions are one query of the store."""
    answers: dict[SensorId, BatchSeries] = {}
    alike: dict[tuple[Function, ...], list[Channel]] = {}
    for channel in channels:
        try:
            alike.setdefault(tuple(_choose_functions(channel, query)), []).append(channel)
        except Invalid as error:
            answers[channel.sensor_id] = BatchSeries(sensor_id=channel.sensor_id, error=error)
    for functions, members in alike.items():
        for found in await _aggregate(work, members, query, functions):
            answers[found.sensor_id] = BatchSeries(sensor_id=found.sensor_id, aggregated=found)
    return answers


def _choose_functions(channel: Channel, query: AggregateQuery) -> list[Function]:
    aggregation.check_fill(channel.value_type, query.fill)
    return aggregation.choose_functions(channel.value_type, query.functions)


async def _aggregate(
    work: Work, channels: Sequence[Channel], query: AggregateQuery, functions: Sequence[Function]
) -> list[AggregatedReadings]:
    interval, starts = aggregation.choose_interval(query)
    if len(starts) * len(channels) > MOST_BATCH_ROWS:
        detail = f"gives more than {MOST_BATCH_ROWS} buckets, all sensors together"
        raise Invalid.field("interval", detail, code="range")
    buckets = await work.ports.telemetry.buckets(
        work.tenant_id,
        [channel.series for channel in channels],
        query.span,
        interval=aggregation.read_interval(interval),
        time_zone=query.time_zone,
        functions=functions,
    )
    found: dict[Series, list[Bucket]] = {channel.series: [] for channel in channels}
    for bucket in buckets:
        found[bucket.series].append(bucket)
    return [
        AggregatedReadings(
            sensor_id=channel.sensor_id,
            interval=interval,
            time_zone=query.time_zone,
            buckets=aggregation.complete(channel.value_type, found[channel.series], starts, functions, query.fill),
        )
        for channel in channels
    ]


async def _summarize(work: Work, channel: Channel, span: Span) -> ReadingStatistics:
    found = await work.ports.telemetry.statistics(work.tenant_id, channel.series, span)
    statistics = ReadingStatistics(
        sensor_id=channel.sensor_id,
        span=span,
        count=found.count,
        first=read_point(channel, found.first) if found.first else None,
        last=read_point(channel, found.last) if found.last else None,
    )
    if channel.value_type is ValueType.BOOLEAN:
        return msgspec.structs.replace(statistics, true_ratio=found.avg)
    if not is_number(channel.value_type):
        return msgspec.structs.replace(statistics, distinct=found.distinct)
    return msgspec.structs.replace(
        statistics,
        min=found.min,
        max=found.max,
        avg=found.avg,
        sum=found.sum,
        stddev=found.stddev,
        median=found.median,
        p95=found.p95,
    )
