"""The SQL of id tokens."""

from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.db import Tx


class IdToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of a session of the realm."""

    session_id: UUID
    organization_id: UUID | None
    """None: for no project."""
    expires_at: datetime


async def insert_id_token(tx: Tx, token_hash: bytes, token: IdToken) -> None:
    """Add a token."""
    sql = "INSERT INTO id_token (session_id, organization_id, expires_at, token_hash) VALUES (%s, %s, %s, %s)"
    await tx.run(sql, *msgspec.structs.astuple(token), token_hash)


async def select_id_token(tx: Tx, token_hash: bytes, at: datetime) -> IdToken | None:
    """The token, if it has not expired."""
    sql = "SELECT session_id, organization_id, expires_at FROM id_token WHERE token_hash = %s AND expires_at > %s"
    return await tx.one(IdToken, sql, token_hash, at)
