"""What devices, their components and their sensors are."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.messages import ValueType
from roadstead.core.registry.checks import (
    MAX_NOTES_BYTES,
    Location,
    check_aliases,
    check_key,
    check_metadata,
    check_network_aliases,
    check_range,
    check_tags,
    check_text,
    refuse,
)
from roadstead.core.types import check_interval
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import ComponentId, DeviceId, ProfileId, SensorId, SiteId, SpaceId, TypeId

MAX_NAME = 120
"""Characters of the name of a device."""


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


class Purpose(StrEnum):
    """What a device stands for."""

    DEVICE = "DEVICE"
    ORGANIZATION = "ORGANIZATION"
    """A part of an organization: a building, a department."""


class DeviceClass(StrEnum):
    """How a device takes part, for programs that tell such apart (contract losant, section 8)."""

    STANDALONE = "standalone"
    GATEWAY = "gateway"
    PERIPHERAL = "peripheral"
    """A gateway speaks for it: its own, or any."""
    FLOATING = "floating"
    """Whoever hears it speaks for it."""
    EDGE_COMPUTE = "edgeCompute"
    SYSTEM = "system"
    """Stands for the devices below it."""
    EMBEDDED = "embedded"


class GroupBy(StrEnum):
    """What devices can be counted by."""

    STATUS = "status"
    SITE = "siteId"
    PROFILE = "deviceProfile"
    FIRMWARE = "firmwareVersion"


OPERATOR_STATUSES = frozenset({DeviceStatus.ACTIVE, DeviceStatus.INACTIVE, DeviceStatus.MAINTENANCE})
"""Those that people set."""

MAX_TAGS_OF_CLASSES = 100
"""Values of tags of a device that has a class."""


# --- devices ---------------------------------------------------------------------------------------------------------


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A physical or virtual unit that reports."""

    id: DeviceId
    space_id: SpaceId
    ordinal: int
    """Counts up within the tenant, for APIs with small numbers as ids."""
    name: str
    title: str | None
    """What people call it, where that cannot be its name: too long, or another's."""
    external_id: str | None
    serial_number: str | None
    status: DeviceStatus
    online: bool
    virtual: bool
    profile_id: ProfileId | None
    profile: str | None
    """`key@major.minor`."""
    type_id: TypeId | None
    """Its type, when that is told by JSON Schema."""
    site_id: SiteId | None
    parent_id: DeviceId | None
    gateway_id: DeviceId | None
    """The device that speaks for it."""
    aliases: list[str]
    """Other names, each its alone in the tenant."""
    network_id: str | None
    """The name of the network it is reached through."""
    network_aliases: dict[str, dict[str, str]]
    """What it is called in networks: by network and key, each value its alone in the tenant."""
    purpose: Purpose
    device_class: DeviceClass | None
    """None: nobody has said, so it follows from who speaks for whom."""
    system_interval: int | None
    """Seconds after which a system looks at the devices below it again; None: as systems do."""
    communication_interval: int | None
    """Seconds within which it is to be heard; 0: nobody looks; None: as its type says."""
    location: Location | None
    tags: dict[str, str]
    repeated_tags: dict[str, list[str]]
    """Further values of keys in `tags`."""
    metadata: dict[str, Any]
    notes: dict[str, Any]
    """What only one dialect knows, under its name; no rule reads it."""
    firmware_version: str | None
    hardware_id: str | None
    last_seen_at: datetime | None
    connected_at: datetime | None
    """When it came last."""
    disconnected_at: datetime | None
    """When it went last."""
    activated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    def shown_type(self, organization_id: UUID) -> TypeId:
        """The device type that shows what it is: its own, that of its profile, or that of devices without either."""
        return TypeId(self.type_id or self.profile_id or organization_id)


def watched_interval(own: int | None, inherited: int | None) -> int | None:
    """Seconds within which a device is to be heard, by its own word or else its type's; None: nobody looks."""
    return (inherited if own is None else own) or None


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A device in a few words, for whoever looks at very many."""

    id: DeviceId
    profile_id: ProfileId | None
    firmware_version: str | None


class DeviceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A device to be made."""

    name: str = ""
    """Empty: made from the title."""
    title: str | None = None
    external_id: str | None = None
    serial_number: str | None = None
    virtual: bool = False
    profile: str | None = None
    """`key@major.minor`, or `key` for the newest."""
    type_id: TypeId | None = None
    """One that shows a profile stands for the profile."""
    site_id: SiteId | None = None
    parent_id: DeviceId | None = None
    gateway_id: DeviceId | None = None
    aliases: list[str] = []
    network_id: str | None = None
    network_aliases: dict[str, dict[str, str]] = {}
    purpose: Purpose = Purpose.DEVICE
    device_class: DeviceClass | None = None
    system_interval: int | None = None
    communication_interval: int | None = None
    location: Location | None = None
    tags: dict[str, str] = {}
    repeated_tags: dict[str, list[str]] = {}
    metadata: dict[str, Any] = {}
    notes: dict[str, Any] = {}
    space_id: SpaceId | None = None
    """None: the tenant's default space."""

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=MAX_NAME, least=1)
        problems += check_text("/name", self.title, most=255, least=1)
        problems += check_text("/externalId", self.external_id, most=128)
        problems += check_text("/serialNumber", self.serial_number, most=128)
        problems += self._check_tags()
        problems += check_metadata(self.metadata) + check_metadata(self.notes, "/notes", most_bytes=MAX_NOTES_BYTES)
        problems += check_aliases(self.aliases)
        problems += check_text("/networkId", self.network_id, most=255, least=1)
        problems += check_network_aliases(self.network_aliases)
        problems += check_interval(self.communication_interval, "/communicationInterval")
        problems += self.location.check("/location") if self.location else []
        if self.system_interval is not None and not 5 <= self.system_interval <= 3600:
            problems.append(FieldProblem("/systemInterval", "invalid", "takes 5 to 3600 seconds"))
        refuse(problems)

    def _check_tags(self) -> list[FieldProblem]:
        if self.device_class is None:
            return check_tags(self.tags, longest_key=64 if self.type_id is None else 256)
        problems = check_tags(self.tags, longest_key=256, most=MAX_TAGS_OF_CLASSES)
        further = [(key, value) for key, values in self.repeated_tags.items() for value in values]
        if not problems and len(self.tags) + len(further) > MAX_TAGS_OF_CLASSES:
            problems.append(FieldProblem("/tags", "invalid", f"takes at most {MAX_TAGS_OF_CLASSES}"))
        return problems + [problem for key, value in further for problem in check_tags({key: value}, longest_key=256)]


class DeviceChange(Change, frozen=True, kw_only=True):
    """What shall be different about a device. Tags and metadata are merged by who sends the change, not here."""

    name: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    """The name follows from it."""
    external_id: str | UnsetType | None = UNSET
    serial_number: str | UnsetType | None = UNSET
    virtual: bool | UnsetType = UNSET
    profile: str | UnsetType | None = UNSET
    type_id: TypeId | UnsetType = UNSET
    site_id: SiteId | UnsetType | None = UNSET
    parent_id: DeviceId | UnsetType | None = UNSET
    gateway_id: DeviceId | UnsetType | None = UNSET
    aliases: list[str] | UnsetType = UNSET
    network_id: str | UnsetType | None = UNSET
    network_aliases: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
    purpose: Purpose | UnsetType = UNSET
    device_class: DeviceClass | UnsetType = UNSET
    """What is no peripheral any more has no gateway."""
    system_interval: int | UnsetType | None = UNSET
    communication_interval: int | UnsetType | None = UNSET
    location: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
    tags: Mapping[str, str | None] | UnsetType | None = UNSET
    """A merge patch (RFC 7396): null removes a key, null as a whole all of them."""
    repeated_tags: Mapping[str, list[str]] | UnsetType = UNSET
    """All there shall be; not said, those of keys stay whose first value stays."""
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
