"""The SQL of what is still to be worked out."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from roadstead.core.configuration.model import BindingId, TargetType
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, GroupId, TenantId


class SweepKind(StrEnum):
    """Which devices are to be gone through."""

    TARGETS = "TARGETS"
    """Those that a target means."""
    HOLDERS = "HOLDERS"
    """Those whose documents have an entry of a binding."""
    RESEND = "RESEND"
    """Of the holders those that have not accepted: they are to be sent their document again."""
    EVERYBODY = "EVERYBODY"
    """Those that have a document."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Devices to be gone through, batch by batch."""

    tenant_id: TenantId
    id: UUID
    kind: SweepKind
    binding_id: BindingId | None = None
    target_type: TargetType | None = None
    target_id: UUID | None = None
    position: list[str] | None = None
    """How far it has come; None: not begun."""
    attempts: int = 0


_SWEEP = "tenant_id, id, kind, binding_id, target_type, target_id, position, attempts"


# --- single devices --------------------------------------------------------------------------------------------------


async def insert_due(tx: Tx, tenant: TenantId, device_ids: Iterable[DeviceId]) -> None:
    """These devices are to be worked out, as far as they are there."""
    sql = """
        INSERT INTO config_due (tenant_id, device_id) SELECT tenant_id, id FROM device
        WHERE tenant_id = %s AND id = ANY(%s)
    """
    await tx.run(sql, tenant, list(device_ids))


async def next_tenant_due(tx: Tx, after: int) -> TenantId | None:
    """The next tenant with devices to be worked out, round and round."""
    sql = """
        SELECT coalesce((SELECT min(tenant_id) FROM config_due WHERE tenant_id > %s),
                        (SELECT min(tenant_id) FROM config_due))
    """
    tenant: TenantId | None = await tx.value(sql, after)
    return tenant


async def take_due(tx: Tx, tenant: TenantId, most: int) -> list[DeviceId]:
    """The oldest so many marks, taken away; none that another worker has in hand."""
    sql = """
        DELETE FROM config_due WHERE tenant_id = %s AND id = ANY (ARRAY(
            SELECT id FROM config_due WHERE tenant_id = %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        )) RETURNING device_id
    """
    return list(dict.fromkeys(DeviceId(row[0]) for row in await tx.rows(sql, tenant, tenant, most)))


# --- sweeps ----------------------------------------------------------------------------------------------------------


async def insert_sweep(tx: Tx, sweep: Sweep, at: datetime) -> None:
    """Something to be gone through, from now on."""
    sql = f"INSERT INTO config_sweep ({_SWEEP}, due_at, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    await tx.run(sql, *msgspec.structs.astuple(sweep), at, at)


async def lock_due_sweep(tx: Tx) -> Sweep | None:
    """The one that waits longest, which no other worker has in hand."""
    sql = f"SELECT {_SWEEP} FROM config_sweep WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    return await tx.one(Sweep, sql)


async def drop_alike(tx: Tx, sweep: Sweep) -> None:
    """Forget others that would do the same and have not begun: whoever asked for them is seen to by this one."""
    sql = """
        DELETE FROM config_sweep WHERE (tenant_id, id) IN (
            SELECT tenant_id, id FROM config_sweep
            WHERE tenant_id = %s AND kind = %s AND binding_id IS NOT DISTINCT FROM %s
              AND target_id IS NOT DISTINCT FROM %s AND position IS NULL AND id <> %s
            FOR UPDATE SKIP LOCKED
        )
    """
    await tx.run(sql, sweep.tenant_id, sweep.kind, sweep.binding_id, sweep.target_id, sweep.id)


async def advance_sweep(tx: Tx, sweep: Sweep, position: Sequence[str]) -> None:
    """It has come so far; others have their turn first."""
    sql = """
        UPDATE config_sweep SET position = %s, attempts = 0, due_at = clock_timestamp()
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, list(position), sweep.tenant_id, sweep.id)


async def postpone_sweep(tx: Tx, sweep: Sweep, pause: timedelta) -> None:
    """A batch failed: again after a while."""
    sql = "UPDATE config_sweep SET attempts = attempts + 1, due_at = now() + %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, pause, sweep.tenant_id, sweep.id)


async def delete_sweep(tx: Tx, sweep: Sweep) -> None:
    """It has come to its end."""
    await tx.run("DELETE FROM config_sweep WHERE tenant_id = %s AND id = %s", sweep.tenant_id, sweep.id)


# --- whom they mean --------------------------------------------------------------------------------------------------


async def walk_profile(
    tx: Tx, profile_id: UUID, after: tuple[str, DeviceId] | None, most: int
) -> list[tuple[str, DeviceId]]:
    """The next devices of a profile, by name and id. One that is renamed meanwhile is marked on its own."""
    sql = f"""
        SELECT name, id FROM device WHERE tenant_id = %s AND profile_id = %s
        {"AND (name, id) > (%s, %s)" if after else ""} ORDER BY name, id LIMIT %s
    """
    return [(name, id_) for name, id_ in await tx.rows(sql, tx.tenant, profile_id, *(after or ()), most)]


async def walk_sensor_profile(tx: Tx, profile_id: UUID, after: UUID | None, most: int) -> list[DeviceId]:
    """The next devices with a component of a profile."""
    sql = f"""
        SELECT DISTINCT device_id FROM component WHERE tenant_id = %s AND sensor_profile_id = %s
        {"AND device_id > %s" if after else ""} ORDER BY device_id LIMIT %s
    """
    return [DeviceId(row[0]) for row in await tx.rows(sql, tx.tenant, profile_id, *([after] if after else []), most)]


async def walk_holders(
    tx: Tx, binding_id: BindingId, after: UUID | None, most: int, *, unaccepted: bool
) -> list[tuple[UUID, DeviceId]]:
    """The next entries of a binding with their devices, by the id of the entry."""
    sql = f"""
        SELECT id, device_id FROM config_entry WHERE tenant_id = %s AND binding_id = %s
        {"AND status <> 'ACCEPTED'" if unaccepted else ""} {"AND id > %s" if after else ""} ORDER BY id LIMIT %s
    """
    return [
        (id_, device) for id_, device in await tx.rows(sql, tx.tenant, binding_id, *([after] if after else []), most)
    ]


async def walk_documents(tx: Tx, after: UUID | None, most: int) -> list[DeviceId]:
    """The next devices that have a document."""
    sql = f"""
        SELECT device_id FROM device_configuration WHERE tenant_id = %s
        {"AND device_id > %s" if after else ""} ORDER BY device_id LIMIT %s
    """
    return [DeviceId(row[0]) for row in await tx.rows(sql, tx.tenant, *([after] if after else []), most)]


async def forget_sent(tx: Tx, device_ids: Sequence[DeviceId]) -> list[DeviceId]:
    """They are to be sent their documents once more, as if they had just come."""
    sql = """
        UPDATE device_configuration SET sent_session = NULL
        WHERE tenant_id = %s AND document_version > 0 AND device_id = ANY (ARRAY(
            SELECT device_id FROM device_configuration WHERE tenant_id = %s AND device_id = ANY(%s)
            ORDER BY device_id FOR NO KEY UPDATE
        )) RETURNING device_id
    """
    return [DeviceId(row[0]) for row in await tx.rows(sql, tx.tenant, tx.tenant, list(device_ids))]


# --- what calls for them ---------------------------------------------------------------------------------------------


async def select_organizations(tx: Tx, tenants: Sequence[TenantId]) -> dict[TenantId, UUID]:
    """The public ids of tenants, which are not deleted before we end."""
    sql = "SELECT tenant_id, public_id FROM tenant WHERE tenant_id = ANY(%s) FOR KEY SHARE"
    return {TenantId(tenant): organization for tenant, organization in await tx.rows(sql, list(tenants))}


async def select_tenants_bound(tx: Tx, tenants: Sequence[TenantId] | None = None) -> list[TenantId]:
    """Those of the tenants, or of all, that have bound anything; they are not deleted before we end."""
    sql = f"""
        SELECT tenant_id FROM tenant t WHERE EXISTS (SELECT FROM config_binding b WHERE b.tenant_id = t.tenant_id)
        {"" if tenants is None else "AND tenant_id = ANY(%s)"} FOR KEY SHARE
    """
    return [TenantId(row[0]) for row in await tx.rows(sql, *([] if tenants is None else [list(tenants)]))]


async def select_group_bindings(
    tx: Tx, tenant: TenantId, groups: Sequence[GroupId] | None
) -> list[tuple[GroupId, BindingId]]:
    """What is bound to these groups; None: to all groups that name sites."""
    named = "b.group_id = ANY(%s)" if groups is not None else "g.selector -> 'siteIds' IS NOT NULL"
    sql = f"""
        SELECT b.group_id, b.id FROM config_binding b
        JOIN device_group g ON g.tenant_id = b.tenant_id AND g.id = b.group_id WHERE b.tenant_id = %s AND {named}
    """
    return [(group, id_) for group, id_ in await tx.rows(sql, tenant, *([] if groups is None else [list(groups)]))]


async def select_class_targets(tx: Tx, tenant: TenantId) -> list[tuple[TargetType, UUID]]:
    """All targets of a tenant that may be many devices."""
    sql = """
        SELECT DISTINCT target_type, target_id FROM config_binding
        WHERE tenant_id = %s AND target_type IN ('DEVICE_GROUP', 'DEVICE_PROFILE', 'SENSOR_PROFILE')
    """
    return [(TargetType(type_), target) for type_, target in await tx.rows(sql, tenant)]
