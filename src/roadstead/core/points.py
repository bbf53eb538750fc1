"""Points of the telemetry store, one by one and boiled down, and how they are asked for."""

from datetime import datetime
from enum import StrEnum

import msgspec

from roadstead.core.messages import ValueType
from roadstead.kernel.ids import DeviceId


class Series(msgspec.Struct, frozen=True):
    """One channel of one device."""

    device: DeviceId
    path: str


class Span(msgspec.Struct, frozen=True):
    """A range of time, `start` inclusive, `end` exclusive, both UTC."""

    start: datetime
    end: datetime


class StoredPoint(msgspec.Struct, frozen=True, gc=False):
    """One point as it lies in the store.

    A number has `number` and no `text`. A boolean has 0 or 1 and `true` or `false`. An integer that a float cannot hold
    has its digits in `text` besides. Text has `number` None.
    """

    device: DeviceId
    path: str
    at: int
    number: float | None
    text: str
    meta: str
    received: int


class RowColumn(msgspec.Struct, frozen=True):
    """One path of a device as a column of rows."""

    path: str
    name: str
    """What metadata calls it."""
    value_type: ValueType


class PointPosition(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of points ended: the next one starts after this."""

    at: int
    path: str


class Function(StrEnum):
    """What a bucket of points can be boiled down to. Spelled as in the native contract (`reading.aggregated`)."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"
    STDDEV = "stddev"
    MEDIAN = "median"
    P95 = "p95"
    RATE = "rate"
    DELTA = "delta"
    TIME_WEIGHTED_AVG = "timeWeightedAvg"
    MODE = "mode"
    DURATION_TRUE = "durationTrue"


class Bucket(msgspec.Struct, frozen=True):
    """One time bucket of one series; `values` holds what was asked for: numbers, or text (first, last, mode)."""

    series: Series
    start: datetime
    values: dict[Function, float | str | None]


class TimeAt(msgspec.Struct, frozen=True):
    """A value, and instead of a function: how many ms of a bucket a series has held it, each point until the next."""

    number: float | None
    """None: it is no number, and only text can be it."""
    text: str


class Curve(msgspec.Struct, frozen=True):
    """One series with its points in order of time, in columns: there may be very many."""

    series: Series
    at: list[int]
    """In ms since 1970."""
    numbers: list[float | None]
    """As in `StoredPoint`."""
    texts: list[str] = []
    """The same; empty where everything was boiled down to numbers."""


class PointStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One series over a span, boiled down to a row. Number columns are None when no point has a number."""

    count: int
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    sum: float | None = None
    stddev: float | None = None
    median: float | None = None
    p95: float | None = None
    first: StoredPoint | None = None
    last: StoredPoint | None = None
    distinct: list[tuple[str, int]] = []
    """The 20 most frequent texts with their counts."""
