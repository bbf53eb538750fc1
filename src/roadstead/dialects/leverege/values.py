"""The data of a device: a tree of its newest values, beside it of each who wrote it when, and the writing of both
(contract section 2)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import telemetry
from roadstead.core.registry import Device
from roadstead.core.telemetry import DeviceValues, Spelled, Update, ValuesDraft, WrittenValues
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check_data
from roadstead.dialects.leverege.wire import DATA, DIALECT, DataMessage, PathValue, read_document, split_path
from roadstead.kernel import ids
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId
from roadstead.web.bodies import read_as

Tree = dict[str, Any]


async def read_data(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, tuple[Tree, Tree]]:
    """`data` and `dataMetadata` of each of these devices that there are."""
    found = await telemetry.list_values(work, device_ids)
    return {device_id: spell_values(device_id, values) for device_id, values in found.items()}


async def write_data(work: Work, device: Device, data: Any) -> WrittenValues:
    """Check data, an object or a list of `{path, value}`, for a device that may have been made just now.

    Nothing is written before `resolve.store_values`, which is for when the transaction is over. Raises `Invalid`.
    """
    values = read_values(data)
    await check_data(work, device, paths_of(values))
    source = {"userId": str(work.actor.id)}

    def spell(at: int) -> Spelled:
        return spell_message(DataMessage(values, at, source))

    return await telemetry.check_values(
        work, ValuesDraft(device_id=device.id, dialect=DIALECT, channel=DATA, spell=spell)
    )


def spell_message(message: DataMessage) -> Spelled:
    """As it is put on the log."""
    return Spelled(msgspec.json.encode(message), read_document(message))


def read_values(data: Any) -> list[PathValue]:
    """Data as it may be sent. Raises `Invalid`."""
    values = [PathValue("", data)] if isinstance(data, dict) else read_as(data, list[PathValue])
    for index, one in enumerate(values):
        if not split_path(one.path) and not isinstance(one.value, dict):
            raise Invalid.field(f"data[{index}].path", "names a value")
        if not _is_named(one.value):
            raise Invalid.field(f"data[{index}].value", "has a member without a name")
    return values


def spell_values(device_id: DeviceId, values: DeviceValues) -> tuple[Tree, Tree]:
    """`data` and `dataMetadata` of one device."""
    metadata: Tree = {}
    for update in values.updates:
        *way, last = update.steps
        place = metadata
        for step in way:
            place = place.setdefault(step, {})
        place[last] = _spell_update(device_id, update)
    return values.data, metadata


def paths_of(values: Sequence[PathValue]) -> Iterator[str]:
    """All that is written or taken away, as `foo/bar`."""
    for one in values:
        yield from _leaves(split_path(one.path), one.value)


def _spell_update(device_id: DeviceId, update: Update) -> Tree:
    source: Mapping[str, Any] = update.source or {"deviceId": str(device_id)}
    return {"source": {name: _spell_id(id_) for name, id_ in source.items()}, "updated": update.at}


def _spell_id(text: object) -> object:
    try:
        return ids.to_base62(UUID(text)) if isinstance(text, str) else text
    except ValueError:
        return text


def _leaves(way: tuple[str, ...], value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves((*way, *split_path(name)), member)
    elif way:
        yield "/".join(way)


def _is_named(value: Any) -> bool:
    """Whether all members that become part of a path have a name."""
    return not isinstance(value, dict) or all(split_path(name) and _is_named(one) for name, one in value.items())
