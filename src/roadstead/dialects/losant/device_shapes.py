"""How devices are spelled, and what is sent to make and change them (contract section 8)."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core import registry
from roadstead.core.registry import (
    Attribute,
    Device,
    DeviceChange,
    DeviceClass,
    DeviceDraft,
    Space,
    TaggedDevice,
    spell_name,
)
from roadstead.core.work import Work
from roadstead.dialects.losant.device_attributes import AttributeBody, spell_attribute
from roadstead.dialects.losant.envelopes import links, read_flag, spell_time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, parse_hex24, to_hex24
from roadstead.web.edge import AnyRequest

_PASSIVE = (DeviceClass.PERIPHERAL, DeviceClass.FLOATING, DeviceClass.SYSTEM)
"""Classes that do not connect by themselves."""
_MOST_TAG_VALUE = 255


class TagBody(msgspec.Struct, frozen=True):
    """One of `tags`; a key may be there more than once."""

    key: str
    value: str


class DeviceBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`devicePost` and `devicePatch`."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    tags: list[TagBody] | UnsetType = UNSET
    attributes: list[AttributeBody] | UnsetType = UNSET
    device_class: DeviceClass | UnsetType = UNSET
    gateway_id: str | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET
    system_interval: int | UnsetType = UNSET
    keep_duplicates: bool | UnsetType = UNSET

    def draft(self, application: Space) -> DeviceDraft:
        """As the core makes it: without a class it is a standalone one."""
        tags = group_tags(self.tags or [])
        return DeviceDraft(
            title=self.name or "",
            space_id=application.id,
            device_class=self.device_class or DeviceClass.STANDALONE,
            gateway_id=_id("gatewayId", self.gateway_id) if self.gateway_id else None,
            parent_id=_id("parentId", self.parent_id) if self.parent_id else None,
            system_interval=self.system_interval or None,
            tags={key: values[0] for key, values in tags.items()},
            repeated_tags={key: values[1:] for key, values in tags.items() if len(values) > 1},
            notes={"losant": notes} if (notes := self._notes()) else {},
        )

    def fields(self) -> DeviceChange:
        """What shall be different, but for tags."""
        return DeviceChange(
            title=self.name,
            device_class=self.device_class,
            gateway_id=_id("gatewayId", self.gateway_id) if self.gateway_id else UNSET,
            parent_id=_id("parentId", self.parent_id) if isinstance(self.parent_id, str) else self.parent_id,
            system_interval=self.system_interval,
            notes={"losant": notes} if (notes := self._notes()) else UNSET,
        )

    def change(self, device: Device) -> DeviceChange:
        """What of the device shall be different. Tags take the place of all there were."""
        change = self.fields()
        if self.tags is UNSET:
            return change
        return msgspec.structs.replace(change, **replace_tags(device, group_tags(self.tags)))

    def _notes(self) -> dict[str, Any]:
        said = {"description": self.description, "keepDuplicates": self.keep_duplicates}
        return {name: value for name, value in said.items() if value is not UNSET}


def group_tags(tags: Sequence[TagBody]) -> dict[str, list[str]]:
    """The values of each key, each once."""
    found: dict[str, list[str]] = {}
    for tag in tags:
        values = found.setdefault(tag.key, [])
        if tag.value not in values:
            values.append(tag.value)
    return found


def replace_tags(device: Device, tags: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The fields of a change after which a device has these tags alone.

    A key that has been given elsewhere, of other letters, keeps them.
    """
    known = {spell_name(key): key for key in device.tags}
    wanted = {known.get(key, key): list(values) for key, values in tags.items() if values}
    gone: dict[str, str | None] = dict.fromkeys(key for key in device.tags if key not in wanted)
    return {
        "tags": gone | {key: values[0] for key, values in wanted.items()},
        "repeated_tags": {key: values[1:] for key, values in wanted.items() if len(values) > 1},
    }


def tags_of(device: Device | TaggedDevice) -> dict[str, list[str]]:
    """All values of each key, spelled as keys of tags may be."""
    found: dict[str, list[str]] = {}
    for key, value in sorted(device.tags.items()):
        values = [each[:_MOST_TAG_VALUE] for each in (value, *device.repeated_tags.get(key, ())) if each]
        if values:
            found.setdefault(spell_name(key), []).extend(values)
    return found


class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    """How the devices of a request are wanted."""

    application_id: str
    tags_as_object: bool
    attributes_as_object: bool
    connection: bool
    links: dict[str, Any] | None

    @classmethod
    def of(cls, request: AnyRequest, application: Space) -> Self:
        """What its parameters say."""
        application_id = to_hex24(application.id)
        return cls(
            application_id=application_id,
            tags_as_object=read_flag(request, "tagsAsObject"),
            attributes_as_object=read_flag(request, "attributesAsObject"),
            connection=not read_flag(request, "excludeConnectionInfo"),
            links=links(request, "device", {"applicationId": application_id}).get("_links"),
        )


async def spell_devices(
    request: AnyRequest, work: Work, application: Space, devices: Sequence[Device]
) -> list[dict[str, Any]]:
    """Devices as they are answered, as the request wants tags, attributes and connection spelled."""
    attributes = await registry.find_attributes(work, [device.id for device in devices])
    surroundings = await registry.load_surroundings(work, devices)
    spelling = Spelling.of(request, application)
    return [
        spell_device(
            spelling, device, attributes[device.id], surroundings.class_of(device), surroundings.ancestors(device)
        )
        for device in devices
    ]


def spell_device(
    spelling: Spelling,
    device: Device,
    attributes: Sequence[Attribute],
    class_: DeviceClass,
    ancestor_ids: Sequence[DeviceId],
) -> dict[str, Any]:
    """One of them, with what belongs to it."""
    told = device.notes.get("losant", {})
    own = to_hex24(device.id)
    fields = {
        "applicationId": spelling.application_id,
        "deviceId": own,
        "id": own,
        "creationDate": spell_time(device.created_at),
        "lastUpdated": spell_time(device.updated_at),
        "name": device.title or device.name,
        "description": told.get("description"),
        "tags": _tags(spelling, device),
        "attributes": _attributes(spelling, attributes),
        "deviceClass": class_,
        "gatewayId": to_hex24(device.gateway_id) if device.gateway_id else None,
        "ancestorIds": [to_hex24(ancestor_id) for ancestor_id in ancestor_ids],
        "systemInterval": device.system_interval,
        "keepDuplicates": told.get("keepDuplicates"),
        "connectionInfo": _connection(device, class_) if spelling.connection else None,
        "_type": "device",
    }
    shown = {name: value for name, value in fields.items() if value is not None}
    shown["parentId"] = to_hex24(device.parent_id) if device.parent_id else None
    if spelling.links is not None:
        href = f"/applications/{spelling.application_id}/devices/{own}"
        shown["_links"] = {**spelling.links, "self": {"href": href}}
    return shown


def _tags(spelling: Spelling, device: Device) -> Any:
    tags = tags_of(device)
    if spelling.tags_as_object:
        return tags
    return [{"key": key, "value": value} for key, values in tags.items() for value in values]


def _attributes(spelling: Spelling, attributes: Sequence[Attribute]) -> Any:
    spelled = [spell_attribute(attribute) for attribute in attributes]
    if spelling.attributes_as_object:
        return {each.pop("name"): each for each in spelled}
    return spelled


def _connection(device: Device, class_: DeviceClass) -> dict[str, Any]:
    at = device.connected_at if device.online else device.disconnected_at or device.connected_at
    if at is None:
        known = device.online and class_ not in _PASSIVE
        return {"connected": 1 if known else None}
    return {"connected": 1 if device.online else 0, "time": spell_time(at)}


def _id(name: str, text: str) -> DeviceId:
    id_ = parse_hex24(text)
    if id_ is None:
        raise Invalid.field(name, "is no id")
    return DeviceId(id_)
