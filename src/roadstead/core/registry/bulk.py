"""Many changes of devices in one request."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from roadstead.core.operation import operation
from roadstead.core.registry import device_store
from roadstead.core.registry.deletion import delete_device
from roadstead.core.registry.devices import change_device, set_device_status
from roadstead.core.registry.model import Device, DeviceChange, DeviceStatus
from roadstead.core.registry.search import resolve
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import FieldProblem, Invalid, RoadsteadError
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId

MAX_TARGETS = 1_000
"""How many changes of one device a request may add up to."""


class Deletion(msgspec.Struct, frozen=True):
    """The device shall go; its readings stay."""


BulkAction: TypeAlias = DeviceChange | DeviceStatus | Deletion


class BulkOperation(msgspec.Struct, frozen=True):
    """One thing to do to some devices."""

    targets: Sequence[DeviceId] | Filter
    """These, or those that a filter is true for when the operation's turn comes."""
    action: BulkAction


class BulkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one device in one operation: what it is now (None when deleted), or why nothing was done."""

    index: int
    """Which operation."""
    device_id: DeviceId
    device: Device | None = None
    error: RoadsteadError | None = None


@operation(Grant.DEVICES_WRITE)
async def change_in_bulk(work: Work, operations: Sequence[BulkOperation], *, atomic: bool) -> list[BulkOutcome]:
    """Do the operations one after the other; one outcome for each device of each.

    What fails leaves that device as it was and the rest goes on; with `atomic` the first failure is raised. `Invalid`
    when they add up to more than 1,000 changes.
    """
    outcomes: list[BulkOutcome] = []
    for index, item in enumerate(operations):
        for device_id in await _targets(work, index, item, room=MAX_TARGETS - len(outcomes)):
            try:
                async with work.tx.savepoint():
                    device = await _apply(work, device_id, item.action)
            except RoadsteadError as error:
                if atomic:
                    error.fields = (FieldProblem(f"/operations/{index}", error.code, f"device {device_id}: {error}"),)
                    raise
                outcomes.append(BulkOutcome(index=index, device_id=device_id, error=error))
            else:
                outcomes.append(BulkOutcome(index=index, device_id=device_id, device=device))
    return outcomes


async def _targets(work: Work, index: int, item: BulkOperation, *, room: int) -> Sequence[DeviceId]:
    targets = item.targets
    if not isinstance(targets, Sequence):
        targets = await device_store.select_ids(work.tx, await resolve(work, targets), limit=room + 1)
    if len(targets) > room:
        detail = f"makes more than {MAX_TARGETS} changes in all: narrow the filter or send several requests"
        raise Invalid.field(f"/operations/{index}", detail, code="too-large")
    return targets


async def _apply(work: Work, device_id: DeviceId, action: BulkAction) -> Device | None:
    match action:
        case DeviceChange():
            return await change_device(work, device_id, action, expected=None)
        case DeviceStatus():
            return await set_device_status(work, device_id, action, reason=None)
        case Deletion():
            await delete_device(work, device_id, purge=False, expected=None)
            return None
