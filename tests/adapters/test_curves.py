"""Many series at once: as they are, boiled down, and how long each was at a value; held against plain Python."""

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from roadstead.core.messages import Reading, Value
from roadstead.core.ports import Curve, Function, Series, Span, TimeAt
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import DeviceId, new_id, to_bytes
from roadstead.kernel.time import from_millis
from tests.adapters.conftest import Owner, millis

STEP = 300_000
BEGIN = millis("2026-03-01")
END = BEGIN + 4 * STEP
NUMBERS = {BEGIN + at: value for at, value in [(0, 2.0), (1, 8.0), (STEP - 1, 5.0), (2 * STEP, -1.5), (3 * STEP, 4.0)]}

ORACLE: dict[Function, Callable[[list[float]], float]] = {
    Function.FIRST: lambda values: values[0],
    Function.LAST: lambda values: values[-1],
    Function.COUNT: len,
    Function.MIN: min,
    Function.MAX: max,
    Function.AVG: statistics.mean,
    Function.SUM: sum,
    Function.MEDIAN: statistics.median,
}


async def read(
    owner: Owner, *paths: str, begin: int = BEGIN, end: int = END, **how: Any
) -> dict[str, list[tuple[int, Any]]]:
    """Curves of an owner's device by path, each point as its time after `BEGIN` and its value."""
    asked = Span(from_millis(begin), from_millis(end))
    series = [owner.series(path) for path in paths]
    asking: dict[str, Any] = {"step_ms": STEP, "function": None, "most": 1000} | how
    found = await owner.store.curves(owner.id, series, asked, **asking)
    return {curve.series.path: _points(curve) for curve in found}


def _points(curve: Curve) -> list[tuple[int, Any]]:
    values = [
        text if number is None else number for number, text in zip(curve.numbers, curve.texts or curve.at, strict=True)
    ]
    return [(at - BEGIN, value) for at, value in zip(curve.at, values, strict=True)]


@pytest.mark.parametrize("function", list(ORACLE))
async def test_each_function_agrees_with_plain_python(acme: Owner, globex: Owner, function: Function) -> None:
    await acme.write("t", *NUMBERS.items(), (BEGIN - 1, 99.0), (END, 99.0))
    await globex.write("t", (BEGIN, 1e6))
    buckets: dict[int, list[float]] = {}
    for at, value in sorted(NUMBERS.items()):
        buckets.setdefault((at - BEGIN) // STEP * STEP, []).append(value)
    expected = [(begin, ORACLE[function](values)) for begin, values in buckets.items()]
    assert (await read(acme, "t", "none", function=function))["t"] == expected


@pytest.mark.parametrize("function", [*ORACLE, Function.STDDEV, Function.P95, None, TimeAt(8.0, "8")])
async def test_a_point_that_is_written_again_counts_once_as_received_last(
    acme: Owner, function: Function | TimeAt | None
) -> None:
    again = [(at, value * 2) for at, value in NUMBERS.items()]
    await acme.write("t", *again[:2], (BEGIN + 7, 3.0), received="2020-01-01")
    await acme.write("t", *NUMBERS.items(), received="2020-01-03")
    await acme.write("t", *again, received="2020-01-02")
    await acme.write("once", *NUMBERS.items(), (BEGIN + 7, 3.0))
    found = await read(acme, "t", "once", function=function)
    assert found["t"] == found["once"]


async def test_each_of_many_paths_has_its_own_numbers(acme: Owner, globex: Owner) -> None:
    paths = [f"path {number}" for number in range(300)]
    columns = acme.store.columns()
    readings = [Reading(path, BEGIN, float(number)) for number, path in enumerate(paths)]
    columns.add(acme.id, to_bytes(acme.device), BEGIN, readings)
    await acme.store.insert(columns)
    await globex.write(paths[0], (BEGIN, 1e6))
    found = await read(acme, *paths, function=Function.SUM)
    assert found == {path: [(0, float(number))] for number, path in enumerate(paths)}


async def test_the_deviation_of_one_point_is_none(acme: Owner) -> None:
    await acme.write("t", *NUMBERS.items())
    [(begin, deviation)] = [
        (at, value) for at, value in (await read(acme, "t", function=Function.STDDEV))["t"] if value is not None
    ]
    assert (begin, math.isclose(deviation, 3.0)) == (0, True)


async def test_points_as_they_are_can_be_the_newest_or_the_oldest_of_each_series(acme: Owner) -> None:
    await acme.write("a", *((BEGIN + number, float(number)) for number in range(5)))
    await acme.write("b", (BEGIN + 1, "on"), (BEGIN + 2, True))
    await acme.write("a", (BEGIN + 4, 40.0), received="2020-01-02")
    assert (await read(acme, "a", "b", newest=2)) == {"a": [(3, 3.0), (4, 40.0)], "b": [(1, "on"), (2, 1.0)]}
    assert (await read(acme, "a", oldest=2)) == {"a": [(0, 0.0), (1, 1.0)]}
    assert len((await read(acme, "a"))["a"]) == 5


async def test_more_points_than_are_wanted_at_most_are_too_many(acme: Owner) -> None:
    await acme.write("a", *((BEGIN + number, float(number)) for number in range(5)))
    assert len((await read(acme, "a", most=5))["a"]) == 5
    with pytest.raises(TooLarge):
        await read(acme, "a", most=4)
    with pytest.raises(TooLarge):
        await read(acme, "a", most=4, step_ms=1, function=Function.LAST)
    with pytest.raises(TooLarge):
        await read(acme, "a", most=3, function=TimeAt(1.0, "1"))


async def test_the_time_at_a_value_runs_until_another_and_from_before_the_span(acme: Owner) -> None:
    await acme.write("door", (BEGIN - 1000, "open"), (BEGIN + 100, "shut"), (BEGIN + STEP + 50, "open"))
    await acme.write("level", (BEGIN + STEP, 2.0), (BEGIN + STEP + 10, 3.0), (BEGIN + 2 * STEP, 2.0))
    await acme.write("later", (END + 1, 2.0))
    whole = float(STEP)
    found = await read(acme, "door", "level", "later", function=TimeAt(None, "open"))
    assert found["door"] == [(0, 100.0), (STEP, whole - 50), (2 * STEP, whole), (3 * STEP, whole)]
    found = await read(acme, "door", "level", "later", function=TimeAt(2.0, "2"))
    assert found["level"] == [(STEP, 10.0), (2 * STEP, whole), (3 * STEP, whole)]
    assert "later" not in found


async def test_series_of_several_devices_come_from_one_question(acme: Owner) -> None:
    device = DeviceId(new_id())
    await acme.write("t", (BEGIN, 1.0))
    columns = acme.store.columns()
    said: list[tuple[str, Value]] = [("t", 2.0), ("u", 3.0)]
    columns.add(acme.id, to_bytes(device), BEGIN, [Reading(path, BEGIN, value) for path, value in said])
    await acme.store.insert(columns)
    asked = [Series(device, "u"), acme.series("t"), acme.series("u")]
    span = Span(from_millis(BEGIN), from_millis(END))
    found = await acme.store.curves(acme.id, asked, span, step_ms=None, function=Function.SUM, most=10)
    assert sorted(found, key=lambda curve: curve.numbers[0] or 0) == [
        Curve(acme.series("t"), [BEGIN], [1.0]),
        Curve(Series(device, "u"), [BEGIN], [3.0]),
    ]
