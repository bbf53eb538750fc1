"""Lists: conditions, sort orders and pages over one FROM clause, by keyset or by number."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from roadstead.db.tx import Tx
from roadstead.kernel.errors import Invalid
from roadstead.kernel.page import Page, PageQuery, decode_cursor, encode_cursor

S = TypeVar("S", bound=msgspec.Struct)


class Condition(msgspec.Struct, frozen=True):
    """A piece of SQL that is true or false for a row, with its parameters."""

    sql: str
    params: tuple[Any, ...] = ()


class SortKey(msgspec.Struct, frozen=True):
    """A column or expression to sort by; it is never NULL."""

    sql: str
    descending: bool = False
    cast: str = "text"
    """Its SQL type, for reading it back out of a cursor."""


class Listing(msgspec.Struct, frozen=True):
    """Something that can be listed: what to select, from where, and what makes the order total."""

    columns: str
    source: str
    tie: str = "id"
    """A unique uuid column, last in every order."""

    async def page(
        self, tx: Tx, kind: type[S], where: Sequence[Condition], sort: Sequence[SortKey], query: PageQuery
    ) -> Page[S]:
        """One page in the given order. One statement, one more when the total is wanted and cannot be seen from it."""
        order = [*sort, SortKey(self.tie, sort[-1].descending if sort else False, "uuid")]
        conditions = list(where)
        if query.cursor is not None:
            conditions.append(_after(order, decode_cursor(query.cursor, len(order))))
        keys = ", ".join(f"({key.sql})::text" for key in order)
        ends, items = await tx.keyed(
            kind,
            f"SELECT ARRAY[{keys}] AS sort_values, {self.columns} FROM {self.source} {_where(conditions)} "
            f"ORDER BY {', '.join(f'{key.sql} DESC' if key.descending else key.sql for key in order)} "
            f"LIMIT %s OFFSET %s",
            *_params(conditions),
            query.limit + 1,
            (query.page or 0) * query.limit + query.offset,
        )
        more = len(items) > query.limit
        total = None
        if query.include_total or query.page is not None:
            before = (query.page or 0) * query.limit + query.offset
            is_last = query.cursor is None and not more and (items or not before)
            total = before + len(items) if is_last else await self.count(tx, where)
        return Page(
            items=items[: query.limit],
            next_cursor=encode_cursor(ends[query.limit - 1]) if more and query.page is None else None,
            total=total,
        )

    async def count(self, tx: Tx, where: Sequence[Condition]) -> int:
        """How many rows satisfy the conditions."""
        return int(await tx.value(f"SELECT count(*) FROM {self.source} {_where(where)}", *_params(where)))


def parse_sort(text: str | None, allowed: Mapping[str, SortKey], default: str) -> list[SortKey]:
    """`name,-createdAt` as sort keys; `Invalid` names the parameter for a field that cannot be sorted by."""
    keys = []
    for part in (text or default).split(","):
        name = part.strip().removeprefix("-")
        key = allowed.get(name)
        if key is None:
            raise Invalid.field("sort", f"'{name}' is not one of {', '.join(allowed)}", place="query")
        keys.append(msgspec.structs.replace(key, descending=part.strip().startswith("-")))
    return keys


def _where(conditions: Sequence[Condition]) -> str:
    return "WHERE " + " AND ".join(f"({condition.sql})" for condition in conditions) if conditions else ""


def _params(conditions: Sequence[Condition]) -> list[Any]:
    return [param for condition in conditions for param in condition.params]


def _after(order: Sequence[SortKey], values: Sequence[Any]) -> Condition:
    """Rows that come after these values in the order."""
    if len({key.descending for key in order}) == 1:
        # One direction: a row comparison, which an index on the columns can serve.
        sign = "<" if order[0].descending else ">"
        columns = ", ".join(key.sql for key in order)
        marks = ", ".join(f"%s::text::{key.cast}" for key in order)
        return Condition(f"({columns}) {sign} ({marks})", tuple(values))
    either: list[str] = []
    params: list[Any] = []
    for length in range(1, len(order) + 1):
        *same, last = order[:length]
        parts = [f"{key.sql} = %s::text::{key.cast}" for key in same]
        parts.append(f"{last.sql} {'<' if last.descending else '>'} %s::text::{last.cast}")
        either.append(" AND ".join(parts))
        params += values[:length]
    return Condition(" OR ".join(f"({part})" for part in either), tuple(params))
