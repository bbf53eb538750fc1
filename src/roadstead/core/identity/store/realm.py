"""The SQL of the keys of the realm, and of who stands behind a token."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.identity.role_model import HeldRole
from roadstead.core.identity.store.roles import HELD_BY_MEMBER
from roadstead.db import Tx
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import TenantId, UserId


class RealmKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair. The private half is sealed."""

    id: str
    public_jwk: dict[str, Any]
    private_jwk: bytes
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None = None
    """When it stopped signing; what it has signed is still good until it expires."""


class KnownBearer(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a tenant, with the session that a token belongs to."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    person_id: UserId
    person_name: str
    role: Role
    held: list[HeldRole] | None
    """What they were given beside it."""
    last_seen_at: datetime | None


_KEY_COLUMNS = "id, public_jwk, private_jwk, created_at, signs_from, retired_at"


async def select_realm_keys(tx: Tx) -> list[RealmKey]:
    """All there are, the one that signs last first."""
    return await tx.all(RealmKey, f"SELECT {_KEY_COLUMNS} FROM realm_key ORDER BY signs_from DESC, id")


async def select_current_key(tx: Tx, at: datetime) -> RealmKey | None:
    """The one that signs at an instant, or None when there is none yet."""
    sql = f"SELECT {_KEY_COLUMNS} FROM realm_key WHERE signs_from <= %s ORDER BY signs_from DESC LIMIT 1"
    return await tx.one(RealmKey, sql, at)


async def lock_realm_keys(tx: Tx) -> None:
    """Until the end of the transaction nobody else adds or retires keys."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('roadstead.realm_key', 0))")


async def insert_realm_key(tx: Tx, key: RealmKey) -> None:
    """Add a key; from `signs_from` on it signs, and the others are retired."""
    sql = "INSERT INTO realm_key (id, public_jwk, private_jwk, created_at, signs_from) VALUES (%s, %s, %s, %s, %s)"
    await tx.run("UPDATE realm_key SET retired_at = %s WHERE retired_at IS NULL", key.signs_from)
    await tx.run(sql, key.id, Jsonb(key.public_jwk), key.private_jwk, key.created_at, key.signs_from)


async def delete_retired_keys(tx: Tx, before: datetime) -> None:
    """Those that were retired before an instant."""
    await tx.run("DELETE FROM realm_key WHERE retired_at < %s", before)


async def select_bearer(tx: Tx, *, organization_id: UUID, session_id: UUID, at: datetime) -> KnownBearer | None:
    """The person behind an open session of a tenant, as long as they are a member."""
    sql = f"""
        SELECT s.tenant_id, t.public_id AS organization_id, t.status, p.id AS person_id,
               coalesce(nullif(p.name, ''), p.email) AS person_name, m.role, {HELD_BY_MEMBER} AS held, m.last_seen_at
        FROM session s
        JOIN tenant t USING (tenant_id)
        JOIN membership m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
        JOIN person p ON p.id = s.person_id
        WHERE t.public_id = %s AND s.id = %s AND s.revoked_at IS NULL AND s.expires_at > %s
    """
    return await tx.one(KnownBearer, sql, organization_id, session_id, at)


async def select_person_of_session(tx: Tx, session_id: UUID, at: datetime) -> UserId | None:
    """Who has signed in to an open session of the realm."""
    sql = "SELECT person_id FROM realm_session WHERE id = %s AND revoked_at IS NULL AND expires_at > %s"
    person: UserId | None = await tx.value(sql, session_id, at)
    return person
