"""What a series of a tenant's own is: of which type its points are, and what they must be like."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.messages import Value, ValueType
from roadstead.core.types import compile_schema
from roadstead.core.work import Change
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import EPOCH

SeriesId = NewType("SeriesId", UUID)

MOST_POINTS = 10_000
"""Points of one request."""
_MOST_NAME = 1_000
_LARGEST_INTEGER = 2**63
_LAST_YEAR = 2299
_NUL = b"\\u0000"


class Kind(StrEnum):
    """What the points of a series are."""

    OBJECT = "object"
    """Kept as JSON."""
    BOOLEAN = "boolean"
    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"

    @property
    def value_type(self) -> ValueType:
        """How they lie in the store."""
        return _VALUE_TYPES.get(self, ValueType.TEXT)


_VALUE_TYPES = {
    Kind.BOOLEAN: ValueType.BOOLEAN,
    Kind.NUMBER: ValueType.DOUBLE,
    Kind.INTEGER: ValueType.BIGINT,
}


class Timeseries(msgspec.Struct, frozen=True, kw_only=True):
    """A series that belongs to the tenant and to no device. Its points lie in the telemetry store under its id."""

    id: SeriesId
    name: str
    data_type: dict[str, Any]
    """A JSON Schema: `type`, and for objects `properties`, `additionalProperties`, `required`."""
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @property
    def kind(self) -> Kind:
        """What its points are."""
        return Kind(self.data_type["type"])

    def check(self) -> None:
        """Raises `Invalid` with what is wrong with it."""
        if not 1 <= len(self.name) <= _MOST_NAME or "\0" in self.name:
            raise Invalid.field("/name", f"takes 1 to {_MOST_NAME} characters, none of them NUL")
        if self.metadata is not None and (not self.metadata or _NUL in msgspec.json.encode(self.metadata)):
            raise Invalid.field("/metadata", "has at least one member, and no NUL in it")
        if _NUL in msgspec.json.encode(self.data_type):
            raise Invalid.field("/dataType", "must not contain NUL")
        try:
            compile_schema(self.data_type)
        except ValueError as error:
            raise Invalid.field("/dataType", f"is no JSON Schema: {error}") from error


class TimeseriesDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A series to be made."""

    name: str
    data_type: dict[str, Any]
    metadata: dict[str, Any] | None = None


class TimeseriesChange(Change, frozen=True, kw_only=True):
    """What shall be different about one."""

    name: str | UnsetType = UNSET
    data_type: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class TimeseriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which series are meant: all conditions that are given hold."""

    ids: Sequence[UUID] | None = None
    metadata: Mapping[str, Any] | None = None
    """All these members are equal."""


class PointDraft(msgspec.Struct, frozen=True):
    """A point to be added; without a time it is of now."""

    value: Any
    at: datetime | None = None


def check_points(series: Timeseries, drafts: Sequence[PointDraft]) -> None:
    """Raises `Invalid` with the first point that the series does not take."""
    if not 1 <= len(drafts) <= MOST_POINTS:
        raise Invalid.field("/data", f"takes 1 to {MOST_POINTS} points", code="range")
    validator = compile_schema(series.data_type)
    for index, draft in enumerate(drafts):
        problem = next(iter(validator.iter_errors(draft.value)), None)
        if problem is not None:
            raise Invalid.field(f"/data/{index}/value", problem.message[:300])
        if series.kind is Kind.INTEGER and abs(draft.value) >= _LARGEST_INTEGER:
            raise Invalid.field(f"/data/{index}/value", "has more than 64 bits", code="range")
        if draft.at is not None and not (draft.at >= EPOCH and draft.at.year < _LAST_YEAR):
            raise Invalid.field(f"/data/{index}/time", f"lies between 1970 and {_LAST_YEAR}", code="range")


def to_stored(kind: Kind, value: Any) -> Value:
    """A value that was checked, as it lies in the store."""
    match kind:
        case Kind.OBJECT:
            return msgspec.json.encode(value).decode()
        case Kind.INTEGER:
            return int(value)
        case Kind.NUMBER:
            return value if type(value) is int and abs(value) < _LARGEST_INTEGER else float(value)
    stored: Value = value
    return stored


def from_stored(kind: Kind, number: float | None, text: str) -> Any:
    """The value again; one from before the series had this type is told as it lies there."""
    if number is None:
        return _read_object(text) if kind is Kind.OBJECT else text
    if text in ("true", "false"):
        return text == "true"
    if text:
        return int(text)
    return int(number) if kind is Kind.INTEGER and number.is_integer() else number


def _read_object(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
