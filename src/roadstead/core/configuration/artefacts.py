"""What can be done with artefacts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from roadstead.core import files, types
from roadstead.core.configuration import artefact_store as store
from roadstead.core.configuration.content import MAX_CONTENT_BYTES, canonical, check_schema, difference
from roadstead.core.configuration.model import (
    JSON,
    Artefact,
    ArtefactDraft,
    ArtefactId,
    ArtefactQuery,
    ProfileKind,
    UploadDraft,
    is_json,
)
from roadstead.core.operation import operation, unguarded
from roadstead.core.ports import Blobs
from roadstead.core.types import DeviceProfile, SensorProfile
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import UploadId, new_id, parse_uuid
from roadstead.kernel.page import Page, PageQuery

_AREA = "config"
SMALL_BYTES = 4_096
"""Up to here a content always stands in the documents themselves, and needs no file."""
UPLOAD_VALIDITY = timedelta(minutes=15)
_LINK_VALIDITY = timedelta(hours=1)
_WASTE_DELAY = timedelta(days=7)
"""URLs of a file may be under way for so long after its artefact was deleted."""


class NewArtefact(msgspec.Struct, frozen=True):
    """What came of a draft."""

    artefact: Artefact
    is_new: bool
    """Else this content was there already, and nothing was added."""


@operation(Grant.CONFIG_READ)
async def list_artefacts(work: Work, query: ArtefactQuery, *, sort: str | None, page: PageQuery) -> Page[Artefact]:
    """Versions, sorted by `createdAt`, `name` or `version`; newest first unless told otherwise."""
    return await store.list_artefacts(work.tx, query, sort, page)


@operation(Grant.CONFIG_READ)
async def get_artefact(work: Work, artefact_id: ArtefactId) -> Artefact:
    """One version."""
    return await load_artefact(work, artefact_id)


@operation(Grant.CONFIG_READ)
async def compare_artefacts(work: Work, artefact_id: ArtefactId, against: ArtefactId) -> list[dict[str, Any]]:
    """The JSON Patch that makes this version out of another. `Invalid` unless both are JSON of at most 256 KB."""
    after, before = await load_artefact(work, artefact_id), await load_artefact(work, against)
    contents = [await _read_json(work, artefact) for artefact in (before, after)]
    # Large ones take a second: others need not wait.
    return await asyncio.to_thread(difference, *contents)


@operation(Grant.CONFIG_WRITE)
async def prepare_upload(work: Work, draft: UploadDraft) -> files.UploadUrl:
    """A URL to which a content can be sent within 15 minutes."""
    draft.check()
    return await files.upload_url(
        work,
        _AREA,
        content_type=draft.content_type,
        max_bytes=draft.size_bytes,
        sha256=bytes.fromhex(draft.sha256),
        valid_until=work.now() + UPLOAD_VALIDITY,
    )


def storage_key(upload: files.UploadUrl, draft: UploadDraft) -> str:
    """What `ArtefactDraft` takes: which upload, and what the file was called."""
    return f"{upload.upload_id}/{quote(draft.file_name, safe='')}"


@operation(Grant.CONFIG_WRITE)
async def create_artefact(work: Work, draft: ArtefactDraft) -> NewArtefact:
    """Add a version under the next number of its name. What is there already, with type and profile, is not added.

    The content fits the `configSchema` of its profile.
    """
    draft.check()
    profile = None if draft.profile is None else await _find_profile(work, draft.profile)
    artefact_id = ArtefactId(new_id())
    artefact = Artefact(
        id=artefact_id,
        name=draft.name,
        number=0,
        profile_kind=_kind(profile) if profile else None,
        profile_key=profile.key if profile else None,
        profile_major=profile.major if profile else None,
        profile_minor=profile.minor if profile else None,
        content_type=draft.content_type or JSON,
        content=None,
        file=None,
        file_name="",
        size_bytes=0,
        sha256="",
        description=draft.description,
        created_by=work.actor.id,
        created_at=work.now(),
        in_use=False,
    )
    if draft.storage_key is None:
        content = canonical(draft.content)
        artefact = msgspec.structs.replace(
            artefact, content=content.body, size_bytes=len(content.body), sha256=content.sha256
        )
    else:
        artefact = await _claim(work, artefact, draft)
    if profile is not None and profile.config_schema is not None:
        value = msgspec.json.decode(await _read_json(work, artefact, pointer="/storageKey"))
        await asyncio.to_thread(check_schema, value, profile.config_schema, profile.reference)

    await store.lock_name(work.tx, draft.name)
    known = await store.select_alike(work.tx, artefact)
    if known is not None:
        if artefact.file is not None:
            await store.insert_waste(work.tx, artefact.file, work.now())
        return NewArtefact(known, is_new=False)
    number = await store.next_number(work.tx, draft.name)
    name = artefact.file_name or f"{draft.name}-{number}.json"
    artefact = await _keep_copy(work, msgspec.structs.replace(artefact, number=number, file_name=name))
    await store.insert_artefact(work.tx, artefact)
    work.record("config-artefact.create", artefact_id, after=_Audit.of(artefact))
    return NewArtefact(artefact, is_new=True)


@operation(Grant.CONFIG_WRITE)
async def delete_artefact(work: Work, artefact_id: ArtefactId) -> None:
    """Delete a version that no binding names and no device shall have."""
    artefact = await load_artefact(work, artefact_id)
    if artefact.in_use or not await store.delete_artefact(work.tx, artefact_id):
        raise Conflict("a binding names it, or devices still have to be told that none does", code="in-use")
    if artefact.file is not None:
        await store.insert_waste(work.tx, artefact.file, work.now() + _WASTE_DELAY)
    work.record("config-artefact.delete", artefact_id, before=_Audit.of(artefact))


class _Audit(msgspec.Struct, frozen=True):
    """An artefact in the audit log: not its content, which is there as long as it lives."""

    name: str
    number: int
    profile: str | None
    content_type: str
    size_bytes: int
    sha256: str
    description: str | None

    @classmethod
    def of(cls, artefact: Artefact) -> "_Audit":
        profile = artefact.profile.reference if artefact.profile else None
        return cls(
            artefact.name,
            artefact.number,
            profile,
            artefact.content_type,
            artefact.size_bytes,
            artefact.sha256,
            artefact.description,
        )


async def _claim(work: Work, artefact: Artefact, draft: ArtefactDraft) -> Artefact:
    upload_text, _, name = (draft.storage_key or "").partition("/")
    upload_id = parse_uuid(upload_text)
    try:
        if upload_id is None:
            raise NotFound("upload", upload_text)
        uploaded = await files.claim_upload(work, _AREA, UploadId(upload_id))
    except NotFound as error:
        raise Conflict("nothing was uploaded under this storageKey, or it was used", code="invalid-state") from error
    return msgspec.structs.replace(
        artefact,
        content_type=draft.content_type or uploaded.content_type,
        file=uploaded.name,
        file_name=unquote(name)[:255] or str(upload_id),
        size_bytes=uploaded.size_bytes,
        sha256=uploaded.sha256.hex(),
    )


async def _keep_copy(work: Work, artefact: Artefact) -> Artefact:
    """What is not small gets a file that devices can fetch. Left behind by a crash, it is a file nobody names."""
    if artefact.content is None or len(artefact.content) <= SMALL_BYTES:
        return artefact
    file = f"{_AREA}/{artefact.id}.json"
    await work.ports.blobs.put(files.blob_key(work.actor.organization_id, file), artefact.content)
    return msgspec.structs.replace(artefact, file=file)


def _kind(profile: DeviceProfile | SensorProfile) -> ProfileKind:
    return ProfileKind.DEVICE if isinstance(profile, DeviceProfile) else ProfileKind.SENSOR


async def _find_profile(work: Work, reference: str) -> DeviceProfile | SensorProfile:
    if await types.device_profile_ids(work, reference):
        return await types.find_device_profile(work, reference, "/profile")
    if await types.sensor_profile_ids(work, reference):
        return await types.find_sensor_profile(work, reference, "/profile")
    raise Invalid.field("/profile", f"there is neither a device profile nor a sensor profile {reference}")


async def _read_json(work: Work, artefact: Artefact, *, pointer: str = "/against") -> bytes:
    if artefact.content is not None:
        return artefact.content
    if not is_json(artefact.content_type) or artefact.size_bytes > MAX_CONTENT_BYTES:
        detail = f"is not JSON of at most {MAX_CONTENT_BYTES} bytes"
        raise Invalid.field(pointer, detail, place="query" if pointer == "/against" else "body")
    body = b"".join([piece async for piece in read_file(work, artefact)])
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Invalid.field(pointer, f"is not JSON: {error}") from error
    return body


# --- for dialects and neighbours -------------------------------------------------------------------------------------


async def load_artefact(work: Work, artefact_id: ArtefactId) -> Artefact:
    """One version, without asking for rights."""
    artefact = await store.select_artefact(work.tx, artefact_id)
    if artefact is None:
        raise NotFound("config artefact", artefact_id)
    return artefact


def read_file(work: Work, artefact: Artefact) -> AsyncIterator[bytes]:
    """The bytes of an artefact that has a file."""
    return work.ports.blobs.read(files.blob_key(work.actor.organization_id, artefact.file or ""))


@unguarded("a part of get_artefact, which has asked")
async def link_artefact(work: Work, artefact: Artefact, *, until: datetime | None = None) -> str | None:
    """A URL for the file of an artefact, good for an hour unless told otherwise; None when it has none."""
    if artefact.file is None:
        return None
    return await files.download_url(
        work,
        artefact.file,
        filename=artefact.file_name,
        content_type=artefact.content_type,
        valid_until=until or work.now() + _LINK_VALIDITY,
    )


async def sweep_waste(tx: Tx, blobs: Blobs, *, most: int = 100) -> int:
    """Delete files that belong to no artefact any more; says how many. Doing it twice does no harm."""
    due = await store.lock_waste(tx, time.now(), most)
    for tenant, organization, file in due:
        await blobs.delete(f"{organization}/{file}")
        await store.delete_waste(tx, tenant, file)
    return len(due)
