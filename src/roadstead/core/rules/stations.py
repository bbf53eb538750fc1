"""What the evaluation holds of devices, rules and the ways between them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from roadstead.core.messages import Paths
from roadstead.core.rules.conditions import LeafType
from roadstead.core.rules.evaluation import RulePlan, Watch
from roadstead.core.rules.rule_model import RuleScope
from roadstead.core.rules.scopes import ScopeIndex, SensorView
from roadstead.core.rules.state_store import KeptState, StateRow
from roadstead.kernel.ids import DeviceId, GroupId, SensorId, TenantId

SILENT = frozenset({"MAINTENANCE", "INACTIVE"})
"""Statuses of devices that nobody wants to hear of."""

_MOST_SHAPES = 64

Pair = tuple[UUID, SensorId]
"""A rule and a sensor."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[object]]).decode


class Foreign(msgspec.Struct, frozen=True):
    """A sensor that a rule speaks of by its id, wherever it is."""

    device: bytes
    sensor: SensorView


class Deployed(msgspec.Struct, frozen=True):
    """A rule at work."""

    plan: RulePlan
    scope: RuleScope
    foreign: Mapping[SensorId, Foreign] = {}

    @property
    def is_eager(self) -> bool:
        """Its devices have to be looked at even when they say nothing."""
        return bool(self.foreign) or any(plan.type is LeafType.ABSENCE for plan in self.plan.leaves)


class Station:
    """A device with everything that looks at its sensors."""

    __slots__ = ("device_id", "owners", "resumed", "status", "tenant", "watches")

    def __init__(self, tenant: TenantId, device_id: DeviceId, status: str, resumed: int) -> None:
        self.tenant = tenant
        self.device_id = device_id
        self.status = status
        self.resumed = resumed
        """What the log has up to here was seen before a restart."""
        self.watches: dict[Pair, Watch] = {}
        self.owners: set[bytes] = set()
        """The devices whose readings its watches look at."""

    @property
    def is_muted(self) -> bool:
        """No alerts are raised about it."""
        return self.status in SILENT

    @property
    def ticks(self) -> bool:
        """Time alone can change something here."""
        return any(watch.rule.needs_ticks for watch in self.watches.values())

    def keep(self) -> StateRow:
        """All that it knows."""
        body = _encode([watch.keep() for watch in self.watches.values()])
        return StateRow(self.tenant, self.device_id, self.ticks, body)


class Route:
    """Whom a reading of one sensor goes to, and for which leaves."""

    __slots__ = ("places", "station", "watch")

    def __init__(self, station: Station, watch: Watch, places: Sequence[int]) -> None:
        self.station = station
        self.watch = watch
        self.places = places


class Routes:
    """The routes of what one device says."""

    __slots__ = ("by_path", "by_shape")

    def __init__(self) -> None:
        self.by_path: dict[str, list[Route]] = {}
        self.by_shape: dict[Paths, list[tuple[int, Route]]] = {}
        """The same for whole messages, which mostly have the same paths; derived, and bounded."""

    def find(self, paths: Paths) -> list[tuple[int, Route]]:
        found = self.by_shape.get(paths)
        if found is None:
            if len(self.by_shape) >= _MOST_SHAPES:
                self.by_shape.clear()
            found = self.by_shape[paths] = [
                (index, route) for index, path in enumerate(paths.names) for route in self.by_path.get(path, ())
            ]
        return found


class Known:
    """What paths of a device its plan was made with."""

    __slots__ = ("names", "shapes")

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.shapes: set[Paths] = set()

    def has(self, paths: Paths) -> bool:
        if paths in self.shapes:
            return True
        if not self.names.issuperset(paths.names):
            return False
        if len(self.shapes) >= _MOST_SHAPES:
            self.shapes.clear()
        self.shapes.add(paths)
        return True


class Office:
    """The rules of one organization."""

    __slots__ = ("groups", "index", "rules")

    def __init__(self) -> None:
        self.index = ScopeIndex()
        self.rules: dict[UUID, Deployed] = {}
        self.groups: dict[GroupId, int] = {}
        """Groups that rules speak of, and how many do."""


def recollect(kept: KeptState) -> dict[Pair, list[object]]:
    """What was remembered of each rule and sensor of a device."""
    found: dict[Pair, list[object]] = {}
    for state in _decode(kept.body):
        rule_id, sensor_id = state[0], state[2]
        if isinstance(rule_id, bytes) and isinstance(sensor_id, bytes):
            found[UUID(bytes=rule_id), SensorId(UUID(bytes=sensor_id))] = state
    return found
