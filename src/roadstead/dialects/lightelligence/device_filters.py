"""Which devices and types are meant: filters of the query and of JSON bodies (contract section 6)."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import And, Filter, In, Match, MatchKind, Or, escape_wildcard, glob
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

B = TypeVar("B", bound=msgspec.Struct)

Ids = Annotated[list[UUID], Meta(min_length=1)]
Texts = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]
Tags = Annotated[list[Annotated[str, Meta(pattern=r"^[*a-zA-Z0-9_-]+(,[*a-zA-Z0-9_-]+)*$")]], Meta(min_length=1)]

PLAIN_TAG = re.compile(r"[a-zA-Z0-9_-]+")


class DeviceFilterBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`DeviceFilterBody`: all members must be true of a device, and of each one of its values."""

    device_id: Ids | None = None
    device_connected_by: Ids | None = None
    device_tag: Tags | None = None
    device_name: Texts | None = None
    device_type_name: Texts | None = None
    device_type_category: Texts | None = None
    device_type_id: Ids | None = None
    device_alias: Texts | None = None

    def read(self) -> Filter:
        """In terms of the registry."""
        parts: list[Filter] = []
        for name, ids in (
            ("id", self.device_id),
            ("gatewayId", self.device_connected_by),
            ("type", self.device_type_id),
        ):
            if ids is not None:
                parts.append(In((name,), tuple(ids)))
        if self.device_tag is not None:
            parts.append(_like("tagName", [one for tags in self.device_tag for one in tags.split(",")]))
        if self.device_name is not None:
            parts.append(Or(tuple(glob("called", name.lower()) for name in self.device_name)))
        if self.device_type_name is not None:
            parts.append(_like("typeName", self.device_type_name))
        if self.device_type_category is not None:
            parts.append(In(("typeCategory",), tuple(self.device_type_category)))
        if self.device_alias is not None:
            parts.append(Or(tuple(glob("alias", alias) for alias in self.device_alias)))
        return And(tuple(parts))

    def check_plain(self) -> None:
        """Raises `Invalid` for wildcards in tags: dumps and notifications take none."""
        for tag in self.device_tag or ():
            if not PLAIN_TAG.fullmatch(tag):
                raise Invalid.field("deviceTag", f"'{tag}' is no tag: letters, digits, '_' and '-'")


class TypeFilterBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`DeviceTypeFilterBody`."""

    device_type_name: Texts | None = None
    device_type_category: Texts | None = None
    device_type_id: Ids | None = None

    def read(self) -> Filter:
        """In terms of the room of types."""
        parts: list[Filter] = []
        if self.device_type_id is not None:
            parts.append(In(("id",), tuple(self.device_type_id)))
        if self.device_type_name is not None:
            parts.append(_like("name", self.device_type_name))
        if self.device_type_category is not None:
            parts.append(In(("category",), tuple(self.device_type_category)))
        return And(tuple(parts))


_NAMES = {
    "deviceId": "deviceId",
    "deviceTag": "deviceTag",
    "tags": "deviceTag",
    "deviceName": "deviceName",
    "name": "deviceName",
    "deviceTypeName": "deviceTypeName",
    "deviceTypeCategory": "deviceTypeCategory",
    "deviceTypeId": "deviceTypeId",
    "deviceConnectedBy": "deviceConnectedBy",
    "connectedBy": "deviceConnectedBy",
    "deviceAlias": "deviceAlias",
}
"""Parameters, the old names of some among them, and the members of the body they stand for."""


def asked_of(request: AnyRequest) -> dict[str, list[str] | None]:
    """The filter in the query of a request."""
    asked: dict[str, list[str] | None] = {}
    for name, member in _NAMES.items():
        if asked.get(member) is None:
            asked[member] = read_list(request.query_params.get(name))
    return asked


def one_of(asked: Mapping[str, list[str] | None], body: Mapping[str, Any], kind: type[B]) -> B:
    """The filter of the query or of the body; both together are refused."""
    query = {name: values for name, values in asked.items() if values is not None}
    if query and body:
        raise Invalid("send the filter in the query or in the body, not in both")
    return read_as(query or body, kind)


def read_list(text: str | None) -> list[str] | None:
    """The values of a query parameter: one text with commas."""
    return None if text is None else text.split(",")


def _like(field: str, patterns: Sequence[str]) -> Filter:
    """One of the patterns, of which only `*` is special, in any case."""
    spelled = ("*".join(map(escape_wildcard, pattern.split("*"))) for pattern in patterns)
    return Or(tuple(Match((field,), MatchKind.WILDCARD, one, ignore_case=True) for one in spelled))
