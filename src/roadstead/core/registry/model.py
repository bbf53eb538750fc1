"""What devices, their components and their sensors are."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.messages import ValueType
from roadstead.core.registry.checks import (
    Location,
    check_key,
    check_metadata,
    check_range,
    check_tags,
    check_text,
    refuse,
)
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import ComponentId, DeviceId, ProfileId, SensorId, SiteId, SpaceId


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a tenant within which names of devices are unique; every tenant has a default one."""

    id: SpaceId
    name: str
    is_default: bool
    created_at: datetime


class DeviceStatus(StrEnum):
    """Where a device is in its life (contract section 3)."""

    PENDING = "PENDING"
    """Registered; has not been seen yet."""
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    """Set by people: its sessions are refused."""
    MAINTENANCE = "MAINTENANCE"
    """Set by people: its readings are stored and raise no alert."""
    OFFLINE = "OFFLINE"
    """Was connected and is not."""


class GroupBy(StrEnum):
    """What devices can be counted by."""

    STATUS = "status"
    SITE = "siteId"
    PROFILE = "deviceProfile"
    FIRMWARE = "firmwareVersion"


OPERATOR_STATUSES = frozenset({DeviceStatus.ACTIVE, DeviceStatus.INACTIVE, DeviceStatus.MAINTENANCE})
"""Those that people set."""


# --- devices ---------------------------------------------------------------------------------------------------------


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A physical or virtual unit that reports."""

    id: DeviceId
    space_id: SpaceId
    ordinal: int
    """Counts up within the tenant, for APIs with small numbers as ids."""
    name: str
    external_id: str | None
    serial_number: str | None
    status: DeviceStatus
    online: bool
    virtual: bool
    profile_id: ProfileId | None
    profile: str | None
    """`key@major.minor`."""
    site_id: SiteId | None
    parent_id: DeviceId | None
    location: Location | None
    tags: dict[str, str]
    metadata: dict[str, Any]
    notes: dict[str, Any]
    """What only one dialect knows, under its name; no rule reads it."""
    firmware_version: str | None
    hardware_id: str | None
    last_seen_at: datetime | None
    activated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A device in a few words, for whoever looks at very many."""

    id: DeviceId
    profile_id: ProfileId | None
    firmware_version: str | None


class DeviceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A device to be made."""

    name: str
    external_id: str | None = None
    serial_number: str | None = None
    virtual: bool = False
    profile: str | None = None
    """`key@major.minor`, or `key` for the newest."""
    site_id: SiteId | None = None
    parent_id: DeviceId | None = None
    location: Location | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    notes: dict[str, Any] = {}
    space_id: SpaceId | None = None
    """None: the tenant's default space."""

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=120, least=1)
        problems += check_text("/externalId", self.external_id, most=128)
        problems += check_text("/serialNumber", self.serial_number, most=128)
        problems += check_tags(self.tags) + check_metadata(self.metadata)
        problems += self.location.check("/location") if self.location else []
        refuse(problems)


class DeviceChange(Change, frozen=True, kw_only=True):
    """What shall be different about a device. Tags and metadata are merged by who sends the change, not here."""

    name: str | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    serial_number: str | UnsetType | None = UNSET
    virtual: bool | UnsetType = UNSET
    profile: str | UnsetType | None = UNSET
    site_id: SiteId | UnsetType | None = UNSET
    parent_id: DeviceId | UnsetType | None = UNSET
    location: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
    tags: Mapping[str, str | None] | UnsetType | None = UNSET
    """A merge patch (RFC 7396): null removes a key, null as a whole all of them."""
    metadata: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
    notes: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""


# --- components and sensors ------------------------------------------------------------------------------------------


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """An addressable part of a device, bound to one version of a sensor profile."""

    id: ComponentId
    device_id: DeviceId
    key: str
    name: str
    sensor_profile_id: ProfileId
    sensor_profile: str
    """`key@major.minor`."""
    tags: dict[str, str]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int


class ComponentDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A component to be made."""

    device_id: DeviceId
    key: str
    name: str
    sensor_profile: str
    tags: dict[str, str] = {}
    metadata: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=120, least=1) + check_key(self.key)
        refuse(problems + check_tags(self.tags) + check_metadata(self.metadata))


class ComponentChange(Change, frozen=True, kw_only=True):
    """What shall be different about a component; its readings are filed under device and key, so these must stay."""

    device_id: DeviceId | UnsetType = UNSET
    key: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    sensor_profile: str | UnsetType = UNSET
    tags: Mapping[str, str | None] | UnsetType | None = UNSET
    """A merge patch."""
    metadata: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""


class Latest(msgspec.Struct, frozen=True, array_like=True):
    """The latest value of a sensor, as it lies in the device's state."""

    value: Any
    at_ms: int
    received_ms: int


class Sensor(msgspec.Struct, frozen=True, kw_only=True):
    """One typed channel of a device or of a component."""

    id: SensorId
    device_id: DeviceId
    component_id: ComponentId | None
    key: str
    path: str
    """What readings are filed under: `<component key>/<key>`, or `<key>` without a component."""
    name: str
    value_type: ValueType
    unit: str | None
    field: str | None
    """The field of the component's profile it holds."""
    min: float | None
    max: float | None
    metadata: dict[str, Any]
    active: bool
    latest: Latest | None
    created_at: datetime
    updated_at: datetime
    version: int


class SensorDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor to be made, on a device or on a component."""

    device_id: DeviceId | None = None
    component_id: ComponentId | None = None
    key: str
    value_type: ValueType
    name: str | None = None
    """None: its key."""
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    metadata: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_key(self.key) + check_text("/name", self.name, most=120, least=1)
        problems += check_text("/unit", self.unit, most=32) + check_metadata(self.metadata)
        if self.device_id is None and self.component_id is None:
            problems.append(FieldProblem("/deviceId", "required", "is required, or componentId"))
        refuse(problems + check_range(self.value_type, self.min, self.max))


class SensorChange(Change, frozen=True, kw_only=True):
    """What shall be different about a sensor; its readings are filed under its home and key, so these must stay."""

    device_id: DeviceId | UnsetType = UNSET
    component_id: ComponentId | UnsetType = UNSET
    key: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    value_type: ValueType | UnsetType = UNSET
    unit: str | UnsetType | None = UNSET
    min: float | UnsetType | None = UNSET
    max: float | UnsetType | None = UNSET
    metadata: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
