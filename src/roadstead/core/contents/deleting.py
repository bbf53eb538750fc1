"""A space goes with everything in it: at once when that is little, else by a job."""

from typing import Any

from roadstead.core import archives, files, jobs, registry
from roadstead.core.contents import store
from roadstead.core.jobs import RunningJob
from roadstead.core.messages import DeviceDeleted, SessionsRevoked
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import SpaceId, parse_uuid

_BATCH = 500


@operation(Grant.DEVICES_WRITE)
async def delete_space_with_contents(work: Work, space_id: SpaceId) -> None:
    """The space is not there for anybody any more; its devices with their readings, events, keys and tokens go.

    Of many devices the first go at once and a job does the rest. `Conflict` for the default space.
    """
    space = await registry.lock_space(work, space_id)
    if space.is_default:
        raise Conflict(f"'{space.name}' is for devices that name no other, and stays", code="in-use")
    await store.mark_deleted(work.tx, space_id, work.now())
    work.record("space.delete", space_id, before=space)
    if await _clear_some(work, space_id):
        return
    default = await registry.load_default_space(work)
    await jobs.enqueue(
        work,
        "space-clearing",
        {"spaceId": str(space_id)},
        space_id=default.id,
        name=f"deletion of '{space.name}'",
        resource=("application", space_id),
        alone=True,
    )


async def clear_space(job: RunningJob) -> dict[str, Any]:
    """Go on with what `delete_space_with_contents` has begun. Begun anew, it goes on where it was."""
    space_id = SpaceId(parse_uuid(job.parameters["spaceId"]) or job.job.resource_id)
    over = False
    while not over:
        async with job.work() as work:
            over = await _clear_some(work, space_id)
        job.completed += _BATCH
    return {}


async def _clear_some(work: Work, space_id: SpaceId) -> bool:
    """True when it was the last of it."""
    taken = await store.take_devices(work.tx, space_id, work.now(), most=_BATCH)
    for device_id in taken:
        work.record("device.delete", device_id)
        work.emit(SessionsRevoked(device_id, None, "the device was deleted"))
        work.emit(DeviceDeleted(device_id, purge=True))
    events = await store.delete_events(work.tx, space_id, most=_BATCH * 10)
    if len(taken) == _BATCH or events == _BATCH * 10:
        return False
    for device_id in await store.take_deleted_devices(work.tx, space_id):
        work.emit(DeviceDeleted(device_id, purge=True))
    for job_id in await store.select_job_ids(work.tx, space_id):
        await files.delete_files(work.ports.blobs, work.actor.organization_id, job_id)
    await archives.forget_archives(work, space_id)
    await store.delete_space(work.tx, space_id)
    return True
