"""History queries as statements: the one place that spells their expressions.

Nothing of a caller is ever text of a statement: what is written here are words of ours, and names of parameters.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from roadstead.adapters.clickhouse.buckets import EARLIEST, LATEST
from roadstead.adapters.clickhouse.queries import VIEW, Query, Range, instant
from roadstead.adapters.clickhouse.reader import rows
from roadstead.adapters.clickhouse.transport import Transport
from roadstead.core.history import (
    Aggregate,
    Aggregated,
    AnyOf,
    Arithmetic,
    BucketTime,
    Cast,
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
    Pattern,
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
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import DeviceId, to_bytes
from roadstead.kernel.time import to_millis

_MOST_ANSWER_BYTES = 64_000_000
_LONGEST_STATEMENT = 200_000
# Taking constants out of aggregates fails where the constant is null, as a division by zero is.
_SETTINGS = "optimize_arithmetic_operations_in_aggregate_functions = 0"

_AT = "toUnixTimestamp64Milli(at)"
_FIELDS = {
    Field.TIME: f"toNullable({_AT})",
    Field.DEVICE: "toNullable(lower(hex(device)))",
    Field.ROW: f"toNullable(concat(lower(hex(device)), toString({_AT})))",
}
_TYPES = {
    Kind.NUMBER: "Float64",
    Kind.TEXT: "String",
    Kind.BOOLEAN: "Bool",
    Kind.TIME: "Int64",
    Kind.DEVICE: "String",
}
_AGGREGATES = {
    Aggregate.AVG: "avg({0})",
    Aggregate.MIN: "min({0})",
    Aggregate.MAX: "max({0})",
    Aggregate.SUM: "sum({0})",
    Aggregate.STDDEV: "stddevSampStable({0})",
    Aggregate.STDDEV_POP: "stddevPopStable({0})",
    Aggregate.VARIANCE: "varSampStable({0})",
    Aggregate.VAR_POP: "varPopStable({0})",
}
_RANKINGS = {Ranking.ROW_NUMBER: "row_number()", Ranking.RANK: "rank()", Ranking.DENSE_RANK: "dense_rank()"}
_SHIFTS = {Shift.LAG: "lagInFrame", Shift.LEAD: "leadInFrame"}
_WHOLE = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
_RUNNING = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
_FORMATS = {
    TimePart.YEAR: "%Y",
    TimePart.MONTH: "%m",
    TimePart.DAY: "%d",
    TimePart.HOUR: "%H",
    TimePart.MINUTE: "%i",
    TimePart.SECOND: "%S",
    TimePart.FRACTION: "%f",
}
_GROUPS = {TimePart.YEAR: r"(\d{4})", TimePart.FRACTION: r"(\d{1,6})"}
_LEAST = {TimePart.MONTH: "'01'", TimePart.DAY: "'01'"}
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_NOTHING = "tuple(CAST(NULL AS Nullable(Float64)), CAST(NULL AS Nullable(String)))"


async def read_history(
    transport: Transport, range_: Range, devices: Sequence[DeviceId] | None, query: HistoryQuery
) -> list[list[Cell]]:
    """See `TelemetryStore.history`."""
    found: list[Any] = await rows(transport, select_history(range_, devices, query), list[Any])
    readers = [_READERS.get(node.kind) for node in query.columns]
    return [[_read(reader, cell) for reader, cell in zip(readers, row, strict=True)] for row in found]


async def count_history(
    transport: Transport, range_: Range, devices: Sequence[DeviceId] | None, query: HistoryQuery
) -> int:
    """See `TelemetryStore.count_history`."""
    [[count]] = await rows(transport, select_history_count(range_, devices, query), tuple[int])
    return count


def select_history(range_: Range, devices: Sequence[DeviceId] | None, query: HistoryQuery) -> Query:
    """The columns of the rows of a page. Of `range_` only tenant and time count."""
    speller = _Speller(range_, devices, query)
    columns = ", ".join(speller.cell(node) for node in query.columns)
    ties = [Order(node) for node in query.group]
    if not query.is_grouped:
        ties = [Order(RowField(Field.TIME)), Order(RowField(Field.DEVICE))]
    keys = [*query.order, *ties]
    order = f" ORDER BY {', '.join(speller.order(key) for key in keys)}" if keys else ""
    sql = f"""
        SELECT {columns} FROM {speller.rows(most=query.start_index + query.limit)}{order}
        LIMIT {{history_limit:UInt64}} OFFSET {{history_offset:UInt64}}
        SETTINGS {_SETTINGS}, max_result_bytes = {_MOST_ANSWER_BYTES}, result_overflow_mode = 'throw'
    """
    if len(sql) > _LONGEST_STATEMENT:
        raise TooLarge("the query has too many expressions within each other")
    page = {"history_limit": query.limit, "history_offset": query.start_index}
    return Query(sql, speller.parameters | page)


def select_history_count(range_: Range, devices: Sequence[DeviceId] | None, query: HistoryQuery) -> Query:
    """How many rows there are without paging."""
    speller = _Speller(range_, devices, query)
    one = "count()" if query.is_grouped and not query.group else "1"
    return Query(f"SELECT count() FROM (SELECT {one} FROM {speller.rows()}) SETTINGS {_SETTINGS}", speller.parameters)


def _is_by_time(query: HistoryQuery) -> bool:
    """Whether which rows a page has shows without looking at what is in them: then only these are put together."""
    by_time = all(order.by == RowField(Field.TIME) for order in query.order) and len(query.order) <= 1
    return by_time and not query.where and not query.is_grouped and not query.has_windows


class _Speller:
    """One statement in the making."""

    def __init__(self, range_: Range, devices: Sequence[DeviceId] | None, query: HistoryQuery) -> None:
        self.parameters: dict[str, Any] = {"tenant": range_.tenant}
        self._query = query
        self._devices = devices
        self._range = range_
        named = dict.fromkeys(node for node in query.nodes() if isinstance(node, Reported | Tree))
        self._names = {node: f"value{index}" for index, node in enumerate(named)}

    def rows(self, *, most: int | None = None) -> str:
        """The rows of the query, filtered and grouped; what follows FROM. `most`: later ones are not needed."""
        columns = "".join(f", {self._source_column(node)} AS {name}" for node, name in self._names.items())
        source = " AND ".join(self._source_conditions())
        if most is not None and _is_by_time(self._query):
            way = "DESC" if self._query.order and self._query.order[0].descending else "ASC"
            source += (
                f" AND at IN (SELECT at FROM {VIEW} WHERE {source} GROUP BY device, at"
                f" ORDER BY at {way}, device LIMIT {self._parameter(most, 'UInt64')})"
            )
        where = " AND ".join(self._condition(condition) for condition in self._query.where)
        group = ", ".join(self.spell(node) for node in self._query.group)
        return (
            f"(SELECT device, at{columns} FROM (SELECT device, path, at, number, text FROM {VIEW} WHERE {source}"
            " ORDER BY device, path, at, received DESC LIMIT 1 BY device, path, at) GROUP BY device, at)"
            f"{f' WHERE {where}' if where else ''}{f' GROUP BY {group}' if group else ''}"
        )

    def cell(self, node: Node) -> str:
        """An expression as it is answered: JSON has no infinity."""
        spelled = self.spell(node)
        return f"if(isFinite({spelled}), {spelled}, NULL)" if node.kind is Kind.NUMBER else spelled

    def order(self, order: Order) -> str:
        """A sort key; of reported values numbers come first."""
        way = "DESC NULLS LAST" if order.descending else "ASC NULLS LAST"
        if order.by.kind is not Kind.VALUE:
            return f"{self.cell(order.by)} {way}"
        spelled = self.spell(order.by)
        return f"({spelled}).1 {way}, ({spelled}).2 {way}"

    def spell(self, node: Node) -> str:
        """An expression, nullable; of kind VALUE a tuple of number and text, of kind TREE an array."""
        match node:
            case Reported() | Tree():
                return self._names[node]
            case RowField():
                return _FIELDS[node.field]
            case Constant():
                return f"toNullable({self._constant(node.value, node.of)})"
            case Cast():
                return self._cast(node)
            case Truncated():
                return f"trunc({self.spell(node.of)})"
            case Arithmetic():
                return self._arithmetic(node)
            case BucketTime():
                size = self._parameter(node.size_ms, "Int64")
                moment = self.spell(node.of)
                return f"({moment} - positiveModulo({moment}, {size}))"
            case FormatTime():
                pattern = "".join(_format(part) for part in node.pattern)
                moment = f"fromUnixTimestamp64Milli({self.spell(node.of)}, 'UTC')"
                return f"formatDateTime({moment}, {self._parameter(pattern, 'String')}, 'UTC')"
            case ParseTime():
                return self._parse(node)
            case Aggregated():
                return self._aggregate(node.function, node.of)
            case Windowed():
                return self._window(node)
            case _:
                raise TypeError(f"{type(node).__name__} has no spelling")

    # --- where the rows come from ------------------------------------------------------------------------------------

    def _source_conditions(self) -> list[str]:
        where = ["NOT startsWith(path, '$')"]
        if self._devices is not None:
            digits = self._parameter(sorted(to_bytes(device).hex() for device in self._devices), "Array(String)")
            where.append(f"device IN (SELECT toFixedString(unhex(id), 12) FROM (SELECT arrayJoin({digits}) AS id))")
        if self._names and Tree() not in self._names:
            exact = sorted({path for node in self._names if isinstance(node, Reported) for path in node.paths})
            trees = [self._is_below(node) for node in self._names if isinstance(node, Tree)]
            known = f"path IN (SELECT arrayJoin({self._parameter(exact, 'Array(String)')}))"
            where.append(f"({' OR '.join([known, *trees])})")
        if self._range.start is not None:
            where.append(f"at >= {instant('start')}")
            self.parameters["start"] = self._range.start
        if self._range.end is not None:
            where.append(f"at < {instant('stop')}")
            self.parameters["stop"] = self._range.end
        return where

    def _source_column(self, node: Node) -> str:
        if isinstance(node, Reported):
            return f"anyIf(tuple(number, toNullable(text)), has({self._parameter(node.paths, 'Array(String)')}, path))"
        assert isinstance(node, Tree)
        return f"arraySort(groupArrayIf(tuple(path, number, text), {self._is_below(node)}))"

    def _is_below(self, tree: Tree) -> str:
        if not tree.paths:
            return "true"
        paths = self._parameter(tree.paths, "Array(String)")
        marks = " OR ".join(f"startsWith(path, concat(top, '{mark}'))" for mark in "./[")
        return f"arrayExists(top -> path = top OR {marks}, {paths})"

    # --- expressions -------------------------------------------------------------------------------------------------

    def _condition(self, condition: Condition) -> str:
        if isinstance(condition, AnyOf):
            kind = condition.of.kind
            items = [int(value) if isinstance(value, bool) else value for value in condition.values]
            values = self._parameter(items, f"Array({_TYPES[kind]})")
            return f"ifNull(has({values}, {self.spell(condition.of)}), false)"
        left, right = self.spell(condition.left), self.spell(condition.right)
        way = _COMPARATORS[condition.comparator]
        if condition.left.kind is not Kind.VALUE:
            return f"ifNull({left} {way} {right}, false)"
        numbers = f"({left}).1 IS NOT NULL AND ({right}).1 IS NOT NULL"
        texts = f"{_text_of(left)} {way} {_text_of(right)}"
        return f"ifNull(if({numbers}, ({left}).1 {way} ({right}).1, {texts}), false)"

    def _cast(self, node: Cast) -> str:
        spelled = self.spell(node.of)
        source = node.of.kind
        match node.to:
            case Kind.NUMBER:
                return _NUMBERS[source](spelled)
            case Kind.TEXT:
                return _TEXTS[source](spelled)
            case Kind.BOOLEAN:
                return _BOOLEANS[source](spelled)
            case Kind.TIME:
                return self._time(spelled, source)
            case _:
                raise TypeError(f"nothing is cast to {node.to}")

    def _time(self, spelled: str, source: Kind) -> str:
        if source is Kind.VALUE:
            number, text = f"({spelled}).1", f"({spelled}).2"
            return f"if({number} IS NULL, {self._time(text, Kind.TEXT)}, {self._time(number, Kind.NUMBER)})"
        low, high = to_millis(EARLIEST), to_millis(LATEST)
        if source is Kind.NUMBER:
            return f"if({spelled} BETWEEN {low} AND {high}, accurateCastOrNull(floor({spelled}), 'Int64'), NULL)"
        iso = self._parameter(_ISO, "String")
        parsed = f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({spelled}, 3, 'UTC'))"
        return f"if(match({spelled}, {iso}), {parsed}, NULL)"

    def _arithmetic(self, node: Arithmetic) -> str:
        left, right = self.spell(node.left), self.spell(node.right)
        if node.step is Step.DIVIDE:
            right = f"nullIf({right}, 0)"
        return f"({left} {node.step.value} {right})"

    def _parse(self, node: ParseTime) -> str:
        parts = [part for part in node.pattern if isinstance(part, TimePart)]
        place = {part: f"found[{index}]" for index, part in enumerate(parts, 1)}
        year, month, day, hour, minute, second = (
            place.get(part, _LEAST.get(part, "'00'")) for part in TimePart if part is not TimePart.FRACTION
        )
        spelled = f"concat({year}, '-', {month}, '-', {day}, ' ', {hour}, ':', {minute}, ':', {second})"
        moment = f"toInt64(toUnixTimestamp(parseDateTimeInJodaSyntaxOrNull({spelled}, 'yyyy-MM-dd HH:mm:ss', 'UTC')))"
        if TimePart.FRACTION in place:
            millis = f"toInt64OrZero(substring(rightPad({place[TimePart.FRACTION]}, 3, '0'), 1, 3))"
        else:
            millis = "0"
        expression = self._parameter(_regex(node.pattern), "String")
        groups = f"extractGroups(ifNull({self.spell(node.of)}, ''), {expression})"
        return f"arrayMap(found -> {moment} * 1000 + {millis}, [{groups}])[1]"

    def _aggregate(self, function: Aggregate, of: Node) -> str:
        spelled = self.spell(of)
        there = f"({spelled}).2 IS NOT NULL" if of.kind is Kind.VALUE else f"{spelled} IS NOT NULL"
        if function is Aggregate.COUNT:
            return f"toNullable(toFloat64(countIf({there})))"
        if function in (Aggregate.FIRST, Aggregate.LAST):
            pick = "argMinIf" if function is Aggregate.FIRST else "argMaxIf"
            return f"({pick}(tuple({spelled}), tuple(at, device), {there})).1"
        return _AGGREGATES[function].format(spelled)

    def _window(self, node: Windowed) -> str:
        partition = ", ".join(self.spell(one) for one in node.partition)
        keys = [self.order(order) for order in node.order]
        # Ranks are about what is equal; all else must not depend on how equal rows happen to lie.
        if node.function not in (Ranking.RANK, Ranking.DENSE_RANK) or not keys:
            keys += ["at ASC", "device ASC"]
        is_whole = isinstance(node.function, Shift) or (isinstance(node.function, Aggregate) and not node.order)
        frame = "" if isinstance(node.function, Ranking) else f" {_WHOLE if is_whole else _RUNNING}"
        over = f"OVER ({f'PARTITION BY {partition} ' if partition else ''}ORDER BY {', '.join(keys)}{frame})"
        match node.function:
            case Ranking():
                return f"toNullable(toFloat64({_RANKINGS[node.function]} {over}))"
            case Shift():
                distance = self._parameter(node.distance, "Int64")
                return f"{_SHIFTS[node.function]}({self.spell(node.of)}, {distance}) {over}"
            case Aggregate():
                return self._aggregate_over(node.function, node.of, over)
            case _:
                assert_never(node.function)

    def _aggregate_over(self, function: Aggregate, of: Node, over: str) -> str:
        spelled = self.spell(of)
        there = f"({spelled}).2 IS NOT NULL" if of.kind is Kind.VALUE else f"{spelled} IS NOT NULL"
        if function is Aggregate.COUNT:
            return f"toNullable(toFloat64(countIf({there}) {over}))"
        if function in (Aggregate.FIRST, Aggregate.LAST):
            pick = "argMinIf" if function is Aggregate.FIRST else "argMaxIf"
            return f"({pick}(tuple({spelled}), tuple(at, device), {there}) {over}).1"
        return f"{_AGGREGATES[function].format(spelled)} {over}"

    def _constant(self, value: float | str | bool, kind: Kind) -> str:
        if isinstance(value, bool):
            return self._parameter(int(value), _TYPES[kind])
        return self._parameter(repr(value) if isinstance(value, float) else value, _TYPES[kind])

    def _parameter(self, value: Any, type_: str) -> str:
        name = f"history{len(self.parameters)}"
        self.parameters[name] = list(value) if isinstance(value, tuple) else value
        return f"{{{name}:{type_}}}"


_COMPARATORS = {
    Comparator.EQ: "=",
    Comparator.NE: "!=",
    Comparator.LT: "<",
    Comparator.LE: "<=",
    Comparator.GT: ">",
    Comparator.GE: ">=",
}


def _text_of(value: str) -> str:
    return f"if(({value}).1 IS NULL OR ({value}).2 != '', ({value}).2, toString(({value}).1))"


def _boolean_of_text(text: str) -> str:
    return f"multiIf({text} = 'true', toNullable(true), {text} = 'false', toNullable(false), NULL)"


_Spell = Callable[[str], str]
_NUMBERS: dict[Kind, _Spell] = {
    Kind.VALUE: lambda value: f"if(({value}).1 IS NULL, toFloat64OrNull(({value}).2), ({value}).1)",
    Kind.TEXT: lambda text: f"toFloat64OrNull({text})",
    Kind.BOOLEAN: lambda boolean: f"toFloat64({boolean})",
    Kind.TIME: lambda time: f"toFloat64({time})",
}
_TEXTS: dict[Kind, _Spell] = {
    Kind.VALUE: _text_of,
    Kind.NUMBER: lambda number: f"toString({number})",
    Kind.BOOLEAN: lambda boolean: f"toString({boolean})",
    Kind.TIME: lambda time: (
        f"concat(formatDateTime(fromUnixTimestamp64Milli({time}, 'UTC'), '%Y-%m-%dT%H:%i:%S', 'UTC'), '.',"
        f" leftPad(toString(positiveModulo({time}, 1000)), 3, '0'), 'Z')"
    ),
}
_BOOLEANS: dict[Kind, _Spell] = {
    Kind.VALUE: lambda value: f"if(({value}).1 IS NULL, {_boolean_of_text(f'({value}).2')}, ({value}).1 != 0)",
    Kind.NUMBER: lambda number: f"({number} != 0)",
    Kind.TEXT: _boolean_of_text,
}


def _format(part: str | TimePart) -> str:
    return _FORMATS[part] if isinstance(part, TimePart) else part.replace("%", "%%")


def _regex(pattern: Pattern) -> str:
    return (
        "^"
        + "".join(_GROUPS.get(part, r"(\d{2})") if isinstance(part, TimePart) else re.escape(part) for part in pattern)
        + "$"
    )


def _read(reader: Callable[[Any], Cell] | None, cell: Any) -> Cell:
    return cell if reader is None or cell is None else reader(cell)


def _value(cell: tuple[float | None, str | None]) -> Cell:
    number, text = cell
    if number is None:
        return text
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text else number


def _tree(cells: Sequence[tuple[str, float | None, str]]) -> Place:
    values = {path: _value((number, text)) for path, number, text in cells}
    return Place(values)  # type: ignore[arg-type]


_READERS: dict[Kind, Callable[[Any], Cell]] = {Kind.VALUE: _value, Kind.TREE: _tree, Kind.BOOLEAN: bool}
