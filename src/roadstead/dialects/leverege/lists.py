"""Lists: `{items, count, total, perPage, startIndex, search}`, and the parameters that all of them take."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from roadstead.kernel.errors import Invalid
from roadstead.web.edge import AnyRequest

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_PER_PAGE = 100
MOST_PER_PAGE = 10_000
_MOST_START = 2_147_483_647


class SortBody(msgspec.Struct, frozen=True):
    """One of the fields that a list is sorted by."""

    field: str
    order: str = "asc"

    @property
    def descending(self) -> bool:
        """From the largest to the smallest."""
        return self.order.lower() == "desc"


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted."""

    per_page: int = DEFAULT_PER_PAGE
    start_index: int = 0
    search: str | None = None
    sort: list[SortBody] = []

    @classmethod
    def of(cls, request: AnyRequest) -> "ListQuery":
        """From the query. `start` is `startIndex`, and `page` counts pages instead of items."""
        asked = request.query_params
        per_page = _number(asked.get("perPage"), "perPage", DEFAULT_PER_PAGE, MOST_PER_PAGE)
        page = _number(asked.get("page"), "page", 0, _MOST_START)
        named = "startIndex" if "startIndex" in asked else "start"
        start = _number(asked.get(named), named, page * per_page, _MOST_START)
        return cls(
            per_page=per_page,
            start_index=start,
            search=asked.get("search") or None,
            sort=_read_sort(asked.get("sort")),
        )


class Listed(msgspec.Struct, Generic[T], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`ListResult`."""

    items: list[T]
    count: int
    total: int
    per_page: int
    start_index: int
    search: str | None = None


def listed(items: Sequence[T], total: int, query: ListQuery) -> Listed[T]:
    """A part that somebody else has picked."""
    return Listed(
        items=list(items),
        count=len(items),
        total=total,
        per_page=query.per_page,
        start_index=query.start_index,
        search=query.search,
    )


def pick(everything: Sequence[T], query: ListQuery, spell: Callable[[T], U]) -> Listed[U]:
    """The part that is wanted of a list that is held as a whole: searched in name and id, sorted by members."""
    found = [spell(each) for each in everything]
    if query.search is not None:
        word = query.search.strip("*").casefold()
        found = [each for each in found if word in _member(each, "name").casefold() or word in _member(each, "id")]
    for key in reversed(query.sort):
        _check_member(key.field, found)
        found.sort(key=partial(_sortable, key.field), reverse=key.descending)
    part = found[query.start_index : query.start_index + query.per_page]
    return listed(part, len(found), query)


def _member(shape: object, name: str) -> str:
    return str(getattr(shape, name, None) or "")


def _check_member(name: str, shapes: Sequence[Any]) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(shapes[0])] if shapes else [name]
    if name not in names:
        raise Invalid.field("sort", f"'{name}' is not one of {', '.join(names)}", place="query")


def _sortable(name: str, shape: Any) -> tuple[bool, bool, Any]:
    value = msgspec.to_builtins(shape).get(name)
    if isinstance(value, int | float):
        return (value is not None, False, value)
    return (value is not None, True, str(value or "").casefold())


def _number(text: str | None, name: str, default: int, most: int) -> int:
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise Invalid.field(name, f"is a number from 0 to {most}", place="query")
    return int(text)


def _read_sort(text: str | None) -> list[SortBody]:
    if not text:
        return []
    if not text.startswith(("[", "{")):
        names = [part.strip() for part in text.split(",")]
        return [SortBody(name.removeprefix("-"), "desc" if name.startswith("-") else "asc") for name in names if name]
    try:
        return msgspec.json.decode(text if text.startswith("[") else f"[{text}]", type=list[SortBody])
    except msgspec.DecodeError as error:
        raise Invalid.field("sort", "is field,-field or JSON: [{field, order}]", place="query") from error
