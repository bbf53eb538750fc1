"""Lists of roles, permissions, modules and bindings: `{count, offset, limit, items}` (contract section 6)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from roadstead.core.work import Work
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import parse_base62
from roadstead.web.edge import AnyRequest

T = TypeVar("T")
U = TypeVar("U")

_DEFAULT_LIMIT = 100
_MOST_LIMIT = 10_000
_MOST_OFFSET = 2_147_483_647


class AuthzListed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`AuthzList`. `count` is how many there are, whichever part of them this is."""

    count: int
    offset: int
    limit: int
    items: list[T]


def part_of(request: AnyRequest, everything: Sequence[T], spell: Callable[[T], U]) -> AuthzListed[U]:
    """The part that `limit` and `offset` ask for, in the order that `order` asks for."""
    asked = request.query_params
    limit = _number(asked.get("limit"), "limit", _DEFAULT_LIMIT, _MOST_LIMIT)
    offset = _number(asked.get("offset"), "offset", 0, _MOST_OFFSET)
    items = [spell(each) for each in everything]
    for member, descending in reversed(_order(asked.get("order"))):
        items.sort(key=partial(_sortable, member), reverse=descending)
    return AuthzListed(count=len(items), offset=offset, limit=limit, items=items[offset : offset + limit])


def values_of(request: AnyRequest, name: str) -> list[str] | None:
    """What is asked of a field: the parameter may be repeated or hold a list with commas. None: nothing."""
    given = request.query_params.getall(name, [])
    values = [value.strip() for text in given for value in text.split(",") if value.strip()]
    return values or None


def numbers_of(values: Sequence[str] | None) -> list[int] | None:
    """Those of these ids that are numbers; the others name nothing."""
    return None if values is None else [int(value) for value in values if is_number(value)]


def is_number(text: str) -> bool:
    """Whether this can be the id of a role or a permission."""
    return text.isascii() and text.isdigit() and len(text) < 17


def is_asked(request: AnyRequest, name: str) -> bool:
    """Whether a switch is on."""
    return request.query_params.get(name, "").lower() in ("true", "1")


def is_own_project(request: AnyRequest, work: Work) -> bool:
    """Whether the project of the caller is among those that are asked for; all of them when none is."""
    asked = values_of(request, "projectId")
    return asked is None or any(parse_base62(project_id) == work.actor.organization_id for project_id in asked)


def _order(text: str | None) -> list[tuple[str, bool]]:
    if not text:
        return []
    try:
        keys = msgspec.json.decode(text, type=list[list[str]])
        return [(key[0], len(key) > 1 and key[1].lower() == "desc") for key in keys]
    except (msgspec.DecodeError, IndexError) as error:
        raise Invalid.field("order", 'is JSON: [["category", "asc"]]', place="query") from error


def _sortable(member: str, item: Any) -> tuple[bool, float, str]:
    value = msgspec.to_builtins(item).get(member) if isinstance(item, msgspec.Struct) else item
    return (value is not None, value if isinstance(value, int | float) else 0, str(value or "").casefold())


def _number(text: str | None, name: str, default: int, most: int) -> int:
    if text is None or text == "":
        return default
    if not is_number(text) or int(text) > most:
        raise Invalid.field(name, f"is a number from 0 to {most}", place="query")
    return int(text)
