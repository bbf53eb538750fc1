"""The SQL of sessions and of the tokens that renew them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.identity.model import Session
from roadstead.core.identity.role_model import HeldRole
from roadstead.core.identity.store.roles import HELD_BY_MEMBER
from roadstead.db import Tx
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import TenantId, UserId

_COLUMNS = "tenant_id, id, person_id, address, created_at, expires_at"


class KnownSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that somebody claims to have, with what decides whether it is good."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    person_id: UserId
    person_name: str
    role: Role
    held: list[HeldRole] | None
    """What they were given beside it."""
    last_seen_at: datetime | None
    public_jwk: dict[str, Any]


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that renews a session once."""

    tenant_id: TenantId
    session_id: UUID
    used_at: datetime | None
    expires_at: datetime


async def select_known_session(
    tx: Tx, *, organization_id: UUID, session_id: UUID, key_id: str, at: datetime, key_retired_after: datetime
) -> KnownSession | None:
    """The session, if it is still open, its person still a member, and the key one that may have signed its token."""
    sql = f"""
        SELECT t.tenant_id, t.public_id AS organization_id, t.status, s.person_id,
               coalesce(nullif(p.name, ''), p.email) AS person_name, m.role, {HELD_BY_MEMBER} AS held, m.last_seen_at,
               k.public_jwk
        FROM tenant t
        JOIN session s ON s.tenant_id = t.tenant_id AND s.id = %s
        JOIN membership m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
        JOIN person p ON p.id = s.person_id
        JOIN signing_key k ON k.id = %s
        WHERE t.public_id = %s AND s.revoked_at IS NULL AND s.expires_at > %s
          AND (k.retired_at IS NULL OR k.retired_at > %s)
    """
    return await tx.one(KnownSession, sql, session_id, key_id, organization_id, at, key_retired_after)


async def insert_session(tx: Tx, session: Session) -> None:
    """Add a session."""
    sql = f"INSERT INTO session ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)"
    await tx.run(sql, *msgspec.structs.astuple(session))


async def select_open_session(tx: Tx, tenant: TenantId, session: UUID, at: datetime) -> Session | None:
    """A session that can be renewed, locked until the end of the transaction."""
    sql = f"""
        SELECT {_COLUMNS} FROM session
        WHERE tenant_id = %s AND id = %s AND revoked_at IS NULL AND expires_at > %s FOR UPDATE
    """
    return await tx.one(Session, sql, tenant, session, at)


async def prolong_session(tx: Tx, session: Session, expires_at: datetime) -> None:
    """It may be renewed until then."""
    sql = "UPDATE session SET expires_at = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, expires_at, session.tenant_id, session.id)


async def revoke_session(tx: Tx, tenant: TenantId, session: UUID, at: datetime) -> Session | None:
    """The session that was open, or None."""
    sql = f"""
        UPDATE session SET revoked_at = %s WHERE tenant_id = %s AND id = %s AND revoked_at IS NULL RETURNING {_COLUMNS}
    """
    return await tx.one(Session, sql, at, tenant, session)


async def revoke_sessions_of_person(tx: Tx, person: UserId, at: datetime, *, but: UUID | None = None) -> int:
    """All sessions of a person in all organizations, those of the realm, and tokens of signing in; says how many of the
    first were open."""
    open_ones = "revoked_at IS NULL AND id IS DISTINCT FROM %s"
    await tx.run("DELETE FROM person_token WHERE person_id = %s AND name IS NULL", person)
    await tx.run(f"UPDATE realm_session SET revoked_at = %s WHERE person_id = %s AND {open_ones}", at, person, but)
    return await tx.run(f"UPDATE session SET revoked_at = %s WHERE person_id = %s AND {open_ones}", at, person, but)


async def revoke_sessions_of_member(tx: Tx, tenant: TenantId, person: UserId, at: datetime) -> int:
    """The sessions of a person in one organization; says how many were open."""
    sql = "UPDATE session SET revoked_at = %s WHERE tenant_id = %s AND person_id = %s AND revoked_at IS NULL"
    return await tx.run(sql, at, tenant, person)


async def insert_refresh_token(
    tx: Tx, tenant: TenantId, session: UUID, token_hash: bytes, *, created_at: datetime, expires_at: datetime
) -> None:
    """Add a token to the family of a session."""
    sql = """
        INSERT INTO refresh_token (tenant_id, token_hash, session_id, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s)
    """
    await tx.run(sql, tenant, token_hash, session, created_at, expires_at)


async def select_refresh_token(tx: Tx, token_hash: bytes) -> RefreshToken | None:
    """The token, locked until the end of the transaction: of two who show it at once, the second sees it used."""
    sql = "SELECT tenant_id, session_id, used_at, expires_at FROM refresh_token WHERE token_hash = %s FOR UPDATE"
    return await tx.one(RefreshToken, sql, token_hash)


async def use_refresh_token(tx: Tx, token_hash: bytes, at: datetime) -> None:
    """It was used; nobody may use it again."""
    await tx.run("UPDATE refresh_token SET used_at = %s WHERE token_hash = %s", at, token_hash)


async def touch_member(tx: Tx, tenant: TenantId, person: UserId, at: datetime) -> None:
    """Note that a member was here. Whoever finds somebody else noting the same lets them."""
    sql = """
        UPDATE membership SET last_seen_at = %s WHERE (tenant_id, person_id) IN (
            SELECT tenant_id, person_id FROM membership WHERE tenant_id = %s AND person_id = %s FOR UPDATE SKIP LOCKED
        )
    """
    await tx.run(sql, at, tenant, person)
