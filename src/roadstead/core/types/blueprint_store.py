"""The SQL of blueprints and their attributes."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.types.blueprint_model import Attribute, Blueprint
from roadstead.core.types.device_type_store import TYPES_SOURCE
from roadstead.db import Tx, storable
from roadstead.kernel.ids import TypeId

_BLUEPRINTS = f"""
    SELECT type.id, type.origin, blueprint.id IS NOT NULL AS defined, type.name, type.description, blueprint.alias,
        coalesce(blueprint.kind, 'DEVICE') AS kind, coalesce(blueprint.notes, '{{}}') AS notes, type.created_at,
        type.updated_at
    FROM {TYPES_SOURCE} LEFT JOIN blueprint ON blueprint.tenant_id = type.tenant_id AND blueprint.id = type.id
    WHERE type.tenant_id = %s
"""
_ATTRIBUTES = """
    SELECT id, blueprint_id, path, name, type, units, relationship, target_id, inverse_of, forward_data, choices,
        notes, created_at, updated_at
    FROM blueprint_attribute WHERE tenant_id = %s
"""


async def select_blueprints(tx: Tx) -> list[Blueprint]:
    """All, oldest first; the one for devices without a type and a profile only when there are such devices."""
    sql = f"""
        {_BLUEPRINTS} AND (origin <> 'OPEN' OR EXISTS (
            SELECT FROM device WHERE device.tenant_id = type.tenant_id
                AND kind_id = '00000000-0000-0000-0000-000000000000'))
        ORDER BY type.created_at, type.id
    """
    return await tx.all(Blueprint, sql, tx.tenant)


async def select_blueprint(tx: Tx, blueprint_id: TypeId) -> Blueprint | None:
    """The one with this id."""
    return await tx.one(Blueprint, f"{_BLUEPRINTS} AND type.id = %s", tx.tenant, blueprint_id)


async def select_blueprint_called(tx: Tx, alias: str) -> Blueprint | None:
    """The one with this alias."""
    return await tx.one(Blueprint, f"{_BLUEPRINTS} AND blueprint.alias = %s", tx.tenant, storable(alias))


async def select_defined(tx: Tx, blueprint_ids: list[TypeId]) -> set[TypeId]:
    """Those that were made as blueprints."""
    sql = "SELECT id FROM blueprint WHERE tenant_id = %s AND id = ANY(%s)"
    return {TypeId(row[0]) for row in await tx.rows(sql, tx.tenant, blueprint_ids)}


async def select_aliases(tx: Tx) -> set[str]:
    """Those that are taken."""
    return {row[0] for row in await tx.rows("SELECT alias FROM blueprint WHERE tenant_id = %s", tx.tenant)}


async def insert_blueprint(tx: Tx, blueprint: Blueprint) -> bool:
    """Beside its device type. False when the alias is taken."""
    sql = """
        INSERT INTO blueprint (tenant_id, id, alias, kind, notes) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, alias) DO NOTHING
    """
    notes = Jsonb(blueprint.notes)
    return await tx.run(sql, tx.tenant, blueprint.id, blueprint.alias, blueprint.kind, notes) == 1


async def update_blueprint(tx: Tx, blueprint: Blueprint) -> bool:
    """What its device type does not hold. False when the alias is taken."""
    sql = """
        UPDATE blueprint SET alias = %s, kind = %s, notes = %s
        WHERE tenant_id = %s AND id = %s AND NOT EXISTS (
            SELECT FROM blueprint other WHERE other.tenant_id = %s AND other.alias = %s AND other.id <> %s)
    """
    found = await tx.run(
        sql,
        blueprint.alias,
        blueprint.kind,
        Jsonb(blueprint.notes),
        tx.tenant,
        blueprint.id,
        tx.tenant,
        blueprint.alias,
        blueprint.id,
    )
    return found == 1


async def select_attributes(tx: Tx, blueprint_ids: list[TypeId]) -> list[Attribute]:
    """Those of some blueprints, oldest first."""
    sql = f"{_ATTRIBUTES} AND blueprint_id = ANY(%s) ORDER BY position"
    return await tx.all(Attribute, sql, tx.tenant, blueprint_ids)


async def select_attribute(tx: Tx, attribute_id: UUID) -> Attribute | None:
    """The one with this id."""
    return await tx.one(Attribute, f"{_ATTRIBUTES} AND id = %s", tx.tenant, attribute_id)


async def select_inverse(tx: Tx, attribute_id: UUID) -> Attribute | None:
    """The `parentRelationship` that belongs to a relation."""
    return await tx.one(Attribute, f"{_ATTRIBUTES} AND inverse_of = %s", tx.tenant, attribute_id)


async def select_targeting(tx: Tx, blueprint_id: TypeId) -> list[Attribute]:
    """The relations of other blueprints that lead to this one."""
    sql = f"""
        {_ATTRIBUTES} AND target_id = %s AND blueprint_id <> target_id AND inverse_of IS NULL
        ORDER BY position
    """
    return await tx.all(Attribute, sql, tx.tenant, blueprint_id)


async def insert_attribute(tx: Tx, attribute: Attribute) -> bool:
    """False when the path is taken."""
    sql = """
        INSERT INTO blueprint_attribute (tenant_id, id, blueprint_id, path, name, type, units, relationship, target_id,
                                         inverse_of, forward_data, choices, notes, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, blueprint_id, path) DO NOTHING
    """
    found = await tx.run(
        sql,
        tx.tenant,
        attribute.id,
        attribute.blueprint_id,
        attribute.path,
        attribute.name,
        attribute.type,
        attribute.units,
        attribute.relationship,
        attribute.target_id,
        attribute.inverse_of,
        attribute.forward_data,
        _json(attribute.choices),
        Jsonb(attribute.notes),
        attribute.created_at,
        attribute.updated_at,
    )
    return found == 1


async def update_attribute(tx: Tx, attribute: Attribute) -> None:
    """Everything about it that can change."""
    sql = """
        UPDATE blueprint_attribute SET name = %s, forward_data = %s, choices = %s, notes = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(
        sql,
        attribute.name,
        attribute.forward_data,
        _json(attribute.choices),
        Jsonb(attribute.notes),
        attribute.updated_at,
        tx.tenant,
        attribute.id,
    )


async def delete_attribute(tx: Tx, attribute_id: UUID) -> None:
    """With the attribute on the other end and the relations between devices."""
    await tx.run("DELETE FROM blueprint_attribute WHERE tenant_id = %s AND id = %s", tx.tenant, attribute_id)


def _json(choices: list[Any] | None) -> Jsonb | None:
    return None if choices is None else Jsonb(choices)
