"""The language of history queries (contract section 5): what is read of it, as expressions of the core.

A path is `$id`, `$time`, `$deviceId`, `$data`, or a place in the data: `foo/bar`; `$data/foo/bar` is it as text.
Functions are an allow-list; what is not known is refused by its name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from roadstead.core import types
from roadstead.core.history import (
    MOST_ROWS,
    Aggregate,
    Aggregated,
    Arithmetic,
    BucketTime,
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
    expect,
    is_any_of,
)
from roadstead.core.ports import Span
from roadstead.core.types import Section
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import parse_base62, to_bytes
from roadstead.kernel.time import from_millis, parse_instant

_MOST_PATHS = 50
_MOST_CONDITIONS = 50
_MOST_VALUES = 1_000
_MOST_DEPTH = 5
_MOST_ARGUMENTS = 10
_MOST_MILLIS = 10_000_000_000_000
_MOST_START = 2_147_483_647
_USUAL_BUCKET_MS = 900_000
_ITSELF = "@COLUMN()"
_FIELDS: dict[str, Node] = {
    "$id": RowField(Field.ROW),
    "$time": RowField(Field.TIME),
    "$deviceId": RowField(Field.DEVICE),
    "$data": Tree(),
}
_USUAL = ("$id", "$time", "$deviceId", "$data")
_WORDS = {f"@{part.value}()": part for part in TimePart}
_WORD = re.compile(r"(@[A-Za-z_]+\(\))")
_COMPARATORS = {comparator.value: comparator for comparator in Comparator}
_CASTS: dict[str, Callable[[Node], Node]] = {
    "boolean": lambda node: cast(node, Kind.BOOLEAN),
    "integer": lambda node: Truncated(cast(node, Kind.NUMBER)),
    "float": lambda node: cast(node, Kind.NUMBER),
    "string": lambda node: node if node.kind is Kind.DEVICE else cast(node, Kind.TEXT),
    "time": lambda node: cast(node, Kind.TIME),
    "msTime": lambda node: cast(cast(node, Kind.TIME), Kind.NUMBER),
    "object": lambda node: _as_object(node),  # noqa: PLW0108 - made further down
}
_AGGREGATES = {aggregate.value: aggregate for aggregate in Aggregate} | {
    "STDDEV_SAMP": Aggregate.STDDEV,
    "VAR_SAMP": Aggregate.VARIANCE,
}
_RANKINGS = {ranking.value: ranking for ranking in Ranking}
_SHIFTS = {shift.value: shift for shift in Shift}
_STEPS = {step.value: step for step in Step}


class QueryBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`HistoryQuery` as it was sent."""

    start: str | int | float
    end: str | int | float | None = None
    paths: list[Any] | None = None
    attributes: list[Any] | None = None
    where: list[Any] | None = None
    group: list[Any] | None = None
    order: list[Any] | None = None
    start_index: int | None = None
    per_page: int | None = None

    def span(self, now: datetime) -> Span:
        """From `start` to before `end`; without an end, up to now. Raises `Invalid`."""
        end = from_millis(int(now.timestamp() * 1000) + 1) if self.end is None else read_instant(self.end, "end")
        return Span(read_instant(self.start, "start"), end)

    def page(self, usual: int) -> tuple[int, int]:
        """Where the page begins, and how many are on it. Raises `Invalid`."""
        start = self.start_index or 0
        if not 0 <= start <= _MOST_START:
            raise Invalid.field("startIndex", f"is a number from 0 to {_MOST_START}")
        if self.per_page is None:
            return start, usual
        if not 1 <= self.per_page <= MOST_ROWS:
            raise Invalid.field("perPage", f"is a number from 1 to {MOST_ROWS}")
        return start, self.per_page


class Question(msgspec.Struct, frozen=True):
    """A query that was read: what its columns are called, and how each is to be spelled."""

    names: tuple[str, ...]
    query: HistoryQuery


def read_query(body: QueryBody) -> Question:
    """What is asked. Raises `Invalid` that names the field and what is not known of it."""
    paths = body.paths if body.paths is not None else body.attributes
    columns = _read_columns(list(_USUAL) if paths is None else paths)
    start, limit = body.page(0)
    query = HistoryQuery(
        columns=tuple(columns.values()),
        where=tuple(_read_condition(one, index) for index, one in enumerate(_some("where", _clauses(body.where)))),
        group=tuple(_read_group(one, columns) for one in _some("group", body.group)),
        order=tuple(_read_order(one, columns, "order") for one in _some("order", body.order)),
        start_index=start,
        limit=limit,
    )
    query.check()
    return Question(tuple(columns), query)


def read_instant(value: str | float, name: str) -> datetime:
    """Text with or without an offset (then UTC), or milliseconds. Raises `Invalid`."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value):
        value = int(value)
    if isinstance(value, str):
        found = parse_instant(value) or _parse_local(value)
    else:
        found = from_millis(int(value)) if 0 <= value <= _MOST_MILLIS else None
    if found is None:
        raise Invalid.field(name, "is neither an ISO time nor milliseconds since 1970")
    return found


def spell_time(instant: datetime) -> str:
    """As rows have it: ISO in UTC, always with milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse_local(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


# --- columns ---------------------------------------------------------------------------------------------------------


def _read_columns(paths: Sequence[Any]) -> dict[str, Node]:
    if not 1 <= len(paths) <= _MOST_PATHS:
        raise Invalid.field("paths", f"takes 1 to {_MOST_PATHS} paths")
    columns: dict[str, Node] = {}
    for index, path in enumerate(paths):
        alias, node = _read_column(path, f"paths[{index}]")
        if alias in columns:
            raise Invalid.field(f"paths[{index}]", f"there are two columns called '{alias}': give an alias")
        columns[alias] = node
    return columns


def _read_column(path: Any, name: str) -> tuple[str, Node]:
    if isinstance(path, str):
        return _last_segment(path), _read_path(path, name)
    if not isinstance(path, list) or not 1 <= len(path) <= 4 or not isinstance(path[0], str):
        raise Invalid.field(name, "is a path, or [path, alias, function, cast]")
    accessor, alias, function, kind = [*path, None, None, None][:4]
    if alias is not None and not (isinstance(alias, str) and 1 <= len(alias) <= 200):
        raise Invalid.field(name, "the alias is text of 1 to 200 characters")
    node = _read_path(accessor, name)
    if function is not None:
        node = _read_function(function, node, f"{name}/function", 0)
    if kind is not None:
        node = _read_cast(kind, node, name)
    return alias or _last_segment(accessor), node


def _last_segment(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _read_path(path: Any, name: str) -> Node:
    """What a path of the language names."""
    if not isinstance(path, str) or not path.strip("/") or len(path) > 500 or "\0" in path:
        raise Invalid.field(name, f"{path!r} is no path")
    if path in _FIELDS:
        return _FIELDS[path]
    if path.startswith("$data/"):
        return cast(_read_data_path(path.removeprefix("$data/")), Kind.TEXT)
    if path.startswith("$"):
        raise Invalid.field(name, f"there is no column '{path}'")
    return _read_data_path(path)


def _read_data_path(path: str) -> Reported:
    known = types.join_path(Section.ATTRIBUTES, [step for step in path.split("/") if step])
    return Reported(tuple(types.spellings(known)))


def _read_cast(kind: Any, node: Node, name: str) -> Node:
    if not isinstance(kind, str) or kind not in _CASTS:
        raise Invalid.field(name, f"there is no cast '{kind}'")
    try:
        return _CASTS[kind](node)
    except Invalid as error:
        raise Invalid.field(name, f"cannot be cast to '{kind}': {error}") from error


def _as_object(node: Node) -> Node:
    if isinstance(node, Reported):
        return Tree(node.paths)
    if node.kind is Kind.TREE:
        return node
    raise Invalid.field("paths", f"a {node.kind} is no object")


# --- functions -------------------------------------------------------------------------------------------------------


def _read_function(function: Any, itself: Node, name: str, depth: int) -> Node:
    if depth > _MOST_DEPTH:
        raise Invalid.field(name, f"is nested deeper than {_MOST_DEPTH}")
    if not isinstance(function, Mapping) or not isinstance(function.get("function"), str):
        raise Invalid.field(name, "is an object with a function's name")
    word: str = function["function"].upper()
    given = function.get("args", function.get("arguments"))
    arguments = [] if given is None else given if isinstance(given, list) else [given]
    if len(arguments) > _MOST_ARGUMENTS:
        raise Invalid.field(name, f"takes at most {_MOST_ARGUMENTS} arguments")

    def read(index: int, argument: Any) -> Node:
        return _read_argument(argument, itself, f"{name}/args[{index}]", depth)

    is_window = _is_window(function, word, name)
    if is_window:
        return _read_window(function, word, arguments, itself, name, read)
    if word in _STEPS:
        return _read_arithmetic(_STEPS[word], [read(*pair) for pair in enumerate(arguments)], itself, name)
    if word in _AGGREGATES:
        _at_most(arguments, 1, name, word)
        of = read(0, arguments[0]) if arguments else itself
        return Aggregated(_AGGREGATES[word], aggregate_argument(_AGGREGATES[word], of))
    if word not in ("BUCKET_TIME", "UNIX_MILLIS", "DATE_FORMAT", "STR_TO_DATE"):
        raise Invalid.field(name, f"there is no function '{function['function']}'")
    return _read_time_function(word, arguments, itself, name, read)


_Read = Callable[[int, Any], Node]


def _read_time_function(word: str, arguments: Sequence[Any], itself: Node, name: str, read: _Read) -> Node:
    """The functions of times: what they are about comes first, and is the column where it is left out."""
    if word == "UNIX_MILLIS":
        _at_most(arguments, 1, name, word)
        moment = read(0, arguments[0]) if arguments else itself
        return cast(expect(moment, Kind.TIME, word), Kind.NUMBER)
    _at_most(arguments, 2, name, word)
    is_about_itself = len(arguments) < 2 and not (arguments and word == "BUCKET_TIME" and _is_expression(arguments[0]))
    of = itself if is_about_itself else read(0, arguments[0])
    rest = list(arguments) if is_about_itself else list(arguments[1:])
    if word == "BUCKET_TIME":
        size = rest[0] if rest else _USUAL_BUCKET_MS
        if isinstance(size, bool) or not isinstance(size, int | float) or not 1 <= size <= _MOST_MILLIS:
            raise Invalid.field(name, "BUCKET_TIME takes milliseconds from 1 on")
        return BucketTime(expect(of, Kind.TIME, word), int(size))
    pattern = _read_pattern(rest[0] if rest else None, name)
    if word == "DATE_FORMAT":
        return FormatTime(expect(of, Kind.TIME, word), pattern)
    parts = [part for part in pattern if isinstance(part, TimePart)]
    if TimePart.YEAR not in parts or len(set(parts)) < len(parts):
        raise Invalid.field(name, "STR_TO_DATE takes a format with @YEAR(), and no part of it twice")
    return ParseTime(expect(of, Kind.TEXT, word), pattern)


def _read_arithmetic(step: Step, nodes: list[Node], itself: Node, name: str) -> Node:
    operands = [itself, *nodes] if len(nodes) < 2 else nodes
    if len(operands) < 2:
        raise Invalid.field(name, f"'{step.value}' takes two numbers or more")
    numbers = [expect(node, Kind.NUMBER, step.value) for node in operands]
    whole, *others = numbers
    for other in others:
        whole = Arithmetic(step, whole, other)
    return whole


def _is_window(function: Mapping[str, Any], word: str, name: str) -> bool:
    is_window = function.get("isWindow", False)
    if not isinstance(is_window, bool):
        raise Invalid.field(name, "isWindow is true or false")
    kind = function.get("type")
    if kind is not None and kind not in ("window", "aggregate", "function", "scalar"):
        raise Invalid.field(name, f"there is no type of functions '{kind}'")
    if word in _RANKINGS or word in _SHIFTS:
        return True
    is_window = is_window or kind == "window" or bool(function.get("order") or function.get("partition"))
    if is_window and word not in _AGGREGATES:
        raise Invalid.field(name, f"'{function['function']}' is no window function")
    return is_window


def _read_window(
    function: Mapping[str, Any], word: str, arguments: Sequence[Any], itself: Node, name: str, read: _Read
) -> Node:
    distance = 1
    if word in _SHIFTS:
        _at_most(arguments, 2, name, word)
        if arguments and not _is_expression(arguments[-1]):
            distance = arguments[-1]
            arguments = arguments[:-1]
        if isinstance(distance, bool) or not isinstance(distance, int) or not 0 <= distance <= MOST_ROWS:
            raise Invalid.field(name, f"{word} takes a number of rows from 0 to {MOST_ROWS}")
    _at_most(arguments, 0 if word in _RANKINGS else 1, name, word)
    of = read(0, arguments[0]) if arguments else itself
    known: Aggregate | Ranking | Shift
    if word in _AGGREGATES:
        known = _AGGREGATES[word]
        of = aggregate_argument(known, of)
    else:
        known = _RANKINGS[word] if word in _RANKINGS else _SHIFTS[word]
        if word in _RANKINGS:
            of = RowField(Field.TIME)
        elif of.kind is Kind.TREE:
            raise Invalid.field(name, f"{word} does not take objects")
    partition = function.get("partition") or []
    order = function.get("order") or []
    return Windowed(
        known,
        of,
        partition=tuple(
            _no_object(_read_path(one, f"{name}/partition"), f"{name}/partition")
            for one in _some(f"{name}/partition", [partition] if isinstance(partition, str) else partition)
        ),
        order=tuple(
            _read_order(one, {}, f"{name}/order")
            for one in _some(f"{name}/order", [order] if isinstance(order, str) else order)
        ),
        distance=distance,
    )


def _is_expression(argument: Any) -> bool:
    return isinstance(argument, str | Mapping)


def _read_argument(argument: Any, itself: Node, name: str, depth: int) -> Node:
    """An argument: the column itself, a path, a nested function, or a number."""
    if argument == _ITSELF:
        return itself
    if isinstance(argument, str):
        return _read_path(argument, name)
    if isinstance(argument, Mapping) and argument.get("type") == "field":
        return _read_path(argument.get("value"), name)
    if isinstance(argument, Mapping):
        return _read_function(argument, itself, name, depth + 1)
    if isinstance(argument, int | float) and not isinstance(argument, bool):
        return Constant(_float(argument, name), Kind.NUMBER)
    raise Invalid.field(name, "is a path, a number, or an object with a function")


def _read_pattern(text: Any, name: str) -> Pattern:
    if not isinstance(text, str) or not 1 <= len(text) <= 200 or "\0" in text:
        raise Invalid.field(name, "takes a format of words such as @YEAR()")
    pattern: list[str | TimePart] = []
    for part in _WORD.split(text):
        if part in _WORDS:
            pattern.append(_WORDS[part])
        elif _WORD.fullmatch(part):
            raise Invalid.field(name, f"there is no word '{part}'")
        elif part:
            pattern.append(part)
    return tuple(pattern)


def _at_most(arguments: Sequence[Any], most: int, name: str, word: str) -> None:
    if len(arguments) > most:
        raise Invalid.field(name, f"{word} takes at most {most} arguments")


# --- conditions and orders -------------------------------------------------------------------------------------------


def _clauses(where: list[Any] | None) -> list[Any] | None:
    """A single clause may stand by itself."""
    return [where] if where and isinstance(where[0], str) else where


def _read_condition(clause: Any, index: int) -> Condition:
    name = f"where[{index}]"
    if not isinstance(clause, list) or len(clause) != 3 or not isinstance(clause[1], str):
        raise Invalid.field(name, "is [path, operator, value]")
    path, operator, value = clause
    left = _no_object(_read_path(path, name), name)
    if operator.upper() == "IN":
        if not isinstance(value, list) or not 1 <= len(value) <= _MOST_VALUES:
            raise Invalid.field(name, f"IN takes a list of 1 to {_MOST_VALUES} values")
        return is_any_of(left, [_read_constant(one, left, name) for one in value])
    if operator not in _COMPARATORS:
        raise Invalid.field(name, f"there is no operator '{operator}'")
    if isinstance(value, Mapping):
        if value.get("type") != "field":
            raise Invalid.field(name, 'the other column is {"type": "field", "value": path}')
        return compare(left, _COMPARATORS[operator], _no_object(_read_path(value.get("value"), name), name))
    return compare(left, _COMPARATORS[operator], _read_constant(value, left, name))


def _read_constant(value: Any, left: Node, name: str) -> Constant:
    if left.kind is Kind.TIME:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Invalid.field(name, "takes an ISO time or milliseconds since 1970")
        return Constant(int(read_instant(value, name).timestamp() * 1000 + 0.5), Kind.TIME)
    if left.kind is Kind.DEVICE:
        device_id = parse_base62(value) if isinstance(value, str) else None
        if device_id is None:
            raise Invalid.field(name, f"{value!r} is no id of a device")
        return Constant(to_bytes(device_id).hex(), Kind.DEVICE)
    if isinstance(value, bool):
        return Constant(value, Kind.BOOLEAN)
    if isinstance(value, str) and "\0" not in value:
        return Constant(value, Kind.TEXT)
    if isinstance(value, int | float):
        number = _float(value, name)
        return Constant(str(value), Kind.TEXT) if left.kind is Kind.TEXT else Constant(number, Kind.NUMBER)
    raise Invalid.field(name, "takes text, a number, true or false")


def _float(value: float, name: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise Invalid.field(name, "is a number beyond all floats") from error


def _read_group(alias: Any, columns: Mapping[str, Node]) -> Node:
    if not isinstance(alias, str) or alias not in columns:
        raise Invalid.field("group", f"{alias!r} is no alias of a path")
    return columns[alias]


def _read_order(order: Any, columns: Mapping[str, Node], name: str) -> Order:
    path, way = order if isinstance(order, list) and len(order) == 2 else (order, "ASC")
    if not isinstance(path, str) or not isinstance(way, str) or way.upper() not in ("ASC", "DESC"):
        raise Invalid.field(name, "takes paths, and [path, 'ASC' or 'DESC']")
    node = columns[path] if path in columns else _read_path(path, name)
    return Order(_no_object(node, name), descending=way.upper() == "DESC")


def _no_object(node: Node, name: str) -> Node:
    if node.kind is Kind.TREE:
        raise Invalid.field(name, "does not take objects")
    return node


def _some(name: str, items: Any) -> list[Any]:
    if items is None:
        return []
    if not isinstance(items, list) or len(items) > _MOST_CONDITIONS:
        raise Invalid.field(name, f"is a list of at most {_MOST_CONDITIONS}")
    return items
