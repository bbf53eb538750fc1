"""What a sensor has reported, in the type it has; and what can be asked about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from roadstead.core.messages import Value, ValueType
from roadstead.core.ports import Function, Series, Span, StoredPoint
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId
from roadstead.kernel.time import from_millis

SOURCE = "source"
"""What of the metadata of a reading says who wrote it, when that was not the device itself."""


class Channel(msgspec.Struct, frozen=True):
    """Where the readings of a sensor lie, and of which type they are."""

    sensor_id: SensorId
    device_id: DeviceId
    component_id: ComponentId | None
    key: str
    path: str
    value_type: ValueType

    @property
    def series(self) -> Series:
        """Its series in the telemetry store."""
        return Series(self.device_id, self.path)


class SensorReading(msgspec.Struct, frozen=True):
    """One value of a sensor."""

    sensor_id: SensorId
    at: datetime
    value: Value
    value_type: ValueType
    metadata: dict[str, Any] | None
    received_at: datetime


class ReadingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which slice of raw readings is wanted."""

    span: Span
    limit: int = 1_000
    descending: bool = False
    cursor: str | None = None


class Fill(StrEnum):
    """What stands in a bucket without readings."""

    NONE = "none"
    """The bucket is left out."""
    NULL = "null"
    PREVIOUS = "previous"
    LINEAR = "linear"
    ZERO = "zero"


class AggregateQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which buckets are wanted."""

    span: Span
    interval: str
    """ISO 8601 duration, or `auto`."""
    functions: Sequence[Function] | None = None
    """None: what is usual for the type of the sensor."""
    max_points: int | None = None
    """For `auto`: at most so many buckets; 500 when None."""
    fill: Fill = Fill.NONE
    time_zone: str = "UTC"


class AggregatedBucket(msgspec.Struct, frozen=True):
    """One bucket; a value that is None was filled in as null, or no reading of the bucket had a number."""

    start: datetime
    values: Mapping[Function, Value | None]


class AggregatedReadings(msgspec.Struct, frozen=True):
    """The buckets of one sensor."""

    sensor_id: SensorId
    interval: str
    time_zone: str
    buckets: list[AggregatedBucket]


class ReadingStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor over a span. Number columns are None unless the sensor holds numbers and has some."""

    sensor_id: SensorId
    span: Span
    count: int
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    sum: float | None = None
    stddev: float | None = None
    median: float | None = None
    p95: float | None = None
    first: SensorReading | None = None
    last: SensorReading | None = None
    true_ratio: float | None = None
    distinct: list[tuple[str, int]] | None = None


class Stage(StrEnum):
    """How far a message has come: what was said can be read there."""

    STORE = "store"
    """The telemetry store, and with it the history."""
    STATE = "state"
    """The newest values, and what is found by them."""


class ComponentRow(msgspec.Struct, frozen=True):
    """What the sensors of a component reported at one instant, by key."""

    at: datetime
    values: dict[str, Value]


class ComponentRows(msgspec.Struct, frozen=True):
    """A page of rows, with the keys that can be in them in order."""

    keys: list[str]
    rows: list[ComponentRow]
    next_cursor: str | None


class PurgedRange(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log says about readings that were deleted."""

    start: datetime
    end: datetime
    readings: int


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which sensors are meant: all conditions that are given hold."""

    sensor_ids: Sequence[SensorId] = ()
    """Empty: any."""
    device_id: DeviceId | None = None
    component_id: ComponentId | None = None
    site_id: SiteId | None = None
    """Devices of the site and of the sites below it."""

    @property
    def is_empty(self) -> bool:
        """Whether it would mean everything."""
        return not (self.sensor_ids or self.device_id or self.component_id or self.site_id)


def read_point(channel: Channel, point: StoredPoint) -> SensorReading:
    """A stored point as a reading of its sensor."""
    return SensorReading(
        sensor_id=channel.sensor_id,
        at=from_millis(point.at),
        value=value_of(channel.value_type, point.number, point.text),
        value_type=channel.value_type,
        metadata=read_metadata(point.meta),
        received_at=from_millis(point.received),
    )


def value_of(value_type: ValueType, number: float | None, text: str) -> Value:
    """A stored value in the type of its sensor, exactly.

    A point from before a sensor of another type had this path is told as it lies there.
    """
    if value_type is ValueType.TEXT or number is None:
        return text
    if value_type is ValueType.BOOLEAN:
        return number != 0
    if value_type is ValueType.BIGINT and number.is_integer():
        return int(text) if text else int(number)
    return number


def read_metadata(meta: str) -> dict[str, Any] | None:
    """The JSON object that came with a reading, if any."""
    return msgspec.json.decode(meta, type=dict[str, Any]) if meta else None


def check_span(span: Span, *, longest: timedelta | None = None) -> None:
    """Raises `Invalid` that names the parameter when the span is empty, or longer than it may be."""
    if span.start >= span.end:
        raise Invalid.field("from", "must be before 'to'", code="range", place="query")
    if longest is not None and span.end - span.start > longest:
        raise Invalid.field("from", f"may be at most {longest.days} days before 'to'", code="range", place="query")
