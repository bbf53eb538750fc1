"""/firmware: releases, and who may bring and fetch their content."""

from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import firmware
from roadstead.core.firmware import (
    MOST_BYTES,
    MOST_NOTES,
    MOST_USES,
    DownloadGrant,
    Firmware,
    FirmwareChange,
    FirmwareDraft,
    FirmwareId,
    FirmwareQuery,
    FirmwareStatus,
    UploadGrant,
)
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

_BYTES = "application/octet-stream"

FirmwarePath = Annotated[str, PathParameter(name="id")]


# --- shapes ----------------------------------------------------------------------------------------------------------


class FirmwareShape(Shape, kw_only=True):
    """Contract schema `Firmware`."""

    id: str
    name: str
    firmware_version: str
    device_profile: str
    status: FirmwareStatus
    size_bytes: int
    uploaded_bytes: int
    sha256: str
    signature: str | None = None
    release_notes: str | None = None
    metadata: dict[str, Any]
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, one: Firmware) -> "FirmwareShape":
        return cls(**_fields(one))


class UploadUrlShape(Shape, kw_only=True):
    """Contract schema `UploadUrl`."""

    upload_url: str
    method: str
    headers: dict[str, str]
    storage_key: str
    expires_at: datetime

    @classmethod
    def of(cls, grant: UploadGrant, public_url: str) -> "UploadUrlShape":
        return cls(
            upload_url=f"{public_url}/api/v1/firmware/upload/{grant.token}",
            method="PUT",
            headers={"Content-Type": _BYTES},
            storage_key=f"firmware/{grant.firmware_id}",
            expires_at=grant.expires_at,
        )


class FirmwareWithUploadShape(FirmwareShape, kw_only=True):
    """Contract schema `FirmwareWithUpload`."""

    upload: UploadUrlShape


class FirmwareDownloadTokenShape(Shape, kw_only=True):
    """Contract schema `FirmwareDownloadToken`."""

    token: str
    url: str
    device_id: str
    firmware_id: str
    expires_at: datetime
    remaining_uses: int

    @classmethod
    def of(cls, grant: DownloadGrant, url: str) -> "FirmwareDownloadTokenShape":
        return cls(
            token=grant.token,
            url=url,
            device_id=str(grant.device_id),
            firmware_id=str(grant.firmware_id),
            expires_at=grant.expires_at,
            remaining_uses=grant.uses,
        )


class FirmwareBody(Body, kw_only=True):
    """Body of contract operation `firmware.create`."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    version: str
    device_profile: str
    size_bytes: Annotated[int, Meta(ge=1, le=MOST_BYTES)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
    signature: str | None = None
    release_notes: Annotated[str, Meta(max_length=MOST_NOTES)] | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def draft(self) -> FirmwareDraft:
        """In words of the core."""
        return FirmwareDraft(
            name=self.name,
            release=self.version,
            device_profile=self.device_profile,
            size_bytes=self.size_bytes,
            sha256=bytes.fromhex(self.sha256),
            signature=None if self.signature is None else _read_signature(self.signature),
            release_notes=self.release_notes,
            metadata=self.metadata,
        )


class FirmwarePatch(Body, kw_only=True):
    """Body of contract operation `firmware.patch`; a merge patch."""

    release_notes: Annotated[str, Meta(max_length=MOST_NOTES)] | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


class DownloadTokenBody(Body, kw_only=True):
    """Body of contract operation `firmware.token`."""

    device_id: str
    ttl_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3_600
    max_uses: Annotated[int, Meta(ge=1, le=MOST_USES)] = 3


# --- releases --------------------------------------------------------------------------------------------------------


@get("/", operation_id="firmware.list")
async def list_firmware(
    work: Work,
    page: PageQuery,
    sort: Annotated[
        str | None, QueryParameter(description="createdAt, version (as semantic versions go); -field descends")
    ] = None,
    device_profile: Annotated[
        str | None, QueryParameter(name="deviceProfile", description="key, or key@major.minor as it was given")
    ] = None,
    status: FirmwareStatus | None = None,
    version: str | None = None,
) -> PageShape[FirmwareShape]:
    """Firmware artifacts, newest first."""
    query = FirmwareQuery(device_profile=device_profile, status=status, release=version)
    found = await firmware.list_firmware(work, query, sort=sort, page=page)
    return page_shape(found, page, FirmwareShape.of)


@post("/", operation_id="firmware.create", status_code=201)
@idempotent
async def create_firmware(
    request: AnyRequest, work: Work, data: FirmwareBody
) -> Response[FirmwareWithUploadShape | None]:
    """Registers a version; answers an upload URL. DRAFT until the upload is checked and it is published.

    With signing keys in the settings of the organization (`firmwareSigningKeys`) one of them must have signed it.
    """
    made, grant = await firmware.create_firmware(work, data.draft())
    shape = FirmwareWithUploadShape(**_fields(made), upload=UploadUrlShape.of(grant, work.ports.public_url))
    return versioned(request, shape, made.version, location=f"/api/v1/firmware/{made.id}")


@get("/{id:str}", operation_id="firmware.get")
async def get_firmware(request: AnyRequest, work: Work, firmware_id: FirmwarePath) -> Response[FirmwareShape | None]:
    """One artifact."""
    found = await firmware.get_firmware(work, read_firmware_id(firmware_id))
    return versioned(request, FirmwareShape.of(found), found.version)


@post("/{id:str}/publish", operation_id="firmware.publish", status_code=200)
async def publish_firmware(
    request: AnyRequest, work: Work, firmware_id: FirmwarePath
) -> Response[FirmwareShape | None]:
    """Checks upload and signature and publishes: rollouts may begin."""
    after = await firmware.publish_firmware(work, read_firmware_id(firmware_id))
    return versioned(request, FirmwareShape.of(after), after.version)


@post("/{id:str}/deprecate", operation_id="firmware.deprecate", status_code=200)
async def deprecate_firmware(
    request: AnyRequest, work: Work, firmware_id: FirmwarePath
) -> Response[FirmwareShape | None]:
    """No new rollouts; those that have begun go on."""
    after = await firmware.deprecate_firmware(work, read_firmware_id(firmware_id))
    return versioned(request, FirmwareShape.of(after), after.version)


@patch("/{id:str}", operation_id="firmware.patch")
async def change_firmware(
    request: AnyRequest, work: Work, firmware_id: FirmwarePath, expected: int | None, data: FirmwarePatch
) -> Response[FirmwareShape | None]:
    """JSON merge patch of release notes and metadata; what it is stays."""
    change = FirmwareChange(release_notes=data.release_notes, metadata=data.metadata)
    after = await firmware.change_firmware(work, read_firmware_id(firmware_id), change, expected=expected)
    return versioned(request, FirmwareShape.of(after), after.version)


@delete("/{id:str}", operation_id="firmware.delete")
async def delete_firmware(work: Work, firmware_id: FirmwarePath, expected: int | None) -> None:
    """Deletes an artifact without a running rollout, with its content."""
    await firmware.delete_firmware(work, read_firmware_id(firmware_id), expected=expected)


# --- grants ----------------------------------------------------------------------------------------------------------


@post("/{id:str}/upload-url", operation_id="firmware.upload-url", status_code=201)
async def renew_upload(work: Work, firmware_id: FirmwarePath) -> UploadUrlShape:
    """Another upload URL for a DRAFT whose content is not complete; what has arrived stays."""
    grant = await firmware.allow_upload(work, read_firmware_id(firmware_id))
    return UploadUrlShape.of(grant, work.ports.public_url)


@post("/{id:str}/download-tokens", operation_id="firmware.token", status_code=201)
async def create_token(work: Work, firmware_id: FirmwarePath, data: DownloadTokenBody) -> FirmwareDownloadTokenShape:
    """Short-lived download grant for one device. It is good for maxUses times the content, in whatever pieces."""
    grant = await firmware.grant_download(
        work,
        read_firmware_id(firmware_id),
        DeviceId(read_reference(data.device_id, "/deviceId")),
        life=timedelta(seconds=data.ttl_seconds),
        uses=data.max_uses,
    )
    return FirmwareDownloadTokenShape.of(grant, firmware.download_url(work, grant))


# --- spelling --------------------------------------------------------------------------------------------------------


def read_firmware_id(text: str) -> FirmwareId:
    """The id of a firmware in a path."""
    return FirmwareId(read_id(text, "firmware"))


def _fields(one: Firmware) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "name": one.name,
        "firmware_version": one.release,
        "device_profile": one.device_profile,
        "status": one.status,
        "size_bytes": one.size_bytes,
        "uploaded_bytes": one.received_bytes,
        "sha256": one.sha256.hex(),
        "signature": None if one.signature is None else b64encode(one.signature).decode(),
        "release_notes": one.release_notes,
        "metadata": one.metadata,
        "created_by": str(one.created_by),
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "version": one.version,
    }


def _read_signature(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise Invalid.field("/signature", "is not Base64") from error


router = Router(
    "/v1/firmware",
    route_handlers=[
        list_firmware,
        create_firmware,
        get_firmware,
        publish_firmware,
        deprecate_firmware,
        change_firmware,
        delete_firmware,
        renew_upload,
        create_token,
    ],
    tags=["firmware"],
)
