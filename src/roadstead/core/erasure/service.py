"""Asking for data to be taken away, and doing it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import commands, jobs, registry, telemetry
from roadstead.core.jobs import RunningJob
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Filter
from roadstead.kernel.filter_json import read_filter, spell_filter
from roadstead.kernel.ids import DeviceId, SpaceId

ERASE = "erasure"
"""The kind of its jobs."""
MOST_DEVICES = 100_000
"""That one job may be about."""
_AT_ONCE = 100


class ErasureDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be taken away."""

    space_id: SpaceId
    where: Filter
    """Of the devices that this is true for when it is asked for."""
    span: Span
    attributes: Sequence[str] | None = None
    """None: all that they have reported."""
    keep_connections: bool = False
    """Else when they came and went is forgotten, too."""
    keep_commands: bool = False
    """Else what they were told is forgotten, too, as far as it is over."""


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A draft as the parameters of a job."""

    devices: dict[str, Any]
    start: datetime
    end: datetime
    attributes: list[str] | None
    keep_connections: bool
    keep_commands: bool


@operation(Grant.READINGS_DELETE)
async def request_erasure(
    work: Work,
    draft: ErasureDraft,
    *,
    name: str,
    email: str | None = None,
    callback_url: str | None = None,
    shown: Mapping[str, Any] | None = None,
    resource: tuple[str, UUID] | None = None,
) -> str:
    """Have it taken away; the id of the job. Raises `Invalid` for an empty span, or a filter about no field."""
    if draft.span.start >= draft.span.end:
        raise Invalid.field("start", "must be before 'end'", code="range")
    # What cannot be asked of devices is told to whoever asks, not to whoever reads the log of the job.
    await registry.load_device_ids(work, draft.where, limit=1)
    wanted = _Wanted(
        devices=spell_filter(registry.within_reach(work, draft.where)),
        start=draft.span.start,
        end=draft.span.end,
        attributes=None if draft.attributes is None else list(draft.attributes),
        keep_connections=draft.keep_connections,
        keep_commands=draft.keep_commands,
    )
    return await jobs.enqueue(
        work,
        ERASE,
        msgspec.to_builtins(wanted),
        space_id=draft.space_id,
        name=name,
        email=email,
        callback_url=callback_url,
        shown=shown,
        resource=resource,
    )


async def erase(job: RunningJob) -> dict[str, Any]:
    """Take it away, device by device. What is gone already is not missed when this is begun anew."""
    wanted = msgspec.convert(job.parameters, _Wanted)
    span = Span(wanted.start, wanted.end)
    async with job.work() as work:
        device_ids = await registry.load_device_ids(work, read_filter(wanted.devices), limit=MOST_DEVICES)
    await job.expect(len(device_ids))
    removed = 0
    for first in range(0, len(device_ids), _AT_ONCE):
        some = device_ids[first : first + _AT_ONCE]
        async with job.work() as work:
            if not wanted.keep_connections:
                await telemetry.forget_connections(work, some, span)
            if not wanted.keep_commands:
                await commands.forget_commands(work, some, span)
        for device_id in some:
            removed += await _erase_readings(job, device_id, wanted.attributes, span)
            job.completed += 1
    return {"removed": removed, "completed": len(device_ids)}


async def _erase_readings(job: RunningJob, device_id: DeviceId, attributes: list[str] | None, span: Span) -> int:
    async with job.work() as work:
        return await telemetry.erase_readings(work, device_id, attributes, span)
