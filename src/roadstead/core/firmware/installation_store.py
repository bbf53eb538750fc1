"""The SQL of associations and installations."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.downlinks import Hearer
from roadstead.core.firmware.model import FirmwareId
from roadstead.core.firmware.record_model import Association, AssociationId, Installation, InstallationId
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, TenantId, TypeId, new_id

_COLUMNS = "id, device_id, firmware_id, slot, requested_at, started_at, completed_at, rejected_at, reject_reason"


_MOST_TOKENS = 4
"""Of one device for one firmware: it is told again with each connection, however often it connects."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """An installation that a session is told of."""

    tenant_id: TenantId
    installation: Installation
    name: str
    label: str | None
    size_bytes: int
    sha256: bytes


async def insert_association(tx: Tx, one: Association, at: datetime) -> bool:
    """False when it is there."""
    sql = """
        INSERT INTO firmware_association (tenant_id, id, type_id, slot, firmware_id, created_at)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, type_id, slot, firmware_id) DO NOTHING
    """
    return bool(await tx.run(sql, tx.tenant, one.id, one.type_id, one.slot, one.firmware_id, at))


async def select_associations(tx: Tx, type_id: TypeId, slot: str) -> list[Association]:
    """In the order they were made."""
    sql = """
        SELECT id, type_id, slot, firmware_id FROM firmware_association
        WHERE tenant_id = %s AND type_id = %s AND slot = %s ORDER BY created_at, id
    """
    return await tx.all(Association, sql, tx.tenant, type_id, slot)


async def delete_association(tx: Tx, type_id: TypeId, slot: str, association_id: AssociationId) -> bool:
    """False when there is none."""
    sql = "DELETE FROM firmware_association WHERE tenant_id = %s AND type_id = %s AND slot = %s AND id = %s"
    return bool(await tx.run(sql, tx.tenant, type_id, slot, association_id))


async def is_associated(tx: Tx, type_id: TypeId, slot: str, firmware_id: FirmwareId) -> bool:
    """Whether devices of the type may get it into this slot."""
    sql = """
        SELECT EXISTS (
            SELECT FROM firmware_association WHERE tenant_id = %s AND type_id = %s AND slot = %s AND firmware_id = %s
        )
    """
    return bool(await tx.value(sql, tx.tenant, type_id, slot, firmware_id))


async def insert_installation(tx: Tx, one: Installation) -> None:
    """Add one that has just been asked for."""
    sql = """
        INSERT INTO firmware_installation (tenant_id, id, device_id, firmware_id, slot, requested_at)
        VALUES (%s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, tx.tenant, one.id, one.device_id, one.firmware_id, one.slot, one.requested_at)


async def select_installations(tx: Tx, device_id: DeviceId, *, latest_only: bool) -> list[Installation]:
    """Newest first."""
    source = f"SELECT {_COLUMNS} FROM firmware_installation WHERE tenant_id = %s AND device_id = %s"
    if latest_only:
        source = source.replace("SELECT", "SELECT DISTINCT ON (slot)", 1)
        source += " AND completed_at IS NOT NULL ORDER BY slot, completed_at DESC, id DESC"
    sql = f"SELECT {_COLUMNS} FROM ({source}) i ORDER BY requested_at DESC, id DESC"
    return await tx.all(Installation, sql, tx.tenant, device_id)


async def select_installation(
    tx: Tx, device_id: DeviceId, installation_id: InstallationId, *, lock: bool = False
) -> Installation | None:
    """One of a device; with `lock` nobody else changes it until this transaction ends."""
    sql = f"""
        SELECT {_COLUMNS} FROM firmware_installation WHERE tenant_id = %s AND device_id = %s AND id = %s
        {"FOR UPDATE" if lock else ""}
    """
    return await tx.one(Installation, sql, tx.tenant, device_id, installation_id)


async def update_installation(tx: Tx, one: Installation) -> None:
    """How it goes on."""
    sql = """
        UPDATE firmware_installation SET started_at = %s, completed_at = %s, rejected_at = %s, reject_reason = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, one.started_at, one.completed_at, one.rejected_at, one.reject_reason, tx.tenant, one.id)


async def note_release(tx: Tx, one: Installation) -> None:
    """The device has this firmware now, if that is still there."""
    sql = """
        UPDATE device d SET firmware_version = f.release, updated_at = %s, version = d.version + 1
        FROM firmware f
        WHERE d.tenant_id = %s AND d.id = %s AND f.tenant_id = d.tenant_id AND f.id = %s
    """
    await tx.run(sql, one.completed_at, tx.tenant, one.device_id, one.firmware_id)


async def claim_waiting(tx: Tx, hearers: Sequence[Hearer], most: int) -> list[Claimed]:
    """Those that have not begun and that these sessions were not told of, oldest first. For the system duty."""
    sql = """
        WITH due AS (
            SELECT i.tenant_id, i.id, e.session
            FROM unnest(%s::integer[], %s::uuid[], %s::text[]) AS e (tenant_id, device_id, session)
            CROSS JOIN LATERAL (
                SELECT i.tenant_id, i.id FROM firmware_installation i
                WHERE i.tenant_id = e.tenant_id AND i.device_id = e.device_id AND i.started_at IS NULL
                    AND i.completed_at IS NULL AND i.rejected_at IS NULL AND i.sent_session IS DISTINCT FROM e.session
                ORDER BY i.requested_at, i.id LIMIT %s
            ) i
        )
        UPDATE firmware_installation i SET sent_session = d.session
        FROM due d JOIN firmware_installation n USING (tenant_id, id)
            JOIN firmware f ON f.tenant_id = n.tenant_id AND f.id = n.firmware_id
        WHERE i.tenant_id = d.tenant_id AND i.id = d.id
        RETURNING i.tenant_id, i.id, i.device_id, i.firmware_id, i.slot, i.requested_at,
            coalesce(f.notes #>> '{lightelligence,name}', f.name),
            CASE WHEN f.notes ? 'lightelligence' THEN f.notes #>> '{lightelligence,version}' ELSE f.release END,
            f.size_bytes, f.sha256
    """
    rows = await tx.rows(
        sql,
        [hearer.tenant for hearer in hearers],
        [hearer.device for hearer in hearers],
        [hearer.session for hearer in hearers],
        most,
    )
    claimed = [
        Claimed(
            tenant_id=TenantId(tenant),
            installation=Installation(
                id=InstallationId(id_),
                device_id=DeviceId(device),
                firmware_id=FirmwareId(firmware),
                slot=slot,
                requested_at=requested_at,
            ),
            name=name,
            label=label,
            size_bytes=size_bytes,
            sha256=bytes(sha256),
        )
        for tenant, id_, device, firmware, slot, requested_at, name, label, size_bytes, sha256 in rows
    ]
    return sorted(claimed, key=lambda one: (one.installation.requested_at, one.installation.id))


async def insert_device_token(
    tx: Tx, one: Claimed, token_hash: bytes, *, uses: int, created_at: datetime, expires_at: datetime, by: UUID
) -> None:
    """With it the device fetches the content. Of those it was told before, the newest few stay good."""
    worn_out = """
        DELETE FROM firmware_token WHERE token_hash IN (
            SELECT token_hash FROM firmware_token
            WHERE tenant_id = %s AND device_id = %s AND firmware_id = %s AND rollout_id IS NULL AND created_by = %s
            ORDER BY created_at DESC OFFSET %s
        )
    """
    about = one.installation
    await tx.run(worn_out, one.tenant_id, about.device_id, about.firmware_id, by, _MOST_TOKENS - 1)
    sql = """
        INSERT INTO firmware_token (tenant_id, token_hash, id, firmware_id, device_id, bytes_left, created_by,
                                    created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql, one.tenant_id, token_hash, new_id(), about.firmware_id, about.device_id,
        uses * one.size_bytes, by, created_at, expires_at,
    )  # fmt: skip
