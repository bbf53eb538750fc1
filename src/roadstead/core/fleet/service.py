"""What can be done to very many devices at once: at once when they are few, else by a job."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from roadstead.core import jobs, registry
from roadstead.core.fleet.doing import delete_one, do_each, edit_one, restore_one
from roadstead.core.fleet.model import AT_ONCE, Edit, Outcome
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import And, Filter, equals
from roadstead.kernel.filter_json import spell_filter
from roadstead.kernel.ids import DeviceId, SpaceId

JobId: TypeAlias = str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for besides: for the case that it becomes a job."""

    space_id: SpaceId
    email: str | None = None
    callback_url: str | None = None
    shown: Mapping[str, Any] = {}
    """What of the request people see."""
    always_job: bool = False
    """However few they are."""


@operation(Grant.DEVICES_WRITE)
async def edit_devices(work: Work, where: Filter, edits: Sequence[Edit], request: Request) -> Outcome | JobId:
    """Make devices of a space what the edits say. What fails leaves that device as it was, and the rest goes on."""
    found = await _few(work, where, request)
    if found is not None:
        return await do_each(work, found, edit_one(edits))
    return await _enqueue(work, "device-editing", "Devices: change", where, request, edits=msgspec.to_builtins(edits))


@operation(Grant.DEVICES_WRITE)
async def delete_devices(work: Work, where: Filter, request: Request) -> Outcome | JobId:
    """Delete devices of a space; they may be restored for a while. One that cannot be deleted stays as it was."""
    found = await _few(work, where, request)
    if found is not None:
        return await do_each(work, found, delete_one)
    return await _enqueue(work, "device-deletion", "Devices: delete", where, request)


@operation(Grant.DEVICES_WRITE)
async def restore_devices(work: Work, where: Filter, request: Request) -> Outcome | JobId:
    """Bring back devices of a space that were deleted. One that cannot come back is kept as it was."""
    found = await registry.pick_deleted_devices(work, _in_space(where, request), limit=AT_ONCE + 1)
    if len(found) <= AT_ONCE and not request.always_job:
        return await do_each(work, found, restore_one)
    return await _enqueue(work, "device-restoration", "Devices: restore", where, request)


async def _few(work: Work, where: Filter, request: Request) -> list[DeviceId] | None:
    """The devices, when they are to be done at once."""
    if request.always_job:
        return None
    found = await registry.load_device_ids(work, _in_space(where, request), limit=AT_ONCE + 1)
    return found if len(found) <= AT_ONCE else None


def _in_space(where: Filter, request: Request) -> Filter:
    return And((equals("spaceId", request.space_id), where))


async def _enqueue(work: Work, kind: str, name: str, where: Filter, request: Request, **parameters: Any) -> JobId:
    return await jobs.enqueue(
        work,
        kind,
        {"where": spell_filter(_in_space(where, request)), **parameters},
        space_id=request.space_id,
        name=name,
        email=request.email,
        callback_url=request.callback_url,
        shown=request.shown,
    )
