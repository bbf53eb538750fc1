"""What the fields of searches name, and how values are compared with them (contract section 4.1). Pure."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from enum import Enum, auto
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from roadstead.core import types
from roadstead.core.types import Section
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Path, Scalar
from roadstead.kernel.ids import parse_base62
from roadstead.kernel.time import from_millis

DATA, METADATA, NETWORK_ALIASES = "data", "metadata", "networkAliases"
_EARLIEST_MS, _LATEST_MS = -62_135_596_800_000, 253_402_300_799_000
_LONGEST_FIELD = 500


class Kind(Enum):
    """What a field holds."""

    ANY = auto()
    TEXT = auto()
    BOOLEAN = auto()
    INSTANT = auto()
    ID = auto()


class Field(msgspec.Struct, frozen=True):
    """A field in terms of the core."""

    path: Path
    kind: Kind
    is_always_there: bool = False

    @property
    def column(self) -> Path:
        """What it is sorted and counted by."""
        return ("kindId",) if self.path == ("type",) else self.path


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What field names depend on."""

    project_id: UUID
    children: Mapping[tuple[str, ...], UUID] = {}
    """One-to-one relations of the blueprint: the way to each in the data, and its attribute."""


class Span(msgspec.Struct, frozen=True):
    """A value to compare with; a date without a time is the whole day."""

    start: Scalar
    end: datetime | None = None
    """When the day is over."""


_HEADER = {
    "id": Field(("id",), Kind.ID, True),
    "name": Field(("shownName",), Kind.TEXT, True),
    "created": Field(("createdAt",), Kind.INSTANT, True),
    "lastModified": Field(("updatedAt",), Kind.INSTANT, True),
    "blueprintId": Field(("type",), Kind.ID, True),
    "systemId": Field(("spaceId",), Kind.ID, True),
    "networkId": Field(("networkId",), Kind.TEXT),
    "purpose": Field(("purpose",), Kind.TEXT, True),
    "simulated": Field(("virtual",), Kind.BOOLEAN, True),
}


def read_field(text: object, names: Names, where: str) -> Field:
    """What a name means; `/` or `.` between its steps. Raises `Invalid` that says where it stands."""
    if not isinstance(text, str) or not text or len(text) > _LONGEST_FIELD or "\0" in text:
        raise Invalid.field(where, f"names a field, in at most {_LONGEST_FIELD} characters")
    first, *steps = text.strip("/").split("/" if "/" in text else ".")
    if not all(steps):
        raise Invalid.field(where, f"'{text}' has nothing between two separators")
    match first:
        case "data" if steps:
            return _data(tuple(steps), names)
        case "metadata" if steps:
            return Field((METADATA, *steps), Kind.ANY)
        case "networkAliases" if len(steps) == 2:
            return Field(("networkAlias", *steps), Kind.TEXT)
        case _ if first in _HEADER and not steps:
            return _HEADER[first]
    known = ", ".join(_HEADER)
    raise Invalid.field(where, f"'{text}' is not one of {known}, data/.., metadata/.., networkAliases/<network>/<key>")


def _data(steps: tuple[str, ...], names: Names) -> Field:
    for way, attribute_id in names.children.items():
        below = steps[len(way) :]
        if steps[: len(way)] == way and below:
            if below == ("id",):
                return Field(("childId", str(attribute_id)), Kind.ID)
            if below[0] == DATA and len(below) > 1:
                return Field(("childData", str(attribute_id), _join(below[1:])), Kind.ANY)
    return Field((DATA, _join(steps)), Kind.ANY)


def _join(steps: tuple[str, ...]) -> str:
    return types.join_path(Section.ATTRIBUTES, steps)


def read_span(value: object, field: Field, where: str, *, is_date: bool, zone: ZoneInfo) -> Span | None:
    """A value as the field is compared with; None when no device can have it (an id that is none)."""
    if is_date and field.kind not in (Kind.ANY, Kind.INSTANT):
        raise Invalid.field(where, "is a date, and the field holds none")
    if is_date or field.kind is Kind.INSTANT:
        return _moment(value, where, zone)
    match field.kind, value:
        case Kind.ID, str():
            id_ = parse_base62(value)
            return Span(id_) if id_ is not None else None
        case Kind.BOOLEAN, bool():
            return Span(value)
        case Kind.BOOLEAN, "true" | "false":
            return Span(value == "true")
        case Kind.TEXT, str():
            return Span(_plain(value, where).upper() if field.path == ("purpose",) else _plain(value, where))
        case Kind.TEXT, int() | float() if not isinstance(value, bool):
            return Span(str(value))
        case Kind.ANY, bool():
            return Span(value)
        case Kind.ANY, str():
            return Span(_plain(value, where))
        case Kind.ANY, int() | float():
            if abs(value) > 1e300 or not math.isfinite(value):
                raise Invalid.field(where, "is out of range")
            return Span(value)
    raise Invalid.field(where, f"{value!r} cannot be compared with this field")


def _plain(text: str, where: str) -> str:
    if "\0" in text:
        raise Invalid.field(where, "holds a zero byte")
    return text


def _moment(value: object, where: str, zone: ZoneInfo) -> Span:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not _EARLIEST_MS <= value <= _LATEST_MS:
            raise Invalid.field(where, "is out of range: milliseconds since 1970")
        return Span(from_millis(round(value)))
    if not isinstance(value, str):
        raise Invalid.field(where, "is ISO 8601 text or milliseconds since 1970")
    try:
        if len(value) == len("2026-01-01"):
            day = date.fromisoformat(value)
            following = datetime.combine(day + timedelta(days=1), clock(), zone).astimezone(UTC)
            return Span(datetime.combine(day, clock(), zone).astimezone(UTC), following)
        instant = datetime.fromisoformat(value)
        return Span((instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise Invalid.field(where, "is ISO 8601 text or milliseconds since 1970") from error


def read_zone(name: object, where: str) -> ZoneInfo:
    """The time zone of dates without one; UTC when none is named."""
    if name is None:
        return ZoneInfo("UTC")
    try:
        return ZoneInfo(str(name))
    except (ValueError, OSError, KeyError) as error:
        raise Invalid.field(where, "is not a time zone of the IANA database") from error
