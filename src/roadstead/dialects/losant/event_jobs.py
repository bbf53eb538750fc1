"""Background jobs about events: what is too much for one request, and files of them."""

import csv
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import msgspec

from roadstead.core import events, rules
from roadstead.core.events import Event
from roadstead.core.jobs import Handler, RunningJob
from roadstead.core.work import Work
from roadstead.dialects.losant.event_shapes import Asked, EventPatchBody, spell_events
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import And, Compare, Operator
from roadstead.kernel.ids import to_hex24
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import read_as

CHANGING, DELETING, EXPORTING = "event-change", "event-deletion", "event-export"
_AT_ONCE = 200
_COLUMNS = (
    "id", "creationDate", "lastUpdated", "level", "state", "subject", "message", "deviceId", "deviceName",
    "sourceType", "sourceId", "sourceName", "eventTags", "data",
)  # fmt: skip


class Asker(msgspec.Struct, frozen=True):
    """Who asks, and what they may do."""

    name: str
    grants: frozenset[Grant]

    @classmethod
    def of(cls, work: Work) -> "Asker":
        """Whoever has sent the request."""
        return cls(work.actor.name, work.actor.grants)

    def work(self, job: RunningJob, work: Work) -> Work:
        """In their name, so that time lines say who it was."""
        kind, id_ = job.job.requested_as, job.job.requested_by
        actor = msgspec.structs.replace(work.actor, kind=kind, id=id_, name=self.name, grants=self.grants)
        return Work(actor, work.tx, work.ports)


class Changing(msgspec.Struct, frozen=True, kw_only=True):
    """What to do to which events."""

    asked: Asked
    change: dict[str, Any]
    """As it was sent."""
    asker: Asker


class Deleting(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to forget."""

    asked: Asked
    asker: Asker


class Exporting(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to write into a file."""

    asked: Asked
    format: Literal["csv", "json"]
    without_updates: bool


async def change_events(job: RunningJob) -> Mapping[str, Any]:
    """In portions. What was changed since it was asked for is left alone, so that nothing is done twice."""
    task = msgspec.convert(job.parameters, Changing)
    change = read_as(task.change, EventPatchBody).change()
    where = And((task.asked.where(), Compare(("updatedAt",), Operator.LT, job.job.created_at)))
    async with job.work() as work:
        await job.expect(await events.count_incidents(work, job.job.space_id, where))
    last, updated = None, 0
    while True:
        async with job.work() as work:
            found = await events.load_incident_ids(work, job.job.space_id, where, after=last, limit=_AT_ONCE)
            asking = task.asker.work(job, work)
            updated += len(await rules.change_incidents(asking, job.job.space_id, found, change))
        job.completed += len(found)
        if len(found) < _AT_ONCE:
            return {"updated": updated, "skipped": job.completed - updated}
        last = found[-1]


async def delete_events(job: RunningJob) -> Mapping[str, Any]:
    """In portions. Begun anew it goes on with what is left."""
    task = msgspec.convert(job.parameters, Deleting)
    where = And((task.asked.where(), Compare(("occurredAt",), Operator.LE, job.job.created_at)))
    async with job.work() as work:
        await job.expect(await events.count_incidents(work, job.job.space_id, where))
    while True:
        async with job.work() as work:
            asking = task.asker.work(job, work)
            removed = await rules.delete_incidents(asking, job.job.space_id, where, limit=_AT_ONCE)
        job.completed += removed
        if removed < _AT_ONCE:
            return {"removed": job.completed}


async def export_events(job: RunningJob) -> Mapping[str, Any]:
    """One file, newest event last."""
    task = msgspec.convert(job.parameters, Exporting)
    async with job.work() as work:
        await job.expect(await events.count_incidents(work, job.job.space_id, task.asked.where()))
    write = write_csv if task.format == "csv" else _write_json
    kind = "text/csv" if task.format == "csv" else "application/json"
    url = await job.keep_file(f"events.{task.format}", write(job, task), content_type=kind)
    return {"downloadUrls": [url], "exported": job.completed}


HANDLERS: Mapping[str, Handler] = {CHANGING: change_events, DELETING: delete_events, EXPORTING: export_events}
"""By kind."""


async def write_csv(job: RunningJob, task: Exporting) -> AsyncIterator[bytes]:
    """A table of events, in pieces."""
    columns = _COLUMNS if task.without_updates else (*_COLUMNS, "updates")
    yield _line(columns)
    async for spelled in _read(job, task):
        yield b"".join([_line([_cell(fields.get(name)) for name in columns]) for fields in spelled])


async def _write_json(job: RunningJob, task: Exporting) -> AsyncIterator[bytes]:
    mark = b"["
    async for spelled in _read(job, task):
        for fields in spelled:
            yield mark + msgspec.json.encode(fields)
            mark = b",\n"
    yield b"[]" if mark == b"[" else b"]"


async def _read(job: RunningJob, task: Exporting) -> AsyncIterator[list[dict[str, Any]]]:
    """Everything that is meant, in portions."""
    page = PageQuery(limit=_AT_ONCE)
    while True:
        async with job.work() as work:
            found = await events.list_incidents(work, job.job.space_id, task.asked.where(), sort="id", page=page)
            spelled = await spell_events(work, found.items, with_updates=not task.without_updates)
        yield [_whole(event, fields) for event, fields in zip(found.items, spelled, strict=True)]
        job.completed += len(spelled)
        if found.next_cursor is None:
            return
        page = PageQuery(limit=_AT_ONCE, cursor=found.next_cursor)


def _whole(event: Event, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": to_hex24(event.id), **{name: value for name, value in fields.items() if value is not None}}


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _line(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
