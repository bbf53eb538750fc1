"""The SQL of relations between devices."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, SpaceId


class End(msgspec.Struct, frozen=True):
    """A device that is to be in a relation."""

    id: DeviceId
    space_id: SpaceId
    kind_id: UUID
    """Its blueprint."""


class OnlyChild(msgspec.Struct, frozen=True):
    """The one device that another has in the sense of an attribute."""

    parent_id: DeviceId
    path: str
    """Of the attribute."""
    child_id: DeviceId


async def lock_ends(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, End]:
    """Those of the devices that there are; none of them changes until this transaction ends."""
    sql = """
        SELECT id, space_id, kind_id FROM device WHERE tenant_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
    """
    return {end.id: end for end in await tx.all(End, sql, tx.tenant, list(device_ids))}


async def hold_ends(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, End]:
    """Those of the devices that there are; none of them is deleted until this transaction ends."""
    sql = """
        SELECT id, space_id, kind_id FROM device WHERE tenant_id = %s AND id = ANY(%s) ORDER BY id FOR KEY SHARE
    """
    return {end.id: end for end in await tx.all(End, sql, tx.tenant, list(device_ids))}


async def insert_relation(
    tx: Tx,
    attribute_id: UUID,
    parent_id: DeviceId,
    child_id: DeviceId,
    *,
    one_child: bool,
    one_parent: bool,
    at: datetime,
) -> bool:
    """False when it is there already, or another is in its way."""
    sql = """
        INSERT INTO device_relation (tenant_id, attribute_id, parent_id, child_id, one_child, one_parent, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    """
    return bool(await tx.run(sql, tx.tenant, attribute_id, parent_id, child_id, one_child, one_parent, at))


async def delete_in_the_way(
    tx: Tx, attribute_id: UUID, parent_id: DeviceId, child_id: DeviceId
) -> list[tuple[DeviceId, DeviceId]]:
    """End what keeps a relation from being made; the parents and children of it."""
    sql = """
        DELETE FROM device_relation
        WHERE tenant_id = %s AND attribute_id = %s AND (parent_id, child_id) <> (%s, %s)
            AND ((one_child AND parent_id = %s) OR (one_parent AND child_id = %s))
        RETURNING parent_id, child_id
    """
    rows = await tx.rows(sql, tx.tenant, attribute_id, parent_id, child_id, parent_id, child_id)
    return [(row[0], row[1]) for row in rows]


async def delete_relation(tx: Tx, attribute_id: UUID, parent_id: DeviceId, child_id: DeviceId) -> bool:
    """False when there is none."""
    sql = """
        DELETE FROM device_relation WHERE tenant_id = %s AND attribute_id = %s AND parent_id = %s AND child_id = %s
    """
    return bool(await tx.run(sql, tx.tenant, attribute_id, parent_id, child_id))


async def has_relation(tx: Tx, attribute_id: UUID, parent_id: DeviceId, child_id: DeviceId) -> bool:
    """Whether one is another's child in this sense."""
    sql = """
        SELECT EXISTS (SELECT FROM device_relation
                       WHERE tenant_id = %s AND attribute_id = %s AND parent_id = %s AND child_id = %s)
    """
    return bool(await tx.value(sql, tx.tenant, attribute_id, parent_id, child_id))


async def select_children(tx: Tx, attribute_id: UUID, parent_ids: Sequence[DeviceId]) -> list[DeviceId]:
    """The children of all these parents in this sense, each once."""
    sql = """
        SELECT DISTINCT child_id FROM device_relation
        WHERE tenant_id = %s AND attribute_id = %s AND parent_id = ANY(%s) ORDER BY child_id
    """
    return [row[0] for row in await tx.rows(sql, tx.tenant, attribute_id, list(parent_ids))]


async def select_only_children(tx: Tx, parent_ids: Sequence[DeviceId]) -> list[OnlyChild]:
    """The children that these devices have by one-to-one relations."""
    sql = """
        SELECT relation.parent_id, attribute.path, relation.child_id FROM device_relation relation
        JOIN blueprint_attribute attribute
            ON attribute.tenant_id = relation.tenant_id AND attribute.id = relation.attribute_id
        WHERE relation.tenant_id = %s AND relation.parent_id = ANY(%s) AND attribute.relationship = 'ONE_TO_ONE'
        ORDER BY attribute.path
    """
    return await tx.all(OnlyChild, sql, tx.tenant, list(parent_ids))
