"""/v1/devices: the registry (contract section 8)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import configuration, registry
from roadstead.core.identity import Permission
from roadstead.core.registry import Device, DeviceChange, DeviceDraft
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import PLAIN_TAG, DeviceFilterBody, asked_of, one_of
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    PageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.topics import DIALECT
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, TypeId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

DevicePath = Annotated[UUID, PathParameter(name="deviceId")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Description = Annotated[str, Meta(max_length=512)]
Place = Annotated[str, Meta(max_length=255)]
Tag = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$", max_length=256)]

_READ = {"service": Service.DEVICES, "permissions": [Permission.DEVICES_BASE_DATA_READ]}
_WRITE = {
    "service": Service.DEVICES,
    "permissions": [Permission.DEVICES_BASE_DATA_WRITE],
    # A gateway that is not there, or is still needed; an alias that is taken is a plain conflict.
    "conflicts": dict.fromkeys(("conflict", "in-use"), "DEVICE_CONNECTEDBY_CONFLICT"),
}


# --- shapes ----------------------------------------------------------------------------------------------------------


class InfoShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`DeviceInfo`."""

    name: str
    device_type_id: UUID
    description: str | None = None
    creation_timestamp: datetime
    installation_timestamp: str | None = None
    tags: list[str]
    connected_by: UUID | None = None
    location: str | None = None
    aliases: list[str]
    coordinates: dict[str, float] | None = None
    communication_interval: int | None = None

    @classmethod
    def of(cls, device: Device, organization_id: UUID) -> "InfoShape":
        noted = device.notes.get(DIALECT, {})
        return cls(
            name=device.title or device.name,
            device_type_id=device.shown_type(organization_id),
            description=noted.get("description"),
            creation_timestamp=device.created_at,
            installation_timestamp=noted.get("installationTimestamp"),
            tags=_tags_of(device),
            connected_by=device.gateway_id,
            location=noted.get("location"),
            aliases=device.aliases,
            coordinates=noted.get("coordinates") or None,
            communication_interval=device.communication_interval,
        )


class SmallShape(msgspec.Struct, frozen=True, rename="camel"):
    """`DeviceSmall`."""

    id: UUID
    info: InfoShape


class DeviceShape(SmallShape, frozen=True, rename="camel"):
    """`Device`."""

    configuration: dict[str, Any]
    custom: dict[str, Any]


class TagShape(msgspec.Struct, frozen=True):
    """`Tag`."""

    name: str


class CoordinatesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of the caller's own meaning."""

    x: float | UnsetType | None = UNSET
    y: float | UnsetType | None = UNSET
    z: float | UnsetType | None = UNSET


class InfoBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DeviceInfo` as it is sent; null is as good as absent where it is optional."""

    name: Name
    device_type_id: UUID
    description: Description | None = None
    installation_timestamp: str | None = None
    tags: list[Tag] | None = None
    connected_by: UUID | None = None
    location: Place | None = None
    aliases: list[str] | None = None
    coordinates: CoordinatesBody | None = None
    communication_interval: int | None = None


class InfoPatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DeviceInfoPatch`: null removes."""

    name: Name | UnsetType = UNSET
    device_type_id: UUID | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    installation_timestamp: str | UnsetType | None = UNSET
    tags: list[Tag] | UnsetType | None = UNSET
    connected_by: UUID | UnsetType | None = UNSET
    location: Place | UnsetType | None = UNSET
    aliases: list[str] | UnsetType | None = UNSET
    coordinates: CoordinatesBody | UnsetType | None = UNSET
    communication_interval: int | UnsetType | None = UNSET


class DeviceBody(msgspec.Struct, frozen=True, kw_only=True):
    """`Device` as it is sent; members besides are passed over (contract section 8)."""

    info: InfoBody
    configuration: dict[str, Any] | None = None
    custom: dict[str, Any] | None = None

    def draft(self) -> DeviceDraft:
        """In words of the core."""
        info = self.info
        return DeviceDraft(
            title=info.name,
            type_id=TypeId(info.device_type_id),
            gateway_id=None if info.connected_by is None else DeviceId(info.connected_by),
            aliases=info.aliases or [],
            communication_interval=info.communication_interval,
            tags=dict.fromkeys(_lower(info.tags or []), ""),
            metadata=self.custom or {},
            notes=registry.merge({}, _notes_of(info)),
        )


class DevicePatch(msgspec.Struct, frozen=True, kw_only=True):
    """`DevicePatch`; members besides are passed over."""

    info: InfoPatch = InfoPatch()
    configuration: dict[str, Any] | UnsetType | None = UNSET
    tags: list[Tag] | UnsetType | None = UNSET
    """An older place for `info.tags`."""
    custom: dict[str, Any] | UnsetType | None = UNSET

    def change(self, device: Device) -> DeviceChange:
        """In words of the core."""
        info = self.info
        tags = self.tags if info.tags is UNSET else info.tags
        return DeviceChange(
            title=info.name,
            type_id=info.device_type_id if info.device_type_id is UNSET else TypeId(info.device_type_id),
            gateway_id=DeviceId(info.connected_by) if isinstance(info.connected_by, UUID) else info.connected_by,
            aliases=[] if info.aliases is None else info.aliases,
            communication_interval=info.communication_interval,
            tags=tags if tags is UNSET else _tags_patch(device, tags or []),
            metadata=self.custom,
            notes=_notes_of(info) or UNSET,
        )


def _notes_of(info: InfoBody | InfoPatch) -> dict[str, Any]:
    """What only this dialect knows, as a merge patch."""
    if isinstance(info.installation_timestamp, str):
        _check_instant(info.installation_timestamp)
    told = {
        "description": info.description,
        "installationTimestamp": info.installation_timestamp,
        "location": info.location,
        "coordinates": msgspec.to_builtins(info.coordinates) if info.coordinates else info.coordinates,
    }
    noted = {name: value for name, value in told.items() if value is not UNSET}
    return {DIALECT: noted} if noted else {}


def _check_instant(text: str) -> None:
    """It is given back as it came."""
    try:
        instant = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise Invalid.field("info.installationTimestamp", "is no time as RFC 3339 has it") from error
    if instant.tzinfo is None:
        raise Invalid.field("info.installationTimestamp", "needs an offset, for instance 2020-01-07T08:15:00Z")


def _tags_of(device: Device) -> list[str]:
    """Keys of tags that can be spelled here."""
    return [key for key in device.tags if PLAIN_TAG.fullmatch(key)]


def _tags_patch(device: Device, wanted: Sequence[str]) -> Mapping[str, str | None]:
    """The tags that are wanted: others that can be spelled here go, those that are there keep their values."""
    names = _lower(wanted)
    known = {key.lower(): key for key in _tags_of(device)}
    gone: dict[str, str | None] = {key: None for name, key in known.items() if name not in names}
    return gone | {name: "" for name in names if name not in known}


def _lower(tags: Sequence[str]) -> list[str]:
    if len(set(tags)) < len(tags):
        raise Invalid.field("info.tags", "names one twice")
    return list(dict.fromkeys(tag.lower() for tag in tags))


# --- routes ----------------------------------------------------------------------------------------------------------


@post("/", operation_id="createDevice", opt=_WRITE)
async def create_device(request: AnyRequest, work: Work) -> Data[DeviceShape]:
    """Registers a device; its type describes what it reports."""
    body = read_as(await read_json(request), DeviceBody)
    device = await registry.create_device(work, body.draft())
    if body.configuration:
        await configuration.merge_own(work, device.id, body.configuration)
    return Data(await _spell(work, device))


@get("/", operation_id="listDevices", opt=_READ)
async def list_devices(
    request: AnyRequest, work: Work, page: PageNumber = 0, page_size: PageSize = DEFAULT_PAGE_SIZE
) -> Paged[SmallShape]:
    """Newest first."""
    where = one_of(asked_of(request), await read_json(request), DeviceFilterBody).read()
    found = await registry.list_devices(work, where, sort="-createdAt", page=page_query(page, page_size))
    organization = work.actor.organization_id
    return paged(found, page, page_size, lambda device: SmallShape(device.id, InfoShape.of(device, organization)))


@get("/tags", operation_id="listDeviceTags", opt=_READ)
async def list_tags(work: Work) -> Data[list[TagShape]]:
    """Those in use."""
    return Data([TagShape(key) for key in await registry.list_tag_keys(work) if PLAIN_TAG.fullmatch(key)])


@get("/{deviceId:uuid}", operation_id="getDevice", opt=_READ)
async def get_device(work: Work, device_id: DevicePath) -> Data[DeviceShape]:
    """One device with all that is set for it."""
    return Data(await _spell(work, await registry.get_device(work, DeviceId(device_id))))


@patch("/{deviceId:uuid}", operation_id="updateDevice", opt=_WRITE)
async def update_device(request: AnyRequest, work: Work, device_id: DevicePath) -> Data[DeviceShape]:
    """A merge patch (RFC 7396); lists are replaced."""
    body = read_as(await read_json(request), DevicePatch)
    before = await registry.get_device(work, DeviceId(device_id))
    device = await registry.change_device(work, before.id, body.change(before), expected=None)
    if body.configuration is not UNSET:
        await configuration.merge_own(work, device.id, body.configuration)
    elif body.info.device_type_id is not UNSET:
        await configuration.check_own(work, device.id)
    return Data(await _spell(work, device))


@delete("/{deviceId:uuid}", operation_id="deleteDevice", opt=_WRITE)
async def delete_device(work: Work, device_id: DevicePath) -> None:
    """With its certificates and its data."""
    await registry.delete_device(work, DeviceId(device_id), purge=True, expected=None)


async def _spell(work: Work, device: Device) -> DeviceShape:
    info = InfoShape.of(device, work.actor.organization_id)
    return DeviceShape(device.id, info, await configuration.get_own(work, device.id), device.metadata)


router = Router(
    "/v1/devices", route_handlers=[create_device, list_devices, list_tags, get_device, update_device, delete_device]
)
