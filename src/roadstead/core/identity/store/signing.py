"""The SQL of the keys that session tokens are signed with."""

from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from roadstead.db import Tx


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair. The private half is sealed."""

    id: str
    public_jwk: dict[str, Any]
    private_jwk: bytes
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None = None
    """When it stopped signing; what it has signed is still good until it expires."""


_COLUMNS = "id, public_jwk, private_jwk, created_at, signs_from, retired_at"


async def select_signing_keys(tx: Tx) -> list[SigningKey]:
    """All there are, the one that signs last first."""
    return await tx.all(SigningKey, f"SELECT {_COLUMNS} FROM signing_key ORDER BY signs_from DESC, id")


async def select_current_key(tx: Tx, at: datetime) -> SigningKey | None:
    """The one that signs at an instant, or None when there is none yet."""
    sql = f"SELECT {_COLUMNS} FROM signing_key WHERE signs_from <= %s ORDER BY signs_from DESC LIMIT 1"
    return await tx.one(SigningKey, sql, at)


async def lock_signing_keys(tx: Tx) -> None:
    """Until the end of the transaction nobody else adds or retires keys."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('roadstead.signing_key', 0))")


async def insert_signing_key(tx: Tx, key: SigningKey) -> None:
    """Add a key; from `signs_from` on it signs, and the others are retired."""
    sql = """
        INSERT INTO signing_key (id, public_jwk, private_jwk, created_at, signs_from) VALUES (%s, %s, %s, %s, %s)
    """
    await tx.run("UPDATE signing_key SET retired_at = %s WHERE retired_at IS NULL", key.signs_from)
    await tx.run(sql, key.id, Jsonb(key.public_jwk), key.private_jwk, key.created_at, key.signs_from)


async def delete_retired_keys(tx: Tx, before: datetime) -> None:
    """Those that were retired before an instant."""
    await tx.run("DELETE FROM signing_key WHERE retired_at < %s", before)
