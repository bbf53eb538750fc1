"""Lists: `limit` and `cursor`, or `page` and `size`; items, nextCursor, totals."""

from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from roadstead.kernel.errors import Malformed
from roadstead.kernel.page import Page, PageQuery

T = TypeVar("T")
U = TypeVar("U")


class PageShape(msgspec.Struct, Generic[T], rename="camel", omit_defaults=True, kw_only=True):
    """One page of a list; `nextCursor` is absent on the last."""

    items: list[T]
    next_cursor: str | None = None
    total_items: int | None = None
    page: int | None = None
    size: int | None = None
    total_pages: int | None = None


def provide_page(
    limit: Annotated[int | None, QueryParameter(ge=1, le=200, description="items a page; default 50")] = None,
    cursor: Annotated[str | None, QueryParameter(description="nextCursor of the page before; excludes page")] = None,
    number: Annotated[
        int | None, QueryParameter(name="page", ge=0, description="zero-based page number, with size")
    ] = None,
    size: Annotated[int | None, QueryParameter(ge=1, le=200, description="items a page; default 50")] = None,
    include_total: Annotated[bool, QueryParameter(name="includeTotal")] = False,
) -> PageQuery:
    """The page parameters that every list takes. Raises `Malformed` when both modes are mixed."""
    # Called `number` here, for `page` is what routes call the query that we provide.
    if number is None and size is None:
        return PageQuery(limit=limit or 50, cursor=cursor, include_total=include_total)
    if cursor is not None or limit is not None:
        raise Malformed("cursor and limit cannot be combined with page and size")
    return PageQuery(limit=size or 50, page=number or 0, include_total=True)


def page_shape(page: Page[T], query: PageQuery, spell: Callable[[T], U]) -> PageShape[U]:
    """A page of the core in our words."""
    items = [spell(item) for item in page.items]
    if query.page is None:
        return PageShape(items=items, next_cursor=page.next_cursor, total_items=page.total)
    total = page.total or 0
    return PageShape(
        items=items, total_items=total, page=query.page, size=query.limit, total_pages=-(-total // query.limit)
    )
