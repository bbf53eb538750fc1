"""Interface paths: what they name, and the form of each, which is how the contract writes the path (`path_grammar`).

A path may go through groups any number of times. What it is made into is one of a few forms, all of them plain routes:
a part serves `/v1/interface/:systemId/:blueprint/:objId/:rel.search` by a route of exactly this path and asks for the
`Place`, whatever the number of groups before. Pure.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import parse_qs, unquote

import msgspec

INTERFACE = "/v1/interface/"
ANY = "*"
"""In the place of an object: all of them."""

_ROOT = f"{INTERFACE}:systemId/:blueprint"
_OBJECT = f"{_ROOT}/:objId"
_GROUP = f"{_OBJECT}/:rel"


class Form(StrEnum):
    """Where a path leads: the path of the route that serves it."""

    LIST = _ROOT
    SEARCH = f"{_ROOT}.search"
    MODEL = f"{_ROOT}.model"
    CREATE = f"{_ROOT}/create"
    BY_NETWORK_ALIAS = f"{_ROOT}/getDeviceByNetworkAlias"
    HISTORY = f"{_ROOT}/history"
    EVENTS = f"{_ROOT}/events"
    OBJECT = _OBJECT
    OBJECT_HISTORY = f"{_OBJECT}/history"
    OBJECT_EVENTS = f"{_OBJECT}/events"
    USERS = f"{_OBJECT}.users"
    RESOURCE = f"{_OBJECT}.rsrc/:rsrcPath"
    RESOURCES_BELOW = f"{_OBJECT}.rsrc/:nodePath"
    SERVICE = f"{_OBJECT}.srv/:service/:srvPath"
    GROUP = _GROUP
    GROUP_SEARCH = f"{_GROUP}.search"
    GROUP_BY_NETWORK_ALIAS = f"{_GROUP}/getDeviceByNetworkAlias"
    GROUP_HISTORY = f"{_GROUP}/history"
    GROUP_EVENTS = f"{_GROUP}/events"
    MEMBER = f"{_GROUP}/:childId"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What an interface path names."""

    form: Form
    system: str
    """Its id or its alias."""
    blueprint: str
    """Of the first object: its id or its alias."""
    way: tuple[tuple[str, str], ...] = ()
    """The groups on the way: an object (`*`: all), and the path of a relation of its blueprint."""
    object: str | None = None
    """The object at the end (`*`: all); None when the path ends with a blueprint or a group."""
    rest: tuple[str, ...] = ()
    """What comes after `.rsrc` or `.srv`."""


_SLASHES = re.compile("/{2,}")
_AT_OBJECT = {
    "create": (Form.CREATE, Form.GROUP),
    "getDeviceByNetworkAlias": (Form.BY_NETWORK_ALIAS, Form.GROUP_BY_NETWORK_ALIAS),
    "history": (Form.HISTORY, Form.GROUP_HISTORY),
    "events": (Form.EVENTS, Form.GROUP_EVENTS),
}
"""Words that are no objects: after a blueprint, after a group."""
_AT_RELATION = {"history": Form.OBJECT_HISTORY, "events": Form.OBJECT_EVENTS}
_OF_MANY = {"search": (Form.SEARCH, Form.GROUP_SEARCH), "model": (Form.MODEL, None)}
_OF_ONE = {"users": Form.USERS}
_WITH_REST = {"rsrc": Form.RESOURCE, "srv": Form.SERVICE}


def parse_place(raw: str, query: str = "") -> Place | None:
    """What a percent-encoded path names; None when it is no interface path. A double slash counts as one.

    The query says which of two forms resources have: one of them, or with `children=true` all below.
    """
    head, *segments = _SLASHES.sub("/", raw).split(INTERFACE, 1)
    if head or not segments:
        return None
    named, suffix, rest = _unglue([unquote(segment) for segment in segments[0].split("/") if segment])
    if len(named) < 2 or not all(named):
        return None
    system, blueprint, *steps = named
    pairs = tuple(zip(steps[::2], steps[1::2], strict=False))
    last = steps[-1] if len(steps) % 2 else None
    if suffix is not None:
        form = _glued_form(suffix, is_one=last is not None, in_group=bool(pairs))
        if form is None:
            return None
        if form is Form.RESOURCE and parse_qs(query).get("children", [""])[-1].lower() == "true":
            form = Form.RESOURCES_BELOW
        return Place(form=form, system=system, blueprint=blueprint, way=pairs, object=last, rest=rest)
    if last in _AT_OBJECT:
        return Place(form=_AT_OBJECT[last][bool(pairs)], system=system, blueprint=blueprint, way=pairs)
    if last is None and pairs and pairs[-1][1] in _AT_RELATION:
        *before, (owner, word) = pairs
        form = _AT_RELATION[word]
        return Place(form=form, system=system, blueprint=blueprint, way=tuple(before), object=owner)
    if last is None:
        return Place(form=Form.GROUP if pairs else Form.LIST, system=system, blueprint=blueprint, way=pairs)
    form = Form.MEMBER if pairs else Form.OBJECT
    return Place(form=form, system=system, blueprint=blueprint, way=pairs, object=last)


def _unglue(segments: Sequence[str]) -> tuple[list[str], str | None, tuple[str, ...]]:
    """The names, the suffix, and what comes after it."""
    for index, segment in enumerate(segments):
        name, dot, suffix = segment.rpartition(".")
        is_last = index == len(segments) - 1
        if dot and (suffix in _WITH_REST or (is_last and (suffix in _OF_MANY or suffix in _OF_ONE))):
            return [*segments[:index], name], suffix, tuple(segments[index + 1 :])
    return list(segments), None, ()


def _glued_form(suffix: str, *, is_one: bool, in_group: bool) -> Form | None:
    if not is_one:
        return _OF_MANY[suffix][in_group] if suffix in _OF_MANY else None
    return _OF_ONE.get(suffix) or _WITH_REST.get(suffix)
