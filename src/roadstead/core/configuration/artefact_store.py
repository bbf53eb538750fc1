"""The SQL of artefacts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from roadstead.core.configuration.model import Artefact, ArtefactId, ArtefactQuery
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, Fields, compile_filter
from roadstead.kernel.filter import contains
from roadstead.kernel.page import Page, PageQuery

_STORED = (
    "id", "name", "number", "profile_kind", "profile_key", "profile_major", "profile_minor", "content_type", "content",
    "file", "file_name", "size_bytes", "sha256", "description", "created_by", "created_at",
)  # fmt: skip
_ARTEFACTS = Listing(
    columns=", ".join(f"artefact.{column}" for column in _STORED)
    + """,
        EXISTS (SELECT FROM config_binding b WHERE b.tenant_id = artefact.tenant_id AND b.artefact_id = artefact.id)
        OR EXISTS (SELECT FROM config_entry e WHERE e.tenant_id = artefact.tenant_id AND e.artefact_id = artefact.id)
        AS in_use
    """,
    source="config_artefact artefact",
    tie="artefact.id",
)
_FIELDS: Fields = {"name": Column("artefact.name")}
_SORT = {
    "createdAt": SortKey("artefact.created_at", cast="timestamptz"),
    "name": SortKey("artefact.name"),
    "version": SortKey("artefact.number", cast="integer"),
}


async def select_artefact(tx: Tx, artefact_id: ArtefactId) -> Artefact | None:
    """One version."""
    sql = f"SELECT {_ARTEFACTS.columns} FROM {_ARTEFACTS.source} WHERE artefact.tenant_id = %s AND artefact.id = %s"
    return await tx.one(Artefact, sql, tx.tenant, artefact_id)


async def list_artefacts(tx: Tx, query: ArtefactQuery, sort: str | None, page: PageQuery) -> Page[Artefact]:
    """Versions, newest first unless told otherwise."""
    where = [Condition("artefact.tenant_id = %s", (tx.tenant,))]
    if query.name is not None:
        where.append(Condition("artefact.name = %s", (query.name,)))
    if query.profile is not None:
        where.append(Condition("artefact.profile_key = %s", (query.profile.key,)))
        if query.profile.version is not None:
            numbers = (query.profile.version.major, query.profile.version.minor)
            where.append(Condition("artefact.profile_major = %s AND artefact.profile_minor = %s", numbers))
    if query.text:
        where.append(compile_filter(contains("name", query.text), _FIELDS))
    if query.latest_only:
        newer = """
            NOT EXISTS (SELECT FROM config_artefact newer WHERE newer.tenant_id = artefact.tenant_id
                AND newer.name = artefact.name AND newer.number > artefact.number)
        """
        where.append(Condition(newer))
    return await _ARTEFACTS.page(tx, Artefact, where, parse_sort(sort, _SORT, "-createdAt"), page)


async def lock_name(tx: Tx, name: str) -> None:
    """Nobody else adds a version of this name until the transaction ends."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtext(%s), %s)", _lock_of(name), tx.tenant)


def _lock_of(name: str) -> str:
    return f"roadstead/config-artefact/{name}"


async def select_alike(tx: Tx, artefact: Artefact) -> Artefact | None:
    """The newest version of the name with this content, type and profile."""
    sql = f"""
        SELECT {_ARTEFACTS.columns} FROM {_ARTEFACTS.source}
        WHERE artefact.tenant_id = %s AND artefact.name = %s AND artefact.sha256 = %s AND artefact.content_type = %s
          AND (profile_kind, profile_key, profile_major, profile_minor) IS NOT DISTINCT FROM (%s, %s, %s::int, %s::int)
        ORDER BY artefact.number DESC LIMIT 1
    """
    return await tx.one(
        Artefact,
        sql,
        tx.tenant,
        artefact.name,
        artefact.sha256,
        artefact.content_type,
        artefact.profile_kind,
        artefact.profile_key,
        artefact.profile_major,
        artefact.profile_minor,
    )


async def next_number(tx: Tx, name: str) -> int:
    """A number that no version of the name ever had."""
    sql = """
        INSERT INTO ordinal (tenant_id, noun, last) VALUES (%s, %s, 1)
        ON CONFLICT (tenant_id, noun) DO UPDATE SET last = ordinal.last + 1 RETURNING last
    """
    return int(await tx.value(sql, tx.tenant, f"config-artefact/{name}"))


async def insert_artefact(tx: Tx, artefact: Artefact) -> None:
    """Add a version."""
    values: list[Any] = [getattr(artefact, column) for column in _STORED]
    sql = f"INSERT INTO config_artefact (tenant_id, {', '.join(_STORED)}) VALUES (%s{', %s' * len(_STORED)})"
    await tx.run(sql, tx.tenant, *values)


async def delete_artefact(tx: Tx, artefact_id: ArtefactId) -> bool:
    """False when a binding or a document has it; the transaction is of no more use then."""
    try:
        await tx.run("DELETE FROM config_artefact WHERE tenant_id = %s AND id = %s", tx.tenant, artefact_id)
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True


# --- those that were made for single devices -------------------------------------------------------------------------


async def mark_own(tx: Tx, artefact_id: ArtefactId) -> None:
    """It was made for a device, not by somebody who counts on it."""
    await tx.run("UPDATE config_artefact SET is_own = true WHERE tenant_id = %s AND id = %s", tx.tenant, artefact_id)


async def delete_unused_own(tx: Tx, name: str, most: int) -> int:
    """Delete those that nothing names, of tenants where nobody is just adding one; their files become waste."""
    # Locked first and looked at then: whoever binds one of them in between would not be seen otherwise.
    sql = """
        SELECT a.tenant_id, a.id FROM (
            SELECT a.tenant_id, a.id FROM config_artefact a
            WHERE a.is_own
              AND NOT EXISTS (SELECT FROM config_binding b WHERE b.tenant_id = a.tenant_id AND b.artefact_id = a.id)
              AND NOT EXISTS (SELECT FROM config_entry e WHERE e.tenant_id = a.tenant_id AND e.artefact_id = a.id)
            LIMIT %s
        ) few JOIN config_artefact a ON a.tenant_id = few.tenant_id AND a.id = few.id
        WHERE pg_try_advisory_xact_lock(hashtext(%s), few.tenant_id)
        FOR UPDATE OF a SKIP LOCKED
    """
    found = await tx.rows(sql, most, _lock_of(name))
    sql = """
        WITH gone AS (
            DELETE FROM config_artefact a USING unnest(%s::int[], %s::uuid[]) AS w (tenant_id, id)
            WHERE a.tenant_id = w.tenant_id AND a.id = w.id
              AND NOT EXISTS (SELECT FROM config_binding b WHERE b.tenant_id = a.tenant_id AND b.artefact_id = a.id)
              AND NOT EXISTS (SELECT FROM config_entry e WHERE e.tenant_id = a.tenant_id AND e.artefact_id = a.id)
            RETURNING a.tenant_id, a.file
        ), waste AS (
            INSERT INTO config_waste (tenant_id, file, due_at)
            SELECT tenant_id, file, now() + interval '7 days' FROM gone WHERE file IS NOT NULL
        )
        SELECT count(*) FROM gone
    """
    return int(await tx.value(sql, [tenant for tenant, _ in found], [id_ for _, id_ in found])) if found else 0


# --- files -----------------------------------------------------------------------------------------------------------


async def insert_waste(tx: Tx, file: str, at: datetime) -> None:
    """A file that belongs to no artefact: to be deleted."""
    sql = "INSERT INTO config_waste (tenant_id, file, due_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    await tx.run(sql, tx.tenant, file, at)


async def lock_waste(tx: Tx, at: datetime, most: int) -> Sequence[tuple[int, str, str]]:
    """Files to be deleted, of all tenants: tenant, organization, file."""
    sql = """
        SELECT w.tenant_id, t.public_id::text, w.file FROM config_waste w JOIN tenant t ON t.tenant_id = w.tenant_id
        WHERE w.due_at <= %s ORDER BY w.due_at LIMIT %s FOR UPDATE OF w SKIP LOCKED
    """
    return [(tenant, organization, file) for tenant, organization, file in await tx.rows(sql, at, most)]


async def delete_waste(tx: Tx, tenant: int, file: str) -> None:
    """It is gone."""
    await tx.run("DELETE FROM config_waste WHERE tenant_id = %s AND file = %s", tenant, file)
