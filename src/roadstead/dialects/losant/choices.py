"""Which devices a body is about (contract sections 10 and 11)."""

from collections.abc import Mapping, Sequence
from typing import Any

from roadstead.core.registry import Space
from roadstead.dialects.losant.envelopes import read_structure
from roadstead.dialects.losant.queries import read_device_query
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import NOTHING, And, Compare, Exists, Filter, In, Operator, Or, equals
from roadstead.kernel.ids import parse_hex24
from roadstead.web.edge import AnyRequest


def read_choice(body: Mapping[str, Any]) -> Filter:
    """The devices of `deviceIds` and those that have one of `deviceTags`, or those of `deviceQuery`.

    Nothing said is no device. The application is not part of it. Raises `Invalid` when it is said both ways.
    """
    ids, tags, query = body.get("deviceIds"), body.get("deviceTags"), body.get("deviceQuery")
    if query is None:
        return Or((_these(ids or []), *map(tagged, tags or [])))
    if ids or tags:
        raise Invalid.field("deviceQuery", "does not go with deviceIds or deviceTags")
    return read_device_query(query, "deviceQuery")


def read_asked(request: AnyRequest, application: Space) -> Filter:
    """The devices of an application, by the `query` of a request if there is one."""
    own = equals("spaceId", application.id)
    query = read_structure(request, "query", "advancedDeviceQuery")
    return own if query is None else And((own, read_device_query(query)))


def read_all_tags(tags: Sequence[Mapping[str, str]]) -> Filter:
    """The devices that have all of these tags."""
    return And(tuple(map(tagged, tags)))


def tagged(tag: Mapping[str, str]) -> Filter:
    """The devices that have a tag of this key, this value, or both."""
    key, value = tag.get("key"), tag.get("value")
    if key is not None:
        path = ("tags", key)
        return Exists(path) if value is None else Compare(path, Operator.EQ, value)
    return Exists(("tagKey",)) if value is None else equals("tagValue", value)


def _these(ids: Sequence[str]) -> Filter:
    known = [parse_hex24(each) for each in ids]
    return In(("id",), tuple(each for each in known if each is not None)) if ids else NOTHING
