"""The SQL of attributes: what is told of sensors beyond what all sensors have."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.registry.attribute_model import Attribute
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId

_decoder = msgspec.json.Decoder(list[Attribute])


async def select_attributes(
    tx: Tx, device_ids: Sequence[DeviceId], stems: Collection[str] | None
) -> dict[DeviceId, list[Attribute]]:
    """The attributes of devices (whose names begin with one of these), by name; devices that have none are left out."""
    # One row a device, of JSON that is read at once: pages of devices have ten thousand attributes.
    named = "" if stems is None else "AND sensor.attribute_name ^@ ANY(%s)"
    sql = f"""
        SELECT sensor.device_id, json_agg(json_build_object(
            'name', sensor.attribute_name,
            'data_type', CASE sensor.value_type WHEN 'BOOLEAN' THEN 'boolean' WHEN 'TEXT' THEN
                CASE WHEN told.data_type IN ('gps', 'blob') THEN told.data_type ELSE 'string' END ELSE 'number' END,
            'description', told.description,
            'content_type', told.content_type,
            'attribute_tags', coalesce(told.tags, '{{}}'),
            'system', told.system,
            'path', sensor.path,
            'sensor_id', sensor.id
        ) ORDER BY sensor.attribute_name, sensor.path COLLATE "C")::text
        FROM sensor
        LEFT JOIN sensor_attribute told ON told.tenant_id = sensor.tenant_id AND told.sensor_id = sensor.id
        WHERE sensor.tenant_id = %s AND sensor.device_id = ANY(%s) AND sensor.active {named} GROUP BY sensor.device_id
    """
    rows = await tx.rows(sql, tx.tenant, list(device_ids), *([] if stems is None else [list(stems)]))
    return {device_id: _decoder.decode(attributes) for device_id, attributes in rows}


async def select_paths(tx: Tx, device_id: DeviceId) -> set[str]:
    """All paths at which a device has sensors, in use or not."""
    sql = "SELECT path FROM sensor WHERE tenant_id = %s AND device_id = %s"
    return {row[0] for row in await tx.rows(sql, tx.tenant, device_id)}


async def upsert_attributes(tx: Tx, attributes: Sequence[Attribute]) -> None:
    """What is told of these sensors, in place of what was, and what they are called."""
    sql = """
        INSERT INTO sensor_attribute (tenant_id, sensor_id, data_type, description, content_type, tags, system)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, sensor_id) DO UPDATE SET data_type = excluded.data_type,
            description = excluded.description, content_type = excluded.content_type, tags = excluded.tags,
            system = excluded.system
    """
    await tx.many(sql, [(tx.tenant, *_told(attribute)) for attribute in attributes])
    rename = """
        UPDATE sensor SET renamed = %s
        WHERE tenant_id = %s AND id = %s AND attribute_name <> %s
    """
    await tx.many(rename, [(each.name, tx.tenant, each.sensor_id, each.name) for each in attributes])


def _told(attribute: Attribute) -> tuple[Any, ...]:
    return (
        attribute.sensor_id,
        attribute.data_type,
        attribute.description,
        attribute.content_type,
        Jsonb(attribute.attribute_tags),
        None if attribute.system is None else Jsonb(attribute.system),
    )
