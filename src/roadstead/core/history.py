"""What can be asked of history rows: a small typed tree of expressions that a telemetry store spells in its own words.

A row is one device at one instant at which it has reported something. Pure.
"""

from collections.abc import Iterator, Sequence
from enum import Enum, StrEnum
from typing import TypeAlias

import msgspec

from roadstead.kernel.errors import Invalid

MOST_ROWS = 50_000
"""Of one answer."""
MOST_NODES = 400
"""Expressions in one query, those within others too."""


class Kind(StrEnum):
    """What an expression is about. Anything may be missing (null), whatever its kind."""

    VALUE = "value"
    """What was reported: number, boolean or text, as each row has it."""
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"
    """Milliseconds since 1970."""
    DEVICE = "device"
    TREE = "tree"
    """Several values by path."""


class Field(StrEnum):
    """What a row has besides values."""

    TIME = "time"
    DEVICE = "device"
    ROW = "row"
    """Text that names the row, and no other."""


class Step(StrEnum):
    """Arithmetic of two numbers; null where there is no result."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"


class Aggregate(StrEnum):
    """What rows are boiled down to. Rows without a value do not count."""

    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    SUM = "SUM"
    COUNT = "COUNT"
    FIRST = "FIRST"
    LAST = "LAST"
    STDDEV = "STDDEV"
    STDDEV_POP = "STDDEV_POP"
    VARIANCE = "VARIANCE"
    VAR_POP = "VAR_POP"


class Ranking(StrEnum):
    """Where a row stands in its window."""

    ROW_NUMBER = "ROW_NUMBER"
    RANK = "RANK"
    DENSE_RANK = "DENSE_RANK"


class Shift(StrEnum):
    """The value of another row of the window, so many rows before or after."""

    LAG = "LAG"
    LEAD = "LEAD"


class TimePart(Enum):
    """A part of an instant in UTC as text, with leading zeros; fractions have six digits."""

    YEAR = "YEAR"
    MONTH = "MONTH"
    DAY = "DAY"
    HOUR = "HOUR"
    MINUTE = "MINUTE"
    SECOND = "SECOND"
    FRACTION = "SECOND_PART"


Pattern: TypeAlias = tuple["str | TimePart", ...]
"""How an instant is spelled: parts, and the text between them."""


class Node(msgspec.Struct, frozen=True):
    """An expression."""

    @property
    def kind(self) -> Kind:
        """What it is about."""
        raise NotImplementedError

    @property
    def below(self) -> tuple["Node", ...]:
        """What it is made of."""
        return ()


class Reported(Node, frozen=True):
    """What was reported at a path that has several spellings."""

    paths: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Whatever was reported."""
        return Kind.VALUE


class Tree(Node, frozen=True):
    """All that was reported at and below a path, by its spellings; without any, everything but the platform's own."""

    paths: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """Many values."""
        return Kind.TREE


class RowField(Node, frozen=True):
    """What the row is about."""

    field: Field

    @property
    def kind(self) -> Kind:
        """By the field."""
        return {Field.TIME: Kind.TIME, Field.DEVICE: Kind.DEVICE, Field.ROW: Kind.TEXT}[self.field]


class Constant(Node, frozen=True):
    """A value of the caller: float, text, boolean, milliseconds of a time, or 24 hex digits of a device."""

    value: float | str | bool
    of: Kind

    @property
    def kind(self) -> Kind:
        """As it was read."""
        return self.of


class Cast(Node, frozen=True):
    """The same as another kind; null when it cannot be read as that."""

    of: Node
    to: Kind

    @property
    def kind(self) -> Kind:
        """What it was made."""
        return self.to

    @property
    def below(self) -> tuple[Node, ...]:
        """What is read."""
        return (self.of,)


class Truncated(Node, frozen=True):
    """A number without its fraction."""

    of: Node

    @property
    def kind(self) -> Kind:
        """A number."""
        return Kind.NUMBER

    @property
    def below(self) -> tuple[Node, ...]:
        """The number."""
        return (self.of,)


class Arithmetic(Node, frozen=True):
    """Two numbers put together."""

    step: Step
    left: Node
    right: Node

    @property
    def kind(self) -> Kind:
        """A number."""
        return Kind.NUMBER

    @property
    def below(self) -> tuple[Node, ...]:
        """Both."""
        return (self.left, self.right)


class BucketTime(Node, frozen=True):
    """The start of the bucket that an instant lies in; buckets are aligned to 1970 in UTC."""

    of: Node
    size_ms: int

    @property
    def kind(self) -> Kind:
        """An instant."""
        return Kind.TIME

    @property
    def below(self) -> tuple[Node, ...]:
        """The instant."""
        return (self.of,)


class FormatTime(Node, frozen=True):
    """An instant as text."""

    of: Node
    pattern: Pattern

    @property
    def kind(self) -> Kind:
        """Text."""
        return Kind.TEXT

    @property
    def below(self) -> tuple[Node, ...]:
        """The instant."""
        return (self.of,)


class ParseTime(Node, frozen=True):
    """The instant that a text spells, from 1970 on; parts that the pattern lacks are the least they can be."""

    of: Node
    pattern: Pattern

    @property
    def kind(self) -> Kind:
        """An instant."""
        return Kind.TIME

    @property
    def below(self) -> tuple[Node, ...]:
        """The text."""
        return (self.of,)


class Aggregated(Node, frozen=True):
    """The rows of a group, boiled down."""

    function: Aggregate
    of: Node

    @property
    def kind(self) -> Kind:
        """By the function."""
        return aggregate_kind(self.function, self.of)

    @property
    def below(self) -> tuple[Node, ...]:
        """What each row has."""
        return (self.of,)


class Order(msgspec.Struct, frozen=True):
    """What rows are sorted by; those without it come last, either way."""

    by: Node
    descending: bool = False


class Windowed(Node, frozen=True):
    """Something about the rows around a row: of the same `partition`, in this order, and then in order of time.

    An aggregate is about the rows up to this one; without an order, about all of them.
    """

    function: Aggregate | Ranking | Shift
    of: Node
    """What each row has; rankings do not look at it."""
    partition: tuple[Node, ...] = ()
    order: tuple[Order, ...] = ()
    distance: int = 1
    """Of a shift, in rows."""

    @property
    def kind(self) -> Kind:
        """By the function."""
        if isinstance(self.function, Ranking):
            return Kind.NUMBER
        return self.of.kind if isinstance(self.function, Shift) else aggregate_kind(self.function, self.of)

    @property
    def below(self) -> tuple[Node, ...]:
        """All that is looked at."""
        return (self.of, *self.partition, *(order.by for order in self.order))


class Comparator(StrEnum):
    """How two values are compared. A comparison with what is missing is not true."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class Comparison(msgspec.Struct, frozen=True):
    """A condition; both sides are of one kind. Two reported values are compared as numbers, else as text."""

    left: Node
    comparator: Comparator
    right: Node


class AnyOf(msgspec.Struct, frozen=True):
    """Whether an expression is one of these constants of its kind."""

    of: Node
    values: tuple[float | str | bool, ...]


Condition: TypeAlias = Comparison | AnyOf


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are wanted and what of them. Without `group`, aggregates are about all rows together.

    A query that names paths is about rows with a value at one of these.
    """

    columns: tuple[Node, ...]
    where: tuple[Condition, ...] = ()
    group: tuple[Node, ...] = ()
    order: tuple[Order, ...] = ()
    start_index: int = 0
    limit: int = MOST_ROWS

    @property
    def is_grouped(self) -> bool:
        """Whether its answer has groups of rows."""
        return bool(self.group) or any(isinstance(node, Aggregated) for node in self._shown())

    @property
    def has_windows(self) -> bool:
        """Whether a row of its answer depends on others."""
        return any(isinstance(node, Windowed) for node in self._shown())

    def nodes(self) -> Iterator[Node]:
        """Every expression in it, those within others too."""
        yield from self._shown()
        for condition in self.where:
            sides = (condition.left, condition.right) if isinstance(condition, Comparison) else (condition.of,)
            for side in sides:
                yield from walk(side)

    def check(self) -> None:
        """Raises `Invalid` for what does not go together, and for too much of it."""
        if sum(1 for _ in self.nodes()) > MOST_NODES:
            raise Invalid.field("paths", f"the query has more than {MOST_NODES} expressions", code="too-large")
        for node in self._shown():
            for inner in node.below:
                if isinstance(node, Aggregated | Windowed) and _has(inner, (Aggregated, Windowed)):
                    raise Invalid.field("paths", f"{node.function} cannot be about another aggregate or window")
        if any(_has(node, (Aggregated, Windowed)) for node in self.group):
            raise Invalid.field("group", "takes no aggregates and no window functions")
        if any(node.kind is Kind.TREE for node in (*self.group, *(order.by for order in self.order))):
            raise Invalid.field("group" if self.group else "order", "takes no objects")
        if not self.is_grouped:
            return
        for index, node in enumerate((*self.columns, *(order.by for order in self.order))):
            name = f"paths[{index}]" if index < len(self.columns) else f"order[{index - len(self.columns)}]"
            if _has(node, (Windowed,)):
                raise Invalid.field(name, "window functions do not go with groups")
            if not self._is_of_group(node):
                raise Invalid.field(name, "is neither an aggregate nor in 'group'")

    def _shown(self) -> Iterator[Node]:
        for node in (*self.columns, *self.group, *(order.by for order in self.order)):
            yield from walk(node)

    def _is_of_group(self, node: Node) -> bool:
        if node in self.group or isinstance(node, Aggregated | Constant):
            return True
        return bool(node.below) and all(self._is_of_group(inner) for inner in node.below)


class Place(msgspec.Struct, frozen=True):
    """Values of a row by path, as the store has them."""

    values: dict[str, float | str | bool | int]


Cell: TypeAlias = float | str | bool | int | Place | None
"""By kind: a time is milliseconds, a device 24 hex digits, a tree a `Place`."""


def walk(node: Node) -> Iterator[Node]:
    """An expression and all in it."""
    yield node
    for inner in node.below:
        yield from walk(inner)


def aggregate_kind(function: Aggregate, of: Node) -> Kind:
    """What an aggregate makes of an expression."""
    if function in (Aggregate.FIRST, Aggregate.LAST, Aggregate.MIN, Aggregate.MAX):
        return of.kind
    return Kind.NUMBER


_CASTS: dict[Kind, frozenset[Kind]] = {
    Kind.NUMBER: frozenset({Kind.VALUE, Kind.TEXT, Kind.BOOLEAN, Kind.TIME}),
    Kind.TEXT: frozenset({Kind.VALUE, Kind.NUMBER, Kind.BOOLEAN, Kind.TIME}),
    Kind.BOOLEAN: frozenset({Kind.VALUE, Kind.NUMBER, Kind.TEXT}),
    Kind.TIME: frozenset({Kind.VALUE, Kind.NUMBER, Kind.TEXT}),
}


def cast(node: Node, kind: Kind) -> Node:
    """An expression as another kind. Raises `Invalid` where no value of the one is one of the other."""
    if node.kind is kind:
        return node
    if node.kind not in _CASTS.get(kind, frozenset()):
        raise Invalid.field("paths", f"a {node.kind} cannot be made a {kind}")
    return Cast(node, kind)


def expect(node: Node, kind: Kind, what: str) -> Node:
    """An expression of a kind: reported values are read as such. Raises `Invalid` that names `what`."""
    if node.kind is kind:
        return node
    if node.kind is Kind.VALUE:
        return Cast(node, kind)
    raise Invalid.field("paths", f"{what} takes a {kind}, not a {node.kind}")


def aggregate_argument(function: Aggregate, node: Node) -> Node:
    """What a function is applied to, in the kind that it takes. Raises `Invalid`."""
    if node.kind is Kind.TREE:
        raise Invalid.field("paths", f"{function} does not take objects")
    if function in (Aggregate.COUNT, Aggregate.FIRST, Aggregate.LAST):
        return node
    if function in (Aggregate.MIN, Aggregate.MAX) and node.kind in (Kind.TIME, Kind.TEXT):
        return node
    return expect(node, Kind.NUMBER, function)


def compare(left: Node, comparator: Comparator, right: Node) -> Comparison:
    """A comparison: a reported value is read as the other side's kind. Raises `Invalid` for two that do not compare."""
    if Kind.TREE in (left.kind, right.kind):
        raise Invalid.field("where", "objects cannot be compared")
    if left.kind is Kind.VALUE and right.kind is not Kind.VALUE:
        left = _read_as(left, right.kind)
    elif right.kind is Kind.VALUE and left.kind is not Kind.VALUE:
        right = _read_as(right, left.kind)
    if left.kind is not right.kind:
        raise Invalid.field("where", f"a {left.kind} cannot be compared with a {right.kind}")
    return Comparison(left, comparator, right)


def is_any_of(node: Node, constants: Sequence[Constant]) -> AnyOf:
    """Whether an expression is one of these. Raises `Invalid` unless all are of one kind that fits."""
    kinds = {constant.kind for constant in constants}
    if len(kinds) != 1:
        raise Invalid.field("where", "IN takes values of one kind, and at least one")
    compared = [compare(node, Comparator.EQ, constant) for constant in constants]
    return AnyOf(compared[0].left, tuple(constant.value for constant in constants))


def _read_as(node: Node, kind: Kind) -> Node:
    if kind is Kind.DEVICE:
        raise Invalid.field("where", "a device can only be compared with $deviceId")
    return Cast(node, kind)


def _has(node: Node, kinds: tuple[type[Node], ...]) -> bool:
    return any(isinstance(one, kinds) for one in walk(node))
