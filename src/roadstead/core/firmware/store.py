"""The SQL of firmware: artifacts, the parts of their content, and the tokens to bring and fetch it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.firmware.model import Firmware, FirmwareId, FirmwareQuery, Part, Token
from roadstead.core.firmware.releases import order_of
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_LISTING = Listing(
    columns="""
        id, name, release, device_profile, status, size_bytes, sha256, signature, release_notes, metadata, created_by,
        upload_run, received_bytes, uploaded_at, created_at, updated_at, version
    """,
    source="firmware",
)
_SORT = {"createdAt": SortKey("created_at", cast="timestamptz"), "version": SortKey("release_order")}
_BY_ID = "WHERE tenant_id = %s AND id = %s"


# --- artifacts -------------------------------------------------------------------------------------------------------


async def list_firmware(tx: Tx, query: FirmwareQuery, sort: str | None, page: PageQuery) -> Page[Firmware]:
    """Firmware that is asked for, newest first unless told otherwise."""
    where = [Condition("tenant_id = %s", (tx.tenant,))]
    if query.device_profile is not None:
        column = "device_profile" if "@" in query.device_profile else "profile_key"
        where.append(Condition(f"{column} = %s", (query.device_profile,)))
    if query.status is not None:
        where.append(Condition("status = %s", (query.status.value,)))
    if query.release is not None:
        where.append(Condition("release = %s", (query.release,)))
    return await _LISTING.page(tx, Firmware, where, parse_sort(sort, _SORT, "-createdAt"), page)


async def select_firmware(tx: Tx, firmware_id: FirmwareId) -> Firmware | None:
    """One firmware."""
    return await tx.one(Firmware, f"SELECT {_LISTING.columns} FROM firmware {_BY_ID}", tx.tenant, firmware_id)


async def lock_firmware(tx: Tx, firmware_id: FirmwareId) -> Firmware | None:
    """One firmware, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_LISTING.columns} FROM firmware {_BY_ID} FOR UPDATE"
    return await tx.one(Firmware, sql, tx.tenant, firmware_id)


async def insert_firmware(tx: Tx, firmware: Firmware) -> bool:
    """False when there is this release of it already."""
    sql = """
        INSERT INTO firmware (tenant_id, id, name, release, release_order, device_profile, status, size_bytes, sha256,
                              signature, release_notes, metadata, created_by, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING
    """
    return bool(
        await tx.run(
            sql,
            tx.tenant,
            firmware.id,
            firmware.name,
            firmware.release,
            order_of(firmware.release),
            firmware.device_profile,
            firmware.status,
            firmware.size_bytes,
            firmware.sha256,
            firmware.signature,
            firmware.release_notes,
            Jsonb(firmware.metadata),
            firmware.created_by,
            firmware.created_at,
            firmware.updated_at,
        )
    )


async def update_firmware(tx: Tx, firmware: Firmware) -> None:
    """What can change about a firmware by itself; its upload has statements of its own."""
    sql = f"""
        UPDATE firmware SET status = %s, release_notes = %s, metadata = %s, updated_at = %s, version = %s {_BY_ID}
    """
    await tx.run(
        sql,
        firmware.status,
        firmware.release_notes,
        Jsonb(firmware.metadata),
        firmware.updated_at,
        firmware.version,
        tx.tenant,
        firmware.id,
    )


async def delete_firmware(tx: Tx, firmware_id: FirmwareId) -> None:
    """Forget a firmware with its tokens; the files of its content are due to go."""
    await _doom_parts(tx, firmware_id)
    await tx.run(f"DELETE FROM firmware {_BY_ID}", tx.tenant, firmware_id)


async def has_open_rollout(tx: Tx, firmware_id: FirmwareId) -> bool:
    """Whether a rollout of it is not over."""
    sql = """
        SELECT EXISTS (
            SELECT FROM rollout WHERE tenant_id = %s AND firmware_id = %s
            AND status IN ('SCHEDULED', 'RUNNING', 'PAUSED')
        )
    """
    return bool(await tx.value(sql, tx.tenant, firmware_id))


# --- content ---------------------------------------------------------------------------------------------------------


async def void_run(tx: Tx, firmware_id: FirmwareId, *, run: int) -> None:
    """The upload begins anew: what has arrived in this run is of no use. Nothing happens when it is over already."""
    sql = f"""
        UPDATE firmware SET upload_run = upload_run + 1, received_bytes = 0
        {_BY_ID} AND upload_run = %s AND uploaded_at IS NULL
    """
    if await tx.run(sql, tx.tenant, firmware_id, run):
        await _doom_parts(tx, firmware_id)


async def advance_upload(tx: Tx, firmware_id: FirmwareId, *, run: int, start: int, size_bytes: int) -> bool:
    """A part has arrived. False when another upload has been faster, or has begun anew."""
    sql = f"""
        UPDATE firmware SET received_bytes = received_bytes + %s {_BY_ID} AND upload_run = %s AND received_bytes = %s
    """
    return bool(await tx.run(sql, size_bytes, tx.tenant, firmware_id, run, start))


async def complete_upload(tx: Tx, firmware_id: FirmwareId, *, run: int, at: datetime) -> None:
    """All of it is there and is what it should be."""
    sql = f"""
        UPDATE firmware SET uploaded_at = %s, updated_at = %s, version = version + 1
        {_BY_ID} AND upload_run = %s AND received_bytes = size_bytes AND uploaded_at IS NULL
    """
    await tx.run(sql, at, at, tx.tenant, firmware_id, run)


async def insert_part(tx: Tx, firmware_id: FirmwareId, part: Part, *, run: int, due_at: datetime) -> None:
    """A part that begins to arrive; of no use from `due_at` on unless it has."""
    sql = """
        INSERT INTO firmware_part (tenant_id, id, firmware_id, run, start, blob_key, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, tx.tenant, part.id, firmware_id, run, part.start, part.blob_key, due_at)


async def keep_part(tx: Tx, part_id: UUID, size_bytes: int) -> bool:
    """It has arrived. False when it was given up meanwhile."""
    return bool(
        await tx.run(
            f"UPDATE firmware_part SET size_bytes = %s, due_at = NULL {_BY_ID}", size_bytes, tx.tenant, part_id
        )
    )


async def select_parts(tx: Tx, firmware_id: FirmwareId, run: int) -> list[Part]:
    """What has arrived of a run, in order."""
    sql = """
        SELECT id, start, size_bytes, blob_key FROM firmware_part
        WHERE tenant_id = %s AND firmware_id = %s AND run = %s AND size_bytes IS NOT NULL AND due_at IS NULL
        ORDER BY start
    """
    return await tx.all(Part, sql, tx.tenant, firmware_id, run)


async def _doom_parts(tx: Tx, firmware_id: FirmwareId) -> None:
    """The files of its content shall go."""
    sql = "UPDATE firmware_part SET due_at = now() WHERE tenant_id = %s AND firmware_id = %s"
    await tx.run(sql, tx.tenant, firmware_id)


async def lock_doomed_parts(tx: Tx, most: int) -> list[tuple[TenantId, UUID, str]]:
    """Parts whose files are of no use, of all tenants: tenant, id, key of the file."""
    sql = """
        SELECT tenant_id, id, blob_key FROM firmware_part WHERE due_at <= now()
        ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
    """
    return [(TenantId(tenant), id_, key) for tenant, id_, key in await tx.rows(sql, most)]


async def delete_parts(tx: Tx, part_ids: Sequence[tuple[TenantId, UUID]]) -> None:
    """Forget parts, of all tenants."""
    await tx.many("DELETE FROM firmware_part WHERE tenant_id = %s AND id = %s", part_ids)


# --- tokens ----------------------------------------------------------------------------------------------------------


async def insert_token(tx: Tx, token_hash: bytes, token: Token, *, created_by: UUID, created_at: datetime) -> None:
    """A grant that somebody has been given."""
    sql = """
        INSERT INTO firmware_token (tenant_id, token_hash, id, firmware_id, device_id, rollout_id, bytes_left, brings,
                                    created_by, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql,
        tx.tenant,
        token_hash,
        token.id,
        token.firmware_id,
        token.device_id,
        token.rollout_id,
        token.bytes_left,
        token.brings,
        created_by,
        created_at,
        token.expires_at,
    )


async def select_token(tx: Tx, token_hash: bytes) -> Token | None:
    """The grant with this secret, in any tenant."""
    sql = """
        SELECT k.id, k.tenant_id, t.public_id AS organization_id, k.firmware_id, k.device_id, k.rollout_id,
            k.bytes_left, k.expires_at, k.brings
        FROM firmware_token k JOIN tenant t ON t.tenant_id = k.tenant_id
        WHERE k.token_hash = %s AND t.status = 'ACTIVE'
    """
    return await tx.one(Token, sql, token_hash)


async def spend_bytes(tx: Tx, token_hash: bytes, count: int) -> bool:
    """Take bytes off what may be fetched, or give them back when negative. False when there are not so many left."""
    sql = "UPDATE firmware_token SET bytes_left = bytes_left - %s WHERE token_hash = %s AND bytes_left >= %s"
    return bool(await tx.run(sql, count, token_hash, count))
