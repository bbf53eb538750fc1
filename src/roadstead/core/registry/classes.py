"""What the class of a device asks for, and what becomes of tags that have several values."""

from collections.abc import Mapping, Sequence

from roadstead.core.registry import class_store, device_store
from roadstead.core.registry.model import Device, DeviceClass, DeviceDraft
from roadstead.core.work import Work
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId

_GATEWAYS = (None, DeviceClass.GATEWAY, DeviceClass.EDGE_COMPUTE)
_SPOKEN_FOR = (None, DeviceClass.PERIPHERAL)
_PARENTS = (None, DeviceClass.SYSTEM)
"""Devices that nobody has given a class are what others make of them."""


async def check_class(work: Work, draft: DeviceDraft, before: Device | None) -> None:
    """Raises `Invalid` when its class does not go with its neighbours: a device without one goes with all.

    Only a peripheral has a gateway, and only a gateway or edge computer has peripherals; below others than systems lie
    only devices without a class.
    """
    class_ = draft.device_class
    if class_ is None:
        return
    known = before if before is not None and before.device_class is class_ else None
    if draft.gateway_id is not None and class_ is not DeviceClass.PERIPHERAL:
        raise Invalid.field("/gatewayId", f"only a peripheral has a gateway, and this one is {class_}")
    if before is not None and known is None and class_ not in _GATEWAYS:
        await _check_no_peripherals(work, before)
    if draft.gateway_id is not None and (known is None or draft.gateway_id != known.gateway_id):
        gateway = await device_store.select_device(work.tx, draft.gateway_id)
        if gateway is None or gateway.device_class not in _GATEWAYS:
            raise Invalid.field("/gatewayId", "there is no such gateway")
    if draft.parent_id is not None and (known is None or draft.parent_id != known.parent_id):
        parent = await device_store.select_device(work.tx, draft.parent_id)
        if parent is None or parent.device_class not in _PARENTS:
            raise Invalid.field("/parentId", "there is no such system")


async def _check_no_peripherals(work: Work, device: Device) -> None:
    if await device_store.has_children(work.tx, device.id):
        raise Invalid.field("/deviceClass", "other devices are connected by this one")


def leaves_gateway(before: Device, draft: DeviceDraft) -> bool:
    """Whether it was a peripheral, and shall be something else."""
    return draft.device_class is not before.device_class and draft.device_class not in _SPOKEN_FOR


def settle_repeated(
    before: Mapping[str, str], after: Mapping[str, str], repeated: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """The further values that stay: of keys whose first value stays. Another takes the place of all there were."""
    return {key: list(values) for key, values in repeated.items() if key in after and before.get(key) == after[key]}


class Surroundings:
    """Where devices lie: what is above them, and which of them speak for others."""

    def __init__(self, parents: Mapping[DeviceId, DeviceId], gateways: frozenset[DeviceId]) -> None:
        self._parents = parents
        self._gateways = gateways

    def ancestors(self, device: Device) -> list[DeviceId]:
        """All that is above it, the highest first."""
        found: list[DeviceId] = []
        next_ = device.parent_id
        while next_ is not None:
            found.append(next_)
            next_ = self._parents.get(next_)
        return found[::-1]

    def class_of(self, device: Device) -> DeviceClass:
        """Its class, or what it does for others where nobody has said."""
        if device.device_class is not None:
            return device.device_class
        if device.gateway_id is not None:
            return DeviceClass.PERIPHERAL
        return DeviceClass.GATEWAY if device.id in self._gateways else DeviceClass.STANDALONE


async def load_surroundings(work: Work, devices: Sequence[Device]) -> Surroundings:
    """Where these devices lie, without asking for rights."""
    parent_ids = {device.parent_id for device in devices if device.parent_id is not None}
    unsaid = [device.id for device in devices if device.device_class is None and device.gateway_id is None]
    parents = await class_store.select_parents(work.tx, list(parent_ids)) if parent_ids else {}
    gateways = await class_store.select_gateways(work.tx, unsaid) if unsaid else []
    return Surroundings(parents, frozenset(gateways))
