"""The newest values of devices as one tree, and of each who wrote it when."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadstead.core import types
from roadstead.core.operation import operation
from roadstead.core.telemetry import store
from roadstead.core.telemetry.model import SOURCE, read_metadata
from roadstead.core.telemetry.sections import current_paths, put_together
from roadstead.core.telemetry.store import State
from roadstead.core.types import Section, Step, TypeOrigin, TypeSchema
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId


class Update(msgspec.Struct, frozen=True):
    """Who wrote a value, and when."""

    steps: tuple[str, ...]
    """The names on the way to it; a list is one value."""
    at: int
    """In ms since 1970."""
    source: Mapping[str, Any] | None
    """As it was said with the value; None: the device has reported it."""


class DeviceValues(msgspec.Struct, frozen=True):
    """The newest values of a device."""

    data: dict[str, Any]
    updates: list[Update]


@operation(Grant.READINGS_READ)
async def list_values(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, DeviceValues]:
    """What is known of these devices, by device; those that do not exist are left out."""
    bodies = await store.select_typed_bodies(work.tx, work.tenant_id, device_ids)
    type_ids = {type_id for type_id, _ in bodies.values() if type_id is not None}
    known = await types.load_device_types(work, sorted(type_ids))
    schemas = {type_id: type_.compiled() for type_id, type_ in known.items() if type_.origin is TypeOrigin.DEFINED}
    return {
        device_id: values_of(body, schemas.get(type_id) if type_id is not None else None)
        for device_id, (type_id, body) in bodies.items()
    }


def values_of(body: Mapping[str, State], schema: TypeSchema | None) -> DeviceValues:
    """A state as a tree of its attributes. `schema`: of the device's type, if it has one."""
    newest: dict[tuple[str, ...], Update] = {}
    for path in current_paths(body):
        section, steps = types.split_path(path)
        if section is not Section.ATTRIBUTES:
            continue
        names = _names(steps)
        _, at, _, *meta = body[path]
        known = newest.get(names)
        if known is None or known.at < at:
            newest[names] = Update(names, at, (read_metadata(meta[0]) or {}).get(SOURCE) if meta else None)
    return DeviceValues(put_together(body, schema)[Section.ATTRIBUTES], list(newest.values()))


def _names(steps: Sequence[Step]) -> tuple[str, ...]:
    """The way to a value, or to the list that it is an item of."""
    names: list[str] = []
    for step in steps:
        if isinstance(step, int):
            break
        names.append(step)
    return tuple(names)
