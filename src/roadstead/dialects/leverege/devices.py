"""What a device looks like (contract section 2): header, data, dataMetadata; and what is sent to make or change it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core import registry
from roadstead.core.registry import Device, DeviceChange, DeviceDraft, Purpose
from roadstead.core.telemetry import WrittenValues
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import visible_devices
from roadstead.dialects.leverege.resolve import ResolvedShape
from roadstead.dialects.leverege.values import Tree, read_data, spell_values
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId, SpaceId, TypeId, parse_base62, to_base62
from roadstead.kernel.time import to_millis

_PURPOSES = {purpose.lower(): purpose for purpose in Purpose}


# --- shapes ----------------------------------------------------------------------------------------------------------


class DeviceShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`Device`."""

    id: str
    name: str
    blueprint_id: str
    system_id: str
    project_id: str
    network_id: str | UnsetType = UNSET
    network_aliases: dict[str, dict[str, str]]
    purpose: str
    simulated: bool
    metadata: dict[str, Any]
    created: int
    last_modified: int
    data: Tree
    data_metadata: Tree
    resolve_on_write: ResolvedShape | UnsetType = UNSET
    """Whether others can read it by now, when that was waited for."""

    @classmethod
    def of(cls, work: Work, device: Device, data: Tree, data_metadata: Tree) -> "DeviceShape":
        """In words of this dialect."""
        organization_id = work.actor.organization_id
        return cls(
            id=to_base62(device.id),
            name=device.title or device.name,
            blueprint_id=to_base62(device.shown_type(organization_id)),
            system_id=to_base62(device.space_id),
            project_id=to_base62(organization_id),
            network_id=device.network_id or UNSET,
            network_aliases=device.network_aliases,
            purpose=device.purpose.lower(),
            simulated=device.virtual,
            metadata=device.metadata,
            created=to_millis(device.created_at),
            last_modified=to_millis(device.updated_at),
            data=data,
            data_metadata=data_metadata,
        )


async def shape_devices(
    work: Work,
    devices: Sequence[Device],
    *,
    children: bool = True,
    written: Mapping[DeviceId, WrittenValues] = MappingProxyType({}),
) -> list[DeviceShape]:
    """Devices in their order; with what they have by one-to-one relations in their data, as `{id, data}`.

    A few queries, however many devices; data that the caller may not read is left out. `written`: what has just been
    given to some of them.
    """
    device_ids = [device.id for device in devices]
    only = await registry.list_only_children(work, device_ids) if children and devices else []
    wanted = dict.fromkeys([*device_ids, *(child.child_id for child in only)])
    values = await read_data(work, await _readable(work, list(wanted))) if wanted else {}
    values |= {device_id: spell_values(device_id, one.values) for device_id, one in written.items()}
    data = {device_id: values[device_id][0] for device_id in device_ids if device_id in values}
    for child in only:
        below, _ = values.get(child.child_id, ({}, {}))
        told = {"id": to_base62(child.child_id), "data": below}
        data[child.parent_id] = _with(data.get(child.parent_id, {}), child.path.split("/"), told)
    return [
        DeviceShape.of(work, device, data.get(device.id, {}), values.get(device.id, ({}, {}))[1]) for device in devices
    ]


async def shape_device(
    work: Work, device: Device, *, children: bool = True, written: WrittenValues | None = None
) -> DeviceShape:
    """One device."""
    news = {device.id: written} if written is not None else {}
    (shape,) = await shape_devices(work, [device], children=children, written=news)
    return shape


async def _readable(work: Work, device_ids: list[DeviceId]) -> list[DeviceId]:
    """Those of the devices whose data the caller may see."""
    visible = await visible_devices(work, "device.readData")
    if visible is None:
        return device_ids
    found = await registry.pick_devices(work, visible, device_ids)
    return [device_id for device_id in device_ids if device_id in found]


def _with(tree: Mapping[str, Any], steps: Sequence[str], value: Any) -> Tree:
    """The tree with something at this place; the tree itself stays, since another device may show it."""
    first, *rest = steps
    below = tree.get(first)
    return {**tree, first: _with(below if isinstance(below, Mapping) else {}, rest, value) if rest else value}


# --- bodies ----------------------------------------------------------------------------------------------------------


class HeaderBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`DeviceInput` without the data: what a device says about itself, and what can be changed about that."""

    name: str | None = None
    network_id: str | None = None
    network_aliases: dict[str, dict[str, str | int]] | None = None
    purpose: str | None = None
    simulated: bool | None = None
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, device: Device) -> "HeaderBody":
        """What would make this device."""
        return cls(
            name=device.title or device.name,
            network_id=device.network_id,
            network_aliases={network: dict(keys) for network, keys in device.network_aliases.items()},
            purpose=device.purpose.lower(),
            simulated=device.virtual,
            metadata=device.metadata,
        )

    def draft(self, space_id: SpaceId, type_id: TypeId, *, name: str) -> DeviceDraft:
        """In words of the core. `name`: for a device of which none is said."""
        return DeviceDraft(
            title=self.name if self.name is not None else name,
            space_id=space_id,
            type_id=type_id,
            network_id=self.network_id,
            network_aliases=self._aliases(),
            purpose=self._purpose(),
            virtual=self.simulated or False,
            metadata=self.metadata or {},
        )

    def change(self, device: Device) -> DeviceChange:
        """What makes the device be like this."""
        return DeviceChange(
            title=self.name if self.name is not None else UNSET,
            network_id=self.network_id,
            network_aliases=registry.merge_patch(device.network_aliases, self._aliases()),
            purpose=self._purpose(),
            virtual=self.simulated or False,
            metadata=registry.merge_patch(device.metadata, self.metadata or {}),
        )

    def _aliases(self) -> dict[str, dict[str, str]]:
        """Numbers count as what is written for them."""
        aliases = self.network_aliases or {}
        named = {network: {key: str(value) for key, value in keys.items()} for network, keys in aliases.items()}
        return {network: keys for network, keys in named.items() if keys}

    def _purpose(self) -> Purpose:
        if self.purpose is None:
            return Purpose.DEVICE
        if self.purpose not in _PURPOSES:
            raise Invalid.field("purpose", f"is one of {', '.join(_PURPOSES)}")
        return _PURPOSES[self.purpose]


def read_device_id(text: object) -> DeviceId:
    """The id of a device. Raises `NotFound`: what is no id names no device."""
    device_id = parse_base62(text) if isinstance(text, str) else None
    if device_id is None:
        raise NotFound("device", text)
    return DeviceId(device_id)
