"""The SQL of sites."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.registry.site_model import Site
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SiteId
from roadstead.kernel.page import Page, PageQuery

_SITES = Listing(
    columns="""
        site.id, site.parent_id, site.lineage,
        ARRAY(SELECT ancestor.name FROM unnest(site.lineage) WITH ORDINALITY AS step (id, depth)
            JOIN site ancestor ON ancestor.tenant_id = site.tenant_id AND ancestor.id = step.id ORDER BY step.depth
        ) AS path,
        site.name, site.location, site.time_zone, site.address, site.tags, site.metadata,
        (WITH RECURSIVE below (id) AS (
            SELECT site.id
            UNION ALL SELECT child.id FROM below JOIN site child ON child.tenant_id = site.tenant_id
                AND child.parent_id = below.id
        ) SELECT count(*) FROM below JOIN device ON device.tenant_id = site.tenant_id AND device.site_id = below.id
        ) AS device_count,
        site.created_at, site.updated_at, site.version
    """,
    source="site",
    tie="site.id",
)
_FIELDS: Fields = {
    "name": Column("site.name"),
    "parentId": Column("site.parent_id", ColumnType.ID),
}
_SORT = {"name": SortKey("site.name"), "createdAt": SortKey("site.created_at", cast="timestamptz")}
_BY_ID = "WHERE site.tenant_id = %s AND site.id = %s"


class SiteRow(msgspec.Struct, frozen=True):
    """A site as far as the tree is concerned."""

    id: SiteId
    parent_id: SiteId | None
    name: str
    devices: int
    """Those right here."""


async def select_site(tx: Tx, site_id: SiteId) -> Site | None:
    """One site."""
    return await tx.one(Site, f"SELECT {_SITES.columns} FROM site {_BY_ID}", tx.tenant, site_id)


async def lock_site(tx: Tx, site_id: SiteId) -> Site | None:
    """One site, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_SITES.columns} FROM site {_BY_ID} FOR NO KEY UPDATE OF site"
    return await tx.one(Site, sql, tx.tenant, site_id)


async def select_sites(tx: Tx, site_ids: Sequence[SiteId]) -> list[Site]:
    """Those of the sites that are there."""
    sql = f"SELECT {_SITES.columns} FROM site WHERE site.tenant_id = %s AND site.id = ANY(%s)"
    return await tx.all(Site, sql, tx.tenant, list(site_ids))


async def list_sites(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Site]:
    """Sites that the filter is true for."""
    conditions = [Condition("site.tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]
    return await _SITES.page(tx, Site, conditions, parse_sort(sort, _SORT, "name"), page)


async def select_tree(tx: Tx) -> list[SiteRow]:
    """All sites, by name."""
    sql = """
        SELECT site.id, site.parent_id, site.name, coalesce(counted.devices, 0) AS devices
        FROM site LEFT JOIN (
            SELECT site_id, count(*) AS devices FROM device WHERE tenant_id = %s GROUP BY site_id
        ) counted ON counted.site_id = site.id
        WHERE site.tenant_id = %s ORDER BY site.name, site.id
    """
    return await tx.all(SiteRow, sql, tx.tenant, tx.tenant)


async def select_lineage(tx: Tx, site_id: SiteId) -> list[SiteId] | None:
    """From the root down to the site; None when it is not there."""
    lineage: list[SiteId] | None = await tx.value(
        "SELECT lineage FROM site WHERE tenant_id = %s AND id = %s", tx.tenant, site_id
    )
    return lineage


async def select_below(tx: Tx, site_ids: Sequence[UUID]) -> list[SiteId]:
    """These sites, as far as they are there, and all below them."""
    sql = """
        WITH RECURSIVE below (id) AS (
            SELECT id FROM site WHERE tenant_id = %s AND id = ANY(%s)
            UNION SELECT site.id FROM below JOIN site ON site.tenant_id = %s AND site.parent_id = below.id
        )
        SELECT id FROM below
    """
    return [row[0] for row in await tx.rows(sql, tx.tenant, list(site_ids), tx.tenant)]


async def select_height(tx: Tx, site_id: SiteId) -> int:
    """How many levels the site and those below it make."""
    sql = """
        WITH RECURSIVE below (id, level) AS (
            SELECT id, 1 FROM site WHERE tenant_id = %s AND id = %s
            UNION ALL SELECT site.id, below.level + 1 FROM below JOIN site ON site.tenant_id = %s
                AND site.parent_id = below.id
        )
        SELECT max(level) FROM below
    """
    return int(await tx.value(sql, tx.tenant, site_id, tx.tenant))


async def is_name_taken(tx: Tx, parent_id: SiteId | None, name: str, besides: SiteId | None) -> bool:
    """Whether another site under the same parent has this name."""
    sql = "SELECT id FROM site WHERE tenant_id = %s AND parent_id IS NOT DISTINCT FROM %s AND name = %s"
    holder = await tx.value(sql, tx.tenant, parent_id, name)
    return holder is not None and holder != besides


async def insert_site(tx: Tx, site: Site) -> bool:
    """False when the name has just been taken."""
    sql = """
        INSERT INTO site (tenant_id, id, created_at, parent_id, lineage, name, location, time_zone, address, tags,
                          metadata, updated_at, version)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING
    """
    return bool(await tx.run(sql, tx.tenant, site.id, site.created_at, *_values(site)))


async def update_site(tx: Tx, site: Site) -> bool:
    """False when the name has just been taken; the transaction is of no more use then."""
    sql = """
        UPDATE site SET parent_id = %s, lineage = %s, name = %s, location = %s, time_zone = %s, address = %s, tags = %s,
                        metadata = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    try:
        await tx.run(sql, *_values(site), tx.tenant, site.id)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def _values(site: Site) -> tuple[Any, ...]:
    return (
        site.parent_id,
        site.lineage,
        site.name,
        None if site.location is None else Jsonb(site.location),
        site.time_zone,
        None if site.address is None else Jsonb(site.address),
        Jsonb(site.tags),
        Jsonb(site.metadata),
        site.updated_at,
        site.version,
    )


async def trace_lineages(tx: Tx, site_id: SiteId) -> None:
    """Write the lineages of all sites below one anew, from its own."""
    sql = """
        WITH RECURSIVE below (id, lineage) AS (
            SELECT id, lineage FROM site WHERE tenant_id = %s AND id = %s
            UNION ALL SELECT site.id, below.lineage || site.id FROM below JOIN site ON site.tenant_id = %s
                AND site.parent_id = below.id
        )
        UPDATE site SET lineage = below.lineage FROM below
        WHERE site.tenant_id = %s AND site.id = below.id AND site.lineage <> below.lineage
    """
    await tx.run(sql, tx.tenant, site_id, tx.tenant, tx.tenant)


async def select_children(tx: Tx, site_id: SiteId) -> list[SiteId]:
    """The sites right below."""
    return [
        row[0]
        for row in await tx.rows("SELECT id FROM site WHERE tenant_id = %s AND parent_id = %s", tx.tenant, site_id)
    ]


async def has_devices(tx: Tx, site_id: SiteId) -> bool:
    """Whether a device is right here."""
    sql = "SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND site_id = %s)"
    return bool(await tx.value(sql, tx.tenant, site_id))


async def move_devices(tx: Tx, source: SiteId, target: SiteId, at: datetime) -> int:
    """All devices of one site to another; says how many."""
    sql = """
        UPDATE device SET site_id = %s, updated_at = %s, version = version + 1 WHERE tenant_id = %s AND site_id = %s
    """
    return await tx.run(sql, target, at, tx.tenant, source)


async def delete_site(tx: Tx, site_id: SiteId) -> None:
    """Forget a site that nothing refers to."""
    await tx.run("DELETE FROM site WHERE tenant_id = %s AND id = %s", tx.tenant, site_id)
