"""The SQL of signing keys and uploads."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.files.model import Upload
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId, UploadId

_UPLOAD_COLUMNS = (
    "tenant_id", "id", "area", "content_type", "max_bytes", "wanted_sha256", "attempt", "size_bytes", "sha256",
    "created_at", "due_at",
)  # fmt: skip
_UPLOAD = ", ".join(_UPLOAD_COLUMNS)


class FileKey(msgspec.Struct, frozen=True, kw_only=True):
    """What URLs of a tenant are signed with."""

    tenant_id: TenantId
    id: UUID
    secret: bytes
    """Sealed."""


async def select_newest_key(tx: Tx, tenant: TenantId, since: datetime) -> FileKey | None:
    """The key that was made last, if that was not before an instant."""
    sql = """
        SELECT tenant_id, id, secret FROM file_key WHERE tenant_id = %s AND created_at > %s
        ORDER BY created_at DESC LIMIT 1
    """
    return await tx.one(FileKey, sql, tenant, since)


async def insert_key(tx: Tx, key: FileKey, at: datetime) -> None:
    """Add a key."""
    sql = "INSERT INTO file_key (tenant_id, id, secret, created_at) VALUES (%s, %s, %s, %s)"
    await tx.run(sql, key.tenant_id, key.id, key.secret, at)


async def delete_keys(tx: Tx, tenant: TenantId, before: datetime) -> None:
    """Forget keys that were made before an instant."""
    await tx.run("DELETE FROM file_key WHERE tenant_id = %s AND created_at < %s", tenant, before)


async def select_key(tx: Tx, organization: UUID, key_id: UUID) -> FileKey | None:
    """A key of an organization that nobody has signed in to."""
    sql = """
        SELECT k.tenant_id, k.id, k.secret FROM tenant t JOIN file_key k ON k.tenant_id = t.tenant_id
        WHERE t.public_id = %s AND k.id = %s AND t.status = 'ACTIVE'
    """
    return await tx.one(FileKey, sql, organization, key_id)


async def insert_upload(tx: Tx, upload: Upload) -> None:
    """Await a file."""
    sql = f"INSERT INTO file_upload ({_UPLOAD}) VALUES ({', '.join(['%s'] * len(_UPLOAD_COLUMNS))})"
    await tx.run(sql, *msgspec.structs.astuple(upload))


async def lock_upload(tx: Tx, tenant: TenantId, area: str, upload_id: UploadId) -> Upload | None:
    """An upload that nobody else changes until this transaction ends."""
    sql = f"SELECT {_UPLOAD} FROM file_upload WHERE tenant_id = %s AND area = %s AND id = %s FOR UPDATE"
    return await tx.one(Upload, sql, tenant, area, upload_id)


async def begin_attempt(tx: Tx, upload: Upload, attempt: UUID) -> None:
    """From now on the file of this attempt counts, and none is there yet."""
    sql = "UPDATE file_upload SET attempt = %s, size_bytes = NULL, sha256 = NULL WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, attempt, upload.tenant_id, upload.id)


async def finish_attempt(tx: Tx, upload: Upload, *, size_bytes: int, sha256: bytes) -> bool:
    """All of it is there. False when another attempt counts by now, or nobody waits for it any more."""
    sql = """
        UPDATE file_upload SET size_bytes = %s, sha256 = %s WHERE tenant_id = %s AND id = %s AND attempt = %s
    """
    return bool(await tx.run(sql, size_bytes, sha256, upload.tenant_id, upload.id, upload.attempt))


async def delete_upload(tx: Tx, upload: Upload) -> None:
    """Wait for it no longer."""
    await tx.run("DELETE FROM file_upload WHERE tenant_id = %s AND id = %s", upload.tenant_id, upload.id)


async def lock_due_uploads(tx: Tx, at: datetime, most: int) -> Sequence[tuple[UUID, Upload]]:
    """Uploads whose time is over, with their organizations; none that another worker has in hand."""
    columns = ", ".join(f"u.{name}" for name in _UPLOAD_COLUMNS)
    sql = f"""
        SELECT t.public_id, {columns} FROM file_upload u JOIN tenant t ON t.tenant_id = u.tenant_id
        WHERE u.due_at <= %s ORDER BY u.due_at LIMIT %s FOR UPDATE OF u SKIP LOCKED
    """
    organizations, uploads = await tx.keyed(Upload, sql, at, most)
    return list(zip(organizations, uploads, strict=True))


async def select_organization(tx: Tx, tenant: TenantId) -> UUID | None:
    """The id under which programs, and files, know a tenant."""
    organization: UUID | None = await tx.value("SELECT public_id FROM tenant WHERE tenant_id = %s", tenant)
    return organization
