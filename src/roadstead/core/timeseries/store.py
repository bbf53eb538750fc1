"""The SQL of series of a tenant's own."""

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from roadstead.core.timeseries.model import SeriesId, Timeseries, TimeseriesQuery
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = "id, name, data_type, metadata, created_at, updated_at"
_TIMESERIES = Listing(columns=_COLUMNS, source="timeseries")
_NEWEST_FIRST = [SortKey("created_at", descending=True, cast="timestamptz")]


async def insert_timeseries(tx: Tx, tenant: TenantId, series: Timeseries) -> None:
    """Add one."""
    sql = f"INSERT INTO timeseries (tenant_id, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)"
    await tx.run(
        sql,
        tenant,
        series.id,
        series.name,
        Jsonb(series.data_type),
        None if series.metadata is None else Jsonb(series.metadata),
        series.created_at,
        series.updated_at,
    )


async def select_timeseries(tx: Tx, tenant: TenantId, series_id: SeriesId, *, lock: bool = False) -> Timeseries | None:
    """One series."""
    sql = f"SELECT {_COLUMNS} FROM timeseries WHERE tenant_id = %s AND id = %s {'FOR UPDATE' if lock else ''}"
    return await tx.one(Timeseries, sql, tenant, series_id)


async def select_many(tx: Tx, tenant: TenantId, series_ids: Sequence[SeriesId]) -> dict[SeriesId, Timeseries]:
    """Those of these that are there, by id."""
    sql = f"SELECT {_COLUMNS} FROM timeseries WHERE tenant_id = %s AND id = ANY (%s)"
    return {series.id: series for series in await tx.all(Timeseries, sql, tenant, list(series_ids))}


async def page_timeseries(tx: Tx, tenant: TenantId, query: TimeseriesQuery, page: PageQuery) -> Page[Timeseries]:
    """Series that the conditions hold for, newest first."""
    return await _TIMESERIES.page(tx, Timeseries, _conditions(tenant, query), _NEWEST_FIRST, page)


async def select_ids(tx: Tx, tenant: TenantId, query: TimeseriesQuery, most: int) -> list[SeriesId]:
    """The first so many of them in order of their ids."""
    conditions = _conditions(tenant, query)
    where = " AND ".join(f"({condition.sql})" for condition in conditions)
    params = [param for condition in conditions for param in condition.params]
    rows = await tx.rows(f"SELECT id FROM timeseries WHERE {where} ORDER BY id LIMIT %s", *params, most)
    return [SeriesId(id_) for (id_,) in rows]


async def update_timeseries(tx: Tx, tenant: TenantId, series: Timeseries) -> None:
    """Everything about it that can change."""
    sql = """
        UPDATE timeseries SET name = %s, data_type = %s, metadata = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    metadata = None if series.metadata is None else Jsonb(series.metadata)
    await tx.run(sql, series.name, Jsonb(series.data_type), metadata, series.updated_at, tenant, series.id)


async def delete_timeseries(tx: Tx, tenant: TenantId, series_id: SeriesId) -> None:
    """Forget it."""
    await tx.run("DELETE FROM timeseries WHERE tenant_id = %s AND id = %s", tenant, series_id)


def _conditions(tenant: TenantId, query: TimeseriesQuery) -> list[Condition]:
    conditions = [Condition("tenant_id = %s", (tenant,))]
    if query.ids is not None:
        conditions.append(Condition("id = ANY (%s)", (list(query.ids),)))
    if query.metadata is not None:
        wanted = Jsonb(dict(query.metadata))
        # The first half is for the index, which takes a part of a member for the whole.
        conditions.append(Condition("metadata @> %s", (wanted,)))
        differs = "SELECT FROM jsonb_each(%s) w WHERE metadata -> w.key IS DISTINCT FROM w.value"
        conditions.append(Condition(f"NOT EXISTS ({differs})", (wanted,)))
    return conditions
