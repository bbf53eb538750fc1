"""The SQL of searches: any field to sort by, and the values that devices have."""

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.registry.device_store import DEVICE_FIELDS, DEVICES
from roadstead.core.registry.model import Device
from roadstead.db import Condition, SortKey, Tx
from roadstead.db.filters import Column, ColumnType, FieldKind, Json, Rows, Source, Values, compile_filter
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Filter, Path
from roadstead.kernel.page import Page, PageQuery

_MOST_INTERVALS = 10_000
_DEPTH, _NODES = 100, 8_000
"""More than other filters have: a dialect holds what it is sent against limits of its own, and says it at length."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A field to sort by. Of several values the least counts, or the greatest when descending; numbers before text."""

    field: Path
    descending: bool = False
    absent_first: bool = False
    """Where those come that do not have it."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What numbers are like; all but the count None when there are none."""

    count: int
    min: float | None
    max: float | None
    avg: float | None
    sum: float | None


async def select_page(tx: Tx, where: Filter, order: Sequence[Order], page: PageQuery) -> Page[Device]:
    """Devices that the filter is true for, in this order."""
    joins, keys = "", list[SortKey]()
    for number, each in enumerate(order):
        join, more = _sort_keys(each, f"sorted{number}")
        joins += join
        keys += more
    listing = msgspec.structs.replace(DEVICES, source=DEVICES.source + joins)
    return await listing.page(tx, Device, _conditions(tx, where), keys, page)


async def count_matches(tx: Tx, where: Filter) -> int:
    """How many devices the filter is true for."""
    return await DEVICES.count(tx, _conditions(tx, where))


async def select_counts(
    tx: Tx, where: Filter, field: Path, size: int, include: Sequence[Any] | None, exclude: Sequence[Any]
) -> list[tuple[Any, int]]:
    """How many devices have which value, most first."""
    found = _matches(tx, where, field)
    sql = f"""
        SELECT found.key, count(DISTINCT found.id) FROM ({found.sql}) found
        WHERE found.key IS NOT NULL AND (%s OR found.key = ANY (%s)) AND NOT found.key = ANY (%s)
        GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
    """
    wanted, unwanted = [Jsonb(value) for value in include or ()], [Jsonb(value) for value in exclude]
    rows = await tx.rows(sql, *found.params, include is None, wanted, unwanted, size)
    return [(key, count) for key, count in rows]


async def select_intervals(tx: Tx, where: Filter, field: Path, interval: float) -> list[tuple[float, int]]:
    """How many devices have numbers in which interval."""
    found = _matches(tx, where, field)
    sql = f"""
        SELECT floor(found.number / %s) * %s, count(DISTINCT found.id) FROM ({found.sql}) found
        WHERE found.number IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT {_MOST_INTERVALS}
    """
    return [(start, count) for start, count in await tx.rows(sql, interval, interval, *found.params)]


async def select_stats(tx: Tx, where: Filter, field: Path) -> Stats:
    """What the numbers of all devices together are like."""
    found = _matches(tx, where, field)
    sql = f"""
        SELECT count(number), min(number), max(number), avg(number), sum(number) FROM ({found.sql}) found
    """
    row = await tx.row(sql, *found.params) or (0, None, None, None, None)
    return Stats(count=row[0], min=row[1], max=row[2], avg=row[3], sum=row[4])


async def limit_statements(tx: Tx, most_s: int) -> None:
    """Until the transaction ends, a statement is cancelled after so many seconds."""
    await tx.run(f"SET LOCAL statement_timeout = '{most_s}s'")


def _conditions(tx: Tx, where: Filter) -> list[Condition]:
    ours = Condition("device.tenant_id = %s", (tx.tenant,))
    source = Source("device", ours)
    return [ours, compile_filter(where, DEVICE_FIELDS, depth=_DEPTH, nodes=_NODES, source=source)]


def _matches(tx: Tx, where: Filter, field: Path) -> Condition:
    """Rows of device, value as JSON and number, one for each value of the field."""
    tenant, condition = _conditions(tx, where)
    kind, steps = _kind(field)
    params: tuple[str, ...] = tuple(steps)
    match kind:
        case Values(source, row, keys):
            joined = "".join(f" AND {key} = %s" for key in keys)
            key = f"coalesce(to_jsonb({row}.text), to_jsonb({row}.number), to_jsonb({row}.flag))"
            sql = f"SELECT {key} AS key, {row}.number FROM {source}{joined} AND {row}.path = %s"
        case Rows(source, keys, value):
            joined = "".join(f" AND {key} = %s" for key in keys)
            sql = f"SELECT {_spelled(value)}, NULL::float8 FROM {source}{joined}"
        case Json(column):
            sql = f"""
                SELECT item, CASE jsonb_typeof(item) WHEN 'number' THEN item::float8 END
                FROM jsonb_path_query({column}, %s::jsonpath) AS item WHERE jsonb_typeof(item) <> 'null'
            """
            params = ("$" + "".join(f".{msgspec.json.encode(step).decode()}" for step in steps) + "[*]",)
        case Column():
            number = f"extract(epoch FROM {kind.sql})::float8 * 1000" if kind.type is ColumnType.INSTANT else "NULL"
            sql = f"SELECT {_spelled(kind)}, {number}::float8"
        case _:
            raise _unfit(field)
    return Condition(
        f"""
        SELECT device.id, each.key, each.number FROM device, LATERAL ({sql}) AS each (key, number)
        WHERE {tenant.sql} AND ({condition.sql})
        """,
        (*params, *tenant.params, *condition.params),
    )


def _spelled(column: Column) -> str:
    """A column as JSON; NULL where it is absent."""
    if column.type is ColumnType.INSTANT:
        return f"to_jsonb((extract(epoch FROM {column.sql}) * 1000)::bigint)"
    return f"to_jsonb({column.sql})"


def _sort_keys(order: Order, name: str) -> tuple[str, list[SortKey]]:
    """What is to be joined, and keys that are never NULL."""
    kind, steps = _kind(order.field)
    down, extreme = order.descending, "max" if order.descending else "min"
    match kind:
        case Values(source, row, keys):
            where = "".join(f" AND {key} = {_literal(step)}" for key, step in zip(keys, steps, strict=False))
            join = f"""
                LEFT JOIN LATERAL (
                    SELECT {extreme}(coalesce({row}.number, {row}.flag::integer)) AS number,
                           {extreme}({row}.text) AS text
                    FROM {source}{where} AND {row}.path = {_literal(steps[-1])}
                ) {name} ON true
            """
            absent = -1 if order.absent_first else 2
            rank = f"CASE WHEN {name}.number IS NOT NULL THEN 0 WHEN {name}.text IS NOT NULL THEN 1 ELSE {absent} END"
            numbers = SortKey(f"coalesce({name}.number, 0)", down, "float8")
            return join, [SortKey(rank, cast="integer"), numbers, _text_key(f"{name}.text", descending=down)]
        case Rows(source, keys, value):
            where = "".join(f" AND {key} = {_literal(step)}" for key, step in zip(keys, steps, strict=False))
            join = (
                f"LEFT JOIN LATERAL (SELECT {extreme}(({value.sql})::text) AS text FROM {source}{where}) {name} ON true"
            )
            text = f"{name}.text"
        case Json(column):
            join, text = "", f"({column} #>> ARRAY[{', '.join(map(_literal, steps))}]::text[])"
        case Column(sql, ColumnType.INSTANT, None):
            # Not NULL, or absent: as the index has it.
            if order.field in _ALWAYS:
                return "", [SortKey(sql, down, "timestamptz")]
            join, text = "", f"to_char({sql} AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"
        case Column():
            if order.field in _ALWAYS:
                return "", [SortKey(kind.sql, down, "uuid" if kind.type is ColumnType.ID else "text")]
            join, text = "", f"({kind.sql})::text"
        case _:
            raise _unfit(order.field)
    is_absent = SortKey(f"({text} IS NULL)::integer", order.absent_first, "integer")
    return join, [is_absent, _text_key(text, descending=down)]


_ALWAYS = {("id",), ("name",), ("createdAt",), ("updatedAt",)}
"""Fields that every device has."""


def _text_key(text: str, *, descending: bool) -> SortKey:
    return SortKey(f"coalesce({text}, '') COLLATE \"C\"", descending)


def _kind(field: Path) -> tuple[FieldKind, Sequence[str]]:
    name, *steps = field
    kind = DEVICE_FIELDS.get(name)
    match kind:
        case Values(keys=keys):
            fits = len(steps) == len(keys) + 1
        case Rows(keys=keys):
            fits = len(steps) == len(keys)
        case _:
            fits = isinstance(kind, Json) or not steps
    if kind is None or not fits or any("\0" in step for step in steps):
        raise _unfit(field)
    return kind, steps


def _unfit(field: Path) -> Invalid:
    return Invalid.field("/".join(field), "cannot be sorted by or counted", place="body")


def _literal(text: str) -> str:
    """For a place in a statement before its parameters."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"
