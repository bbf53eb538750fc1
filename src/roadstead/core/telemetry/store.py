"""The SQL of reading: where the readings of a sensor lie, and the newest of each."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.telemetry.model import Channel, Selection
from roadstead.db import Tx
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId, TenantId, TypeId

_CHANNEL = "s.id AS sensor_id, s.device_id, s.component_id, s.key, s.path, s.value_type"

State = list[Any]
"""An entry of `device_state.body`: value, measured at (ms), received at (ms), metadata if any."""


class StatedChannel(msgspec.Struct, frozen=True):
    """A channel with its newest value."""

    channel: Channel
    state: State


async def select_channel(tx: Tx, tenant: TenantId, sensor_id: SensorId) -> Channel | None:
    """The channel of a sensor."""
    sql = f"SELECT {_CHANNEL} FROM sensor s WHERE s.tenant_id = %s AND s.id = %s"
    return await tx.one(Channel, sql, tenant, sensor_id)


async def select_channels(tx: Tx, tenant: TenantId, sensor_ids: Sequence[UUID]) -> dict[SensorId, Channel]:
    """The channels of those of these sensors that exist."""
    sql = f"SELECT {_CHANNEL} FROM sensor s WHERE s.tenant_id = %s AND s.id = ANY (%s)"
    return {channel.sensor_id: channel for channel in await tx.all(Channel, sql, tenant, list(sensor_ids))}


async def select_device_channels(tx: Tx, tenant: TenantId, device_id: DeviceId) -> dict[str, Channel]:
    """The channels of a device by path."""
    sql = f"SELECT {_CHANNEL} FROM sensor s WHERE s.tenant_id = %s AND s.device_id = %s"
    return {channel.path: channel for channel in await tx.all(Channel, sql, tenant, device_id)}


async def select_channels_at(
    tx: Tx, tenant: TenantId, device_ids: Sequence[UUID], paths: Sequence[str]
) -> list[Channel]:
    """The channels of these devices that lie at these paths."""
    sql = f"SELECT {_CHANNEL} FROM sensor s WHERE s.tenant_id = %s AND s.device_id = ANY (%s) AND s.path = ANY (%s)"
    return await tx.all(Channel, sql, tenant, list(device_ids), list(paths))


async def select_component_channels(tx: Tx, tenant: TenantId, component_id: ComponentId) -> dict[str, Channel]:
    """The channels of a component by path, in order of the keys."""
    sql = f"SELECT {_CHANNEL} FROM sensor s WHERE s.tenant_id = %s AND s.component_id = %s ORDER BY s.key"
    return {channel.path: channel for channel in await tx.all(Channel, sql, tenant, component_id)}


async def has_device(tx: Tx, tenant: TenantId, device_id: DeviceId) -> bool:
    """Whether there is such a device."""
    sql = "SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND id = %s)"
    return bool(await tx.value(sql, tenant, device_id))


async def has_component(tx: Tx, tenant: TenantId, component_id: ComponentId) -> bool:
    """Whether there is such a component."""
    sql = "SELECT EXISTS (SELECT FROM component WHERE tenant_id = %s AND id = %s)"
    return bool(await tx.value(sql, tenant, component_id))


async def has_site(tx: Tx, tenant: TenantId, site_id: SiteId) -> bool:
    """Whether there is such a site."""
    sql = "SELECT EXISTS (SELECT FROM site WHERE tenant_id = %s AND id = %s)"
    return bool(await tx.value(sql, tenant, site_id))


async def select_states(tx: Tx, tenant: TenantId, selection: Selection, most: int) -> list[StatedChannel]:
    """The channels of a selection that have a value, with it; by device and path, at most so many."""
    where = ["s.tenant_id = %s", "d.body ? s.path"]
    params: list[Any] = [tenant]
    if selection.sensor_ids:
        where.append("s.id = ANY (%s)")
        params.append(list(selection.sensor_ids))
    if selection.device_id is not None:
        where.append("s.device_id = %s")
        params.append(selection.device_id)
    if selection.component_id is not None:
        where.append("s.component_id = %s")
        params.append(selection.component_id)
    if selection.site_id is not None:
        where.append(
            "s.device_id IN (SELECT v.id FROM device v JOIN site t ON t.tenant_id = v.tenant_id AND t.id = v.site_id"
            " WHERE v.tenant_id = s.tenant_id AND %s = ANY (t.lineage))"
        )
        params.append(selection.site_id)
    sql = f"""
        SELECT d.body -> s.path, {_CHANNEL}
        FROM sensor s JOIN device_state d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
        WHERE {" AND ".join(where)} ORDER BY s.device_id, s.path LIMIT %s
    """
    states, channels = await tx.keyed(Channel, sql, *params, most)
    return [StatedChannel(channel, state) for channel, state in zip(channels, states, strict=True)]


async def select_states_of_many(tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId]) -> list[StatedChannel]:
    """The channels of devices that have a value, with it."""
    sql = f"""
        SELECT d.body -> s.path, {_CHANNEL}
        FROM sensor s JOIN device_state d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
        WHERE s.tenant_id = %s AND s.device_id = ANY (%s) AND d.body ? s.path
    """
    states, channels = await tx.keyed(Channel, sql, tenant, list(device_ids))
    return [StatedChannel(channel, state) for channel, state in zip(channels, states, strict=True)]


async def select_bodies(tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId]) -> dict[DeviceId, dict[str, State]]:
    """All newest values of devices, by path; devices that have none are left out."""
    sql = "SELECT device_id, body FROM device_state WHERE tenant_id = %s AND device_id = ANY (%s)"
    return dict(await tx.rows(sql, tenant, list(device_ids)))


async def select_typed_bodies(
    tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId]
) -> dict[DeviceId, tuple[TypeId | None, dict[str, State]]]:
    """The same for all of these devices that there are, each with its type."""
    sql = """
        SELECT d.id, d.type_id, coalesce(s.body, '{}')
        FROM device d LEFT JOIN device_state s ON s.tenant_id = d.tenant_id AND s.device_id = d.id
        WHERE d.tenant_id = %s AND d.id = ANY (%s)
    """
    return {id_: (type_id, body) for id_, type_id, body in await tx.rows(sql, tenant, list(device_ids))}


async def select_type_ids(tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId]) -> dict[DeviceId, TypeId]:
    """The types of those of these devices that have one."""
    sql = "SELECT id, type_id FROM device WHERE tenant_id = %s AND id = ANY (%s) AND type_id IS NOT NULL"
    return dict(await tx.rows(sql, tenant, list(device_ids)))


async def select_newest_at(tx: Tx, tenant: TenantId, device_id: DeviceId) -> int:
    """When the newest value of a device was measured, in ms since 1970; 0 when there is none."""
    sql = "SELECT newest_at FROM device_state WHERE tenant_id = %s AND device_id = %s"
    return int(await tx.value(sql, tenant, device_id) or 0)


async def select_own_states(tx: Tx, tenant: TenantId, device_id: DeviceId, prefix: str) -> Mapping[str, State]:
    """The newest values under the platform's own paths of a device, by path."""
    sql = """
        SELECT e.key, e.value FROM device_state d, jsonb_each(d.body) e
        WHERE d.tenant_id = %s AND d.device_id = %s AND starts_with(e.key, %s)
    """
    return dict(await tx.rows(sql, tenant, device_id, prefix))


async def select_own_states_of_many(
    tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId], prefix: str
) -> dict[DeviceId, dict[str, State]]:
    """The same for several devices; those that have none are left out."""
    sql = """
        SELECT d.device_id, jsonb_object_agg(e.key, e.value) FROM device_state d, jsonb_each(d.body) e
        WHERE d.tenant_id = %s AND d.device_id = ANY(%s) AND starts_with(e.key, %s)
        GROUP BY d.device_id
    """
    return dict(await tx.rows(sql, tenant, list(device_ids), prefix))


async def update_state(tx: Tx, tenant: TenantId, channel: Channel, *, before: State, after: State | None) -> None:
    """Put another newest value in the place of `before` (None: there is none any more), unless a newer one came."""
    sql = """
        UPDATE device_state
        SET body = CASE WHEN %s::jsonb IS NULL THEN body - %s::text ELSE jsonb_set(body, ARRAY[%s], %s) END
        WHERE tenant_id = %s AND device_id = %s AND body -> %s::text = %s
    """
    spelled = None if after is None else msgspec.json.encode(after).decode()
    path = channel.path
    await tx.run(
        sql, spelled, path, path, spelled, tenant, channel.device_id, path, msgspec.json.encode(before).decode()
    )


async def select_devices_of(tx: Tx, tenant: TenantId, part_ids: Sequence[UUID]) -> dict[UUID, DeviceId]:
    """The devices of sensors and components, by the ids of these."""
    sql = """
        SELECT id, device_id FROM sensor WHERE tenant_id = %s AND id = ANY (%s)
        UNION ALL SELECT id, device_id FROM component WHERE tenant_id = %s AND id = ANY (%s)
    """
    return dict(await tx.rows(sql, tenant, list(part_ids), tenant, list(part_ids)))


async def select_sensor_ids(
    tx: Tx, tenant: TenantId, places: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], SensorId]:
    """The ids of sensors by device and path."""
    sql = """
        SELECT s.device_id, s.path, s.id FROM unnest(%s::uuid[], %s::text[]) AS w (device_id, path)
        JOIN sensor s ON s.tenant_id = %s AND s.device_id = w.device_id AND s.path = w.path
    """
    devices, paths = [device for device, _ in places], [path for _, path in places]
    return {(device, path): id_ for device, path, id_ in await tx.rows(sql, devices, paths, tenant)}
