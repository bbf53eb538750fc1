"""Time frames: how long they are, and what the points in one are boiled down to. Pure."""

from enum import StrEnum

import msgspec

from roadstead.core.messages import ValueType
from roadstead.core.ports import Function
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import Duration

_MINUTE = 60_000


class Aggregation(StrEnum):
    """What the points of a frame are boiled down to."""

    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    SUM = "sum"
    COUNT = "count"
    DIFF = "diff"
    """The last less the first."""
    FIRST = "first"
    LAST = "last"

    @property
    def function(self) -> Function:
        """What the store calls it."""
        return _FUNCTIONS[self]


_FUNCTIONS = {
    Aggregation.MIN: Function.MIN,
    Aggregation.MAX: Function.MAX,
    Aggregation.MEAN: Function.AVG,
    Aggregation.SUM: Function.SUM,
    Aggregation.COUNT: Function.COUNT,
    Aggregation.DIFF: Function.DELTA,
    Aggregation.FIRST: Function.FIRST,
    Aggregation.LAST: Function.LAST,
}


class FrameSize(StrEnum):
    """How long a frame is; frames begin at multiples of it in UTC."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def millis(self) -> int:
        """In ms."""
        return _MILLIS[self]

    @property
    def duration(self) -> Duration:
        """As the store takes it."""
        return Duration(months=0, days=0, millis=self.millis)


_MILLIS = {
    FrameSize.MINUTE: _MINUTE,
    FrameSize.FIVE_MINUTES: 5 * _MINUTE,
    FrameSize.QUARTER: 15 * _MINUTE,
    FrameSize.HALF_HOUR: 30 * _MINUTE,
    FrameSize.HOUR: 60 * _MINUTE,
    FrameSize.DAY: 1_440 * _MINUTE,
}


class Frames(msgspec.Struct, frozen=True):
    """How a series is boiled down."""

    aggregation: Aggregation
    size: FrameSize | None = None
    """None: the whole span is one frame."""


def fits(value_type: ValueType, aggregation: Aggregation) -> bool:
    """Whether it means something for values of a type: everything can be counted, text is no number."""
    return aggregation is Aggregation.COUNT or value_type is not ValueType.TEXT


def check_fit(value_type: ValueType, aggregation: Aggregation) -> None:
    """Raises `Invalid` when `fits` says no."""
    if not fits(value_type, aggregation):
        detail = f"'{aggregation}' is for numbers and booleans; what these are can only be counted"
        raise Invalid.field("aggregation", detail, place="query")


def frame_value(value_type: ValueType, aggregation: Aggregation, value: float | str | None) -> float | None:
    """What the store found, as a number; a boolean is 0 or 1. None when no point of the frame had a number."""
    if value is None or isinstance(value, str):
        return None
    if aggregation is Aggregation.COUNT:
        return int(value)
    if aggregation is not Aggregation.MEAN and value_type is not ValueType.DOUBLE and value.is_integer():
        return int(value)
    return value
