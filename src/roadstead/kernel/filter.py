"""Filters: one small tree over typed field paths. Every dialect parses its own language into it.

A filter is true or false for a thing, never unknown: a leaf about a field that the thing does not have is false, so its
`Not` is true. Where a field holds a list, a leaf is true when one item makes it true.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import msgspec

from roadstead.kernel.errors import Invalid

Path = tuple[str, ...]
"""A field: its name, and for those with something inside (tags, JSON) the steps into it."""

Scalar = bool | int | float | str | datetime | UUID
"""What a field is compared with. Values of different kinds are never equal, and none comes before the other."""

MAX_DEPTH = 20
MAX_NODES = 1_000
MAX_PATTERN = 1_000
MAX_TEXT = 400
"""Characters by which reported text is compared; of longer text the beginning."""


def fold(text: str) -> str:
    """The text without case."""
    return text.casefold()


class Operator(StrEnum):
    """How a value is compared. There is no 'unequal': that is `Not` of equal, or `Not` and `Exists`."""

    EQ = "="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class Compare(msgspec.Struct, frozen=True):
    """The field against one value. Text compares by code points."""

    field: Path
    operator: Operator
    value: Scalar

    def bounds(self) -> tuple[tuple[Operator, Scalar], ...]:
        """The comparisons that one and the same value must pass."""
        return ((self.operator, self.value),)


class Between(msgspec.Struct, frozen=True):
    """The field within an interval; each end is part of it unless it is open."""

    field: Path
    low: Scalar
    high: Scalar
    low_open: bool = False
    high_open: bool = False

    def bounds(self) -> tuple[tuple[Operator, Scalar], ...]:
        """The comparisons that one and the same value must pass."""
        return (
            (Operator.GT if self.low_open else Operator.GE, self.low),
            (Operator.LT if self.high_open else Operator.LE, self.high),
        )


class In(msgspec.Struct, frozen=True):
    """The field equals one of the values; with none it is false."""

    field: Path
    values: tuple[Scalar, ...]


class Exists(msgspec.Struct, frozen=True):
    """The field is there, and neither null nor an empty list."""

    field: Path


class MatchKind(StrEnum):
    """How a pattern is read."""

    REGEX = "regex"
    """A regular expression that the whole value must match; no back-references, no look-around."""
    WILDCARD = "wildcard"
    """`*` is any text, `?` one character, a backslash makes the next character plain; the whole value must match."""
    TEXT = "text"
    """Words, in any case: each must begin a word of the field."""
    PHRASE = "phrase"
    """Whole words in a row, in any case."""


class Match(msgspec.Struct, frozen=True):
    """The text of the field fits a pattern."""

    field: Path
    kind: MatchKind
    pattern: str
    ignore_case: bool = False


class Circle(msgspec.Struct, frozen=True):
    """Around a point, degrees and metres on the globe."""

    latitude: float
    longitude: float
    radius_m: float


class Box(msgspec.Struct, frozen=True):
    """Between two parallels and two meridians, in degrees, edges included; `west` > `east` crosses the date line."""

    south: float
    west: float
    north: float
    east: float


class Polygon(msgspec.Struct, frozen=True):
    """A ring of at least three points (longitude, latitude), edges included, as on a flat map."""

    points: tuple[tuple[float, float], ...]

    def box(self) -> Box:
        """What it lies in."""
        longitudes, latitudes = zip(*self.points, strict=True)
        return Box(min(latitudes), min(longitudes), max(latitudes), max(longitudes))


class Within(msgspec.Struct, frozen=True):
    """The place of the thing lies in an area."""

    field: Path
    area: Circle | Box | Polygon


class And(msgspec.Struct, frozen=True):
    """All parts; without parts it is true."""

    parts: "tuple[Filter, ...]"


class Or(msgspec.Struct, frozen=True):
    """At least one part; without parts it is false."""

    parts: "tuple[Filter, ...]"


class Not(msgspec.Struct, frozen=True):
    """The part is not true."""

    part: "Filter"


Leaf: TypeAlias = Compare | Between | In | Exists | Match | Within
Filter: TypeAlias = Leaf | And | Or | Not

EVERYTHING = And(())
NOTHING = Or(())


def equals(field: str, value: Scalar) -> Compare:
    """A plain field equals a value."""
    return Compare((field,), Operator.EQ, value)


def contains(field: str, text: str) -> Match:
    """The text is part of a plain field, in any case."""
    return Match((field,), MatchKind.WILDCARD, f"*{escape_wildcard(text)}*", ignore_case=True)


def starts_with(field: str, prefix: str) -> Filter:
    """A plain field begins with a text, said as an interval so that an index can serve it."""
    if not prefix:
        return Exists((field,))
    after = _text_after(prefix)
    if after is None:
        return Compare((field,), Operator.GE, prefix)
    return Between((field,), prefix, after, high_open=True)


def glob(field: str, pattern: str) -> Filter:
    """A plain field fits a pattern in which `*` is any text and nothing else is special.

    Said so that an index can serve what it begins with.
    """
    head, star, tail = pattern.partition("*")
    if not star:
        return equals(field, pattern)
    rest = Match((field,), MatchKind.WILDCARD, "*".join(map(escape_wildcard, pattern.split("*"))))
    if not head:
        return rest if tail.strip("*") else Exists((field,))
    return And((starts_with(field, head), rest)) if tail.strip("*") else starts_with(field, head)


def _text_after(prefix: str) -> str | None:
    """The first text that comes after all that begin with the prefix; None when there is none."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return None
    code = ord(head[-1]) + 1
    return head[:-1] + ("\ue000" if 0xD800 <= code < 0xE000 else chr(code))  # surrogates are no characters


def escape_wildcard(text: str) -> str:
    """The pattern that matches just this text."""
    return "".join(f"\\{letter}" if letter in "*?\\" else letter for letter in text)


def check_size(tree: Filter, *, depth: int = MAX_DEPTH, nodes: int = MAX_NODES) -> None:
    """Raises `Invalid` for a tree that is deeper or larger than allowed."""
    level: list[Filter] = [tree]
    seen = 0
    for _ in range(depth):
        seen += len(level)
        if seen > nodes:
            raise Invalid(f"a filter has at most {nodes} conditions")
        level = [part for node in level for part in _parts(node)]
        if not level:
            return
    raise Invalid(f"a filter is nested at most {depth} deep")


def _parts(node: Filter) -> "tuple[Filter, ...]":
    if isinstance(node, (And, Or)):
        return node.parts
    return (node.part,) if isinstance(node, Not) else ()


async def rewrite(tree: Filter, change: Callable[[Leaf], Awaitable[Filter]]) -> Filter:
    """The tree with every leaf replaced by what `change` makes of it."""
    match tree:
        case And(parts):
            return And(tuple([await rewrite(part, change) for part in parts]))
        case Or(parts):
            return Or(tuple([await rewrite(part, change) for part in parts]))
        case Not(part):
            return Not(await rewrite(part, change))
    return await change(tree)
