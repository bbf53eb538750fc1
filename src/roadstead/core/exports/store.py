"""The SQL of exports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.exports.model import (
    Export,
    ExportQuery,
    Field,
    Piece,
    Plan,
    ScopedDevice,
    ScopedSensor,
    ScopeType,
)
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.kernel.ids import DeviceId, ExportId, TenantId
from roadstead.kernel.page import Page, PageQuery

_NAMES = Export.__struct_fields__
_COLUMNS = ", ".join(_NAMES)
_JOBS = Listing(columns=_COLUMNS, source="export_job")
_SORT = {"createdAt": SortKey("created_at", cast="timestamptz")}


def _seen(tenant: TenantId, requested_by: UUID | None) -> list[Condition]:
    """Those of the tenant; with `requested_by` only what they have asked for themselves."""
    conditions = [Condition("tenant_id = %s", (tenant,))]
    if requested_by is not None:
        conditions.append(Condition("requested_by = %s", (requested_by,)))
    return conditions


async def page_exports(
    tx: Tx, tenant: TenantId, query: ExportQuery, sort: str | None, page: PageQuery, *, requested_by: UUID | None
) -> Page[Export]:
    """Exports that the conditions hold for."""
    conditions = _seen(tenant, requested_by)
    if query.statuses:
        conditions.append(Condition("status = ANY(%s)", ([str(status) for status in query.statuses],)))
    if query.scope_type is not None:
        conditions.append(Condition("scope_type = %s", (str(query.scope_type),)))
    if query.scope_id is not None:
        conditions.append(Condition("scope_id = %s", (query.scope_id,)))
    return await _JOBS.page(tx, Export, conditions, parse_sort(sort, _SORT, "-createdAt"), page)


async def select_export(
    tx: Tx, tenant: TenantId, export_id: ExportId, *, requested_by: UUID | None, lock: bool = False
) -> Export | None:
    """One export."""
    conditions = [*_seen(tenant, requested_by), Condition("id = %s", (export_id,))]
    where = " AND ".join(condition.sql for condition in conditions)
    params = [param for condition in conditions for param in condition.params]
    return await tx.one(
        Export, f"SELECT {_COLUMNS} FROM export_job WHERE {where} {'FOR UPDATE' if lock else ''}", *params
    )


async def lock_exports(tx: Tx, tenant: TenantId) -> None:
    """Until the end of the transaction nobody else adds one for this tenant."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtext('roadstead export'), %s)", tenant)


async def count_exports(tx: Tx, tenant: TenantId) -> tuple[int, int]:
    """How many are under way, and how many have a file."""
    sql = """
        SELECT count(*) FILTER (WHERE status IN ('PENDING', 'RUNNING')), count(*) FILTER (WHERE status = 'READY')
        FROM export_job WHERE tenant_id = %s AND status IN ('PENDING', 'RUNNING', 'READY')
    """
    row = await tx.row(sql, tenant)
    assert row is not None
    return row[0], row[1]


async def insert_export(tx: Tx, tenant: TenantId, export: Export) -> None:
    """Add one that may begin at once."""
    marks = ", ".join(["%s"] * (len(_NAMES) + 2))
    values: list[Any] = [list(value) if isinstance(value, list) else value for value in msgspec.structs.astuple(export)]
    sql = f"INSERT INTO export_job (tenant_id, due_at, {_COLUMNS}) VALUES ({marks})"
    await tx.run(sql, tenant, export.created_at, *values)


async def cancel_export(tx: Tx, tenant: TenantId, export_id: ExportId, at: datetime, forget_at: datetime) -> None:
    """Nobody is to work on it any more."""
    sql = """
        UPDATE export_job SET status = 'CANCELLED', completed_at = %s, due_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, at, forget_at, tenant, export_id)


async def delete_export(tx: Tx, tenant: TenantId, export_id: ExportId) -> None:
    """Forget it."""
    await tx.run("DELETE FROM export_job WHERE tenant_id = %s AND id = %s", tenant, export_id)


# --- what a worker has begun with ------------------------------------------------------------------------------------


class PieceOver(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that nobody needs any more."""

    tenant_id: TenantId
    organization_id: UUID
    export_id: ExportId
    number: int
    lease: UUID


async def find_plan(tx: Tx, tenant: TenantId, export_id: UUID) -> Plan | None:
    """What was decided when it was begun, if it was."""
    sql = "SELECT plan FROM export_job WHERE tenant_id = %s AND id = %s"
    found = await tx.value(sql, tenant, export_id)
    return None if found is None else msgspec.convert(found, Plan)


async def begin_export(tx: Tx, tenant: TenantId, export_id: UUID, lease: UUID, plan: Plan) -> bool:
    """It is about this from now on, and as far as its pieces go. False: it is not in the hands of this worker."""
    sql = """
        UPDATE export_job e SET plan = %s, reading_count = (
            SELECT coalesce(sum(readings), 0) FROM export_piece WHERE tenant_id = e.tenant_id AND export_id = e.id
        )
        WHERE e.tenant_id = %s AND e.id = %s AND e.lease = %s AND e.status = 'RUNNING'
    """
    return bool(await tx.run(sql, Jsonb(msgspec.to_builtins(plan)), tenant, export_id, lease))


async def select_pieces(tx: Tx, tenant: TenantId, export_id: UUID) -> list[Piece]:
    """What is finished of it, in order."""
    sql = """
        SELECT number, lease, readings FROM export_piece WHERE tenant_id = %s AND export_id = %s ORDER BY number
    """
    return await tx.all(Piece, sql, tenant, export_id)


async def insert_piece(tx: Tx, tenant: TenantId, export_id: UUID, piece: Piece) -> None:
    """Add one."""
    sql = "INSERT INTO export_piece (tenant_id, export_id, number, lease, readings) VALUES (%s, %s, %s, %s, %s)"
    await tx.run(sql, tenant, export_id, *msgspec.structs.astuple(piece))


async def lock_pieces_over(tx: Tx, ended_before: datetime, most: int) -> list[PieceOver]:
    """Pieces of exports that have come to their end before then; none that another worker has in hand."""
    sql = """
        SELECT p.tenant_id, t.public_id AS organization_id, p.export_id, p.number, p.lease
        FROM export_piece p
        JOIN export_job e ON e.tenant_id = p.tenant_id AND e.id = p.export_id
        JOIN tenant t ON t.tenant_id = p.tenant_id
        WHERE e.status NOT IN ('PENDING', 'RUNNING') AND e.completed_at < %s
        LIMIT %s FOR UPDATE OF p SKIP LOCKED
    """
    return await tx.all(PieceOver, sql, ended_before, most)


async def delete_pieces(tx: Tx, pieces: Sequence[PieceOver]) -> None:
    """Forget them."""
    sql = "DELETE FROM export_piece WHERE tenant_id = %s AND export_id = %s AND number = %s"
    await tx.many(sql, [(piece.tenant_id, piece.export_id, piece.number) for piece in pieces])


# --- what is in a scope -----------------------------------------------------------------------------------------------

# Each is true for a sensor `s` and its device `d`.
_SCOPES = {
    ScopeType.SITE: "d.site_id IN (SELECT id FROM site WHERE tenant_id = d.tenant_id AND %s = ANY (lineage))",
    ScopeType.DEVICE: "d.id = %s",
    ScopeType.COMPONENT: "s.component_id = %s",
    ScopeType.SENSOR: "s.id = %s",
}
_TABLES = {
    ScopeType.SITE: "site",
    ScopeType.DEVICE: "device",
    ScopeType.COMPONENT: "component",
    ScopeType.SENSOR: "sensor",
}
_SENSORS = "sensor s JOIN device d ON d.tenant_id = s.tenant_id AND d.id = s.device_id"


async def find_name(tx: Tx, tenant: TenantId, scope_type: ScopeType, scope_id: UUID) -> str | None:
    """The name of what an export is about; None when it is not there."""
    sql = f"SELECT name FROM {_TABLES[scope_type]} WHERE tenant_id = %s AND id = %s"
    name: str | None = await tx.value(sql, tenant, scope_id)
    return name


async def select_fields(tx: Tx, tenant: TenantId, scope_type: ScopeType, scope_id: UUID, most: int) -> list[Field]:
    """The kinds of values in a scope, in order of their keys."""
    sql = f"""
        SELECT s.key, s.value_type, CASE WHEN count(DISTINCT coalesce(s.unit, '')) = 1 THEN min(s.unit) END AS unit
        FROM {_SENSORS} WHERE s.tenant_id = %s AND {_SCOPES[scope_type]}
        GROUP BY s.key, s.value_type ORDER BY s.key, s.value_type LIMIT %s
    """
    return await tx.all(Field, sql, tenant, scope_id, most)


async def select_devices(
    tx: Tx, tenant: TenantId, scope_type: ScopeType, scope_id: UUID, *, after: DeviceId | None, most: int
) -> list[ScopedDevice]:
    """Devices with sensors in a scope, in order of their ids."""
    sql = f"""
        SELECT d.id, d.name FROM device d
        WHERE d.tenant_id = %s AND (%s::uuid IS NULL OR d.id > %s) AND EXISTS (
            SELECT FROM sensor s WHERE s.tenant_id = d.tenant_id AND s.device_id = d.id AND {_SCOPES[scope_type]}
        )
        ORDER BY d.id LIMIT %s
    """
    return await tx.all(ScopedDevice, sql, tenant, after, after, scope_id, most)


async def select_sensors(
    tx: Tx, tenant: TenantId, scope_type: ScopeType, scope_id: UUID, devices: Sequence[DeviceId]
) -> list[ScopedSensor]:
    """Sensors in a scope of some of its devices, by device and path."""
    sql = f"""
        SELECT s.device_id, c.key AS component_key, s.key, s.path, s.value_type
        FROM {_SENSORS} LEFT JOIN component c ON c.tenant_id = s.tenant_id AND c.id = s.component_id
        WHERE s.tenant_id = %s AND s.device_id = ANY (%s) AND {_SCOPES[scope_type]}
        ORDER BY s.device_id, s.path
    """
    return await tx.all(ScopedSensor, sql, tenant, list(devices), scope_id)
