"""What frames are made of: which aggregations fit, and what the store's findings are told as."""

import pytest

from roadstead.core.messages import ValueType
from roadstead.core.timeseries.frames import Aggregation, FrameSize, check_fit, fits, frame_value
from roadstead.kernel.errors import Invalid


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_everything_can_be_counted_and_numbers_and_booleans_boiled_down(aggregation: Aggregation) -> None:
    assert all(fits(value_type, Aggregation.COUNT) for value_type in ValueType)
    assert all(fits(value_type, aggregation) for value_type in ValueType if value_type is not ValueType.TEXT)
    if aggregation is not Aggregation.COUNT:
        with pytest.raises(Invalid, match="can only be counted"):
            check_fit(ValueType.TEXT, aggregation)


@pytest.mark.parametrize(
    ("value_type", "aggregation", "found", "told"),
    [
        (ValueType.DOUBLE, Aggregation.MAX, 3.0, 3.0),
        (ValueType.BIGINT, Aggregation.MAX, 3.0, 3),
        (ValueType.BIGINT, Aggregation.MEAN, 3.0, 3.0),
        (ValueType.BOOLEAN, Aggregation.LAST, 1.0, 1),
        (ValueType.BOOLEAN, Aggregation.MEAN, 0.5, 0.5),
        (ValueType.TEXT, Aggregation.COUNT, 7, 7),
        (ValueType.DOUBLE, Aggregation.LAST, "a word from before it was a number", None),
        (ValueType.DOUBLE, Aggregation.MIN, None, None),
    ],
)
def test_a_frame_is_told_as_a_number_of_the_type_of_its_series(
    value_type: ValueType, aggregation: Aggregation, found: float | str | None, told: float | None
) -> None:
    value = frame_value(value_type, aggregation, found)

    assert (value, type(value)) == (told, type(told))


def test_frames_are_as_long_as_they_are_called() -> None:
    minutes = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "1d": 1_440}

    assert {str(size): size.millis // 60_000 for size in FrameSize} == minutes
    assert all(not size.duration.is_calendar for size in FrameSize)
