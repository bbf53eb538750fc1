"""The SQL of tokens that programs hold."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.identity.bearer_model import PersonToken, SpaceToken
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.db.filters import Column, Fields, compile_filter
from roadstead.kernel.filter import EVERYTHING, Filter
from roadstead.kernel.ids import SpaceId, TenantId, UserId
from roadstead.kernel.page import Page, PageQuery

_COMMON = "id, name, description, scopes, enabled, created_at, updated_at, expires_at"
_OF_PERSON = f"{_COMMON}, person_id, default_role, roles"
_OF_SPACE = f"{_COMMON}, space_id, grants, created_by, created_by_kind, created_by_name"
_PERSON_TOKENS = Listing(columns=_OF_PERSON, source="person_token")
_SPACE_TOKENS = Listing(columns=_OF_SPACE, source="space_token")
_STATUS = "CASE WHEN enabled THEN 'active' ELSE 'inactive' END"
_FIELDS: Fields = {"name": Column("name"), "status": Column(_STATUS)}
SORTS: Mapping[str, SortKey] = {
    "name": SortKey("name"),
    "status": SortKey(_STATUS),
    "id": SortKey("id", cast="uuid"),
    "creationDate": SortKey("created_at", cast="timestamptz"),
    "lastUpdated": SortKey("updated_at", cast="timestamptz"),
    "expirationDate": SortKey("coalesce(expires_at, 'infinity')", cast="timestamptz"),
}
"""What tokens can be sorted by."""


# --- of people -------------------------------------------------------------------------------------------------------


async def insert_person_token(tx: Tx, token: PersonToken, token_hash: bytes) -> None:
    """Add a token; without a name, one of signing in."""
    sql = """
        INSERT INTO person_token (id, name, description, scopes, enabled, created_at, updated_at, expires_at, person_id,
            default_role, roles, token_hash)
        VALUES (%s, nullif(%s, ''), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    *row, roles = msgspec.structs.astuple(token)
    await tx.run(sql, *row, Jsonb(msgspec.to_builtins(roles)), token_hash)


async def select_good_person_token(tx: Tx, token_hash: bytes, at: datetime) -> PersonToken | None:
    """The token, if it is good at an instant."""
    sql = """
        SELECT t.id, coalesce(t.name, '') AS name, t.description, t.scopes, t.enabled, t.created_at, t.updated_at,
               t.expires_at, t.person_id, t.default_role, t.roles
        FROM person_token t JOIN person p ON p.id = t.person_id
        WHERE t.token_hash = %s AND t.enabled AND (t.expires_at IS NULL OR t.expires_at > %s)
          AND (p.tokens_from IS NULL OR t.created_at >= p.tokens_from)
    """
    return await tx.one(PersonToken, sql, token_hash, at)


async def page_person_tokens(
    tx: Tx, person: UserId, where: Filter | None, sort: SortKey, page: PageQuery
) -> Page[PersonToken]:
    """Those that somebody made for programs."""
    conditions = [Condition("person_id = %s AND name IS NOT NULL", (person,))]
    return await _PERSON_TOKENS.page(tx, PersonToken, [*conditions, _filter(where)], [sort], page)


async def select_person_token(tx: Tx, person: UserId, token_id: UUID) -> PersonToken | None:
    """One of them."""
    sql = f"SELECT {_OF_PERSON} FROM person_token WHERE person_id = %s AND id = %s AND name IS NOT NULL"
    return await tx.one(PersonToken, sql, person, token_id)


async def update_person_token(tx: Tx, token: PersonToken) -> None:
    """As it is now."""
    sql = """
        UPDATE person_token SET name = %s, description = %s, enabled = %s, default_role = %s, roles = %s,
               updated_at = %s
        WHERE person_id = %s AND id = %s
    """
    roles = Jsonb(msgspec.to_builtins(token.roles))
    row = (token.name, token.description, token.enabled, token.default_role, roles, token.updated_at)
    await tx.run(sql, *row, token.person_id, token.id)


async def delete_person_token(tx: Tx, person: UserId, token_id: UUID) -> bool:
    """False when there is no such token."""
    sql = "DELETE FROM person_token WHERE person_id = %s AND id = %s AND name IS NOT NULL"
    return await tx.run(sql, person, token_id) == 1


async def update_cutoff(tx: Tx, person: UserId, cutoff: datetime) -> None:
    """Tokens of somebody that were made before are no good."""
    await tx.run("UPDATE person SET tokens_from = %s WHERE id = %s", cutoff, person)


async def select_cutoff(tx: Tx, person: UserId) -> datetime | None:
    """Since when tokens of somebody are good."""
    cutoff: datetime | None = await tx.value("SELECT tokens_from FROM person WHERE id = %s", person)
    return cutoff


# --- of spaces -------------------------------------------------------------------------------------------------------


class KnownSpaceToken(SpaceToken, frozen=True, kw_only=True):
    """One that is shown, with where it is good."""

    tenant_id: TenantId
    organization_id: UUID
    status: str


async def insert_space_token(tx: Tx, tenant: TenantId, token: SpaceToken, token_hash: bytes) -> None:
    """Add a token."""
    sql = f"""
        INSERT INTO space_token ({_OF_SPACE}, tenant_id, token_hash)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, *msgspec.structs.astuple(token), tenant, token_hash)


async def select_good_space_token(tx: Tx, token_hash: bytes, at: datetime) -> KnownSpaceToken | None:
    """The token, if it is good at an instant, over all tenants."""
    columns = ", ".join(f"t.{name}" for name in _OF_SPACE.split(", "))
    sql = f"""
        SELECT {columns}, t.tenant_id, o.public_id AS organization_id, o.status
        FROM space_token t JOIN tenant o USING (tenant_id)
        JOIN space s ON s.tenant_id = t.tenant_id AND s.id = t.space_id AND s.deleted_at IS NULL
        WHERE t.token_hash = %s AND t.enabled AND (t.expires_at IS NULL OR t.expires_at > %s)
    """
    return await tx.one(KnownSpaceToken, sql, token_hash, at)


async def page_space_tokens(
    tx: Tx, space_id: SpaceId, where: Filter | None, sort: SortKey, page: PageQuery
) -> Page[SpaceToken]:
    """Those of a space."""
    conditions = [Condition("tenant_id = %s AND space_id = %s", (tx.tenant, space_id)), _filter(where)]
    return await _SPACE_TOKENS.page(tx, SpaceToken, conditions, [sort], page)


async def select_space_token(tx: Tx, space_id: SpaceId, token_id: UUID) -> SpaceToken | None:
    """One of them."""
    sql = f"SELECT {_OF_SPACE} FROM space_token WHERE tenant_id = %s AND space_id = %s AND id = %s"
    return await tx.one(SpaceToken, sql, tx.tenant, space_id, token_id)


async def update_space_token(tx: Tx, token: SpaceToken) -> None:
    """As it is now."""
    sql = """
        UPDATE space_token SET name = %s, description = %s, enabled = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, token.name, token.description, token.enabled, token.updated_at, tx.tenant, token.id)


async def delete_space_token(tx: Tx, space_id: SpaceId, token_id: UUID) -> bool:
    """False when there is no such token."""
    sql = "DELETE FROM space_token WHERE tenant_id = %s AND space_id = %s AND id = %s"
    return await tx.run(sql, tx.tenant, space_id, token_id) == 1


def _filter(where: Filter | None) -> Condition:
    return compile_filter(EVERYTHING if where is None else where, _FIELDS)
