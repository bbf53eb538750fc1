"""History queries the slow and obvious way: what the store's SQL has to agree with."""

import math
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any, NamedTuple

from roadstead.core.history import (
    Aggregate,
    Aggregated,
    AnyOf,
    Arithmetic,
    BucketTime,
    Cast,
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
)
from roadstead.core.messages import Value
from roadstead.kernel.time import from_millis, to_millis


class Row(NamedTuple):
    """One device at one instant."""

    device: str
    at: int
    values: dict[str, Value]


def answer(rows: Sequence[Row], query: HistoryQuery) -> list[list[Any]]:
    """The page of a query."""
    found = sorted(_relevant(rows, query), key=lambda row: (row.at, row.device))
    found = [row for row in found if all(_holds(condition, row) for condition in query.where)]
    if query.is_grouped:
        groups: dict[tuple[Any, ...], list[Row]] = {} if query.group else {(): []}
        for row in found:
            groups.setdefault(tuple(_hashable(_of_row(node, row)) for node in query.group), []).append(row)
        contexts: list[Any] = list(groups.values())
    else:
        contexts = [(found, index) for index in range(len(found))]
    order = [*query.order, *(Order(node) for node in query.group)]

    def cell(node: Node, context: Any) -> Any:
        value = _of_group(node, context) if query.is_grouped else _of_place(node, *context)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def compare(left: Any, right: Any) -> int:
        for key in order:
            sign = _compare(cell(key.by, left), cell(key.by, right), key.descending)
            if sign:
                return sign
        return 0

    contexts.sort(key=cmp_to_key(compare))
    page = contexts[query.start_index : query.start_index + query.limit]
    return [[cell(node, context) for node in query.columns] for context in page]


def _relevant(rows: Sequence[Row], query: HistoryQuery) -> list[Row]:
    named = [node for node in query.nodes() if isinstance(node, Reported | Tree)]
    if not named or Tree() in named:
        return list(rows)
    return [row for row in rows if any(_touches(node, path) for node in named for path in row.values)]


def _touches(node: Reported | Tree, path: str) -> bool:
    if isinstance(node, Reported):
        return path in node.paths
    return not node.paths or any(
        path == top or path[: len(top) + 1] in {f"{top}{x}" for x in "./["} for top in node.paths
    )


def _of_row(node: Node, row: Row) -> Any:
    return _of_place(node, [row], 0)


def _of_place(node: Node, rows: Sequence[Row], index: int) -> Any:
    """Of an expression of rows, with windows."""
    row = rows[index]
    match node:
        case Reported():
            return next((row.values[path] for path in node.paths if path in row.values), None)
        case Tree():
            return Place({path: value for path, value in row.values.items() if _touches(node, path)})
        case RowField():
            return {Field.TIME: row.at, Field.DEVICE: row.device, Field.ROW: f"{row.device}{row.at}"}[node.field]
        case Windowed():
            return _window(node, rows, index)
        case _:
            return _combine(node, [_of_place(inner, rows, index) for inner in node.below])


def _of_group(node: Node, rows: Sequence[Row]) -> Any:
    if isinstance(node, Aggregated):
        return _aggregate(node.function, [_of_row(node.of, row) for row in rows])
    if isinstance(node, Reported | RowField):
        return _of_row(node, rows[0])
    return _combine(node, [_of_group(inner, rows) for inner in node.below])


def _combine(node: Node, values: list[Any]) -> Any:
    if isinstance(node, Constant):
        return node.value
    if any(value is None for value in values):
        return None
    match node:
        case Cast():
            return _cast(values[0], node.of.kind, node.to)
        case Truncated():
            return float(math.trunc(values[0])) if math.isfinite(values[0]) else values[0]
        case Arithmetic():
            return _reckon(node.step, *values)
        case BucketTime():
            return values[0] // node.size_ms * node.size_ms
        case FormatTime():
            return "".join(_spell_part(part, from_millis(values[0])) for part in node.pattern)
        case ParseTime():
            return _parse(node, values[0])
    raise TypeError(type(node))


def _reckon(step: Step, left: float, right: float) -> float | None:
    match step:
        case Step.ADD:
            return left + right
        case Step.SUBTRACT:
            return left - right
        case Step.MULTIPLY:
            return left * right
        case Step.DIVIDE:
            return left / right if right else None


def _cast(value: Any, source: Kind, to: Kind) -> Any:
    text = isinstance(value, str)
    match to:
        case Kind.NUMBER:
            return _number(value) if text else float(value)
        case Kind.TEXT:
            if source is Kind.TIME:
                return from_millis(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return _spell(value)
        case Kind.BOOLEAN:
            return {"true": True, "false": False}.get(value) if text else value != 0
        case Kind.TIME:
            if not text:
                return math.floor(value) if abs(value) < 2e12 else None
            if not re.match(r"\d{4}-\d\d-\d\d", value):
                return None
            return to_millis(datetime.fromisoformat(value).astimezone(UTC))
    raise TypeError(to)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _spell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def _spell_part(part: str | TimePart, at: datetime) -> str:
    if isinstance(part, str):
        return part
    return at.strftime(_STRFTIME[part])


_STRFTIME = {
    TimePart.YEAR: "%Y",
    TimePart.MONTH: "%m",
    TimePart.DAY: "%d",
    TimePart.HOUR: "%H",
    TimePart.MINUTE: "%M",
    TimePart.SECOND: "%S",
    TimePart.FRACTION: "%f",
}


def _parse(node: ParseTime, text: str) -> int | None:
    pattern = "".join(
        _STRFTIME[part] if isinstance(part, TimePart) else part.replace("%", "%%") for part in node.pattern
    )
    try:
        return to_millis(datetime.strptime(text, pattern).replace(tzinfo=UTC))
    except ValueError:
        return None


def _aggregate(function: Aggregate, values: Sequence[Any]) -> Any:
    there = [value for value in values if value is not None]
    if function is Aggregate.COUNT:
        return float(len(there))
    if not there:
        return None
    match function:
        case Aggregate.FIRST:
            return there[0]
        case Aggregate.LAST:
            return there[-1]
        case Aggregate.MIN:
            return min(there)
        case Aggregate.MAX:
            return max(there)
        case Aggregate.SUM:
            return sum(there)
        case Aggregate.AVG:
            return sum(there) / len(there)
        case Aggregate.STDDEV_POP:
            return statistics.pstdev(there)
        case Aggregate.VAR_POP:
            return statistics.pvariance(there)
    if len(there) < 2:
        return None
    return statistics.stdev(there) if function is Aggregate.STDDEV else statistics.variance(there)


def _window(node: Windowed, rows: Sequence[Row], index: int) -> Any:
    def key(row: Row) -> list[Any]:
        return [_hashable(_of_row(one, row)) for one in node.partition]

    members = [place for place, row in enumerate(rows) if key(row) == key(rows[index])]

    def compare(left: int, right: int) -> int:
        for order in node.order:
            values = _of_row(order.by, rows[left]), _of_row(order.by, rows[right])
            if sign := _compare(*values, order.descending):
                return sign
        return 0

    # The rows lie in order of time and device, and sorting keeps that.
    members.sort(key=cmp_to_key(compare))
    place = members.index(index)
    match node.function:
        case Ranking.ROW_NUMBER:
            return float(place + 1)
        case Ranking.RANK | Ranking.DENSE_RANK:
            before = [one for one in members if compare(one, index) < 0] if node.order else members[:place]
            distinct = sum(1 for n, one in enumerate(before) if n == 0 or not node.order or compare(before[n - 1], one))
            return float((len(before) if node.function is Ranking.RANK else distinct) + 1)
        case Shift():
            other = place - node.distance if node.function is Shift.LAG else place + node.distance
            return _of_row(node.of, rows[members[other]]) if 0 <= other < len(members) else None
        case Aggregate():
            seen = members[: place + 1] if node.order else members
            if node.function in (Aggregate.FIRST, Aggregate.LAST):
                seen = sorted(seen)
            return _aggregate(node.function, [_of_row(node.of, rows[one]) for one in seen])
    raise TypeError(node.function)


def _holds(condition: Condition, row: Row) -> bool:
    if isinstance(condition, AnyOf):
        value = _of_row(condition.of, row)
        return value is not None and value in condition.values
    left, right = _of_row(condition.left, row), _of_row(condition.right, row)
    if left is None or right is None:
        return False
    if condition.left.kind is Kind.VALUE and (isinstance(left, str) or isinstance(right, str)):
        left, right = _spell(left), _spell(right)
    return _COMPARED[condition.comparator](left, right)  # type: ignore[no-any-return]


_COMPARED: dict[Comparator, Any] = {
    Comparator.EQ: lambda left, right: left == right,
    Comparator.NE: lambda left, right: left != right,
    Comparator.LT: lambda left, right: left < right,
    Comparator.LE: lambda left, right: left <= right,
    Comparator.GT: lambda left, right: left > right,
    Comparator.GE: lambda left, right: left >= right,
}


def _hashable(value: Any) -> Any:
    """Zero and false are different values, as are one and true."""
    return (type(value) is bool, value)


def _compare(left: Any, right: Any, descending: bool) -> int:
    keys = [_sort_key(left), _sort_key(right)]
    for one, other in zip(*keys, strict=True):
        if one == other:
            continue
        if one is None or other is None:
            return 1 if one is None else -1
        return (-1 if one < other else 1) * (-1 if descending else 1)
    return 0


def _sort_key(value: Any) -> tuple[Any, Any]:
    if value is None:
        return None, None
    if isinstance(value, str):
        return None, value
    return float(value), _spell(value) if isinstance(value, bool) else ""
