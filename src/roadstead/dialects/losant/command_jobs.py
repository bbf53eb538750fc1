"""Background jobs about commands: what is for more devices than one request tells."""

from collections.abc import Mapping
from typing import Any

import msgspec

from roadstead.core import commands, registry
from roadstead.core.commands import Action
from roadstead.core.jobs import Handler, RunningJob
from roadstead.dialects.losant.choices import read_choice
from roadstead.kernel.filter import And, equals

TELLING = "device-command"
_AT_ONCE = 500
_MOST = 200_000
"""Devices of one job."""


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell, and whom."""

    choice: dict[str, Any]
    """Of devices, as it was sent."""
    action: Action


async def tell_devices(job: RunningJob) -> Mapping[str, Any]:
    """In portions. Each device is told once, however often this is begun anew."""
    task = msgspec.convert(job.parameters, Telling)
    where = And((equals("spaceId", job.job.space_id), read_choice(task.choice)))
    action = msgspec.structs.replace(task.action, cause=job.job.id)
    async with job.work() as work:
        device_ids = await registry.load_device_ids(work, where, limit=_MOST)
    await job.expect(len(device_ids))
    told = 0
    for first in range(0, len(device_ids), _AT_ONCE):
        portion = device_ids[first : first + _AT_ONCE]
        async with job.work() as work:
            told += await commands.command_devices(work, portion, action)
        job.completed += len(portion)
    return {"sent": told}


HANDLERS: Mapping[str, Handler] = {TELLING: tell_devices}
"""By kind."""
