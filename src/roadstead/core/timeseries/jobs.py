"""Files of points: asked for here, made by a worker, there for an hour."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from roadstead.core import files, registry
from roadstead.core.files import CannotBeMade, FileJobs, JobClaim
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.timeseries import job_store, store
from roadstead.core.timeseries.device_series import group_devices, load_group
from roadstead.core.timeseries.frames import Frames
from roadstead.core.timeseries.job_model import PointsFile, Wanted, file_name
from roadstead.core.timeseries.model import TimeseriesQuery
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound, TooMany
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TenantId, new_id

KEPT = timedelta(hours=1)
"""How long a file is there, and how long it is known that one could not be made."""
MOST_WAITING = 1_000
"""Files of a tenant that are neither there nor given up."""
MOST_MEMBERS = 100_000
"""Devices, or series of the tenant's own, of one file."""

JOBS = FileJobs("points_job", kept=KEPT, remembered=KEPT)
"""The life of every file of points."""


@operation(Grant.READINGS_READ)
async def request_readings(
    work: Work, device_id: DeviceId, path: str, span: Span, *, form: str, base_url: str
) -> PointsFile:
    """A file with the points of one path of a device. Raises `Invalid` for a path that no rule keeps."""
    wanted = Wanted(groups=[await load_group(work, device_id, path)], span=span)
    return await _insert(work, form, base_url, wanted)


@operation(Grant.READINGS_READ)
async def request_readings_of_devices(
    work: Work,
    where: Filter,
    paths: Sequence[str],
    span: Span,
    frames: Frames | None,
    *,
    form: str,
    base_url: str,
) -> PointsFile:
    """A file with the points or frames of some paths of all devices that a filter is true for now."""
    device_ids = await registry.load_device_ids(work, where, limit=MOST_MEMBERS + 1)
    if len(device_ids) > MOST_MEMBERS:
        raise Invalid.field("/deviceFilter", f"is true for more than {MOST_MEMBERS} devices", code="range")
    groups = await group_devices(work, device_ids, list(dict.fromkeys(paths)))
    return await _insert(work, form, base_url, Wanted(groups=groups, span=span, frames=frames))


@operation(Grant.READINGS_READ)
async def request_timeseries(
    work: Work, query: TimeseriesQuery, span: Span, frames: Frames | None, *, form: str, base_url: str
) -> PointsFile:
    """A file with the points or frames of the tenant's own series that the conditions hold for now."""
    series_ids = await store.select_ids(work.tx, work.tenant_id, query, MOST_MEMBERS + 1)
    if len(series_ids) > MOST_MEMBERS:
        raise Invalid.field("/timeseriesFilter", f"is true for more than {MOST_MEMBERS} series", code="range")
    return await _insert(work, form, base_url, Wanted(series_ids=series_ids, span=span, frames=frames))


@operation(Grant.READINGS_READ)
async def get_points_file(work: Work, file_id: UUID, *, form: str) -> PointsFile:
    """A file of this form: `NotFound` when it was never asked for, or its time is over."""
    file = await job_store.select_file(work.tx, work.tenant_id, file_id)
    if file is None or file.form != form or file.status == "EXPIRED":
        raise NotFound("file", file_id)
    return file


@operation(Grant.READINGS_READ)
async def find_points(work: Work, file_id: UUID, *, form: str, device_id: DeviceId | None = None) -> str:
    """The key of the blob with a file, of this device if one is named. Raises `NotFound` until it is there."""
    file = await get_points_file(work, file_id, form=form)
    is_of_device = device_id is None or [group.device_ids for group in file.wanted.groups] == [[device_id]]
    if not file.is_ready or not is_of_device:
        raise NotFound("file", file_id)
    return files.blob_key(work.actor.organization_id, file_name(file.id, file.lease))


# --- for the worker --------------------------------------------------------------------------------------------------


async def load_points_file(tx: Tx, claim: JobClaim) -> PointsFile:
    """What a worker has taken on. Raises `CannotBeMade` when it was deleted meanwhile."""
    file = await job_store.select_file(tx, claim.tenant_id, claim.id)
    if file is None:
        raise CannotBeMade("the file is not wanted any more")
    return file


async def continue_points_file(tx: Tx, tenant: TenantId, file: PointsFile, next_id: UUID, rest: Wanted) -> None:
    """What did not fit into a file goes into another."""
    await job_store.insert_file(tx, tenant, _make(next_id, file.form, file.base_url, rest))


async def _insert(work: Work, form: str, base_url: str, wanted: Wanted) -> PointsFile:
    if await job_store.count_waiting(work.tx, work.tenant_id) >= MOST_WAITING:
        raise TooMany(f"{MOST_WAITING} files are being made already", retry_after_s=60)
    file = _make(new_id(), form, base_url, wanted)
    await job_store.insert_file(work.tx, work.tenant_id, file)
    return file


def _make(id_: UUID, form: str, base_url: str, wanted: Wanted) -> PointsFile:
    now = time.now()
    return PointsFile(id=id_, form=form, base_url=base_url, wanted=wanted, status="PENDING", created_at=now)
