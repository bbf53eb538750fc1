"""The SQL of what is said of many devices in a few words."""

from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.registry.device_store import DEVICE_FIELDS
from roadstead.core.registry.trait_fields import DEVICE_CLASS
from roadstead.db import Condition, Tx
from roadstead.db.filters import Column, Source, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId


class DeviceName(msgspec.Struct, frozen=True):
    """What a device is called, and of which class it is."""

    id: DeviceId
    device_class: str
    name: str


class TaggedDevice(msgspec.Struct, frozen=True):
    """What a device is called, and its tags."""

    id: DeviceId
    name: str
    tags: dict[str, str]
    repeated_tags: dict[str, list[str]]
    """Further values of keys that have several."""


_HAS_CHILDREN = "EXISTS (SELECT FROM device low WHERE low.tenant_id = device.tenant_id AND low.parent_id = device.id)"


async def select_above(tx: Tx, where: Filter) -> list[UUID]:
    """Devices that have devices below them, and are such that the filter is true for or lie below one of these."""
    condition = _condition(tx, where)
    sql = f"""
        WITH RECURSIVE above (id) AS (
            SELECT device.id FROM device WHERE {condition.sql} AND {_HAS_CHILDREN}
            UNION SELECT device.id FROM above JOIN device ON device.tenant_id = %s AND device.parent_id = above.id
                AND {_HAS_CHILDREN}
        )
        SELECT id FROM above
    """
    return [row[0] for row in await tx.rows(sql, *condition.params, tx.tenant)]


async def select_names(tx: Tx, where: Filter, *, most: int) -> list[DeviceName]:
    """The first so many devices, by what they are called."""
    condition = _condition(tx, where)
    sql = f"""
        SELECT device.id, {DEVICE_CLASS} AS device_class, coalesce(device.title, device.name) AS name
        FROM device WHERE {condition.sql} ORDER BY device.called, device.id LIMIT %s
    """
    return await tx.all(DeviceName, sql, *condition.params, most)


async def select_tagged(tx: Tx, where: Filter, *, most: int) -> list[TaggedDevice]:
    """The first so many devices, by their ids."""
    condition = _condition(tx, where)
    sql = f"""
        SELECT device.id, coalesce(device.title, device.name) AS name, device.tags, device.repeated_tags
        FROM device WHERE {condition.sql} ORDER BY device.id LIMIT %s
    """
    return await tx.all(TaggedDevice, sql, *condition.params, most)


async def select_tag_keys(tx: Tx, where: Filter, keys: Filter, *, most: int) -> list[str]:
    """The first so many keys of tags of devices, each once; `keys` is a filter on `tagKey`."""
    return await _distinct(tx, "tag.key", _TAGS, where, keys, {"tagKey": Column("tag.key")}, most)


async def select_tag_values(tx: Tx, where: Filter, values: Filter, *, most: int) -> list[str]:
    """The first so many values of tags of devices, each once; `values` is a filter on `tagKey` and `tagValue`."""
    fields = {"tagKey": Column("tag.key"), "tagValue": Column("tag.value")}
    return await _distinct(tx, "tag.value", _TAGS, where, values, fields, most)


async def select_attribute_names(tx: Tx, where: Filter, names: Filter, *, most: int) -> list[str]:
    """The first so many names of attributes of devices, each once; `names` is a filter on `name` and `dataType`."""
    return await _distinct(tx, "sensor.attribute_name", _ATTRIBUTES, where, names, _ATTRIBUTE_FIELDS, most)


_TAGS = "JOIN device_tag tag ON tag.tenant_id = device.tenant_id AND tag.device_id = device.id"
_ATTRIBUTES = """
    JOIN sensor ON sensor.tenant_id = device.tenant_id AND sensor.device_id = device.id AND sensor.active
    LEFT JOIN sensor_attribute told ON told.tenant_id = sensor.tenant_id AND told.sensor_id = sensor.id
"""
_ATTRIBUTE_FIELDS = {
    "name": Column("sensor.attribute_name"),
    "dataType": Column("""(CASE sensor.value_type WHEN 'BOOLEAN' THEN 'boolean' WHEN 'TEXT' THEN
        CASE WHEN told.data_type IN ('gps', 'blob') THEN told.data_type ELSE 'string' END ELSE 'number' END)"""),
}


async def _distinct(
    tx: Tx, value: str, joined: str, where: Filter, which: Filter, fields: dict[str, Column], most: int
) -> list[str]:
    devices, values = _condition(tx, where), compile_filter(which, fields)
    sql = f"""
        SELECT DISTINCT {value} FROM device {joined} WHERE {devices.sql} AND ({values.sql}) ORDER BY 1 LIMIT %s
    """
    return [row[0] for row in await tx.rows(sql, *devices.params, *values.params, most)]


def _condition(tx: Tx, where: Filter) -> Condition:
    # The row policy says the same; said here as a constant, the planner knows how many rows to expect.
    ours = Condition("device.tenant_id = %s", (tx.tenant,))
    found = compile_filter(where, DEVICE_FIELDS, source=Source("device", ours))
    params: tuple[Any, ...] = (tx.tenant, *found.params)
    return Condition(f"(device.tenant_id = %s AND ({found.sql}))", params)
