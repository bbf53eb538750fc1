"""A device as a whole: all its newest values at once, and their means over time."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import msgspec

from roadstead.core.messages import Value
from roadstead.core.operation import operation
from roadstead.core.ports import Function, Span
from roadstead.core.telemetry import aggregation, store
from roadstead.core.telemetry.latest import MOST_LATEST, read_state
from roadstead.core.telemetry.model import AggregateQuery, Selection, check_span
from roadstead.core.types import is_number
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId


class Snapshot(msgspec.Struct, frozen=True):
    """The newest value of each sensor of a device, by path, and when the newest of them was measured and received."""

    at: datetime
    received_at: datetime
    values: Mapping[str, Value]


class Means(msgspec.Struct, frozen=True):
    """The means of one bucket by path, of the sensors that have numbers in it."""

    start: datetime
    values: Mapping[str, float]


@operation(Grant.READINGS_READ)
async def get_snapshot(work: Work, device_id: DeviceId) -> Snapshot:
    """What a device says by now. Raises `NotFound` for one that has not said anything yet."""
    stated = await store.select_states(work.tx, work.tenant_id, Selection(device_id=device_id), MOST_LATEST)
    readings = {item.channel.path: read_state(item) for item in stated}
    if not readings:
        raise NotFound("reading of device", device_id)
    newest = max(readings.values(), key=lambda reading: reading.at)
    return Snapshot(newest.at, newest.received_at, {path: reading.value for path, reading in readings.items()})


@operation(Grant.READINGS_READ)
async def list_means(work: Work, device_id: DeviceId, span: Span, *, interval: str, most: int) -> list[Means]:
    """The means of all its sensors in the calendar buckets (UTC) of a span that have any, in order of time.

    `interval` as in `AggregateQuery`. The first and the last bucket only count what lies within the span. Raises
    `Invalid` for a span of more than `most` buckets.
    """
    check_span(span)
    _, starts = aggregation.choose_interval(AggregateQuery(span=span, interval=interval))
    if len(starts) > most:
        raise Invalid.field("to", f"gives more than {most} buckets", code="range", place="query")
    channels = await store.select_device_channels(work.tx, work.tenant_id, device_id)
    series = [channel.series for channel in channels.values() if is_number(channel.value_type)]
    if not series:
        return []
    buckets = await work.ports.telemetry.buckets(
        work.tenant_id,
        series,
        span,
        interval=aggregation.read_interval(interval),
        time_zone="UTC",
        functions=[Function.AVG],
    )
    found: defaultdict[datetime, dict[str, float]] = defaultdict(dict)
    for bucket in buckets:
        mean = bucket.values.get(Function.AVG)
        if isinstance(mean, float):
            found[bucket.start][bucket.series.path] = mean
    return [Means(start, found[start]) for start in sorted(found)]
