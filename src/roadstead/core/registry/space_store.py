"""The SQL of spaces and of the people to call about them."""

from datetime import datetime
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.registry.space_model import Contact, Space
from roadstead.db import Tx, storable
from roadstead.kernel.ids import SpaceId

_COLUMNS = "id, name, alias, is_default, endpoint_slug, archive, notes, created_at, updated_at"
_CONTACT_COLUMNS = "id, space_id, name, email, phone, notes, created_at"


async def select_space(tx: Tx, space_id: SpaceId) -> Space | None:
    """One space."""
    sql = f"SELECT {_COLUMNS} FROM space WHERE tenant_id = %s AND id = %s AND deleted_at IS NULL"
    return await tx.one(Space, sql, tx.tenant, space_id)


async def select_space_called(tx: Tx, alias: str) -> Space | None:
    """The space with this alias."""
    return await tx.one(
        Space, f"SELECT {_COLUMNS} FROM space WHERE tenant_id = %s AND alias = %s", tx.tenant, storable(alias)
    )


async def select_default_space(tx: Tx) -> SpaceId | None:
    """The space for those who do not name one."""
    space_id: SpaceId | None = await tx.value("SELECT id FROM space WHERE tenant_id = %s AND is_default", tx.tenant)
    return space_id


async def select_spaces(tx: Tx) -> list[Space]:
    """All spaces, the default one first."""
    sql = f"""
        SELECT {_COLUMNS} FROM space WHERE tenant_id = %s AND deleted_at IS NULL ORDER BY is_default DESC, name, id
    """
    return await tx.all(Space, sql, tx.tenant)


async def lock_space(tx: Tx, space_id: SpaceId) -> Space | None:
    """One that nobody else changes, and that gets no device, until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM space WHERE tenant_id = %s AND id = %s AND deleted_at IS NULL FOR UPDATE"
    return await tx.one(Space, sql, tx.tenant, space_id)


async def insert_space(tx: Tx, space: Space) -> bool:
    """False when alias or slug are taken, or when there is a default space already and this would be another."""
    sql = """
        INSERT INTO space (tenant_id, id, name, alias, is_default, endpoint_slug, archive, notes, created_at,
                           updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    """
    return bool(
        await tx.run(
            sql,
            tx.tenant,
            space.id,
            space.name,
            space.alias,
            space.is_default,
            space.endpoint_slug,
            _archive(space),
            Jsonb(space.notes),
            space.created_at,
            space.updated_at,
        )
    )


async def is_alias_taken(tx: Tx, alias: str, besides: SpaceId) -> bool:
    """Whether another space of the tenant has this alias."""
    holder = await tx.value("SELECT id FROM space WHERE tenant_id = %s AND alias = %s", tx.tenant, alias)
    return holder is not None and holder != besides


async def is_endpoint_slug_taken(tx: Tx, slug: str, besides: SpaceId | None) -> bool:
    """Whether another space of the platform has it. Asked of the whole platform, so it answers yes or no only."""
    return bool(await tx.value("SELECT endpoint_slug_taken(%s, %s)", slug, besides))


async def update_space(tx: Tx, space: Space) -> bool:
    """Everything about it that can change. False when its slug has just been taken; the transaction is of no more use
    then."""
    sql = """
        UPDATE space SET name = %s, alias = %s, endpoint_slug = %s, archive = %s, notes = %s, updated_at = %s,
            archived_until = CASE WHEN %s THEN archived_until END
        WHERE tenant_id = %s AND id = %s
    """
    row = (
        space.name,
        space.alias,
        space.endpoint_slug,
        _archive(space),
        Jsonb(space.notes),
        space.updated_at,
        space.archive is not None,
    )
    try:
        await tx.run(sql, *row, tx.tenant, space.id)
    except psycopg.errors.UniqueViolation:
        return False
    return True


async def touch_space(tx: Tx, space_id: SpaceId, at: datetime) -> None:
    """Something that belongs to it has changed."""
    await tx.run("UPDATE space SET updated_at = %s WHERE tenant_id = %s AND id = %s", at, tx.tenant, space_id)


def _archive(space: Space) -> Jsonb | None:
    return Jsonb(msgspec.to_builtins(space.archive)) if space.archive is not None else None


async def has_devices(tx: Tx, space_id: SpaceId) -> bool:
    """Whether a device is in it."""
    sql = "SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND space_id = %s)"
    return bool(await tx.value(sql, tx.tenant, space_id))


async def delete_space(tx: Tx, space_id: SpaceId) -> bool:
    """With its contacts. False when rows of rooms above refer to it; the transaction is of no more use then."""
    try:
        await tx.run("DELETE FROM space WHERE tenant_id = %s AND id = %s", tx.tenant, space_id)
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True


# --- contacts --------------------------------------------------------------------------------------------------------


async def select_contacts(tx: Tx, space_id: SpaceId) -> list[Contact]:
    """Those of a space, oldest first."""
    sql = f"SELECT {_CONTACT_COLUMNS} FROM space_contact WHERE tenant_id = %s AND space_id = %s ORDER BY created_at, id"
    return await tx.all(Contact, sql, tx.tenant, space_id)


async def insert_contact(tx: Tx, contact: Contact) -> None:
    """Add one."""
    sql = f"INSERT INTO space_contact (tenant_id, {_CONTACT_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    await tx.run(
        sql,
        tx.tenant,
        contact.id,
        contact.space_id,
        contact.name,
        contact.email,
        contact.phone,
        Jsonb(contact.notes),
        contact.created_at,
    )


async def delete_contact(tx: Tx, space_id: SpaceId, contact_id: UUID) -> bool:
    """False when the space has no such contact."""
    sql = "DELETE FROM space_contact WHERE tenant_id = %s AND space_id = %s AND id = %s"
    return bool(await tx.run(sql, tx.tenant, space_id, contact_id))
