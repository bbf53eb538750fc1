"""History queries: the store agrees with the slow and obvious way, whatever is asked."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.history import (
    MOST_ROWS,
    Aggregate,
    Aggregated,
    Arithmetic,
    BucketTime,
    Cell,
    Comparator,
    Condition,
    Constant,
    Field,
    FormatTime,
    HistoryQuery,
    Kind,
    Node,
    Order,
    ParseTime,
    Place,
    Ranking,
    Reported,
    RowField,
    Shift,
    Step,
    TimePart,
    Tree,
    Truncated,
    Windowed,
    aggregate_argument,
    cast,
    compare,
    is_any_of,
)
from roadstead.core.messages import Reading, Value
from roadstead.core.ports import Span
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import DeviceId, TenantId, new_id, to_bytes
from roadstead.kernel.time import from_millis
from tests.adapters.conftest import Owner
from tests.adapters.history_oracle import Row, answer

NOON = 1_700_000_000_000
ALL = Span(from_millis(NOON - 1), from_millis(NOON + 1_000_000_000))
TIME, DEVICE = RowField(Field.TIME), RowField(Field.DEVICE)
A, B = Reported(("a",)), Reported(("b", "b/c"))
STAMP = (
    *(TimePart.YEAR, "-", TimePart.MONTH, "-", TimePart.DAY, " at (", TimePart.HOUR, ":", TimePart.MINUTE, ":"),
    *(TimePart.SECOND, ".", TimePart.FRACTION, ") 100%'"),
)

values = st.one_of(
    st.integers(-8, 8).map(lambda quarters: quarters / 4),
    st.booleans(),
    st.sampled_from(["", "12.5", "true", 'it\'s \\ "odd"\n', "2024-02-29T10:00:00.250Z"]),
)


def number(node: Node) -> Node:
    return cast(node, Kind.NUMBER)


def leaves() -> st.SearchStrategy[Node]:
    return st.sampled_from([A, B])


@st.composite
def numbers(draw: st.DrawFn, depth: int = 2) -> Node:
    """Expressions of rows that are numbers."""
    choice = draw(st.integers(0, 3 if depth else 1))
    if choice == 0:
        return number(draw(leaves()))
    if choice == 1:
        return Constant(draw(st.integers(-8, 8)) / 4, Kind.NUMBER)
    if choice == 2:
        return Truncated(draw(numbers(depth - 1)))
    return Arithmetic(draw(st.sampled_from(Step)), draw(numbers(depth - 1)), draw(numbers(depth - 1)))


def keys() -> st.SearchStrategy[Node]:
    """Expressions of rows that rows can be grouped and sorted by."""
    return st.one_of(
        leaves(),
        st.sampled_from([TIME, DEVICE, BucketTime(TIME, 4_000), FormatTime(TIME, STAMP)]),
        leaves().map(lambda node: cast(node, Kind.TEXT)),
        leaves().map(lambda node: cast(node, Kind.BOOLEAN)),
        leaves().map(lambda node: cast(node, Kind.TIME)),
        st.just(ParseTime(FormatTime(TIME, STAMP), STAMP)),
        st.just(cast(TIME, Kind.TEXT)),
    )


orders = st.lists(st.builds(Order, keys(), st.booleans()), max_size=2).map(tuple)


@st.composite
def aggregates(draw: st.DrawFn) -> Node:
    function = draw(st.sampled_from(Aggregate))
    return Aggregated(function, aggregate_argument(function, draw(st.one_of(leaves(), numbers(), st.just(TIME))))) \
        if function in (Aggregate.COUNT, Aggregate.FIRST, Aggregate.LAST, Aggregate.MIN, Aggregate.MAX) \
        else Aggregated(function, draw(numbers()))  # fmt: skip


@st.composite
def windows(draw: st.DrawFn) -> Node:
    partition = tuple(draw(st.lists(keys(), max_size=1)))
    function: Any = draw(st.sampled_from([*Aggregate, *Ranking, *Shift]))
    of = draw(st.one_of(leaves(), numbers()))
    if isinstance(function, Aggregate):
        of = aggregate_argument(function, of)
    return Windowed(function, of, partition, draw(orders), draw(st.integers(0, 2)))


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    left = draw(st.one_of(leaves(), keys(), numbers()))
    comparator = draw(st.sampled_from(Comparator))
    constants = {
        Kind.NUMBER: [Constant(0.25, Kind.NUMBER), Constant(1.0, Kind.NUMBER)],
        Kind.TEXT: [Constant('it\'s \\ "odd"\n', Kind.TEXT), Constant("1", Kind.TEXT)],
        Kind.BOOLEAN: [Constant(True, Kind.BOOLEAN)],
        Kind.TIME: [Constant(NOON + 5_000, Kind.TIME), Constant(NOON + 1, Kind.TIME)],
        Kind.DEVICE: [Constant("0" * 24, Kind.DEVICE)],
    }
    if left.kind is Kind.VALUE:
        right = draw(st.one_of(leaves(), st.sampled_from(constants[Kind.NUMBER] + constants[Kind.TEXT])))
        return compare(left, comparator, right)
    if draw(st.booleans()):
        return is_any_of(left, constants[left.kind])
    return compare(left, comparator, draw(st.sampled_from(constants[left.kind])))


@st.composite
def queries(draw: st.DrawFn) -> HistoryQuery:
    where = tuple(draw(st.lists(conditions(), max_size=2)))
    start, limit = draw(st.integers(0, 3)), draw(st.sampled_from([1, 5, 50]))
    if draw(st.booleans()):
        group = tuple(draw(st.lists(keys(), max_size=2)))
        columns = (*group, *draw(st.lists(aggregates(), min_size=1, max_size=3)))
        return HistoryQuery(columns=columns, where=where, group=group, start_index=start, limit=limit)
    plain = st.one_of(numbers(), keys(), windows(), st.sampled_from([Tree(), Tree(("b",)), RowField(Field.ROW)]))
    columns = tuple(draw(st.lists(plain, min_size=1, max_size=3)))
    return HistoryQuery(columns=columns, where=where, order=draw(orders), start_index=start, limit=limit)


reports = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 12_000),
        st.dictionaries(st.sampled_from(["a", "b", "b.x", "c"]), values, min_size=1),
    ),
    max_size=12,
    unique_by=lambda report: report[:2],
)


async def write(store: ClickHouseStore, tenant: TenantId, device: DeviceId, at: int, said: dict[str, Value]) -> None:
    columns = store.columns()
    columns.add(tenant, to_bytes(device), NOON, [Reading(path, at, value) for path, value in said.items()])
    await store.insert(columns)


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, int | float) and not isinstance(found, bool):
        return bool(found == pytest.approx(expected, rel=1e-6, abs=1e-6))
    return type(found is True) is type(expected is True) and bool(found == expected)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=reports, query=queries())
async def test_any_query_is_answered_as_the_oracle_does(
    store: ClickHouseStore, said: list[tuple[int, int, dict[str, Value]]], query: HistoryQuery
) -> None:
    query.check()
    owner, devices = Owner(store), [DeviceId(new_id()), DeviceId(new_id())]
    if said:
        columns = store.columns()
        for which, at, reported in said:
            readings = [Reading(path, NOON + at, value) for path, value in reported.items()]
            columns.add(owner.id, to_bytes(devices[which]), NOON, readings)
        await store.insert(columns)
    rows = [Row(to_bytes(devices[which]).hex(), NOON + at, reported) for which, at, reported in said]

    found = await store.history(owner.id, devices, ALL, query)
    expected = answer(rows, query)

    assert len(found) == len(expected), (found, expected)
    for row, told in zip(found, expected, strict=True):
        assert all(same(cell, want) for cell, want in zip(row, told, strict=True)), (row, told)
    everything = answer(rows, msgspec.structs.replace(query, start_index=0, limit=MOST_ROWS))
    assert await store.count_history(owner.id, devices, ALL, query) == len(everything)


async def test_a_tenant_sees_its_own_rows_and_of_the_devices_and_time_that_were_asked_for(
    store: ClickHouseStore, acme: Owner, globex: Owner
) -> None:
    other = DeviceId(new_id())
    await write(store, acme.id, acme.device, NOON, {"a": 1.0, "$health/x": 5.0})
    await write(store, acme.id, other, NOON, {"a": 2.0})
    await write(store, acme.id, acme.device, NOON + 5, {"a": 3.0})
    await write(store, globex.id, globex.device, NOON, {"a": 4.0})
    query = HistoryQuery(columns=(A, Tree()))

    async def ask(owner: Owner, devices: list[DeviceId] | None, end: int) -> list[list[Cell]]:
        return await store.history(owner.id, devices, Span(from_millis(NOON), from_millis(end)), query)

    assert await ask(globex, None, NOON + 10) == [[4.0, Place({"a": 4.0})]]
    assert await ask(acme, [acme.device], NOON + 10) == [[1.0, Place({"a": 1.0})], [3.0, Place({"a": 3.0})]]
    assert await ask(acme, [acme.device], NOON + 5) == [[1.0, Place({"a": 1.0})]]
    assert sorted(row[0] for row in await ask(acme, None, NOON + 5)) == [1.0, 2.0]  # type: ignore[type-var]
    assert await ask(acme, [], NOON + 10) == []
    assert await ask(acme, None, NOON - 10) == []


async def test_a_point_that_was_written_twice_is_one_row_with_the_later_value(
    store: ClickHouseStore, acme: Owner
) -> None:
    await acme.write("a", (NOON, 1.0), received=NOON)
    await acme.write("a", (NOON, 2**60 + 1), received=NOON + 1)

    assert await store.history(acme.id, None, ALL, HistoryQuery(columns=(A,))) == [[2**60 + 1]]


async def test_expressions_within_each_other_are_spelled_up_to_a_length(store: ClickHouseStore, acme: Owner) -> None:
    await acme.write("a", (NOON, 5_000.0))
    node: Node = cast(A, Kind.TIME)
    for _ in range(5):
        node = BucketTime(node, 1_000)

    assert await store.history(acme.id, None, ALL, HistoryQuery(columns=(node,))) == [[5_000]]
    for _ in range(12):
        node = BucketTime(node, 1_000)
    with pytest.raises(TooLarge, match="too many expressions"):
        await store.history(acme.id, None, ALL, HistoryQuery(columns=(node,)))
