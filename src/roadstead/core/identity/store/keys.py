"""The SQL of API keys."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.identity.model import ApiKey, KeyStatus
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.ids import KeyId, TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = (
    "id, name, prefix, environment, scopes, allowed_cidrs, expires_at, last_used_at, revoked_at, created_by, "
    "created_at, updated_at, version"
)
_LISTING = Listing(columns=_COLUMNS, source="api_key")
_STATUS = {
    KeyStatus.ACTIVE: "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
    KeyStatus.REVOKED: "revoked_at IS NOT NULL",
    KeyStatus.EXPIRED: "revoked_at IS NULL AND expires_at <= now()",
}


class KnownKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that somebody has shown, with what decides whether it is good."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    id: KeyId
    name: str
    scopes: list[str]
    allowed_cidrs: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


async def select_known_key(tx: Tx, secret_hash: bytes, at: datetime) -> KnownKey | None:
    """The key of this secret, or of a secret it had before that is still within its grace."""
    sql = """
        SELECT k.tenant_id, t.public_id AS organization_id, t.status, k.id, k.name, k.scopes, k.allowed_cidrs,
               k.expires_at, k.revoked_at, k.last_used_at
        FROM api_key k JOIN tenant t USING (tenant_id)
        WHERE k.secret_hash = %s OR (k.previous_hash = %s AND k.previous_until > %s)
    """
    return await tx.one(KnownKey, sql, secret_hash, secret_hash, at)


async def select_key_of_token(tx: Tx, secret_hash: bytes, at: datetime) -> KnownKey | None:
    """The key that a client token was given for, while the token lasts."""
    sql = """
        SELECT k.tenant_id, t.public_id AS organization_id, t.status, k.id, k.name, k.scopes, k.allowed_cidrs,
               k.expires_at, k.revoked_at, k.last_used_at
        FROM client_token c JOIN api_key k ON k.tenant_id = c.tenant_id AND k.id = c.key_id
             JOIN tenant t ON t.tenant_id = k.tenant_id
        WHERE c.secret_hash = %s AND c.expires_at > %s
    """
    return await tx.one(KnownKey, sql, secret_hash, at)


async def insert_token(
    tx: Tx, tenant: TenantId, key_id: UUID, secret_hash: bytes, *, created_at: datetime, expires_at: datetime
) -> None:
    """Add a client token of a key."""
    sql = """
        INSERT INTO client_token (tenant_id, secret_hash, key_id, created_at, expires_at) VALUES (%s, %s, %s, %s, %s)
    """
    await tx.run(sql, tenant, secret_hash, key_id, created_at, expires_at)


async def touch_key(tx: Tx, tenant: TenantId, key: KeyId, at: datetime) -> None:
    """Note that it was used. Whoever finds somebody else noting the same lets them."""
    sql = """
        UPDATE api_key SET last_used_at = %s WHERE (tenant_id, id) IN (
            SELECT tenant_id, id FROM api_key WHERE tenant_id = %s AND id = %s FOR UPDATE SKIP LOCKED
        )
    """
    await tx.run(sql, at, tenant, key)


async def insert_key(tx: Tx, tenant: TenantId, key: ApiKey, secret_hash: bytes) -> None:
    """Add a key."""
    sql = """
        INSERT INTO api_key (tenant_id, id, name, prefix, environment, secret_hash, scopes, allowed_cidrs, expires_at,
                             created_by, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql,
        tenant,
        key.id,
        key.name,
        key.prefix,
        key.environment,
        secret_hash,
        key.scopes,
        key.allowed_cidrs,
        key.expires_at,
        key.created_by,
        key.created_at,
        key.updated_at,
    )


async def page_keys(tx: Tx, tenant: TenantId, statuses: Sequence[KeyStatus], query: PageQuery) -> Page[ApiKey]:
    """Keys of an organization, newest first; of all statuses when none is named."""
    where = [Condition("tenant_id = %s", (tenant,))]
    if statuses:
        where.append(Condition(" OR ".join(f"({_STATUS[status]})" for status in statuses)))
    return await _LISTING.page(tx, ApiKey, where, [SortKey("created_at", descending=True, cast="timestamptz")], query)


async def select_key(tx: Tx, tenant: TenantId, key: UUID) -> ApiKey | None:
    """One key."""
    return await tx.one(ApiKey, f"SELECT {_COLUMNS} FROM api_key WHERE tenant_id = %s AND id = %s", tenant, key)


async def update_key(tx: Tx, tenant: TenantId, key: ApiKey) -> ApiKey | None:
    """As it is now, or None when somebody else has changed it since that version."""
    sql = f"""
        UPDATE api_key SET name = %s, scopes = %s, allowed_cidrs = %s, expires_at = %s, revoked_at = %s,
                           updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND id = %s AND version = %s RETURNING {_COLUMNS}
    """
    return await tx.one(
        ApiKey,
        sql,
        key.name,
        key.scopes,
        key.allowed_cidrs,
        key.expires_at,
        key.revoked_at,
        key.updated_at,
        tenant,
        key.id,
        key.version,
    )


async def replace_secret(
    tx: Tx, tenant: TenantId, key: ApiKey, secret_hash: bytes, *, previous_until: datetime
) -> ApiKey | None:
    """As it is now, or None when somebody else has changed it since that version.

    The secret it had is good until `previous_until`; the one before that no more.
    """
    sql = f"""
        UPDATE api_key SET previous_hash = secret_hash, previous_until = %s, secret_hash = %s, prefix = %s,
                           updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND id = %s AND version = %s RETURNING {_COLUMNS}
    """
    return await tx.one(
        ApiKey, sql, previous_until, secret_hash, key.prefix, key.updated_at, tenant, key.id, key.version
    )
