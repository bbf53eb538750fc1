"""Replies and bodies: `data`, `meta`, pages that count from 0, and JSON bodies (contract section 5)."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from roadstead.dialects.lightelligence.errors import WrongMediaType
from roadstead.kernel.errors import Invalid
from roadstead.kernel.page import Page, PageQuery
from roadstead.web.bodies import decode_json
from roadstead.web.edge import AnyRequest

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_PAGE_SIZE = 20
MOST_PAGE_SIZE = 1000
"""Larger ones are cut to this where the contract names no maximum."""


class Data(msgspec.Struct, Generic[T], frozen=True):
    """One resource, or a list without pages."""

    data: T


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """Where a page is."""

    page: int
    page_size: int
    items_total: int
    pages_total: int


class Paged(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    meta: Meta
    data: list[T]


PageNumber = Annotated[int, QueryParameter(name="page", ge=0, le=2_147_483_647)]
PageSize = Annotated[int, QueryParameter(name="pageSize", ge=0)]
"""For lists without a documented maximum; 0 asks for `meta` alone."""
StrictPageSize = Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)]
"""For identity, applications, notifications and the audit log."""


def page_query(page: int, page_size: int) -> PageQuery:
    """What the core is asked for."""
    return PageQuery(limit=max(1, min(page_size, MOST_PAGE_SIZE)), page=page, include_total=True)


def paged(found: Page[T], page: int, page_size: int, spell: Callable[[T], U]) -> Paged[U]:
    """A page of the core in our words; `page_size` 0 shows no items."""
    size = min(page_size, MOST_PAGE_SIZE)
    total = found.total or 0
    items = [spell(item) for item in found.items] if size else []
    return Paged(Meta(page, size, total, -(-total // size) if size else 0), items)


def paged_list(items: Sequence[T], page: int, page_size: int, spell: Callable[[T], U]) -> Paged[U]:
    """A page of a list that is short enough to be there as a whole."""
    size = min(page_size, MOST_PAGE_SIZE)
    shown = [spell(item) for item in items[page * size : (page + 1) * size]]
    return Paged(Meta(page, size, len(items), -(-len(items) // size) if size else 0), shown)


async def read_json(request: AnyRequest) -> dict[str, Any]:
    """The body as an object; nothing sent is an empty one. Raises `Malformed`, or 415 for another kind of body."""
    read = await read_any_json(request)
    if not isinstance(read, dict):
        raise Invalid("the body must be a JSON object")
    return read


async def read_any_json(request: AnyRequest) -> Any:
    """`read_json` for bodies that need not be an object."""
    body = await request.body()
    kind = request.content_type[0]
    if (body or kind) and kind not in ("application/json", ""):
        raise WrongMediaType(f"send application/json, not '{kind}'")
    if body and not kind:
        raise WrongMediaType("say what the body is: Content-Type: application/json")
    if not body:
        return {}
    return decode_json(body)
