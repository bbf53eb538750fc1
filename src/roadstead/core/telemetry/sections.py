"""What devices have reported last, put together as the sections of their types, and whether they are heard from."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from roadstead.core import registry, types
from roadstead.core.messages import Value
from roadstead.core.operation import operation
from roadstead.core.registry import Device
from roadstead.core.telemetry import store
from roadstead.core.telemetry.state import CONFIGURATION_PATHS
from roadstead.core.telemetry.store import State
from roadstead.core.types import DeviceType, Section, Step, TypeOrigin
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import EVERYTHING, Filter
from roadstead.kernel.ids import DeviceId, TypeId
from roadstead.kernel.page import Page, PageQuery

_Stamp = tuple[int, int]
"""When something was measured, and when it was received."""
_NEVER: _Stamp = (-1, -1)


class Watch(StrEnum):
    """Whether a device is heard from as often as it should be."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    NOT_MONITORED = "NOT_MONITORED"


class ReportedState(msgspec.Struct, frozen=True, kw_only=True):
    """The newest values of a device."""

    device_id: DeviceId
    attributes: dict[str, Any]
    configuration: dict[str, Any]
    last_seen_at: datetime | None
    watch: Watch


@operation(Grant.READINGS_READ)
async def get_reported_state(work: Work, device_id: DeviceId) -> ReportedState:
    """What a device has reported last; empty when that is nothing."""
    (state,) = await _load_states(work, [await registry.load_device(work, device_id)])
    return state


@operation(Grant.READINGS_READ)
async def list_reported_states(work: Work, where: Filter = EVERYTHING, *, page: PageQuery) -> Page[ReportedState]:
    """The same of all devices that a filter is true for, newest device first."""
    devices = await registry.list_devices(work, where, sort="-createdAt", page=page)
    states = await _load_states(work, devices.items)
    return Page(items=states, next_cursor=devices.next_cursor, total=devices.total)


async def _load_states(work: Work, devices: Sequence[Device]) -> list[ReportedState]:
    """In the order of the devices."""
    type_ids = {device.type_id for device in devices if device.type_id is not None}
    known = await types.load_device_types(work, sorted(type_ids))
    schemas = {type_id: type_.compiled() for type_id, type_ in known.items() if type_.origin is TypeOrigin.DEFINED}
    bodies = await store.select_bodies(work.tx, work.tenant_id, [device.id for device in devices])
    now = work.now()
    return [
        _state(device, known, bodies.get(device.id, {}), schemas.get(device.type_id) if device.type_id else None, now)
        for device in devices
    ]


def _state(
    device: Device,
    known: Mapping[TypeId, DeviceType],
    body: Mapping[str, State],
    schema: types.TypeSchema | None,
    now: datetime,
) -> ReportedState:
    sections = put_together(body, schema)
    type_ = known.get(device.type_id) if device.type_id else None
    inherited = type_.communication_interval if type_ is not None else None
    interval = registry.watched_interval(device.communication_interval, inherited)
    return ReportedState(
        device_id=device.id,
        attributes=sections[Section.ATTRIBUTES],
        configuration=sections[Section.CONFIGURATION],
        last_seen_at=device.last_seen_at,
        watch=watch(device.last_seen_at, interval, now),
    )


def watch(last_seen_at: datetime | None, interval_s: int | None, now: datetime) -> Watch:
    """Whether a device is heard from. One that never was is not looked for."""
    if not interval_s or last_seen_at is None:
        return Watch.NOT_MONITORED
    return Watch.ONLINE if now - last_seen_at < timedelta(seconds=interval_s) else Watch.OFFLINE


def put_together(body: Mapping[str, State], schema: types.TypeSchema | None) -> dict[Section, dict[str, Any]]:
    """The values of a state as objects, without what newer ones have replaced.

    Objects are merged; a list, and whatever is no object, takes the place of what was there before. Only components may
    report the items of a list one by one. `schema`: of the device's type, if it has one.
    """
    pairs = []
    for path in current_paths(body):
        stored: Value = body[path][0]
        leaf = schema.leaf(path) if schema is not None and isinstance(stored, str) else None
        pairs.append((path, types.from_stored(leaf, stored)))
    return types.nest(pairs)


def current_paths(body: Mapping[str, State]) -> Iterator[str]:
    """The paths of a state whose values no newer ones have replaced."""
    root = _Node()
    for path, state in body.items():
        if not path.startswith("$"):
            section, steps = types.split_path(path)
            root.put((section.value, *steps), path, state)
    return root.current(_NEVER)


class _Node:
    """A value, or what values lie below."""

    __slots__ = ("below", "is_empty_object", "newest", "path", "stamp")

    def __init__(self) -> None:
        self.below: dict[Step, _Node] = {}
        self.path: str | None = None
        self.stamp: _Stamp = _NEVER
        """Of the value that lies here."""
        self.newest: _Stamp = _NEVER
        """Of it and all below."""
        self.is_empty_object = False

    def put(self, steps: Sequence[Step], path: str, state: State) -> None:
        """Hang a value into the tree."""
        stamp = (state[1], state[2])
        node = self
        node.newest = max(node.newest, stamp)
        for step in steps:
            node = node.below.setdefault(step, _Node())
            node.newest = max(node.newest, stamp)
        node.path, node.stamp, node.is_empty_object = path, stamp, state[0] == "{}"

    def current(self, since: _Stamp) -> Iterator[str]:
        """The paths whose values still count; what is older than `since` does not."""
        items = [node for step, node in self.below.items() if isinstance(step, int)]
        members = [node for step, node in self.below.items() if not isinstance(step, int)]
        of_items = max((node.newest for node in items), default=_NEVER)
        of_members = max((node.newest for node in members), default=_NEVER)
        if not self.is_empty_object:
            since = max(since, self.stamp)
        if items and of_items >= max(of_members, since, self.stamp):
            came_together = not any(node.is_of_component for node in items)
            yield from _current(items, of_items if came_together else since)
        elif members and of_members >= since:
            yield from _current(members, max(since, of_items))
        elif self.path is not None and self.stamp >= since:
            yield self.path

    @property
    def is_of_component(self) -> bool:
        """Whether a component's sensor lies here."""
        return self.path is not None and "/" in self.path.removeprefix(CONFIGURATION_PATHS)


def _current(nodes: Sequence[_Node], since: _Stamp) -> Iterator[str]:
    for node in nodes:
        if node.newest >= since:
            yield from node.current(since)
