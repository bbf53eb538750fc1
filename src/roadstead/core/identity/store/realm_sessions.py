"""The SQL of those who have signed in to the realm, and of what programs were given for it."""

from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.identity.model import Session
from roadstead.core.identity.realm_model import RealmSession
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser carries to a program."""

    session_id: UUID
    client_id: str
    redirect_uri: str
    organization_id: UUID | None
    scope: str
    nonce: str | None
    challenge: str | None
    challenge_method: str | None
    expires_at: datetime
    used_at: datetime | None = None


class RealmToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a program renews its tokens with."""

    session_id: UUID
    client_id: str
    organization_id: UUID | None
    scope: str
    expires_at: datetime
    used_at: datetime | None = None


_SESSION_COLUMNS = "id, person_id, organization_id, authenticated_at, expires_at"
_CODE_COLUMNS = (
    "session_id, client_id, redirect_uri, organization_id, scope, nonce, challenge, challenge_method, expires_at,"
    " used_at"
)
_RENEWAL_COLUMNS = "session_id, client_id, organization_id, scope, expires_at, used_at"


async def insert_realm_session(tx: Tx, session: RealmSession, cookie_hash: bytes | None) -> None:
    """Add a session."""
    sql = f"INSERT INTO realm_session ({_SESSION_COLUMNS}, cookie_hash) VALUES (%s, %s, %s, %s, %s, %s)"
    await tx.run(sql, *msgspec.structs.astuple(session), cookie_hash)


async def select_session_of_cookie(tx: Tx, cookie_hash: bytes, at: datetime) -> RealmSession | None:
    """The open session of a browser."""
    sql = f"""
        SELECT {_SESSION_COLUMNS} FROM realm_session WHERE cookie_hash = %s AND revoked_at IS NULL AND expires_at > %s
    """
    return await tx.one(RealmSession, sql, cookie_hash, at)


async def select_realm_session(tx: Tx, session_id: UUID, at: datetime) -> RealmSession | None:
    """An open session."""
    sql = f"SELECT {_SESSION_COLUMNS} FROM realm_session WHERE id = %s AND revoked_at IS NULL AND expires_at > %s"
    return await tx.one(RealmSession, sql, session_id, at)


async def update_realm_session(tx: Tx, session: RealmSession) -> None:
    """The tenant that was chosen, and until when it may be renewed."""
    sql = "UPDATE realm_session SET organization_id = %s, expires_at = %s WHERE id = %s"
    await tx.run(sql, session.organization_id, session.expires_at, session.id)


async def revoke_realm_session(tx: Tx, session_id: UUID, at: datetime) -> list[Session]:
    """It is over, in all tenants; answers those in which it was open."""
    sql = "UPDATE realm_session SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL RETURNING person_id"
    person = await tx.value(sql, at, session_id)
    if person is None:
        return []
    entered = """
        UPDATE session SET revoked_at = %s WHERE person_id = %s AND id = %s AND revoked_at IS NULL
        RETURNING tenant_id, id, person_id, address, created_at, expires_at
    """
    return await tx.all(Session, entered, at, person, session_id)


async def upsert_entered(tx: Tx, session: Session) -> bool | None:
    """The session in a tenant, made or prolonged. True: made; None: it was ended there, which is for good."""
    sql = """
        INSERT INTO session (tenant_id, id, person_id, address, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, id) DO UPDATE SET expires_at = EXCLUDED.expires_at WHERE session.revoked_at IS NULL
        RETURNING xmax = 0
    """
    made: bool | None = await tx.value(sql, *msgspec.structs.astuple(session))
    return made


async def select_names(tx: Tx, tenants: list[TenantId]) -> dict[UUID, str]:
    """What tenants are called, by their public id."""
    return dict(await tx.rows("SELECT public_id, name FROM tenant WHERE tenant_id = ANY (%s)", tenants))


async def insert_code(tx: Tx, code_hash: bytes, code: Code) -> None:
    """Add a code."""
    sql = f"""
        INSERT INTO authorization_code ({_CODE_COLUMNS}, code_hash)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, *msgspec.structs.astuple(code), code_hash)


async def select_code(tx: Tx, code_hash: bytes) -> Code | None:
    """The code, locked until the end of the transaction: of two who show it at once, the second sees it used."""
    return await tx.one(
        Code, f"SELECT {_CODE_COLUMNS} FROM authorization_code WHERE code_hash = %s FOR UPDATE", code_hash
    )


async def use_code(tx: Tx, code_hash: bytes, at: datetime) -> None:
    """It was used; whoever shows it again has stolen it."""
    await tx.run("UPDATE authorization_code SET used_at = %s WHERE code_hash = %s", at, code_hash)


async def insert_realm_token(tx: Tx, token_hash: bytes, token: RealmToken) -> None:
    """Add a token to the family of a session."""
    sql = f"INSERT INTO realm_token ({_RENEWAL_COLUMNS}, token_hash) VALUES (%s, %s, %s, %s, %s, %s, %s)"
    await tx.run(sql, *msgspec.structs.astuple(token), token_hash)


async def select_realm_token(tx: Tx, token_hash: bytes) -> RealmToken | None:
    """The token, locked until the end of the transaction."""
    return await tx.one(
        RealmToken, f"SELECT {_RENEWAL_COLUMNS} FROM realm_token WHERE token_hash = %s FOR UPDATE", token_hash
    )


async def use_realm_token(tx: Tx, token_hash: bytes, at: datetime) -> None:
    """It was used, for the first time."""
    await tx.run("UPDATE realm_token SET used_at = %s WHERE token_hash = %s AND used_at IS NULL", at, token_hash)
