"""What can be done with files: URLs to fetch and to bring them, and who may use those."""

import hashlib
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from roadstead.core.files import store
from roadstead.core.files.model import (
    DOWNLOAD,
    LONGEST_VALIDITY,
    UPLOAD,
    Download,
    SignedUrl,
    Upload,
    Uploaded,
    UploadUrl,
    disposition,
    terms,
)
from roadstead.core.files.store import FileKey
from roadstead.core.operation import unguarded
from roadstead.core.ports import Blobs, check_blob_key
from roadstead.core.work import Entry, Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Forbidden, Malformed, NotFound, TooLarge
from roadstead.kernel.ids import TenantId, UploadId, new_id, parse_uuid, to_hex24

_KEY_AGE = timedelta(days=90)
"""A key that is older signs no more; what it has signed stays good for its time."""
_UNCLAIMED = timedelta(hours=24)
"""So long after its URL has run out, a file that nobody has made their own is kept."""


def blob_key(organization: UUID, name: str) -> str:
    """Where a file of an organization lies in the blob store."""
    return f"{organization}/{name}"


def values_area(device_id: UUID) -> str:
    """How the names begin of all files of an organization that came from a device as values."""
    return f"values/{to_hex24(device_id)}/"


async def delete_values(tx: Tx, blobs: Blobs, tenant: TenantId, device_id: UUID) -> None:
    """Delete these files; for when the readings go that stand for them. Twice does no harm."""
    organization = await store.select_organization(tx, tenant)
    if organization is not None:
        async for blob in blobs.list(blob_key(organization, values_area(device_id))):
            await blobs.delete(blob.key)


# --- for rooms: URLs -------------------------------------------------------------------------------------------------


@unguarded("for the rooms above, which have asked whether the caller may have this file")
async def download_url(
    work: Work, name: str, *, filename: str, content_type: str = "application/octet-stream", valid_until: datetime
) -> str:
    """A URL under which everybody who has it can read a file of the organization, until then (7 days at most).

    `name` is what a room has put under `blob_key`; it need not be there yet. Browsers save it as `filename`.
    """
    more = {"response_content_type": content_type, "response_content_disposition": disposition(filename)}
    return await _sign(work, DOWNLOAD, name, valid_until, **more)


@unguarded("for the rooms above, which have asked whether the caller may bring a file")
async def upload_url(
    work: Work, area: str, *, content_type: str, max_bytes: int, sha256: bytes | None = None, valid_until: datetime
) -> UploadUrl:
    """A URL under which everybody who has it can bring one file, until then (7 days at most).

    It must be of this type, not larger, and have this checksum when one is given. It belongs to nobody before
    `claim_upload`, and goes when that has not happened a day after the URL has run out.
    """
    now = work.now()
    valid_until = min(valid_until, now + LONGEST_VALIDITY)
    upload = Upload(
        tenant_id=work.tenant_id,
        id=UploadId(new_id()),
        area=area,
        content_type=content_type,
        max_bytes=max_bytes,
        wanted_sha256=sha256,
        attempt=None,
        size_bytes=None,
        sha256=None,
        created_at=now,
        due_at=valid_until + _UNCLAIMED,
    )
    await store.insert_upload(work.tx, upload)
    url = await _sign(work, UPLOAD, f"{area}/{upload.id}", valid_until)
    return UploadUrl(url=url, headers={"Content-Type": content_type}, upload_id=upload.id, expires_at=valid_until)


@unguarded("for the rooms above, which have asked whether the caller may bring a file")
async def claim_upload(work: Work, area: str, upload_id: UploadId) -> Uploaded:
    """Make a file that was brought the caller's own: from now on nobody can replace it, and nobody sweeps it.

    Raises `NotFound` when none was asked for (or it was claimed before), `Conflict` when it has not arrived.
    """
    upload = await store.lock_upload(work.tx, work.tenant_id, area, upload_id)
    if upload is None:
        raise NotFound("upload", upload_id)
    if upload.size_bytes is None or upload.sha256 is None:
        raise Conflict("the file has not been uploaded", code="invalid-state")
    await store.delete_upload(work.tx, upload)
    return Uploaded(
        name=upload.name, size_bytes=upload.size_bytes, sha256=upload.sha256, content_type=upload.content_type
    )


async def _sign(work: Work, method: str, name: str, valid_until: datetime, **more: str) -> str:
    check_blob_key(blob_key(work.actor.organization_id, name))
    key = await _signing_key(work)
    query = terms(key.id, work.now(), valid_until, **more)
    signed = SignedUrl(method=method, bucket=str(work.actor.organization_id), name=name, query=query)
    return signed.spell(work.ports.vault.open(key.secret, "file-url"), work.ports.public_url)


async def _signing_key(work: Work) -> FileKey:
    now = work.now()
    key = await store.select_newest_key(work.tx, work.tenant_id, now - _KEY_AGE)
    if key is None:
        key = FileKey(
            tenant_id=work.tenant_id,
            id=new_id(),
            secret=work.ports.vault.seal(secrets.token_bytes(32), "file-url"),
        )
        await store.insert_key(work.tx, key, now)
        await store.delete_keys(work.tx, work.tenant_id, now - _KEY_AGE - LONGEST_VALIDITY)
    return key


# --- for whoever has a URL -------------------------------------------------------------------------------------------


@unguarded("the signature says that somebody who may has handed it out")
async def open_download(entry: Entry, signed: SignedUrl) -> Download:
    """What a signed URL lets its bearer read. Raises `Forbidden` when the signature is bad or its time is over."""
    await _check(entry, signed)
    blob = await entry.ports.blobs.head(f"{signed.bucket}/{signed.name}")
    return Download(
        key=blob.key,
        size_bytes=blob.size_bytes,
        etag=blob.etag,
        modified_at=blob.modified_at,
        content_type=signed.query.get("response-content-type", "application/octet-stream"),
        disposition=signed.query.get("response-content-disposition", "attachment"),
    )


@unguarded("the signature says that somebody who may has handed it out")
async def open_upload(entry: Entry, signed: SignedUrl, *, content_type: str, size_bytes: int | None) -> Upload:
    """What a signed URL lets its bearer bring; what others have begun to bring does not count any more.

    `size_bytes` is what the bearer says before the first byte, if anything. Raises `Forbidden` when the signature is
    bad, its time is over, or the file is not awaited any more; `Malformed` for another type, `TooLarge`.
    """
    key = await _check(entry, signed)
    area, _, id_text = signed.name.rpartition("/")
    upload_id = parse_uuid(id_text)
    upload = None if upload_id is None else await store.lock_upload(entry.tx, key.tenant_id, area, UploadId(upload_id))
    if upload is None:
        raise Forbidden("this file is not awaited any more")
    if content_type != upload.content_type:
        raise Malformed(f"send Content-Type: {upload.content_type}", code="unsupported-media-type")
    if size_bytes is not None and size_bytes > upload.max_bytes:
        raise _too_large(upload)
    attempt = new_id()
    await store.begin_attempt(entry.tx, upload, attempt)
    if upload.attempt is not None:
        await entry.ports.blobs.delete(f"{signed.bucket}/{upload.name}")
    return msgspec.structs.replace(upload, attempt=attempt, size_bytes=None, sha256=None)


async def receive(
    blobs: Blobs,
    organization: str,
    upload: Upload,
    content: AsyncIterable[bytes],
    finish: Callable[[Upload, int, bytes], Awaitable[bool]],
) -> str:
    """Store what arrives for an upload, in pieces and outside any transaction; its ETag.

    `finish` says in a transaction that all of it is there (`finish_upload`). Raises `TooLarge`, `Malformed` for a
    wrong checksum, `Conflict` when it came too late: nothing is kept then.
    """
    key = f"{organization}/{upload.name}"
    digest, size = hashlib.sha256(), 0

    async def checked() -> AsyncIterator[bytes]:
        nonlocal size
        async for piece in content:
            size += len(piece)
            if size > upload.max_bytes:
                raise _too_large(upload)
            digest.update(piece)
            yield piece
        if upload.wanted_sha256 not in (None, digest.digest()):
            raise Malformed("the SHA-256 of what arrived is not the one that was announced")

    blob = await blobs.put(key, checked())
    if not await finish(upload, size, digest.digest()):
        await blobs.delete(key)
        raise Conflict("somebody else has brought this file, or it is not awaited any more")
    return blob.etag


async def finish_upload(tx: Tx, upload: Upload, size_bytes: int, sha256: bytes) -> bool:
    """All of it is there. False when it does not count any more."""
    return await store.finish_attempt(tx, upload, size_bytes=size_bytes, sha256=sha256)


async def _check(entry: Entry, signed: SignedUrl) -> FileKey:
    """The key that has signed it, of the organization that it is about: no other opens anything there."""
    organization, key_id = parse_uuid(signed.bucket), parse_uuid(signed.key_id)
    key = None if organization is None or key_id is None else await store.select_key(entry.tx, organization, key_id)
    if key is None or not signed.is_signed_with(entry.ports.vault.open(key.secret, "file-url")):
        raise Forbidden("the signature of this URL is wrong")
    if not signed.is_valid(time.now()):
        raise Forbidden("this URL has expired")
    return key


def _too_large(upload: Upload) -> TooLarge:
    return TooLarge(f"this file may have {upload.max_bytes} bytes")


# --- for the worker --------------------------------------------------------------------------------------------------


async def sweep_uploads(tx: Tx, blobs: Blobs, *, most: int = 100) -> int:
    """Forget uploads whose time is over, with their files; says how many. Doing it twice does no harm."""
    due = await store.lock_due_uploads(tx, time.now(), most)
    for organization, upload in due:
        if upload.attempt is not None:
            await blobs.delete(blob_key(organization, upload.name))
        await store.delete_upload(tx, upload)
    return len(due)
