"""The SQL of the realm: its keys, and who stands behind a token."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.db import Tx
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import TenantId, UserId


class RealmKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair. The private half is sealed."""

    id: str
    public_jwk: dict[str, Any]
    private_jwk: bytes
    created_at: datetime
    retired_at: datetime | None = None


class KnownBearer(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a tenant, with the session that a token belongs to."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    person_id: UserId
    person_name: str
    role: Role
    last_seen_at: datetime | None


_KEY_COLUMNS = "id, public_jwk, private_jwk, created_at, retired_at"


async def select_realm_keys(tx: Tx) -> list[RealmKey]:
    """All there are, the newest first."""
    return await tx.all(RealmKey, f"SELECT {_KEY_COLUMNS} FROM realm_key ORDER BY created_at DESC, id")


async def lock_realm_keys(tx: Tx) -> None:
    """Until the end of the transaction nobody else adds or retires keys."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('roadstead.realm_key', 0))")


async def insert_realm_key(tx: Tx, key: RealmKey) -> None:
    """Add a key; it signs from now on."""
    await tx.run("UPDATE realm_key SET retired_at = %s WHERE retired_at IS NULL", key.created_at)
    await tx.run(
        "INSERT INTO realm_key (id, public_jwk, private_jwk, created_at) VALUES (%s, %s, %s, %s)",
        key.id, Jsonb(key.public_jwk), key.private_jwk, key.created_at,
    )  # fmt: skip


async def select_bearer(tx: Tx, *, organization_id: UUID, session_id: UUID, at: datetime) -> KnownBearer | None:
    """The person behind an open session of a tenant, as long as they are a member."""
    sql = """
        SELECT s.tenant_id, t.public_id AS organization_id, t.status, p.id AS person_id, p.name AS person_name, m.role,
               m.last_seen_at
        FROM session s
        JOIN tenant t USING (tenant_id)
        JOIN membership m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
        JOIN person p ON p.id = s.person_id
        WHERE t.public_id = %s AND s.id = %s AND s.revoked_at IS NULL AND s.expires_at > %s
    """
    return await tx.one(KnownBearer, sql, organization_id, session_id, at)
