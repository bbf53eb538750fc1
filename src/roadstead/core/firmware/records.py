"""Firmware as it is registered in the Lightelligence dialect: a name first, its content once and whole, no more.

A record without content lapses. With its content it becomes a firmware like others, published, under the same id.
"""

from collections.abc import AsyncIterable
from datetime import timedelta
from hashlib import sha256
from typing import NoReturn

import msgspec

from roadstead.core import tenancy
from roadstead.core.firmware import record_store, store
from roadstead.core.firmware.artifacts import record
from roadstead.core.firmware.model import (
    MOST_BYTES,
    Firmware,
    FirmwareId,
    FirmwareStatus,
    Part,
)
from roadstead.core.firmware.record_model import FirmwareRecord, RecordDraft
from roadstead.core.firmware.releases import check_release
from roadstead.core.firmware.uploads import PART_BYTES, PART_LIFE, Pieces
from roadstead.core.operation import check_grant, operation
from roadstead.core.ports import Ports
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.actor import Actor, Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import Page, PageQuery

LAPSES_AFTER = timedelta(minutes=5)
_NOTES = "lightelligence"
_MOST_NAME = 120


@operation(Grant.FIRMWARE_WRITE)
async def create_record(work: Work, draft: RecordDraft) -> FirmwareRecord:
    """Register a firmware; it lapses unless its content comes soon."""
    draft.check()
    now = work.now()
    made = FirmwareRecord(
        id=FirmwareId(new_id()),
        name=draft.name,
        label=draft.label,
        description=draft.description,
        size_bytes=None,
        sha256=None,
        created_at=now,
        updated_at=now,
    )
    await record_store.insert_record(work.tx, made, created_by=work.actor.id, due_at=now + LAPSES_AFTER)
    work.record("firmware.create", made.id, after=draft)
    return made


@operation(Grant.FIRMWARE_READ)
async def list_records(work: Work, page: PageQuery) -> Page[FirmwareRecord]:
    """All firmware, newest first."""
    return await record_store.page_records(work.tx, page)


@operation(Grant.FIRMWARE_READ)
async def get_record(work: Work, firmware_id: FirmwareId) -> FirmwareRecord:
    """One firmware."""
    found = await record_store.select_record(work.tx, firmware_id)
    if found is None:
        raise NotFound("firmware", firmware_id)
    return found


@operation(Grant.FIRMWARE_WRITE)
async def delete_record(work: Work, firmware_id: FirmwareId) -> None:
    """Delete a firmware with its content, whoever has registered it. `Conflict` while a rollout of it is not over."""
    if await record_store.delete_record(work.tx, firmware_id):
        work.record("firmware.delete", firmware_id)
        return
    firmware = await store.lock_firmware(work.tx, firmware_id)
    if firmware is None:
        raise NotFound("firmware", firmware_id)
    if await store.has_open_rollout(work.tx, firmware_id):
        raise Conflict("a rollout of it is not over", code="in-use")
    await store.delete_firmware(work.tx, firmware_id)
    record(work, "firmware.delete", before=firmware)


class Attachments:
    """Takes contents in, for those who may. Each step is a transaction of its own, for it may last long."""

    def __init__(self, database: Database, ports: Ports) -> None:
        """`database` has the tenant duty."""
        self._database = database
        self._ports = ports

    async def attach(self, actor: Actor, firmware_id: FirmwareId, content: AsyncIterable[bytes]) -> FirmwareRecord:
        """The content of a record, which is a published firmware from then on. What is cut off leaves nothing.

        Raises `Conflict` with code `invalid-state` for one that has its content, `Forbidden` without the right.
        """
        check_grant(actor, Grant.FIRMWARE_WRITE)
        await self._begin(actor, firmware_id)
        hasher, parts = sha256(), list[Part]()
        pieces = Pieces(content, MOST_BYTES, hasher.update)
        at = 0
        while not pieces.is_over:
            part = await self._store_part(actor, firmware_id, pieces, at)
            parts.append(part)
            at += part.size_bytes
        if pieces.failure is not None:
            raise pieces.failure
        if not at:
            raise Invalid("the content is empty")
        return await self._complete(actor, firmware_id, parts, at, hasher.digest())

    async def _begin(self, actor: Actor, firmware_id: FirmwareId) -> None:
        async with self._database.tx(actor.tenant_id) as tx:
            work = Work(actor, tx, self._ports)
            if not await record_store.prolong_record(tx, firmware_id, work.now() + PART_LIFE):
                await self._tell_missing(work, firmware_id)
            if (await tenancy.load_organization(work)).settings.firmware_signing_keys:
                raise Invalid("the organization has signing keys: a signature comes natively only")

    async def _tell_missing(self, work: Work, firmware_id: FirmwareId) -> NoReturn:
        if await store.select_firmware(work.tx, firmware_id) is None:
            raise NotFound("firmware", firmware_id)
        raise Conflict("it has its content already", code="invalid-state")

    async def _store_part(self, actor: Actor, firmware_id: FirmwareId, pieces: Pieces, start: int) -> Part:
        id_ = new_id()
        part = Part(id_, start, 0, f"{actor.organization_id}/firmware/{firmware_id}/{id_}")
        async with self._database.tx(actor.tenant_id) as tx:
            await store.insert_part(tx, firmware_id, part, run=0, due_at=time.now() + PART_LIFE)
        stored = await self._ports.blobs.put(part.blob_key, pieces.take(PART_BYTES))
        return msgspec.structs.replace(part, size_bytes=stored.size_bytes)

    async def _complete(
        self, actor: Actor, firmware_id: FirmwareId, parts: list[Part], size: int, digest: bytes
    ) -> FirmwareRecord:
        async with self._database.tx(actor.tenant_id) as tx:
            work = Work(actor, tx, self._ports)
            known = await record_store.lock_record(tx, firmware_id)
            if known is None:
                # Somebody has deleted it, or was faster.
                await self._tell_missing(work, firmware_id)
            firmware = _make_firmware(work, known, size, digest)
            if not await store.insert_firmware(tx, firmware):
                firmware = msgspec.structs.replace(firmware, release=_own_release(firmware_id))
                await store.insert_firmware(tx, firmware)
            await record_store.fill_firmware(tx, firmware, {_NOTES: _note(known)})
            for part in parts:
                if part.size_bytes and not await store.keep_part(tx, part.id, part.size_bytes):
                    raise Conflict("it took too long", code="upload-offset")
            await record_store.delete_record(tx, firmware_id)
            record(work, "firmware.publish", after=firmware)
            return await get_record(work, firmware_id)


async def sweep_records(database: Database) -> None:
    """Forget records whose content has not come. For the system duty."""
    async with database.tx() as tx:
        await record_store.delete_lapsed(tx, time.now())


def _make_firmware(work: Work, known: FirmwareRecord, size: int, digest: bytes) -> Firmware:
    label = known.label or ""
    now = work.now()
    return Firmware(
        id=known.id,
        name=known.name[:_MOST_NAME],
        release=_own_release(known.id) if check_release(label, "") else label,
        device_profile=_NOTES,
        status=FirmwareStatus.PUBLISHED,
        size_bytes=size,
        sha256=digest,
        signature=None,
        release_notes=known.description,
        metadata={},
        created_by=work.actor.id,
        upload_run=0,
        received_bytes=size,
        uploaded_at=now,
        created_at=known.created_at,
        updated_at=now,
        version=1,
    )


def _own_release(firmware_id: FirmwareId) -> str:
    """For one that names no semantic version, or that of another of its name."""
    return f"0.0.0-{ids.to_hex24(firmware_id)}"


def _note(known: FirmwareRecord) -> dict[str, str | None]:
    return {"name": known.name, "version": known.label, "description": known.description}
