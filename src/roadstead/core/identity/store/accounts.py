"""The SQL of accounts: what a project knows of its members."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.identity.account_model import MemberAccount
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId, UserId

_COLUMNS = """
    m.person_id, coalesce(a.username, p.email) AS username, p.name,
    CASE WHEN a.managed THEN a.email ELSE coalesce(a.email, p.email) END AS email,
    a.phone, coalesce(a.metadata, '{}') AS metadata, coalesce(a.managed, false) AS managed, m.confined, m.role,
    coalesce(a.created_at, m.joined_at) AS created_at, coalesce(a.updated_at, m.joined_at) AS updated_at,
    coalesce(a.signed_in_at, m.last_seen_at) AS signed_in_at
"""
_SOURCE = "membership m JOIN person p ON p.id = m.person_id LEFT JOIN account a USING (tenant_id, person_id)"
_NAMED = "lower(coalesce(a.username, p.email)) = lower(%s)"
_WANTED = """
    m.tenant_id = %s AND (%s::uuid[] IS NULL OR m.person_id = ANY (%s))
    AND (%s::boolean IS NULL OR coalesce(a.managed, false) = %s)
    AND (%s::text IS NULL OR strpos(lower(concat_ws(' ', a.username, a.email, p.name, m.person_id)), lower(%s)) > 0
         OR (a.managed IS NOT TRUE AND strpos(lower(p.email), lower(%s)) > 0))
"""


async def page_accounts(
    tx: Tx,
    tenant: TenantId,
    *,
    among: Sequence[UUID] | None,
    managed: bool | None,
    text: str | None,
    limit: int,
    offset: int,
) -> tuple[list[MemberAccount], int]:
    """Some members by name, from an index on, and how many there are; of `managed` or other people only, if it says."""
    people = None if among is None else list(among)
    params = (tenant, people, people, managed, managed, text, text, text)
    sql = f"""
        SELECT {_COLUMNS} FROM {_SOURCE} WHERE {_WANTED}
        ORDER BY lower(coalesce(a.username, p.email)), m.person_id LIMIT %s OFFSET %s
    """
    found = await tx.all(MemberAccount, sql, *params, limit, offset)
    return found, int(await tx.value(f"SELECT count(*) FROM {_SOURCE} WHERE {_WANTED}", *params))


async def select_account(tx: Tx, tenant: TenantId, person: UUID) -> MemberAccount | None:
    """One member."""
    sql = f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE m.tenant_id = %s AND m.person_id = %s"
    return await tx.one(MemberAccount, sql, tenant, person)


async def select_account_named(tx: Tx, tenant: TenantId, name: str) -> MemberAccount | None:
    """The member with a name, upper and lower case alike."""
    return await tx.one(
        MemberAccount, f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE m.tenant_id = %s AND {_NAMED}", tenant, name
    )


async def select_account_in(tx: Tx, project: UUID, person: UUID) -> MemberAccount | None:
    """A member of a project that is known by its public id."""
    sql = (
        f"SELECT {_COLUMNS} FROM {_SOURCE} JOIN tenant t USING (tenant_id) WHERE t.public_id = %s AND m.person_id = %s"
    )
    return await tx.one(MemberAccount, sql, project, person)


async def select_person_of_name(tx: Tx, project: UUID, name: str) -> UserId | None:
    """Who is called this in a project, if there is such a project."""
    sql = f"""
        SELECT m.person_id FROM {_SOURCE} JOIN tenant t USING (tenant_id) WHERE t.public_id = %s AND {_NAMED}
        ORDER BY coalesce(a.managed, false) LIMIT 1
    """
    person: UserId | None = await tx.value(sql, project, name)
    return person


async def insert_account(tx: Tx, tenant: TenantId, account: MemberAccount) -> bool:
    """False when another member has this name."""
    sql = """
        INSERT INTO account (tenant_id, person_id, username, email, phone, metadata, managed, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    """
    values = (account.username, account.email, account.phone, Jsonb(account.metadata), account.managed)
    return await tx.run(sql, tenant, account.person_id, *values, account.created_at, account.updated_at) == 1


async def update_account(tx: Tx, tenant: TenantId, account: MemberAccount) -> None:
    """Name, address, phone and metadata as they shall be."""
    sql = """
        INSERT INTO account (tenant_id, person_id, username, email, phone, metadata, managed, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, person_id) DO UPDATE SET
            username = EXCLUDED.username, email = EXCLUDED.email, phone = EXCLUDED.phone,
            metadata = EXCLUDED.metadata, updated_at = EXCLUDED.updated_at
    """
    values = (account.username, account.email, account.phone, Jsonb(account.metadata), account.managed)
    await tx.run(sql, tenant, account.person_id, *values, account.created_at, account.updated_at)


async def confine_member(tx: Tx, tenant: TenantId, person: UserId) -> None:
    """From now on they may do only what is given to them on single resources."""
    await tx.run("UPDATE membership SET confined = true WHERE tenant_id = %s AND person_id = %s", tenant, person)


async def touch_account(tx: Tx, tenant: TenantId, person: UserId, at: datetime) -> None:
    """They have signed in."""
    await tx.run("UPDATE account SET signed_in_at = %s WHERE tenant_id = %s AND person_id = %s", at, tenant, person)


async def count_memberships(tx: Tx, person: UserId) -> int:
    """In how many organizations somebody is."""
    return int(await tx.value("SELECT count(*) FROM membership WHERE person_id = %s", person))


async def delete_person(tx: Tx, person: UserId) -> None:
    """Somebody with all that is theirs."""
    await tx.run("DELETE FROM person WHERE id = %s", person)


async def is_known_to(tx: Tx, person: UUID, other: UUID) -> bool:
    """Whether both are members of one organization."""
    sql = """
        SELECT true FROM membership a JOIN membership b USING (tenant_id)
        WHERE a.person_id = %s AND b.person_id = %s LIMIT 1
    """
    return await tx.value(sql, person, other) is not None


# --- what is noted beside roles --------------------------------------------------------------------------------------


async def select_notes(tx: Tx, tenant: TenantId, resource: UUID, people: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """What is noted about these people on a resource."""
    sql = """
        SELECT person_id, metadata FROM resource_user
        WHERE tenant_id = %s AND resource_id = %s AND person_id = ANY (%s)
    """
    return dict(await tx.rows(sql, tenant, resource, list(people)))


async def upsert_notes(tx: Tx, tenant: TenantId, resource: UUID, person: UUID, metadata: dict[str, Any]) -> None:
    """Note this, in place of what was noted."""
    sql = """
        INSERT INTO resource_user (tenant_id, person_id, resource_id, metadata) VALUES (%s, %s, %s, %s)
        ON CONFLICT (tenant_id, resource_id, person_id) DO UPDATE SET metadata = EXCLUDED.metadata
    """
    await tx.run(sql, tenant, person, resource, Jsonb(metadata))


async def delete_notes(tx: Tx, tenant: TenantId, resource: UUID, person: UUID) -> None:
    """Nothing is noted any more."""
    sql = "DELETE FROM resource_user WHERE tenant_id = %s AND resource_id = %s AND person_id = %s"
    await tx.run(sql, tenant, resource, person)
