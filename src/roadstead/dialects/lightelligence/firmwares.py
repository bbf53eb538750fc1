"""/v1/firmwares: firmware and its content, which comes once (contract section 18)."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.exceptions import HTTPException
from litestar.params import PathParameter, QueryParameter

from roadstead.core import firmware
from roadstead.core.firmware import Attachments, FirmwareId, FirmwareRecord, Interrupted, RecordDraft
from roadstead.core.identity import Bearer, Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Coded, Service, WrongMediaType
from roadstead.dialects.lightelligence.places import base_url_of
from roadstead.kernel.errors import Conflict
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, Edge

FirmwarePath = Annotated[UUID, PathParameter(name="id")]
Size = Annotated[int, QueryParameter(name="pageSize", ge=1)]

_READ = {"service": Service.FIRMWARE, "permissions": [Permission.FIRMWARE_READ]}
_WRITE = {"service": Service.FIRMWARE, "permissions": [Permission.FIRMWARE_WRITE]}
_BYTES = "application/octet-stream"
_SHA_256 = "1220"
"""What a multihash of this kind begins with: the number of SHA-256, and 32 bytes."""


class FirmwareBody(msgspec.Struct):
    """Body of `createFirmware`."""

    name: str
    description: str | None = None
    version: str | None = None


class FirmwareShape(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """`Firmware`: size, URL and hashes are there once the content is."""

    id: UUID
    name: str
    blob_attached: bool
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    version: str | None = None
    size: int | None = None
    download_url: str | None = None
    hashes: list[str] | None = None

    @classmethod
    def of(cls, record: FirmwareRecord, base_url: str) -> "FirmwareShape":
        shape = cls(
            id=record.id,
            name=record.name,
            blob_attached=record.sha256 is not None,
            created_at=record.created_at,
            updated_at=record.updated_at,
            description=record.description,
            version=record.label,
        )
        if record.sha256 is not None:
            shape.size = record.size_bytes
            shape.download_url = blob_url(record.id, base_url)
            shape.hashes = [multihash(record.sha256)]
        return shape


class LinkShape(msgspec.Struct, rename="camel"):
    """What `attachBlob` answers."""

    download_url: str


def multihash(sha256: bytes) -> str:
    """Its multihash, in hex."""
    return _SHA_256 + sha256.hex()


def blob_url(firmware_id: UUID, base_url: str) -> str:
    """Where a program with a token fetches the content."""
    return f"{base_url}/v1/firmwares/{firmware_id}/blob"


@post("/", operation_id="createFirmware", opt=_WRITE)
async def create_firmware(request: AnyRequest, work: Work) -> Data[FirmwareShape]:
    """A firmware without content; it lapses after five minutes unless its content comes."""
    body = read_as(await read_json(request), FirmwareBody)
    draft = RecordDraft(name=body.name, label=body.version, description=body.description)
    return Data(FirmwareShape.of(await firmware.create_record(work, draft), base_url_of(request)))


@get("/", operation_id="listFirmwares", opt=_READ)
async def list_firmwares(
    request: AnyRequest, work: Work, number: PageNumber = 0, size: Size = DEFAULT_PAGE_SIZE
) -> Paged[FirmwareShape]:
    """Newest first."""
    found = await firmware.list_records(work, page_query(number, size))
    return paged(found, number, size, lambda one: FirmwareShape.of(one, base_url_of(request)))


@get("/{id:uuid}", operation_id="getFirmware", opt=_READ)
async def get_firmware(request: AnyRequest, work: Work, firmware_id: FirmwarePath) -> Data[FirmwareShape]:
    """One firmware."""
    found = await firmware.get_record(work, FirmwareId(firmware_id))
    return Data(FirmwareShape.of(found, base_url_of(request)))


@delete("/{id:uuid}", operation_id="deleteFirmware", opt=_WRITE)
async def delete_firmware(work: Work, firmware_id: FirmwarePath) -> None:
    """It, and its content."""
    await firmware.delete_record(work, FirmwareId(firmware_id))


@post("/{id:uuid}/blob", operation_id="attachBlob", status_code=200, opt=_WRITE, request_max_body_size=None)
async def attach_blob(request: AnyRequest, bearer: Bearer, firmware_id: FirmwarePath) -> Data[LinkShape]:
    """The content, once. What is cut off leaves nothing."""
    if request.content_type[0] not in (_BYTES, ""):
        raise WrongMediaType(f"send {_BYTES}, not '{request.content_type[0]}'")
    edge: Edge = request.app.state.edge
    attachments = Attachments(edge.tenant_database, edge.ports)
    try:
        await attachments.attach(bearer.within_tenant(), FirmwareId(firmware_id), _body(request))
    except Conflict as error:
        if error.code != "invalid-state":
            raise
        raise Coded(423, "FIRMWARE_BLOB_EXISTS", str(error)) from error
    return Data(LinkShape(blob_url(firmware_id, base_url_of(request))))


@get("/{id:uuid}/blob", operation_id="downloadBlob", status_code=302, opt=_READ)
async def download_blob(work: Work, firmware_id: FirmwarePath) -> Response[bytes]:
    """Leads to a URL that is good once and for a quarter of an hour, without a token."""
    url = await firmware.create_link(work, FirmwareId(firmware_id))
    return Response(b"", status_code=302, headers={"Location": url})


async def _body(request: AnyRequest) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except HTTPException as error:
        raise Interrupted from error


router = Router(
    "/v1/firmwares",
    route_handlers=[create_firmware, list_firmwares, get_firmware, delete_firmware, attach_blob, download_blob],
)
