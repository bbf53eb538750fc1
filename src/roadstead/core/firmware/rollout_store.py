"""The SQL of rollouts and of their devices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.firmware.model import FirmwareId, RolloutId
from roadstead.core.firmware.rollout_model import (
    RETRIED,
    Counts,
    DeviceProgress,
    Rollout,
    RolloutDevice,
    RolloutStatus,
)
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.page import Page, PageQuery

_ROLLOUTS = Listing(
    columns=", ".join(f'"{name}"' for name in Rollout.__struct_fields__),
    source="rollout",
)
_DEVICES = Listing(columns=", ".join(RolloutDevice.__struct_fields__), source="rollout_device")
_NEWEST_FIRST = (SortKey("created_at", True, "timestamptz"),)
_IN_ORDER = (SortKey("position", cast="integer"),)
_BY_ID = "WHERE tenant_id = %s AND id = %s"
_IS_OPEN = "status IN ('PENDING', 'SENT', 'DOWNLOADING', 'INSTALLING')"  # as in the partial unique index


# --- rollouts --------------------------------------------------------------------------------------------------------


async def insert_rollout(tx: Tx, rollout: Rollout) -> None:
    """A new one, before its devices."""
    row = _row(rollout)
    marks = ", ".join(["%s"] * (len(row) + 1))
    await tx.run(f"INSERT INTO rollout (tenant_id, {_ROLLOUTS.columns}) VALUES ({marks})", tx.tenant, *row.values())


async def update_rollout(tx: Tx, rollout: Rollout) -> None:
    """How far it is."""
    sql = f"""
        UPDATE rollout SET status = %s, reason = %s, current_wave = %s, completed_at = %s, due_at = %s, updated_at = %s,
            version = %s
        {_BY_ID}
    """
    await tx.run(
        sql,
        rollout.status,
        rollout.reason,
        rollout.current_wave,
        rollout.completed_at,
        rollout.due_at,
        rollout.updated_at,
        rollout.version,
        tx.tenant,
        rollout.id,
    )


async def select_rollout(tx: Tx, rollout_id: RolloutId) -> Rollout | None:
    """One rollout."""
    return await tx.one(Rollout, f"SELECT {_ROLLOUTS.columns} FROM rollout {_BY_ID}", tx.tenant, rollout_id)


async def lock_rollout(tx: Tx, rollout_id: RolloutId) -> Rollout | None:
    """One rollout: who holds it changes it and its devices, and nobody else does."""
    sql = f"SELECT {_ROLLOUTS.columns} FROM rollout {_BY_ID} FOR UPDATE"
    return await tx.one(Rollout, sql, tx.tenant, rollout_id)


async def try_lock_rollout(tx: Tx, rollout_id: RolloutId) -> Rollout | None:
    """The same, or None when somebody holds it already."""
    sql = f"SELECT {_ROLLOUTS.columns} FROM rollout {_BY_ID} FOR UPDATE SKIP LOCKED"
    return await tx.one(Rollout, sql, tx.tenant, rollout_id)


async def list_rollouts(
    tx: Tx, firmware_id: FirmwareId | None, status: RolloutStatus | None, page: PageQuery
) -> Page[Rollout]:
    """Newest first."""
    where = [Condition("tenant_id = %s", (tx.tenant,))]
    if firmware_id is not None:
        where.append(Condition("firmware_id = %s", (firmware_id,)))
    if status is not None:
        where.append(Condition("status = %s", (status.value,)))
    return await _ROLLOUTS.page(tx, Rollout, where, _NEWEST_FIRST, page)


class Due(msgspec.Struct, frozen=True):
    """A rollout with something to do."""

    tenant_id: TenantId
    organization_id: UUID
    rollout_id: RolloutId


async def select_due(tx: Tx, now: datetime, most: int) -> list[Due]:
    """Rollouts, of all tenants, that are due, or have a device that is."""
    sql = """
        SELECT due.tenant_id, tenant.public_id AS organization_id, due.rollout_id
        FROM (
            SELECT tenant_id, id AS rollout_id FROM rollout WHERE due_at <= %s
            UNION
            SELECT tenant_id, rollout_id FROM rollout_device WHERE due_at <= %s
        ) due JOIN tenant ON tenant.tenant_id = due.tenant_id
        ORDER BY random() LIMIT %s
    """
    # In no order: one that cannot go on must not stand before the others for ever.
    return await tx.all(Due, sql, now, now, most)


def _row(rollout: Rollout) -> dict[str, Any]:
    row = msgspec.structs.asdict(rollout)
    window = None if rollout.window is None else Jsonb(msgspec.to_builtins(rollout.window))
    return row | {"target": Jsonb(rollout.target), "window": window}


# --- devices ---------------------------------------------------------------------------------------------------------


async def insert_devices(tx: Tx, devices: Sequence[RolloutDevice]) -> int:
    """How many were taken: not those that another rollout is busy with."""
    sql = """
        INSERT INTO rollout_device (tenant_id, id, rollout_id, device_id, position, wave, status, from_release, error,
                                    updated_at)
        SELECT %s, n.id, %s, n.device_id, n.position, n.wave, n.status, n.from_release, n.error, %s
        FROM unnest(%s::uuid[], %s::uuid[], %s::integer[], %s::integer[], %s::text[], %s::text[], %s::text[])
            AS n (id, device_id, position, wave, status, from_release, error)
        ON CONFLICT DO NOTHING
    """
    names = ("id", "device_id", "position", "wave", "status", "from_release", "error")
    columns = [[getattr(device, name) for device in devices] for name in names]
    columns[4] = [status.value for status in columns[4]]
    return await tx.run(sql, tx.tenant, devices[0].rollout_id, devices[0].updated_at, *columns)


async def select_busy(tx: Tx, device_ids: Sequence[DeviceId], besides: RolloutId, most: int) -> list[DeviceId]:
    """The first of these devices that another rollout is busy with."""
    sql = f"""
        SELECT device_id FROM rollout_device WHERE tenant_id = %s AND device_id = ANY (%s) AND rollout_id <> %s
            AND {_IS_OPEN}
        ORDER BY device_id LIMIT %s
    """
    return [row[0] for row in await tx.rows(sql, tx.tenant, list(device_ids), besides, most)]


async def list_devices(
    tx: Tx, rollout_id: RolloutId, status: DeviceProgress | None, page: PageQuery
) -> Page[RolloutDevice]:
    """In the order of their turns."""
    where = [Condition("tenant_id = %s AND rollout_id = %s", (tx.tenant, rollout_id))]
    if status is not None:
        where.append(Condition("status = %s", (status.value,)))
    return await _DEVICES.page(tx, RolloutDevice, where, _IN_ORDER, page)


async def count_devices(
    tx: Tx, rollout_ids: Sequence[RolloutId], *, up_to_wave: int | None = None
) -> dict[RolloutId, Counts]:
    """How many devices of each rollout have which status; of the first waves only, if told so."""
    sql = """
        SELECT rollout_id, status, count(*) FROM rollout_device
        WHERE tenant_id = %s AND rollout_id = ANY (%s) AND (%s::integer IS NULL OR wave <= %s) GROUP BY 1, 2
    """
    found: dict[RolloutId, Counts] = {rollout_id: {} for rollout_id in rollout_ids}
    for rollout_id, status, count in await tx.rows(sql, tx.tenant, list(rollout_ids), up_to_wave, up_to_wave):
        found[rollout_id][DeviceProgress(status)] = count
    return found


async def lock_due_devices(tx: Tx, rollout_id: RolloutId, now: datetime, most: int) -> list[RolloutDevice]:
    """Devices of a rollout that are to be looked at."""
    return await _lock(tx, rollout_id, "due_at <= %s ORDER BY due_at", now, most)


async def lock_waiting(
    tx: Tx, rollout_id: RolloutId, *, up_to_wave: int, now: datetime, most: int
) -> list[RolloutDevice]:
    """Devices whose turn has come and that have no instruction: the first ones."""
    where = """
        status = 'PENDING' AND command_id IS NULL AND wave <= %s AND (due_at IS NULL OR due_at <= %s) ORDER BY position
    """
    return await _lock(tx, rollout_id, where, up_to_wave, now, most)


async def lock_open(tx: Tx, rollout_id: RolloutId, most: int) -> list[RolloutDevice]:
    """Devices that have not come to their end."""
    return await _lock(tx, rollout_id, f"{_IS_OPEN} ORDER BY position", most)


async def lock_unreached(tx: Tx, rollout_id: RolloutId, most: int) -> list[RolloutDevice]:
    """Devices whose instruction may not have left yet."""
    return await _lock(tx, rollout_id, "status = 'PENDING' AND command_id IS NOT NULL ORDER BY position", most)


async def _lock(tx: Tx, rollout_id: RolloutId, where: str, *params: Any) -> list[RolloutDevice]:
    """So many devices, locked in the order of their ids: everybody who locks several does it in this order."""
    sql = f"""
        SELECT {_DEVICES.columns} FROM rollout_device
        WHERE tenant_id = %s AND id = ANY (ARRAY(
            SELECT id FROM rollout_device WHERE tenant_id = %s AND rollout_id = %s AND {where} LIMIT %s
        ))
        ORDER BY id FOR NO KEY UPDATE
    """
    return await tx.all(RolloutDevice, sql, tx.tenant, tx.tenant, rollout_id, *params)


async def update_devices(tx: Tx, devices: Sequence[RolloutDevice]) -> None:
    """How far they are. When a device begins and ends to fetch is written by others."""
    sql = f"""
        UPDATE rollout_device SET status = %s, from_release = %s, attempts = %s, command_id = %s, reach_until = %s,
            sent_at = %s, error = %s, due_at = %s, updated_at = %s
        {_BY_ID}
    """
    rows = [
        (
            one.status.value,
            one.from_release,
            one.attempts,
            one.command_id,
            one.reach_until,
            one.sent_at,
            one.error,
            one.due_at,
            one.updated_at,
            tx.tenant,
            one.id,
        )
        for one in devices
    ]
    if rows:
        await tx.many(sql, rows)


async def forget_downloads(tx: Tx, device_row_ids: Sequence[UUID]) -> None:
    """Their next attempt begins."""
    sql = "UPDATE rollout_device SET begun_at = NULL, fetched_at = NULL WHERE tenant_id = %s AND id = ANY (%s)"
    await tx.run(sql, tx.tenant, list(device_row_ids))


async def retry_devices(tx: Tx, rollout_id: RolloutId, now: datetime) -> int:
    """All that did not get there wait for their turn again; says how many."""
    sql = """
        UPDATE rollout_device SET status = 'PENDING', attempts = 0, command_id = NULL, reach_until = NULL,
            sent_at = NULL, begun_at = NULL, fetched_at = NULL, error = NULL, due_at = NULL, updated_at = %s
        WHERE tenant_id = %s AND rollout_id = %s AND status = ANY (%s)
    """
    return await tx.run(sql, now, tx.tenant, rollout_id, [status.value for status in RETRIED])


async def select_retried(tx: Tx, rollout_id: RolloutId) -> list[DeviceId]:
    """Those that `retry_devices` would take."""
    sql = "SELECT device_id FROM rollout_device WHERE tenant_id = %s AND rollout_id = %s AND status = ANY (%s)"
    rows = await tx.rows(sql, tx.tenant, rollout_id, [status.value for status in RETRIED])
    return [row[0] for row in rows]


async def select_next_due(tx: Tx, rollout_id: RolloutId) -> datetime | None:
    """When the next device waits no longer for its next attempt."""
    sql = """
        SELECT min(due_at) FROM rollout_device
        WHERE tenant_id = %s AND rollout_id = %s AND status = 'PENDING' AND command_id IS NULL AND due_at IS NOT NULL
    """
    due_at: datetime | None = await tx.value(sql, tx.tenant, rollout_id)
    return due_at


# --- what is heard of devices ----------------------------------------------------------------------------------------


async def is_open(tx: Tx, rollout_id: RolloutId, device_id: DeviceId) -> bool:
    """Whether a device may fetch what a rollout brings."""
    sql = f"""
        SELECT EXISTS (
            SELECT FROM rollout_device d JOIN rollout r ON r.tenant_id = d.tenant_id AND r.id = d.rollout_id
            WHERE d.tenant_id = %s AND d.rollout_id = %s AND d.device_id = %s AND d.{_IS_OPEN}
                AND r.status IN ('RUNNING', 'PAUSED')
        )
    """
    return bool(await tx.value(sql, tx.tenant, rollout_id, device_id))


async def note_begun(tx: Tx, rollout_id: RolloutId, device_id: DeviceId, now: datetime) -> None:
    """The device fetches its first byte."""
    sql = f"""
        UPDATE rollout_device SET begun_at = %s, due_at = %s
        WHERE tenant_id = %s AND rollout_id = %s AND device_id = %s AND begun_at IS NULL AND {_IS_OPEN}
    """
    await tx.run(sql, now, now, tx.tenant, rollout_id, device_id)


async def note_fetched(tx: Tx, rollout_id: RolloutId, device_id: DeviceId, now: datetime) -> None:
    """The device was given the last byte."""
    sql = f"""
        UPDATE rollout_device SET fetched_at = %s, due_at = %s
        WHERE tenant_id = %s AND rollout_id = %s AND device_id = %s AND fetched_at IS NULL AND {_IS_OPEN}
    """
    await tx.run(sql, now, now, tx.tenant, rollout_id, device_id)


async def note_commands(tx: Tx, commands: Sequence[tuple[TenantId, UUID]], now: datetime) -> int:
    """These commands have another status than before: their devices are due. Says how many; for the system duty."""
    sql = f"""
        UPDATE rollout_device d SET due_at = %s
        FROM (
            SELECT d.tenant_id, d.id FROM unnest(%s::integer[], %s::uuid[]) AS n (tenant_id, command_id)
            JOIN rollout_device d USING (tenant_id, command_id)
            WHERE d.{_IS_OPEN} ORDER BY d.id FOR NO KEY UPDATE OF d
        ) n
        WHERE d.tenant_id = n.tenant_id AND d.id = n.id
    """
    if not commands:
        return 0
    return await tx.run(sql, now, [tenant for tenant, _ in commands], [command_id for _, command_id in commands])


async def note_releases(tx: Tx, reports: Sequence[tuple[TenantId, DeviceId, str]], now: datetime) -> int:
    """These devices report a release: those are due whose newest rollout brings just this. For the system duty."""
    sql = """
        UPDATE rollout_device d SET due_at = %s
        FROM (
            SELECT d.tenant_id, d.id
            FROM unnest(%s::integer[], %s::uuid[], %s::text[]) AS n (tenant_id, device_id, release)
            CROSS JOIN LATERAL (
                SELECT x.id, x.rollout_id FROM rollout_device x
                WHERE x.tenant_id = n.tenant_id AND x.device_id = n.device_id ORDER BY x.id DESC LIMIT 1
            ) newest
            JOIN rollout r ON r.tenant_id = n.tenant_id AND r.id = newest.rollout_id AND r.release = n.release
            JOIN rollout_device d ON d.tenant_id = n.tenant_id AND d.id = newest.id
            WHERE d.command_id IS NOT NULL AND d.status NOT IN ('INSTALLED', 'SKIPPED', 'FAILED')
            ORDER BY d.id FOR NO KEY UPDATE OF d
        ) n
        WHERE d.tenant_id = n.tenant_id AND d.id = n.id
    """
    if not reports:
        return 0
    columns = [list(column) for column in zip(*reports, strict=True)]
    return await tx.run(sql, now, *columns)
