"""Archives as files: a zip with a table of each device, and a table of events (contract section 20)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from roadstead.core import archives, events, files, jobs, registry
from roadstead.core.files import CannotBeMade
from roadstead.core.jobs import Handler, RunningJob
from roadstead.core.ports import Function, Series, Span
from roadstead.core.registry import Archive, Space
from roadstead.dialects.losant.device_files import DataFile, tables_of_each
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.dialects.losant.event_jobs import Exporting, write_csv
from roadstead.dialects.losant.event_shapes import Asked
from roadstead.kernel import time
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.time import from_millis

_AT_ONCE = 200
_MOST_DEVICES = 1_000_000
_MOST_POINTS = 10_000_000
_MOST_LINKS = 1_000
_LINKED = timedelta(hours=24)
_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)


async def archive_day(job: RunningJob) -> dict[str, Any]:
    """The days that were named."""
    return await _archive(job, [date.fromisoformat(each) for each in job.parameters["days"]])


async def archive_all(job: RunningJob) -> dict[str, Any]:
    """Every day with something in it that is old enough."""
    space, archive = await _load(job)
    last = time.now().astimezone(UTC).date() - timedelta(days=archive.delay_days)
    device_ids = await _devices(job, space, archive)
    days = await _days_with_data(job, device_ids, last) if archive.include_devices else set()
    if archive.include_events:
        days |= await _days_with_events(job, space, last)
    return await _archive(job, sorted(days))


async def archive_due(job: RunningJob) -> dict[str, Any]:
    """The days that have become old enough. Begun anew, it goes on where it was."""
    space, _ = await _load(job)
    async with job.work() as work:
        days = await archives.claim_due_days(work, space)
    return await _archive(job, days, noting=True)


async def archive_events(job: RunningJob) -> dict[str, Any]:
    """All events there are, in one table."""
    return {"downloadUrls": [await job.keep_file("events.csv", write_csv(job, _all_events()), content_type="text/csv")]}


HANDLERS: Mapping[str, Handler] = {
    archives.DAY: archive_day,
    archives.BACKFILL: archive_all,
    archives.DUE: archive_due,
    archives.EVENTS: archive_events,
}


async def _archive(job: RunningJob, days: Sequence[date], *, noting: bool = False) -> dict[str, Any]:
    space, archive = await _load(job)
    device_ids = await _devices(job, space, archive) if archive.include_devices else []
    links = list[str]()
    for day in days:
        links += await _write_day(job, space, archive, device_ids, day)
        if noting:
            async with job.work() as work:
                await archives.note_archived(work, space.id, day)
    root = archives.archive_root(space)
    output: dict[str, Any] = {"downloadUrls": links[-_MOST_LINKS:]}
    if archive.include_devices:
        output["devicesDirectory"] = root
    if archive.include_events:
        output["eventsDirectory"] = root
    return output


async def _write_day(
    job: RunningJob, space: Space, archive: Archive, device_ids: Sequence[DeviceId], day: date
) -> list[str]:
    """Write what is new, and link to what is there: a day whose data is gone by now keeps its files."""
    span = _span(day)
    place = f"{archives.archive_root(space)}/{day:%Y/%m/%d}"
    found = await _with_data(job, device_ids, span)
    if found:
        wanted = DataFile(devices={}, span=span, ids=False, file_per_device=True)
        await _put(job, f"{place}/devices.zip", jobs.zip_files(tables_of_each(job, wanted, found)))
    if archive.include_events and await _count_events(job, space, span):
        await _put(job, f"{place}/events.csv", write_csv(job, _events(span)))
    names = (["devices.zip"] if archive.include_devices else []) + (["events.csv"] if archive.include_events else [])
    links = [await _link(job, f"{place}/{name}", f"{day.isoformat()}-{name}") for name in names]
    return [link for link in links if link is not None]


async def _load(job: RunningJob) -> tuple[Space, Archive]:
    """Whoever has not said what goes into the archive gets all data of devices."""
    async with job.work() as work:
        try:
            space = await registry.load_space(work, job.job.space_id)
        except NotFound as error:
            raise CannotBeMade("the application is gone") from error
    return space, space.archive or Archive()


async def _devices(job: RunningJob, space: Space, archive: Archive) -> list[DeviceId]:
    async with job.work() as work:
        where = archives.chosen_devices(space, archive)
        return await registry.load_device_ids(work, where, limit=_MOST_DEVICES)


async def _with_data(job: RunningJob, device_ids: Sequence[DeviceId], span: Span) -> list[DeviceId]:
    """Those of the devices that have reported something in a span."""
    found = list[DeviceId]()
    for first in range(0, len(device_ids), _AT_ONCE):
        some = device_ids[first : first + _AT_ONCE]
        series = await _series(job, some)
        curves = await job.ports.telemetry.curves(
            job.claim.tenant_id, series, span, step_ms=None, function=Function.COUNT, most=_MOST_POINTS
        )
        there = {each.series.device for each in curves}
        found += [device_id for device_id in some if device_id in there]
    return found


async def _days_with_data(job: RunningJob, device_ids: Sequence[DeviceId], last: date) -> set[date]:
    days = set[date]()
    span = Span(_span(_EPOCH).start, _span(last).start)
    for first in range(0, len(device_ids), _AT_ONCE):
        series = await _series(job, device_ids[first : first + _AT_ONCE])
        curves = await job.ports.telemetry.curves(
            job.claim.tenant_id,
            series,
            span,
            step_ms=_DAY // timedelta(milliseconds=1),
            function=Function.COUNT,
            most=_MOST_POINTS,
        )
        days |= {from_millis(at).astimezone(UTC).date() for curve in curves for at in curve.at}
    return days


async def _series(job: RunningJob, device_ids: Sequence[DeviceId]) -> list[Series]:
    async with job.work() as work:
        known = await registry.find_attributes(work, device_ids)
    return [Series(device_id, each.path) for device_id, own in known.items() for each in own]


async def _days_with_events(job: RunningJob, space: Space, last: date) -> set[date]:
    async with job.work() as work:
        return {day for day in await archives.load_event_days(work, space.id) if day < last}


async def _count_events(job: RunningJob, space: Space, span: Span) -> int:
    async with job.work() as work:
        return await events.count_incidents(work, space.id, _events(span).asked.where())


def _events(span: Span) -> Exporting:
    query = {
        "$and": [{"creationDate": {"$gte": spell_time(span.start)}}, {"creationDate": {"$lt": spell_time(span.end)}}]
    }
    return Exporting(asked=Asked(query=query), format="csv", without_updates=False)


def _all_events() -> Exporting:
    return Exporting(asked=Asked(), format="csv", without_updates=False)


async def _put(job: RunningJob, path: str, content: Any) -> None:
    stored = await job.ports.blobs.put(files.blob_key(job.claim.organization_id, path), content)
    job.size_bytes += stored.size_bytes


async def _link(job: RunningJob, path: str, filename: str) -> str | None:
    """For 24 hours; None when there is no such file."""
    try:
        await job.ports.blobs.head(files.blob_key(job.claim.organization_id, path))
    except NotFound:
        return None
    kind = "application/zip" if path.endswith(".zip") else "text/csv"
    async with job.work() as work:
        return await files.download_url(
            work, path, filename=filename, content_type=kind, valid_until=time.now() + _LINKED
        )


def _span(day: date) -> Span:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Span(start, start + _DAY)
