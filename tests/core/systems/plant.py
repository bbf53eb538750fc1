"""Systems with devices below them, what these have said, and a worker that looks when it is told to."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from roadstead.core import registry
from roadstead.core.messages import Accepted, Reading, Uplink, Value
from roadstead.core.registry import AttributeDraft, DataType, Device, DeviceClass, DeviceDraft
from roadstead.core.telemetry import Patches, copy_line, merge_state
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import to_bytes
from roadstead.workers.system_devices import SystemWorker
from tests.conftest import Tenant

START = 1_700_000_000_000
"""When devices have said what nobody dates, in ms."""


class Log:
    """Stands in for the log of device messages: keeps what is put there."""

    def __init__(self) -> None:
        self.uplinks: list[Uplink] = []

    async def put(self, *items: Uplink) -> None:
        """See `Uplinks.put`."""
        self.uplinks += items

    def heard(self, tenant: Tenant) -> list[dict[str, Any]]:
        """All readings of a tenant's devices, in order."""
        mine = [uplink for uplink in self.uplinks if uplink.tenant == tenant.tenant_id]
        return [item for uplink in mine for item in msgspec.json.decode(uplink.payload)]


class Turns:
    """A worker, and its log."""

    def __init__(self, database: Database) -> None:
        self.log = Log()
        self.worker = SystemWorker(database, self.log)

    async def __call__(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Let one interval pass, and do all that is due; what was said of it."""
        await let_pass(tenant)
        known, at = len(self.log.heard(tenant)), time.now()
        with pytest.MonkeyPatch.context() as patch:
            # The clock stands: another interval might begin meanwhile.
            patch.setattr(time, "now", lambda: at)
            await self.settled()
        return self.log.heard(tenant)[known:]

    async def settled(self) -> None:
        """Nothing is due any more."""
        while await self.worker.look():
            pass


async def let_pass(tenant: Tenant, intervals: int = 1) -> None:
    """As if so many intervals had passed since."""
    async with tenant.edge.system_database.tx() as tx:
        sql = "UPDATE system_timer SET due_at = due_at - make_interval(secs => interval_s * %s) WHERE tenant_id = %s"
        await tx.run(sql, intervals, tenant.tenant_id)


async def add(
    work: Work,
    name: str,
    parent: Device | None = None,
    *,
    attributes: Mapping[str, DataType | dict[str, Any]] | None = None,
    class_: DeviceClass | None = None,
    **fields: Any,
) -> Device:
    """A device; of attributes that are worked out, which are numbers, the recipe is told instead of the type."""
    told = {"a": DataType.NUMBER} if attributes is None else attributes
    parent_id = parent.id if parent else None
    device = await registry.create_device(
        work, DeviceDraft(name=name, parent_id=parent_id, device_class=class_, **fields)
    )
    drafts = [
        AttributeDraft(name=each, data_type=DataType.NUMBER, system=kind)
        if isinstance(kind, dict)
        else AttributeDraft(name=each, data_type=kind)
        for each, kind in told.items()
    ]
    await registry.create_device_attributes(work, device.id, drafts)
    return device


async def add_system(work: Work, name: str, parent: Device | None = None, **fields: Any) -> Device:
    """A system; without `attributes` it sums up `a`."""
    attributes = fields.pop("attributes", {"a": recipe("SUM")})
    return await add(work, name, parent, attributes=attributes, class_=DeviceClass.SYSTEM, **fields)


def recipe(function: str, *names: str, mode: str = "all", **chosen: Sequence[Any]) -> dict[str, Any]:
    """How an attribute of a system comes about."""
    children = [{"name": each, "mode": mode} | chosen for each in names or ("a",)]
    return {"aggregation": function, "childAttributes": children}


async def say(tenant: Tenant, device: Device, at: int = START, **values: Value) -> None:
    """What a device has said, as its state has it."""
    readings = [Reading(path, at, value) for path, value in values.items()]
    patches = Patches()
    patches.add(Accepted.of(tenant.tenant_id, to_bytes(device.id), "native", "readings", at, readings))
    async with tenant.edge.system_database.tx() as tx:
        await merge_state(tx, [copy_line(*item, seen=False) for item in patches.items()])


async def sensor_id(tenant: Tenant, device: Device, name: str = "a") -> str:
    """Of an attribute."""
    async with tenant.work() as work:
        attributes = (await registry.find_attributes(work, [device.id]))[device.id]
    return str(next(each.sensor_id for each in attributes if each.name == name))


async def timers(tenant: Tenant) -> dict[UUID, tuple[UUID | None, int, timedelta]]:
    """Whose there are: the parent, the interval, and how long from now."""
    async with tenant.edge.system_database.tx() as tx:
        sql = "SELECT device_id, parent_id, interval_s, due_at FROM system_timer WHERE tenant_id = %s"
        rows = await tx.rows(sql, tenant.tenant_id)
    now = time.now()
    return {device_id: (parent_id, interval_s, due_at - now) for device_id, parent_id, interval_s, due_at in rows}
