"""All rules at work: which of them look at what a message says, and what comes of it. In memory, and without a clock.

Bounded: of each rule and sensor that has spoken (or whose silence is asked about) it keeps a state of fixed size
(`evaluation`, `windows`), and nothing else grows.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from roadstead.core.messages import Logged
from roadstead.core.rules.alert_model import Resolution
from roadstead.core.rules.evaluation import MOST_LATE_MS, RulePlan, Transition, Turn, Watch
from roadstead.core.rules.firing import Firing
from roadstead.core.rules.scopes import DeviceView, SensorView, find_in_scope, find_referenced
from roadstead.core.rules.state_store import KeptState, StateRow
from roadstead.core.rules.stations import SILENT, Deployed, Known, Office, Pair, Route, Routes, Station, recollect
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, GroupId, SensorId, TenantId

TICK_MS = 10_000
SLOTS = 100
"""So many parts of a tick, so that not all devices are looked at in one go."""


class Engine:
    """Evaluates all rules. Whoever drives it asks the database for what it lacks, and writes down what comes of it."""

    def __init__(self) -> None:
        self._offices: dict[TenantId, Office] = {}
        self._owner_of: dict[UUID, TenantId] = {}
        self._stations: dict[bytes, Station] = {}
        self._routes: dict[bytes, Routes] = {}
        self._known: dict[bytes, Known] = {}
        self._slots: list[dict[Station, None]] = [{} for _ in range(SLOTS)]
        self._open: dict[UUID, set[SensorId]] = {}
        """The sensors that a rule has open alerts about."""
        self._dirty: dict[Station, None] = {}
        self._closed: dict[Station, None] = {}
        """Dirty ones that lost an alert to people."""
        self._fired: list[tuple[Station, Firing]] = []
        self.evaluated = 0
        """What came of the log up to this message is written down. What of it is looked at once more, because what was
        seen then is not, comes to nothing: rules, alerts and devices may not be any more what they were."""

    # --- rules -------------------------------------------------------------------------------------------------------

    def put_rule(self, rule: Deployed, named: Mapping[UUID, DeviceId]) -> None:
        """Set a rule to work, or another version of it; `named` as in `ScopeIndex.add`. Devices learn of it when they
        are planned the next time."""
        self.drop_rule(rule.plan.id)
        office = self._offices.setdefault(rule.plan.tenant, Office())
        office.index.add(rule.plan.id, rule.scope, named)
        office.rules[rule.plan.id] = rule
        self._owner_of[rule.plan.id] = rule.plan.tenant
        if rule.scope.device_group_id is not None:
            group = GroupId(rule.scope.device_group_id)
            office.groups[group] = office.groups.get(group, 0) + 1

    def drop_rule(self, rule_id: UUID) -> None:
        """The rule does not look any more."""
        tenant = self._owner_of.pop(rule_id, None)
        if tenant is None:
            return
        office = self._offices[tenant]
        rule = office.rules.pop(rule_id)
        office.index.remove(rule_id)
        if rule.scope.device_group_id is not None:
            group = GroupId(rule.scope.device_group_id)
            office.groups[group] -= 1
            if not office.groups[group]:
                del office.groups[group]
        if not office.rules:
            del self._offices[tenant]

    def find_rule(self, rule_id: UUID) -> Deployed | None:
        """A rule at work."""
        tenant = self._owner_of.get(rule_id)
        return None if tenant is None else self._offices[tenant].rules[rule_id]

    def has_rules(self, tenant: TenantId) -> bool:
        """Whether any rule of the organization is at work."""
        return tenant in self._offices

    def groups_of(self, tenant: TenantId) -> list[GroupId]:
        """The groups that rules of the organization speak of."""
        office = self._offices.get(tenant)
        return list(office.groups) if office else []

    def eager_rules(self, tenant: TenantId | None = None) -> list[Deployed]:
        """The rules whose devices have to be planned before they say anything; of one organization, or of all."""
        offices = self._offices.values() if tenant is None else [self._offices.get(tenant, Office())]
        return [rule for office in offices for rule in office.rules.values() if rule.is_eager]

    @property
    def watches(self) -> int:
        """How many sensors are looked at, each counted for every rule that does."""
        return sum(len(station.watches) for station in self._stations.values())

    # --- devices -----------------------------------------------------------------------------------------------------

    def lacks(self, message: Logged) -> bool:
        """Whether the device of the message has to be planned (anew) before it is taken in."""
        office = self._offices.get(message.tenant)
        if office is None or not message.paths.names:
            return False
        known = self._known.get(message.device)
        if known is not None:
            return not known.has(message.paths)
        return office.index.may_hold(message.device)

    def is_planned(self, device: bytes) -> bool:
        """Whether it is known which rules look at the device."""
        return device in self._known

    def has_station(self, device: bytes) -> bool:
        """Whether any rule looks at the device."""
        return device in self._stations

    def stations_of(self, rule_id: UUID) -> list[tuple[TenantId, DeviceId]]:
        """The devices that a rule looks at, as far as they are planned."""
        return [
            (station.tenant, station.device_id)
            for station in self._stations.values()
            if any(rule == rule_id for rule, _ in station.watches)
        ]

    def stations_in(self, tenant: TenantId) -> list[tuple[TenantId, DeviceId]]:
        """The devices of an organization that rules look at."""
        return [(tenant, one.device_id) for one in self._stations.values() if one.tenant == tenant]

    def forget(self, device: bytes) -> None:
        """Plan the device anew when it next says something; what its sensors have shown stays."""
        self._known.pop(device, None)

    def forget_tenant(self, tenant: TenantId, devices: Iterable[bytes]) -> None:
        """The same for all these, and for those of the organization that no rule looks at."""
        for device in devices:
            self.forget(device)
        # Nobody knows whose the others are: they are few things to learn again.
        self._known = {device: known for device, known in self._known.items() if device in self._stations}

    def drop_device(self, device: bytes) -> None:
        """The device is gone."""
        station = self._stations.pop(device, None)
        self._known.pop(device, None)
        if station is not None:
            self._unroute(station)
            self._dirty.pop(station, None)
            self._closed.pop(station, None)
            self._slots[device[-1] % SLOTS].pop(station, None)

    def set_status(self, device: bytes, status: str, wall: int) -> None:
        """An operator's word, or the connection's. After maintenance, silence is counted anew."""
        station = self._stations.get(device)
        if station is None:
            return
        if station.is_muted and status not in SILENT:
            for watch in station.watches.values():
                watch.restart_silence(wall)
        station.status = status

    def plan(
        self,
        tenant: TenantId,
        device: DeviceView,
        said: Iterable[str],
        kept: KeptState | None,
        wall: int,
    ) -> None:
        """Let the rules look at the device that have it in their scopes. What was seen under a condition that is still
        the same stays; `kept` is what was remembered from before a restart. `said`: paths it has spoken of."""
        raw = ids.to_bytes(device.id)
        self._known[raw] = Known({sensor.path for sensor in device.sensors} | set(said))
        office = self._offices.get(tenant) or Office()
        station = self._stations.get(raw)
        if station is None:
            station = Station(tenant, device.id, device.status, kept.position if kept else 0)
        elif station.is_muted and device.status not in SILENT:
            self.set_status(raw, device.status, wall)
        station.status = device.status
        remembered = {} if kept is None or raw in self._stations else recollect(kept)
        before, station.watches = station.watches, {}
        self._unroute(station)
        for rule_id in office.index.find(device):
            rule = office.rules[rule_id]
            for sensor in find_in_scope(rule.scope, device, rule.plan.types):
                pair = (rule_id, sensor.id)
                watch = self._watch(rule.plan, sensor, before.pop(pair, None), remembered.pop(pair, None), wall)
                station.watches[pair] = watch
                self._route(station, rule, watch, device, sensor)
        for pair in [*before, *remembered]:
            self._leave(office, station, pair, wall)
        self._settle(raw, station)

    def _watch(
        self, plan: RulePlan, sensor: SensorView, before: Watch | None, kept: Sequence[object] | None, wall: int
    ) -> Watch:
        is_open = self._is_open((plan.id, sensor.id))
        if before is not None and before.rule.revision == plan.revision:
            before.rule, before.is_open = plan, is_open
            return before
        watch = Watch(plan, sensor.id, wall, is_open=is_open)
        if before is not None:
            watch.seen, watch.seen_at = before.seen, before.seen_at
        elif kept is not None and kept[1] == plan.revision:
            watch.recall(kept)
            watch.is_open = is_open
        return watch

    def _route(self, station: Station, rule: Deployed, watch: Watch, device: DeviceView, scoped: SensorView) -> None:
        wanted: dict[tuple[bytes, str], list[int]] = {}
        for place, plan in enumerate(rule.plan.leaves):
            ref = plan.leaf.sensor
            if ref is None:
                wanted.setdefault((ids.to_bytes(device.id), scoped.path), []).append(place)
                continue
            foreign = rule.foreign.get(ref.sensor_id) if ref.sensor_id else None
            sensor = foreign.sensor if foreign else find_referenced(ref, device.sensors)
            if sensor is not None and sensor.value_type in plan.leaf.types:
                owner = foreign.device if foreign else ids.to_bytes(device.id)
                wanted.setdefault((owner, sensor.path), []).append(place)
        for (owner, path), places in wanted.items():
            routes = self._routes.setdefault(owner, Routes())
            routes.by_path.setdefault(path, []).append(Route(station, watch, tuple(places)))
            routes.by_shape.clear()
            station.owners.add(owner)

    def _unroute(self, station: Station) -> None:
        owners, station.owners = station.owners, set()
        for owner in owners:
            routes = self._routes.get(owner)
            if routes is None:
                continue
            by_path = {
                path: left
                for path, ways in routes.by_path.items()
                if (left := [way for way in ways if way.station is not station])
            }
            routes.by_path = by_path
            routes.by_shape.clear()
            if not by_path:
                del self._routes[owner]

    def _leave(self, office: Office, station: Station, pair: Pair, wall: int) -> None:
        """A rule that is at work does not look at the sensor any more: nothing but this would resolve its alert."""
        rule = office.rules.get(pair[0])
        if rule is not None and rule.plan.auto_resolve and self._is_open(pair):
            gone = Transition(Turn.CLEARED, wall, -1)
            self._record(station, Firing(pair[0], pair[1], gone, Resolution.OUT_OF_SCOPE))

    def _settle(self, raw: bytes, station: Station) -> None:
        slot = self._slots[raw[-1] % SLOTS]
        slot.pop(station, None)
        if station.watches:
            self._stations[raw] = station
            self._dirty[station] = None
            if station.ticks:
                slot[station] = None
        elif raw in self._stations:
            self._dirty[station] = None  # once more, so that nothing is remembered of what it was
            del self._stations[raw]

    # --- what comes --------------------------------------------------------------------------------------------------

    def take(self, message: Logged, sequence: int) -> None:
        """Look at what a message says; `sequence` is that of its pack."""
        routes = self._routes.get(message.device)
        if routes is None or message.replayed:
            return
        hits = routes.find(message.paths)
        if not hits:
            return
        readings, received = message.readings, message.received
        oldest = received - MOST_LATE_MS
        if isinstance(message.at, int):
            if message.at >= oldest:
                self._look(message.at, received, [(readings[index].value, route) for index, route in hits], sequence)
            return
        # Several times in one message: in their order, whatever order they came in.
        moments: dict[int, list[tuple[object, Route]]] = {}
        for index, route in hits:
            reading = readings[index]
            if reading.at >= oldest:
                moments.setdefault(reading.at, []).append((reading.value, route))
        for at in sorted(moments):
            self._look(at, received, moments[at], sequence)

    def show(self, device: bytes, at: int, readings: Iterable[tuple[str, object]]) -> None:
        """The same for what a device said at one moment, as if it had come right then."""
        routes = self._routes.get(device)
        by_path = routes.by_path if routes else {}
        self._look(at, at, [(value, route) for path, value in readings for route in by_path.get(path, ())], 1)

    @property
    def paths(self) -> dict[bytes, list[str]]:
        """The sensors that are looked at, by device and path."""
        return {device: sorted(routes.by_path) for device, routes in self._routes.items()}

    def _look(self, at: int, received: int, said: Sequence[tuple[object, Route]], sequence: int) -> None:
        """What was measured at one moment is taken in as a whole before anything is made of it."""
        touched: dict[Watch, Station] = {}
        for value, route in said:
            if sequence > route.station.resumed and route.watch.read(route.places, at, received, value):
                touched[route.watch] = route.station
        for watch, station in touched.items():
            self._dirty[station] = None
            if sequence <= self.evaluated:
                watch.follow(received)
                continue
            transition = watch.look(received, muted=station.is_muted)
            if transition is not None:
                self._record(station, Firing(watch.rule.id, watch.sensor_id, transition))

    def tick(self, slot: int, wall: int) -> None:
        """Time has gone on to `wall` (ms since 1970), for this part of the devices."""
        for station in self._slots[slot]:
            for watch in station.watches.values():
                if not watch.rule.needs_ticks:
                    continue
                if station.status == "PENDING":
                    watch.restart_silence(wall)  # It has yet to speak for the first time.
                truth = watch.truth
                transition = watch.look(wall, muted=station.is_muted)
                if transition is not None:
                    self._record(station, Firing(watch.rule.id, watch.sensor_id, transition))
                elif watch.truth is not truth:
                    self._dirty[station] = None

    def excuse(self, since: int, until: int) -> None:
        """Nobody listened meanwhile, see `Watch.excuse`."""
        for station in self._stations.values():
            for watch in station.watches.values():
                watch.excuse(since, until)

    # --- alerts ------------------------------------------------------------------------------------------------------

    def set_open(self, rule_id: UUID, sensors: Iterable[SensorId]) -> None:
        """Exactly these sensors have alerts of the rule that nobody has resolved. Devices learn of it when they are
        planned the next time."""
        self._open[rule_id] = set(sensors)

    def _is_open(self, pair: Pair) -> bool:
        return pair[1] in self._open.get(pair[0], ())

    def close(self, pair: Pair, device: bytes) -> None:
        """Somebody has resolved the alert of a rule about a sensor of a device."""
        self._open.get(pair[0], set()).discard(pair[1])
        station = self._stations.get(device)
        watch = station.watches.get(pair) if station else None
        if station is not None and watch is not None:
            watch.is_open = False
            # From here on its cooldown runs: whoever takes over must not think that the alert was open any longer.
            self._dirty[station] = self._closed[station] = None

    def _record(self, station: Station, firing: Firing) -> None:
        sensors = self._open.setdefault(firing.rule_id, set())
        if firing.transition.turn is Turn.CLEARED:
            sensors.discard(firing.sensor_id)
        else:
            sensors.add(firing.sensor_id)
        self._dirty[station] = None
        self._fired.append((station, firing))

    # --- what is to be written down ----------------------------------------------------------------------------------

    @property
    def has_fired(self) -> bool:
        """Whether something waits to be written down."""
        return bool(self._fired or self._closed)

    @property
    def dirty(self) -> int:
        """How many devices have changed since they were last remembered."""
        return len(self._dirty)

    def drain(self, *, everything: bool) -> tuple[dict[TenantId, list[Firing]], list[StateRow]]:
        """What has fired since the last time, by organization, and the states that go with it: of the devices that it
        was about, or people's word was, or of all that have changed."""
        firings: dict[TenantId, list[Firing]] = {}
        stations = self._dirty if everything else dict.fromkeys(station for station, _ in self._fired) | self._closed
        for station, firing in self._fired:
            firings.setdefault(station.tenant, []).append(firing)
        rows = [station.keep() for station in stations]
        if everything:
            self._dirty = {}
        else:
            for station in stations:
                self._dirty.pop(station, None)
        self._fired, self._closed = [], {}
        return firings, rows
