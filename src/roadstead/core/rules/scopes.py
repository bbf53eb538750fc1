"""Which sensors a rule looks at, and which other sensors its leaves speak of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from roadstead.core.messages import ValueType
from roadstead.core.rules.conditions import SensorRef
from roadstead.core.rules.rule_model import RuleScope
from roadstead.kernel import ids
from roadstead.kernel.ids import ComponentId, DeviceId, GroupId, SensorId, SiteId


class SensorView(msgspec.Struct, frozen=True):
    """A sensor as rules see it."""

    id: SensorId
    path: str
    key: str
    value_type: ValueType
    component_id: ComponentId | None
    component_key: str | None
    field: str | None
    profile: str | None
    """`key@major.minor` of its component's profile."""

    @property
    def field_name(self) -> str:
        """What a scope or a reference calls it."""
        return self.field or self.key

    @property
    def profiles(self) -> tuple[str, ...]:
        """What a scope may call its profile: with the version and without."""
        return (self.profile, self.profile.partition("@")[0]) if self.profile else ()


class DeviceView(msgspec.Struct, frozen=True):
    """A device as rules see it."""

    id: DeviceId
    status: str
    sites: frozenset[SiteId]
    """The one it stands in and all above."""
    groups: frozenset[GroupId]
    """Of those that rules speak of."""
    sensors: tuple[SensorView, ...]
    """Those that are active."""


def find_in_scope(scope: RuleScope, device: DeviceView, types: frozenset[ValueType]) -> list[SensorView]:
    """The sensors of the device that a rule with this scope and these types looks at."""
    if scope.device_ids and device.id not in scope.device_ids:
        return []
    if scope.site_id is not None and scope.site_id not in device.sites:
        return []
    if scope.device_group_id is not None and scope.device_group_id not in device.groups:
        return []
    return [sensor for sensor in device.sensors if sensor.value_type in types and _covers(scope, sensor)]


def _covers(scope: RuleScope, sensor: SensorView) -> bool:
    return not (
        (scope.sensor_ids and sensor.id not in scope.sensor_ids)
        or (scope.component_ids and sensor.component_id not in scope.component_ids)
        or (scope.sensor_profile is not None and scope.sensor_profile not in sensor.profiles)
        or (scope.field is not None and scope.field != sensor.field_name)
    )


def find_referenced(ref: SensorRef, sensors: Iterable[SensorView]) -> SensorView | None:
    """The sensor of a device that a leaf speaks of; None when there is none."""
    for sensor in sensors:
        if ref.sensor_id is not None:
            if sensor.id == ref.sensor_id:
                return sensor
        elif sensor.component_key == ref.component_key and ref.field in (sensor.field_name, sensor.key):
            return sensor
    return None


class ScopeIndex:
    """Finds the few rules of an organization that may look at a device, among very many."""

    def __init__(self) -> None:
        self._by_key: dict[UUID | str, dict[UUID, None]] = {}
        self._keys: dict[UUID, tuple[UUID | str, ...]] = {}
        self._named: Counter[bytes] = Counter()
        """Devices that rules name, and by how many rules."""
        self._open: set[UUID] = set()
        """Rules that name no devices: any may come into their scope."""

    def add(self, rule_id: UUID, scope: RuleScope, named: Mapping[UUID, DeviceId]) -> None:
        """`named`: the devices of the sensors and components that the scope names."""
        keys: tuple[UUID | str, ...]
        if scope.sensor_ids or scope.component_ids:
            # Each of the named must be on a device of the scope, so one of the lists is enough.
            parts = scope.sensor_ids or scope.component_ids
            keys = tuple({named[part] for part in parts if part in named})
        elif scope.device_ids:
            keys = tuple(scope.device_ids)
        else:
            keys = (scope.device_group_id or scope.site_id or scope.sensor_profile or "",)
            self._open.add(rule_id)
        if rule_id not in self._open:
            self._named.update(ids.to_bytes(key) for key in keys if isinstance(key, UUID))
        self._keys[rule_id] = keys
        for key in keys:
            self._by_key.setdefault(key, {})[rule_id] = None

    def remove(self, rule_id: UUID) -> None:
        """Let a rule go."""
        is_open = rule_id in self._open
        self._open.discard(rule_id)
        for key in self._keys.pop(rule_id, ()):
            if not is_open and isinstance(key, UUID):
                name = ids.to_bytes(key)
                self._named[name] -= 1
                if not self._named[name]:
                    del self._named[name]
            rules = self._by_key[key]
            del rules[rule_id]
            if not rules:
                del self._by_key[key]

    def may_hold(self, device: bytes) -> bool:
        """False when no rule can look at the device, whatever there is to know about it."""
        return bool(self._open) or device in self._named

    def find(self, device: DeviceView) -> list[UUID]:
        """The rules that may look at a device."""
        keys: dict[UUID | str, None] = {device.id: None}
        keys |= dict.fromkeys([*device.groups, *device.sites])
        keys |= dict.fromkeys(profile for sensor in device.sensors for profile in sensor.profiles)
        return list(dict.fromkeys(rule for key in keys for rule in self._by_key.get(key, ())))
