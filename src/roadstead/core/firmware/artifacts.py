"""What can be done with firmware as such."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from roadstead.core import registry, tenancy, types
from roadstead.core.firmware import store
from roadstead.core.firmware.model import (
    Firmware,
    FirmwareChange,
    FirmwareDraft,
    FirmwareId,
    FirmwareQuery,
    FirmwareStatus,
    Token,
    UploadGrant,
    check_metadata,
    check_notes,
    refuse,
)
from roadstead.core.firmware.signatures import is_signed
from roadstead.core.operation import operation
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery

_UPLOAD_LIFE = timedelta(hours=24)


@operation(Grant.FIRMWARE_READ)
async def list_firmware(work: Work, query: FirmwareQuery, *, sort: str | None, page: PageQuery) -> Page[Firmware]:
    """Firmware, sorted by `createdAt` or by `version` as semantic versions go."""
    return await store.list_firmware(work.tx, query, sort, page)


@operation(Grant.FIRMWARE_READ)
async def get_firmware(work: Work, firmware_id: FirmwareId) -> Firmware:
    """One firmware."""
    return await load_firmware(work, firmware_id)


@operation(Grant.FIRMWARE_WRITE)
async def create_firmware(work: Work, draft: FirmwareDraft) -> tuple[Firmware, UploadGrant]:
    """Register a release; its content comes with the grant. It is a DRAFT until it is published.

    Where the organization has signing keys, one of them must have signed it.
    """
    draft.check()
    await types.find_device_profile(work, draft.device_profile, "/deviceProfile")
    keys = await _signing_keys(work)
    if keys and draft.signature is None:
        raise Invalid.field("/signature", "is required: the organization has signing keys", code="required")
    if keys and not is_signed(draft.sha256, draft.signature or b"", keys):
        raise Invalid.field("/signature", "none of the organization's signing keys has made it for this checksum")
    now = work.now()
    firmware = Firmware(
        id=FirmwareId(new_id()),
        name=draft.name,
        release=draft.release,
        device_profile=draft.device_profile,
        status=FirmwareStatus.DRAFT,
        size_bytes=draft.size_bytes,
        sha256=draft.sha256,
        signature=draft.signature,
        release_notes=draft.release_notes,
        metadata=draft.metadata,
        created_by=work.actor.id,
        upload_run=0,
        received_bytes=0,
        uploaded_at=None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await store.insert_firmware(work.tx, firmware):
        raise Conflict.taken("firmware", "version", firmware.release)
    record(work, "firmware.create", after=firmware)
    return firmware, await _grant_upload(work, firmware.id)


@operation(Grant.FIRMWARE_WRITE)
async def allow_upload(work: Work, firmware_id: FirmwareId) -> UploadGrant:
    """Another grant to bring the content: the last one has expired, or was lost. What has arrived stays.

    Raises `Conflict` when all of it is there.
    """
    firmware = await load_firmware(work, firmware_id)
    if firmware.uploaded_at is not None:
        raise Conflict("its content is complete", code="invalid-state")
    record(work, "firmware.allow-upload", before=firmware, after=firmware)
    return await _grant_upload(work, firmware_id)


@operation(Grant.FIRMWARE_WRITE)
async def publish_firmware(work: Work, firmware_id: FirmwareId) -> Firmware:
    """Rollouts may begin. Nothing changes when it is published already.

    Raises `Conflict` without a complete content, and when the organization's signing keys do not fit any more.
    """
    firmware = await _lock(work, firmware_id)
    if firmware.status is FirmwareStatus.PUBLISHED:
        record(work, "firmware.publish", before=firmware, after=firmware)
        return firmware
    if firmware.status is not FirmwareStatus.DRAFT:
        raise Conflict("it is deprecated", code="invalid-state")
    if firmware.uploaded_at is None:
        detail = f"{firmware.received_bytes} of {firmware.size_bytes} bytes have been uploaded"
        raise Conflict(f"the upload is not complete: {detail}", code="upload-missing")
    for part in await store.select_parts(work.tx, firmware_id, firmware.upload_run):
        # The checksum was right when it arrived; this notices what somebody has done to the files since.
        if (await work.ports.blobs.head(part.blob_key)).size_bytes != part.size_bytes:
            raise Conflict("the stored content is not what was uploaded", code="upload-missing")
    keys = await _signing_keys(work)
    if keys and not is_signed(firmware.sha256, firmware.signature or b"", keys):
        raise Conflict("none of the organization's signing keys has made its signature", code="signature-invalid")
    return await _set_status(work, firmware, FirmwareStatus.PUBLISHED, "firmware.publish")


@operation(Grant.FIRMWARE_WRITE)
async def deprecate_firmware(work: Work, firmware_id: FirmwareId) -> Firmware:
    """No new rollouts; those that have begun go on. Nothing changes when it is deprecated already."""
    firmware = await _lock(work, firmware_id)
    if firmware.status is FirmwareStatus.DEPRECATED:
        record(work, "firmware.deprecate", before=firmware, after=firmware)
        return firmware
    if firmware.status is FirmwareStatus.DRAFT:
        raise Conflict("it has not been published; delete it instead", code="invalid-state")
    return await _set_status(work, firmware, FirmwareStatus.DEPRECATED, "firmware.deprecate")


@operation(Grant.FIRMWARE_WRITE)
async def change_firmware(
    work: Work, firmware_id: FirmwareId, change: FirmwareChange, *, expected: int | None
) -> Firmware:
    """Change release notes and metadata; metadata are merged."""
    before = await _lock(work, firmware_id)
    check_version(before.version, expected)
    fields = change.sent()
    if change.metadata is not UNSET:
        fields["metadata"] = registry.merge(before.metadata, change.metadata)
    after = msgspec.structs.replace(before, **fields, updated_at=work.now(), version=before.version + 1)
    refuse(check_notes(after.release_notes) + check_metadata(after.metadata))
    await store.update_firmware(work.tx, after)
    record(work, "firmware.update", before=before, after=after)
    return after


@operation(Grant.FIRMWARE_WRITE)
async def delete_firmware(work: Work, firmware_id: FirmwareId, *, expected: int | None) -> None:
    """Delete it with its content. Raises `Conflict` while a rollout of it is not over."""
    firmware = await _lock(work, firmware_id)
    check_version(firmware.version, expected)
    if await store.has_open_rollout(work.tx, firmware_id):
        raise Conflict("a rollout of it is not over", code="in-use")
    await store.delete_firmware(work.tx, firmware_id)
    record(work, "firmware.delete", before=firmware)


# --- for the rest of the room ----------------------------------------------------------------------------------------


async def load_firmware(work: Work, firmware_id: FirmwareId) -> Firmware:
    """One firmware, without asking for rights."""
    firmware = await store.select_firmware(work.tx, firmware_id)
    if firmware is None:
        raise NotFound("firmware", firmware_id)
    return firmware


class _Audit(msgspec.Struct, frozen=True):
    """What the audit log shows of a firmware."""

    name: str
    firmware_version: str
    device_profile: str
    status: str
    sha256: str
    release_notes: str | None
    metadata: dict[str, Any]


def record(work: Work, action: str, *, before: Firmware | None = None, after: Firmware | None = None) -> None:
    """An audit line about a firmware."""
    one = after or before
    work.record(
        action, one and one.id, before=None if before is None else _audit(before), after=after and _audit(after)
    )


def _audit(one: Firmware) -> _Audit:
    return _Audit(
        one.name, one.release, one.device_profile, one.status, one.sha256.hex(), one.release_notes, one.metadata
    )


async def _lock(work: Work, firmware_id: FirmwareId) -> Firmware:
    firmware = await store.lock_firmware(work.tx, firmware_id)
    if firmware is None:
        raise NotFound("firmware", firmware_id)
    return firmware


async def _set_status(work: Work, before: Firmware, status: FirmwareStatus, action: str) -> Firmware:
    after = msgspec.structs.replace(before, status=status, updated_at=work.now(), version=before.version + 1)
    await store.update_firmware(work.tx, after)
    record(work, action, before=before, after=after)
    return after


async def _signing_keys(work: Work) -> list[str]:
    return (await tenancy.load_organization(work)).settings.firmware_signing_keys or []


def new_secret() -> str:
    """32 random bytes, spelled for a URL."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is kept instead: SHA-256, which is enough for what cannot be guessed."""
    return hashlib.sha256(secret.encode()).digest()


async def _grant_upload(work: Work, firmware_id: FirmwareId) -> UploadGrant:
    secret, now = new_secret(), work.now()
    token = Token(
        id=new_id(),
        tenant_id=work.tenant_id,
        organization_id=work.actor.organization_id,
        firmware_id=firmware_id,
        device_id=None,
        rollout_id=None,
        bytes_left=0,
        expires_at=now + _UPLOAD_LIFE,
        brings=True,
    )
    await store.insert_token(work.tx, digest(secret), token, created_by=work.actor.id, created_at=now)
    return UploadGrant(token=secret, firmware_id=firmware_id, expires_at=token.expires_at)
