"""Which firmware goes into which slot of a type, and its installation on devices (contract section 18)."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter, QueryParameter

from roadstead.core import firmware
from roadstead.core.firmware import (
    Association,
    AssociationId,
    FirmwareId,
    Installation,
    InstallationId,
    InstallationReport,
)
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Coded, Service
from roadstead.kernel.errors import Conflict, Invalid
from roadstead.kernel.ids import DeviceId, TypeId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

TypePath = Annotated[UUID, PathParameter(name="deviceTypeId")]
SlotPath = Annotated[str, PathParameter(name="slotName", max_length=255, pattern="^[a-zA-Z0-9_]+$")]
AssociationPath = Annotated[UUID, PathParameter(name="associationId")]
DevicePath = Annotated[UUID, PathParameter(name="deviceId")]
InstallationPath = Annotated[UUID, PathParameter(name="installationId")]

_READ_TYPES = {"service": Service.DEVICES, "permissions": [Permission.DEVICETYPES_READ]}
_WRITE_TYPES = {"service": Service.DEVICES, "permissions": [Permission.DEVICETYPES_WRITE]}
_READ = {"service": Service.FIRMWARE, "permissions": [Permission.FIRMWARE_READ]}
_WRITE = {"service": Service.FIRMWARE, "permissions": [Permission.FIRMWARE_WRITE]}
_BOTH = {"service": Service.FIRMWARE, "permissions": [Permission.FIRMWARE_READ, Permission.FIRMWARE_WRITE]}


# --- associations ----------------------------------------------------------------------------------------------------


class AssociationBody(msgspec.Struct, rename="camel"):
    """Body of `associateFirmware`."""

    firmware_id: UUID


class AssociationShape(msgspec.Struct, rename="camel"):
    """`DeviceTypeSlotFirmwareAssociation`."""

    id: UUID
    device_type_id: UUID
    slot_name: str
    firmware_id: UUID

    @classmethod
    def of(cls, one: Association) -> "AssociationShape":
        return cls(one.id, one.type_id, one.slot, one.firmware_id)


@post("/", operation_id="associateFirmware", opt=_WRITE_TYPES)
async def associate_firmware(
    request: AnyRequest, work: Work, type_id: TypePath, slot: SlotPath
) -> Data[AssociationShape]:
    """Devices of the type may get a firmware into the slot."""
    body = read_as(await read_json(request), AssociationBody)
    try:
        made = await firmware.associate_firmware(work, TypeId(type_id), slot, FirmwareId(body.firmware_id))
    except Conflict as error:
        # The original has one word for all conflicts of device types.
        raise Coded(409, "DEVICE_CONNECTEDBY_CONFLICT", str(error)) from error
    return Data(AssociationShape.of(made))


@get("/", operation_id="listFirmwareAssociations", opt=_READ_TYPES)
async def list_associations(work: Work, type_id: TypePath, slot: SlotPath) -> Data[list[AssociationShape]]:
    """What may go into the slot."""
    return Data([AssociationShape.of(one) for one in await firmware.list_associations(work, TypeId(type_id), slot)])


@delete("/{associationId:uuid}", operation_id="removeFirmwareAssociation", opt=_WRITE_TYPES)
async def remove_association(work: Work, type_id: TypePath, slot: SlotPath, association_id: AssociationPath) -> None:
    """What has been asked for goes on."""
    await firmware.remove_association(work, TypeId(type_id), slot, AssociationId(association_id))


# --- installations ---------------------------------------------------------------------------------------------------


class InstallationBody(msgspec.Struct, rename="camel"):
    """`FirmwareInstallationRequest`."""

    firmware_id: UUID
    slot: str


class InstallationReportBody(msgspec.Struct, rename="camel"):
    """`FirmwareInstallationUpdate`: exactly one of the three instants."""

    started_at: datetime | None = None
    completed_at: datetime | None = None
    rejected_at: datetime | None = None
    reject_reason: str | None = None


class InstallationShape(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """`FirmwareInstallation`."""

    id: UUID
    device_id: UUID
    firmware_id: UUID
    slot: str
    requested_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    rejected_at: datetime | None = None
    reject_reason: str | None = None

    @classmethod
    def of(cls, one: Installation) -> "InstallationShape":
        return cls(**msgspec.structs.asdict(one))


@post("/", operation_id="createFirmwareInstallation", opt=_WRITE)
async def create_installation(request: AnyRequest, work: Work, device_id: DevicePath) -> Data[InstallationShape]:
    """The device shall have a firmware in a slot; it is told so until it says that it has begun."""
    body = read_as(await read_json(request), InstallationBody)
    made = await firmware.request_installation(work, DeviceId(device_id), FirmwareId(body.firmware_id), body.slot)
    return Data(InstallationShape.of(made))


@get("/", operation_id="listFirmwareInstallations", opt=_READ)
async def list_installations(
    work: Work, device_id: DevicePath, latest_only: Annotated[bool, QueryParameter(name="latestOnly")] = False
) -> Data[list[InstallationShape]]:
    """Newest first."""
    found = await firmware.list_installations(work, DeviceId(device_id), latest_only=latest_only)
    return Data([InstallationShape.of(one) for one in found])


@get("/{installationId:uuid}", operation_id="getFirmwareInstallation", opt=_READ)
async def get_installation(
    work: Work, device_id: DevicePath, installation_id: InstallationPath
) -> Data[InstallationShape]:
    """One installation."""
    found = await firmware.get_installation(work, DeviceId(device_id), InstallationId(installation_id))
    return Data(InstallationShape.of(found))


@patch("/{installationId:uuid}", operation_id="updateFirmwareInstallation", opt=_BOTH)
async def update_installation(
    request: AnyRequest, work: Work, device_id: DevicePath, installation_id: InstallationPath
) -> Data[InstallationShape]:
    """How it goes on: begun, completed, or rejected with a reason."""
    body = read_as(await read_json(request), InstallationReportBody)
    report = InstallationReport(
        started_at=_utc("startedAt", body.started_at),
        completed_at=_utc("completedAt", body.completed_at),
        rejected_at=_utc("rejectedAt", body.rejected_at),
        reject_reason=body.reject_reason,
    )
    try:
        changed = await firmware.report_installation(work, DeviceId(device_id), InstallationId(installation_id), report)
    except Conflict as error:
        raise Invalid(str(error)) from error
    return Data(InstallationShape.of(changed))


def _utc(name: str, instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise Invalid.field(name, "needs an offset, for instance 2020-01-07T08:15:00Z")
    return instant.astimezone(UTC)


type_router = Router(
    "/v1/device-types/{deviceTypeId:uuid}/slots/{slotName:str}/firmware-associations",
    route_handlers=[associate_firmware, list_associations, remove_association],
)
device_router = Router(
    "/v1/devices/{deviceId:uuid}/firmware-installations",
    route_handlers=[create_installation, list_installations, get_installation, update_installation],
)
