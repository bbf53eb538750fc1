"""The SQL of firmware records: those without content, and all firmware as the dialect sees it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.firmware.model import Firmware, FirmwareId
from roadstead.core.firmware.record_model import FirmwareRecord
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = "id, name, label, description, size_bytes, sha256, created_at, updated_at"
_RECORD = """
    SELECT tenant_id, id, name, label, description, NULL::bigint AS size_bytes, NULL::bytea AS sha256, created_at,
        created_at AS updated_at
    FROM firmware_record WHERE due_at > now()
"""
_ALL = f"""(
    {_RECORD}
    UNION ALL
    SELECT tenant_id, id, coalesce(notes #>> '{{lightelligence,name}}', name),
        CASE WHEN notes ? 'lightelligence' THEN notes #>> '{{lightelligence,version}}' ELSE release END,
        left(release_notes, 255), CASE WHEN uploaded_at IS NOT NULL THEN size_bytes END,
        CASE WHEN uploaded_at IS NOT NULL THEN sha256 END, created_at, updated_at
    FROM firmware
) f"""
_LISTING = Listing(columns=_COLUMNS, source=_ALL)
_NEWEST_FIRST = (SortKey("created_at", True, "timestamptz"),)
_BY_ID = "WHERE tenant_id = %s AND id = %s"


async def insert_record(tx: Tx, one: FirmwareRecord, *, created_by: UUID, due_at: datetime) -> None:
    """Add one without content."""
    sql = """
        INSERT INTO firmware_record (tenant_id, id, name, label, description, created_by, created_at, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, tx.tenant, one.id, one.name, one.label, one.description, created_by, one.created_at, due_at)


async def page_records(tx: Tx, page: PageQuery) -> Page[FirmwareRecord]:
    """All firmware of the tenant, newest first."""
    return await _LISTING.page(tx, FirmwareRecord, [Condition("tenant_id = %s", (tx.tenant,))], _NEWEST_FIRST, page)


async def select_record(tx: Tx, firmware_id: FirmwareId) -> FirmwareRecord | None:
    """One firmware, with content or without."""
    return await tx.one(FirmwareRecord, f"SELECT {_COLUMNS} FROM {_ALL} {_BY_ID}", tx.tenant, firmware_id)


async def lock_record(tx: Tx, firmware_id: FirmwareId) -> FirmwareRecord | None:
    """One without content, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM ({_RECORD} AND tenant_id = %s AND id = %s FOR UPDATE) f"
    return await tx.one(FirmwareRecord, sql, tx.tenant, firmware_id)


async def prolong_record(tx: Tx, firmware_id: FirmwareId, due_at: datetime) -> bool:
    """Its content is on its way. False when there is none without content, or it has lapsed."""
    sql = f"UPDATE firmware_record SET due_at = %s {_BY_ID} AND due_at > now()"
    return bool(await tx.run(sql, due_at, tx.tenant, firmware_id))


async def delete_record(tx: Tx, firmware_id: FirmwareId) -> bool:
    """False when there is none without content."""
    return bool(await tx.run(f"DELETE FROM firmware_record {_BY_ID}", tx.tenant, firmware_id))


async def delete_lapsed(tx: Tx, at: datetime) -> None:
    """Those of all tenants that are due."""
    await tx.run("DELETE FROM firmware_record WHERE due_at <= %s", at)


async def fill_firmware(tx: Tx, firmware: Firmware, notes: dict[str, Any]) -> None:
    """Its content is there as a whole."""
    sql = f"UPDATE firmware SET received_bytes = size_bytes, uploaded_at = %s, notes = %s {_BY_ID}"
    await tx.run(sql, firmware.uploaded_at, Jsonb(notes), tx.tenant, firmware.id)
