"""What is kept of devices that were deleted and may come back."""

from datetime import datetime
from typing import Any

import msgspec

from roadstead.core.registry.attribute_model import Attribute
from roadstead.core.registry.model import Device, DeviceClass
from roadstead.kernel.ids import DeviceId


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted device as it was read last."""

    device: Device
    attributes: list[Attribute]


class DeletedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that was deleted and may come back."""

    id: DeviceId
    shown: Shown
    device_class: DeviceClass
    ancestor_ids: list[DeviceId]
    deleted_at: datetime

    @property
    def device(self) -> Device:
        """As it was."""
        return self.shown.device

    @property
    def attributes(self) -> list[Attribute]:
        """As they were."""
        return self.shown.attributes


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of it."""

    deleted: DeletedDevice
    rows: dict[str, list[dict[str, Any]]]
    """What it consists of, by table."""
    child_ids: list[DeviceId]
    peripheral_ids: list[DeviceId]
    purges: bool
    """Its readings go when this does."""
