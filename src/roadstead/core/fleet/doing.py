"""Devices one after the other, in a request or in a job."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from roadstead.core import registry
from roadstead.core.fleet.editing import edit_device
from roadstead.core.fleet.model import Edit, Failure, Outcome
from roadstead.core.jobs import RunningJob
from roadstead.core.work import Work
from roadstead.kernel.errors import RoadsteadError
from roadstead.kernel.filter_json import read_filter
from roadstead.kernel.ids import DeviceId, to_hex24

Deed: TypeAlias = Callable[[Work, DeviceId], Awaitable[bool]]
"""Does it to one device; False when there was nothing to do."""

_IN_ONE_TRANSACTION = 50
_MOST = 1_000_000
"""Devices of one job: more than a space has."""
_MOST_TOLD = 10_000
"""Failures that are written down."""


async def do_each(work: Work, device_ids: Sequence[DeviceId], deed: Deed) -> Outcome:
    """Do it to each device; what fails leaves that device as it was."""
    outcome = Outcome()
    for device_id in device_ids:
        try:
            async with work.tx.savepoint():
                done = await deed(work, device_id)
        except RoadsteadError as error:
            outcome.failures.append(Failure(device_id, str(error)))
        else:
            outcome.done += done
            outcome.skipped += not done
    return outcome


# --- deeds -----------------------------------------------------------------------------------------------------------


def edit_one(edits: Sequence[Edit]) -> Deed:
    """Make it what the edits say."""

    async def deed(work: Work, device_id: DeviceId) -> bool:
        return await edit_device(work, device_id, edits)

    return deed


async def delete_one(work: Work, device_id: DeviceId) -> bool:
    """Delete it; it may be restored for a while."""
    await registry.discard_device(work, device_id)
    return True


async def restore_one(work: Work, device_id: DeviceId) -> bool:
    """Bring it back."""
    await registry.restore_device(work, device_id)
    return True


# --- jobs ------------------------------------------------------------------------------------------------------------

# A job that is begun anew does what is still to be done, and counts that: each deed finds that it is done already.


async def edit_many(job: RunningJob) -> dict[str, Any]:
    """Make devices what the edits of a job say."""
    edits = msgspec.convert(job.parameters["edits"], list[Edit])
    async with job.work() as work:
        found = await registry.load_device_ids(work, read_filter(job.parameters["where"]), limit=_MOST)
    outcome = await _do_all(job, found, edit_one(edits))
    return {"updated": outcome.done, "skipped": outcome.skipped, **await _tell_failures(job, outcome)}


async def delete_many(job: RunningJob) -> dict[str, Any]:
    """Delete the devices of a job."""
    async with job.work() as work:
        found = await registry.load_device_ids(work, read_filter(job.parameters["where"]), limit=_MOST)
    outcome = await _do_all(job, found, delete_one)
    return {"removed": outcome.done, **await _tell_failures(job, outcome)}


async def restore_many(job: RunningJob) -> dict[str, Any]:
    """Bring back the devices of a job."""
    async with job.work() as work:
        found = await registry.pick_deleted_devices(work, read_filter(job.parameters["where"]), limit=_MOST)
    outcome = await _do_all(job, found, restore_one)
    return {"restored": outcome.done, **await _tell_failures(job, outcome)}


async def _do_all(job: RunningJob, device_ids: Sequence[DeviceId], deed: Deed) -> Outcome:
    await job.expect(len(device_ids))
    outcome = Outcome()
    for start in range(0, len(device_ids), _IN_ONE_TRANSACTION):
        some = device_ids[start : start + _IN_ONE_TRANSACTION]
        async with job.work() as work:
            part = await do_each(work, some, deed)
        outcome.done += part.done
        outcome.skipped += part.skipped
        outcome.failures += part.failures
        job.completed += len(some)
    return outcome


async def _tell_failures(job: RunningJob, outcome: Outcome) -> dict[str, Any]:
    if not outcome.failures:
        return {"failed": 0}
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["ID", "Error"])
    writer.writerows((to_hex24(each.device_id), each.error) for each in outcome.failures[:_MOST_TOLD])
    url = await job.keep_file("failures.csv", lines.getvalue().encode(), content_type="text/csv")
    return {"failed": len(outcome.failures), "logLink": url, "downloadUrls": [url]}
