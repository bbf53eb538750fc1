"""/v1/device-types: what devices report and take (contract section 7)."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from roadstead.core import registry, types
from roadstead.core.identity import Permission
from roadstead.core.types import DeviceType, DeviceTypeChange, DeviceTypeDraft, ReportingRule, Slot
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import TypeFilterBody, one_of, read_list
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
from roadstead.kernel.ids import TypeId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

TypePath = Annotated[UUID, PathParameter(name="deviceTypeId")]

_READ = {"service": Service.DEVICES, "permissions": [Permission.DEVICETYPES_READ]}
_WRITE = {
    "service": Service.DEVICES,
    "permissions": [Permission.DEVICETYPES_WRITE],
    # The second: what devices have reported does not fit the schema any more.
    "conflicts": {"in-use": "DEVICE_DEVICETYPE_IN_USE", "profile-mismatch": "DEVICE_CONNECTEDBY_CONFLICT"},
}


class DeviceTypeShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`DeviceType`."""

    id: UUID
    name: str
    manufacturer: str | None = None
    model: str | None = None
    description: str | None = None
    categories: list[str]
    reporting_rules: list[ReportingRule]
    sections: dict[str, Any] = msgspec.field(name="schema")
    slots: dict[str, Slot]
    communication_interval: int | None = None

    @classmethod
    def of(cls, type_: DeviceType) -> "DeviceTypeShape":
        return cls(**{name: getattr(type_, name) for name in cls.__struct_fields__})


class DeviceTypeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `createDeviceType`; null is as good as absent where it is optional."""

    name: str
    manufacturer: str | None = None
    model: str | None = None
    description: str | None = None
    categories: list[str] | None = None
    reporting_rules: list[ReportingRule] | None = None
    sections: dict[str, Any] = msgspec.field(name="schema")
    slots: dict[str, Slot] | None = None
    communication_interval: int | None = None

    def draft(self) -> DeviceTypeDraft:
        """In words of the core."""
        return DeviceTypeDraft(
            name=self.name,
            manufacturer=self.manufacturer,
            model=self.model,
            description=self.description,
            categories=self.categories or [],
            sections=self.sections,
            reporting_rules=self.reporting_rules or [],
            slots=self.slots or {},
            communication_interval=self.communication_interval,
        )


class DeviceTypePatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DeviceTypePatch`: what is sent replaces what was there, null removes it."""

    name: str | UnsetType = UNSET
    manufacturer: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    categories: list[str] | UnsetType | None = UNSET
    reporting_rules: list[ReportingRule] | UnsetType | None = UNSET
    sections: dict[str, Any] | UnsetType = msgspec.field(name="schema", default=UNSET)
    slots: dict[str, Slot] | UnsetType | None = UNSET
    communication_interval: int | UnsetType | None = UNSET

    def change(self) -> DeviceTypeChange:
        """In words of the core."""
        return DeviceTypeChange(
            name=self.name,
            manufacturer=self.manufacturer,
            model=self.model,
            description=self.description,
            categories=self.categories if self.categories is not None else [],
            sections=self.sections,
            reporting_rules=self.reporting_rules if self.reporting_rules is not None else [],
            slots=self.slots if self.slots is not None else {},
            communication_interval=self.communication_interval,
        )


@post("/", operation_id="createDeviceType", opt=_WRITE)
async def create_device_type(request: AnyRequest, work: Work) -> Data[DeviceTypeShape]:
    """A type of devices to come."""
    body = read_as(await read_json(request), DeviceTypeBody)
    return Data(DeviceTypeShape.of(await types.create_device_type(work, body.draft())))


@get("/", operation_id="listDeviceTypes", opt=_READ)
async def list_device_types(
    request: AnyRequest,
    work: Work,
    page: PageNumber = 0,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    names: Annotated[str | None, QueryParameter(name="deviceTypeName")] = None,
    old_names: Annotated[str | None, QueryParameter(name="name")] = None,
    categories: Annotated[str | None, QueryParameter(name="deviceTypeCategory")] = None,
    ids: Annotated[str | None, QueryParameter(name="deviceTypeId")] = None,
) -> Paged[DeviceTypeShape]:
    """Newest first. Profiles of devices are among them, one for each version, and cannot be changed here."""
    asked = {
        "deviceTypeName": read_list(names if names is not None else old_names),
        "deviceTypeCategory": read_list(categories),
        "deviceTypeId": read_list(ids),
    }
    where = one_of(asked, await read_json(request), TypeFilterBody).read()
    found = await types.list_device_types(work, where, page=page_query(page, page_size))
    return paged(found, page, page_size, DeviceTypeShape.of)


@get("/categories", operation_id="listDeviceTypeCategories", opt=_READ)
async def list_categories(work: Work) -> Data[list[str]]:
    """Those in use."""
    return Data(await types.list_categories(work))


@get("/{deviceTypeId:uuid}", operation_id="getDeviceType", opt=_READ)
async def get_device_type(work: Work, type_id: TypePath) -> Data[DeviceTypeShape]:
    """One type."""
    return Data(DeviceTypeShape.of(await types.get_device_type(work, TypeId(type_id))))


@patch("/{deviceTypeId:uuid}", operation_id="updateDeviceType", opt=_WRITE)
async def update_device_type(request: AnyRequest, work: Work, type_id: TypePath) -> Data[DeviceTypeShape]:
    """Partial; its devices keep what they have reported and are checked against the new schema from now on."""
    body = read_as(await read_json(request), DeviceTypePatch)
    return Data(DeviceTypeShape.of(await registry.change_device_type(work, TypeId(type_id), body.change())))


@delete("/{deviceTypeId:uuid}", operation_id="deleteDeviceType", opt=_WRITE)
async def delete_device_type(work: Work, type_id: TypePath) -> None:
    """One that no device has."""
    await types.delete_device_type(work, TypeId(type_id))


router = Router(
    "/v1/device-types",
    route_handlers=[
        create_device_type,
        list_device_types,
        list_categories,
        get_device_type,
        update_device_type,
        delete_device_type,
    ],
)
