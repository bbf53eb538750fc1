"""Batches of points as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadstead.adapters.clickhouse import NativeColumns
from roadstead.core.messages import Reading
from roadstead.kernel.ids import TenantId

DEVICE = b"\x01" * 12


def test_what_a_batch_holds_is_counted() -> None:
    columns = NativeColumns()
    columns.add(TenantId(1), DEVICE, 2000, [Reading("a", 1, 1.0), Reading("b", 1, "x")])
    columns.add(TenantId(2), DEVICE, 1000, [Reading("a", 1, True)])

    assert columns.count == 3
    assert columns.oldest_received == 1000
    assert columns.devices == {(TenantId(1), DEVICE), (TenantId(2), DEVICE)}
    assert columns.encode() == columns.encode()


def test_a_device_that_is_none_does_not_spoil_the_batch() -> None:
    columns = NativeColumns()
    columns.add(TenantId(1), DEVICE, 1, [Reading("a", 1, 1.0)])
    good = columns.encode()
    for device in (b"", b"\x01" * 16):
        with pytest.raises(ValueError, match="12 bytes"):
            columns.add(TenantId(1), device, 1, [Reading("a", 1, 1.0)])
    assert columns.encode() == good


@given(some.lists(some.integers() | some.floats() | some.booleans() | some.text(), max_size=30))
def test_it_makes_no_difference_how_values_are_mixed(values: list[float | int | bool | str]) -> None:
    """Plain numbers take a faster way through a batch than others: both ways spell them alike."""
    together, apart = NativeColumns(), NativeColumns()
    readings = [Reading("a", 1, value) for value in values]
    together.add(TenantId(1), DEVICE, 1, readings)
    for reading in readings:
        apart.add(TenantId(1), DEVICE, 1, [reading])
        apart.encode()  # makes it spell this one by itself
    assert together.encode() == apart.encode()


@given(some.lists(some.tuples(some.sampled_from([DEVICE, bytes(12)]), some.lists(some.tuples(
    some.sampled_from("abc"), some.integers(0, 2)), max_size=4)), max_size=5))  # fmt: skip
def test_points_of_one_series_and_time_are_noticed(messages: list[tuple[bytes, list[tuple[str, int]]]]) -> None:
    columns = NativeColumns()
    keys = []
    for device, points in messages:
        columns.add(TenantId(1), device, 1, [Reading(path, at, 1.0) for path, at in points])
        keys += [(device, path, at) for path, at in points]
    assert columns.are_distinct() == (len(set(keys)) == len(keys))


def test_many_readings_are_all_there() -> None:
    columns = NativeColumns()
    for number in range(3000):
        columns.add(TenantId(1), DEVICE, 1, [Reading(f"path {number % 7}", number, float(number), '{"a": 1}' * 40)] * 3)
    assert columns.count == 9000
    assert columns.encode().count(b"path 3") == 3 * len(range(3, 3000, 7))
