"""Asking for archives, and which days are due by themselves."""

from collections.abc import Sequence
from datetime import UTC, date, timedelta

from roadstead.core import files, jobs
from roadstead.core.archives import store
from roadstead.core.operation import operation, unguarded
from roadstead.core.ports import Ports
from roadstead.core.registry import Archive, ArchiveMode, Space
from roadstead.core.work import Entry, Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant, system_actor
from roadstead.kernel.errors import Conflict, Invalid
from roadstead.kernel.filter import And, Compare, Exists, Filter, In, Not, Operator, Or, equals
from roadstead.kernel.ids import SpaceId, to_hex24

DAY, BACKFILL, DUE, EVENTS = "archive-day", "archive-backfill", "archive-due", "archive-events"
"""Kinds of jobs: one day, all that are old enough, those that are due by themselves, all events."""
_AT_ONCE = 100


@operation(Grant.EXPORTS_WRITE)
async def request_archive(work: Work, space: Space, day: date) -> str:
    """Have a day archived; the id of the job. Raises `Invalid` for one that is not over, `Conflict` while another job
    does the same."""
    if day >= work.now().astimezone(UTC).date():
        raise Invalid.field("date", "takes an instant or a date of a day that is over", place="query")
    name = f"archive of {day.isoformat()}"
    parameters = {"days": [day.isoformat()]}
    return await jobs.enqueue(work, DAY, parameters, space_id=space.id, name=name, shown=parameters, alone=True)


@operation(Grant.EXPORTS_WRITE)
async def request_backfill(work: Work, space: Space) -> str:
    """Have all days archived that are old enough; the id of the job."""
    name = f"archive of all days of '{space.name}'"
    return await jobs.enqueue(work, BACKFILL, {}, space_id=space.id, name=name, alone=True)


@operation(Grant.EXPORTS_WRITE)
async def request_events_archive(work: Work, space: Space) -> str:
    """Have all events written into one file; the id of the job."""
    name = f"events of '{space.name}'"
    return await jobs.enqueue(work, EVENTS, {}, space_id=space.id, name=name, alone=True)


def archive_root(space: Space) -> str:
    """Where the archive of a space lies, below its organization."""
    root = f"archives/{to_hex24(space.id)}"
    directory = space.archive.directory.strip("/") if space.archive else ""
    return f"{root}/{directory}" if directory else root


def chosen_devices(space: Space, archive: Archive) -> Filter:
    """The devices that go into the archive."""
    within = equals("spaceId", space.id)
    if archive.mode is ArchiveMode.ALL:
        return within
    named: list[Filter] = [_tagged(tag) for tag in archive.device_tags]
    if archive.device_ids:
        named.append(In(("id",), tuple(archive.device_ids)))
    some = Or(tuple(named))
    return And((within, some if archive.mode is ArchiveMode.WHITELIST else Not(some)))


def _tagged(tag: dict[str, str]) -> Filter:
    if "key" not in tag:
        return equals("tagValue", tag["value"]) if "value" in tag else Exists(("tagKey",))
    path = ("tags", tag["key"])
    return Compare(path, Operator.EQ, tag["value"]) if "value" in tag else Exists(path)


# --- by themselves ---------------------------------------------------------------------------------------------------


@unguarded("for the worker that looks what is due")
async def queue_due_archives(tx: Tx, ports: Ports) -> int:
    """Have done what is due; how much that was. A space whose job is under way waits for its end."""
    today = time.now().astimezone(UTC).date()
    await store.begin_archives(tx, today)
    due = await store.select_due(tx, today, most=_AT_ONCE)
    for each in due:
        work = Entry(tx, ports, address="", request_id="").as_actor(system_actor(each.tenant_id, each.organization_id))
        try:
            name = f"daily archive of '{each.name}'"
            await jobs.enqueue(work, DUE, {}, space_id=each.id, name=name, alone=True)
        except Conflict:
            continue  # Another worker was faster.
    return len(due)


async def claim_due_days(work: Work, space: Space) -> Sequence[date]:
    """The days that are old enough and not yet in the archive, oldest first. Without asking for rights."""
    first = await store.select_archived_until(work.tx, space.id)
    if space.archive is None or first is None:
        return []
    last = work.now().astimezone(UTC).date() - timedelta(days=space.archive.delay_days)
    return [first + timedelta(days=number) for number in range((last - first).days)]


async def note_archived(work: Work, space_id: SpaceId, day: date) -> None:
    """A day is in the archive, with all before it. Without asking for rights."""
    await store.update_archived_until(work.tx, space_id, day + timedelta(days=1))


async def load_event_days(work: Work, space_id: SpaceId) -> list[date]:
    """The days (UTC) on which something has happened in a space, oldest first. Without asking for rights."""
    return await store.select_event_days(work.tx, space_id)


async def forget_archives(work: Work, space_id: SpaceId) -> None:
    """Delete the files of a space. Without asking for rights."""
    prefix = files.blob_key(work.actor.organization_id, f"archives/{to_hex24(space_id)}/")
    async for blob in work.ports.blobs.list(prefix):
        await work.ports.blobs.delete(blob.key)
