"""/v1/devices."""

from typing import Any

import msgspec
from litestar import get

from roadstead.core import registry
from roadstead.core.registry import Device, PlacedDevice
from roadstead.core.work import Work
from roadstead.dialects.leapcraft.parameters import ALL, read_number
from roadstead.web.edge import AnyRequest

_MOST = 1_000


class DeviceShape(msgspec.Struct, frozen=True):
    """`Device`; null is printed."""

    name: str | None
    physical_id: str
    serial: str | None
    topology_id: int | None
    meta: dict[str, Any]
    type: str | None

    @classmethod
    def of(cls, placed: PlacedDevice) -> "DeviceShape":
        """From a device of ours."""
        device = placed.device
        return cls(
            name=spell_name(device),
            physical_id=spell_address(device),
            serial=device.serial_number,
            topology_id=placed.topology,
            meta=spell_meta(device),
            type=spell_type(device),
        )


def spell_address(device: Device) -> str:
    """What stands on the device: its external id, else its id."""
    return device.external_id or str(device.id)


def spell_name(device: Device) -> str:
    """What people call it, which others may be called too."""
    return device.title or device.name


def spell_meta(device: Device) -> dict[str, Any]:
    """Tags and metadata, which this dialect does not tell apart."""
    return {**device.tags, **device.metadata}


def spell_type(device: Device) -> str | None:
    """The key of its profile."""
    return device.profile.partition("@")[0] if device.profile else None


@get("/v1/devices", operation_id="devices.list")
async def list_devices(request: AnyRequest, work: Work) -> list[DeviceShape]:
    """Devices by physical id; a page past the end is empty."""
    limit = read_number(request, "limit", 100, least=1, most=_MOST, everything=True)
    page = read_number(request, "page", 1, least=1, most=1_000_000)
    if limit == ALL:
        placed = await registry.list_placed_devices(work, limit=None, offset=0)
    else:
        placed = await registry.list_placed_devices(work, limit=limit, offset=limit * (page - 1))
    return [DeviceShape.of(each) for each in placed]


@get("/v1/devices/{physical_id:str}", operation_id="devices.get")
async def get_device(work: Work, physical_id: str) -> DeviceShape:
    """One device, however the letters and colons of its id are written."""
    return DeviceShape.of(await registry.find_placed_device(work, physical_id))
