"""Gateways and the devices behind them, by the address that stands on the device."""

from collections.abc import Sequence

import msgspec

from roadstead.core.operation import operation
from roadstead.core.registry import topology_store as store
from roadstead.core.registry.model import Device
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import DeviceId


class PlacedDevice(msgspec.Struct, frozen=True):
    """A device, and the ordinal of the gateway it stands behind: its own when it is one, None when it is neither."""

    device: Device
    topology: int | None


class Topology(msgspec.Struct, frozen=True):
    """A gateway with the devices right behind it, by address."""

    gateway: Device
    devices: list[Device]


@operation(Grant.DEVICES_READ)
async def list_placed_devices(work: Work, *, limit: int | None, offset: int) -> list[PlacedDevice]:
    """Devices by address; all from `offset` on without a limit."""
    return await _place(work, await store.select_devices(work.tx, limit=limit, offset=offset))


@operation(Grant.DEVICES_READ)
async def find_placed_device(work: Work, address: str) -> PlacedDevice:
    """The device whose external id (or id) this is, however letters and colons are written. Raises `NotFound`."""
    return (await _place(work, [await _find(work, address)]))[0]


@operation(Grant.DEVICES_READ)
async def list_topologies(work: Work) -> list[Topology]:
    """All of them, by the address of the gateway."""
    behind: dict[object, list[Device]] = {}
    for device in await store.select_behind(work.tx, None):
        behind.setdefault(device.parent_id, []).append(device)
    gateways = await store.select_gateways(work.tx)
    return [Topology(gateway, behind.get(gateway.id, [])) for gateway in gateways]


@operation(Grant.DEVICES_READ)
async def find_topology(work: Work, address: str) -> Topology:
    """The topology of a gateway, by its address or its ordinal. Raises `NotFound`, also for a device that is none."""
    gateway = await _select(work, address)
    if gateway is None and address.isascii() and address.isdigit() and len(address) < 10:
        gateway = await store.select_ordinal(work.tx, int(address))
    devices = [] if gateway is None else await store.select_behind(work.tx, gateway.id)
    if gateway is None or not devices:
        raise NotFound("topology", address)
    return Topology(gateway, devices)


async def load_addresses(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, str]:
    """What stands on each of these devices: the external id, else the id; without asking for rights."""
    return await store.select_addresses(work.tx, device_ids)


async def _find(work: Work, address: str) -> Device:
    device = await _select(work, address)
    if device is None:
        raise NotFound("device", address)
    return device


async def _select(work: Work, address: str) -> Device | None:
    return None if "\0" in address else await store.select_device(work.tx, address)


async def _place(work: Work, devices: list[Device]) -> list[PlacedDevice]:
    ordinals = await store.select_topology_ordinals(work.tx, [device.id for device in devices])
    return [PlacedDevice(device, ordinals.get(device.id)) for device in devices]
