"""`.search` on interface paths (contract section 4): filter, sort, pages, counts."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import post

from roadstead.core import registry, telemetry, types
from roadstead.core.registry import Order
from roadstead.core.types import RelationKind
from roadstead.core.work import Work
from roadstead.dialects.leverege.aggregations import aggregate
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape, shape_devices
from roadstead.dialects.leverege.paths import Form, Place
from roadstead.dialects.leverege.reach import Reach, reach
from roadstead.dialects.leverege.search_fields import Names, read_field
from roadstead.dialects.leverege.search_language import read_filter, read_words
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import EVERYTHING, And, Filter, Match, Not, Or
from roadstead.kernel.ids import TypeId
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_DEFAULT_LIMIT, _MOST = 100, 10_000
_MOST_OFFSET = 2_147_483_647
_MOST_SORT = 10
_LONGEST_S = 5
"""What a search with patterns may take."""
_MISSING = {"_first": True, "_last": False}
_ORDERS = {"asc": False, "desc": True}


class SortField(msgspec.Struct, frozen=True):
    """`SortField`."""

    field: str
    order: str | None = None
    missing: str | None = None


class SearchBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`SearchBody`."""

    limit: int | None = None
    per_page: int | None = None
    offset: int | None = None
    filter: Any = None
    sort: list[SortField] | None = None
    next_token: str | None = None
    aggs: dict[str, Any] | None = None
    search: str | None = None

    def page(self, order: Sequence[Order]) -> PageQuery:
        """Which part is wanted. Raises `Invalid`."""
        limit = self.limit if self.limit is not None else self.per_page
        limit = _DEFAULT_LIMIT if limit is None else limit
        if not 0 <= limit <= _MOST:
            raise Invalid.field("limit", f"is a number from 0 to {_MOST}")
        if not 0 <= (self.offset or 0) <= _MOST_OFFSET:
            raise Invalid.field("offset", f"is a number from 0 to {_MOST_OFFSET}")
        if not self.next_token:
            return PageQuery(limit=limit, offset=self.offset or 0)
        if self.offset:
            raise Invalid.field("offset", "does not go with a nextToken")
        mark, dot, cursor = self.next_token.partition(".")
        if not dot or mark != _mark(order):
            raise Invalid.field("nextToken", "is not from a search with this sort")
        return PageQuery(limit=limit, cursor=cursor)

    def order(self, names: Names) -> list[Order]:
        """What is sorted by; without anything, the newest first."""
        if len(self.sort or ()) > _MOST_SORT:
            raise Invalid.field("sort", f"has at most {_MOST_SORT} fields")
        found = [_order(each, names, f"sort[{index}]") for index, each in enumerate(self.sort or ())]
        return found or [Order(field=("createdAt",), descending=True)]


class SearchResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`SearchResult`: `count` and `total` are the number of matches."""

    items: list[DeviceShape]
    count: int
    total: int
    limit: int
    offset: int
    next_token: str | None = None
    aggs: dict[str, Any] | None = None


@post(Form.SEARCH.value, operation_id="interface.search", status_code=200)
async def search_blueprint(request: AnyRequest, work: Work, place: Place) -> SearchResult:
    """Devices of a blueprint in a system."""
    return await search(work, await reach(work, place), read_as(await read_body(request), SearchBody))


@post(Form.GROUP_SEARCH.value, operation_id="interface.group-search", status_code=200)
async def search_group(request: AnyRequest, work: Work, place: Place) -> SearchResult:
    """Children of a device by one of its relations; of all devices for `*`."""
    return await search(work, await reach(work, place), read_as(await read_body(request), SearchBody))


async def search(work: Work, found: Reach, body: SearchBody) -> SearchResult:
    """What a path leads to, as far as the caller may see it."""
    names = await names_of(work, found.blueprint_id)
    asked = read_filter(body.filter, names)
    words = read_words(body.search) if body.search else EVERYTHING
    order = body.order(names)
    page = body.page(order)
    await telemetry.await_searchable(work)
    if _has_pattern(asked):
        await registry.bound_search(work, most_s=_LONGEST_S)
    where = And((await found.within(work), asked, words))
    total = await registry.count_matches(work, where)
    devices, cursor = [], None
    if page.limit and total:
        picked = await registry.search_devices(work, where, order, page)
        devices, cursor = picked.items, picked.next_cursor
    return SearchResult(
        items=await shape_devices(work, devices),
        count=total,
        total=total,
        limit=page.limit,
        offset=page.offset,
        next_token=f"{_mark(order)}.{cursor}" if cursor is not None else None,
        aggs=await aggregate(work, where, body.aggs, names) if body.aggs else None,
    )


async def names_of(work: Work, blueprint_id: TypeId) -> Names:
    """What names of fields mean for devices of a blueprint."""
    attributes = (await types.attributes_of(work, [blueprint_id]))[blueprint_id]
    only = (each for each in attributes if each.is_relation and each.relationship is RelationKind.ONE_TO_ONE)
    return Names(project_id=work.actor.organization_id, children={each.steps: each.id for each in only})


def _order(sort: SortField, names: Names, where: str) -> Order:
    descending = _ORDERS.get((sort.order or "asc").lower())
    absent_first = _MISSING.get(sort.missing or "_last")
    if descending is None:
        raise Invalid.field(f"{where}.order", "is asc or desc")
    if absent_first is None:
        raise Invalid.field(f"{where}.missing", "is _first or _last")
    field = read_field(sort.field, names, f"{where}.field")
    return Order(field=field.column, descending=descending, absent_first=absent_first)


def _mark(order: Sequence[Order]) -> str:
    return hashlib.sha256(msgspec.json.encode(order)).hexdigest()[:8]


def _has_pattern(tree: Filter) -> bool:
    match tree:
        case And(parts) | Or(parts):
            return any(_has_pattern(part) for part in parts)
        case Not(part):
            return _has_pattern(part)
    return isinstance(tree, Match)


handlers = [search_blueprint, search_group]
