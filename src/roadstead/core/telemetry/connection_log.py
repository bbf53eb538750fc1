"""When devices came and went: what the doors have seen, and what is told of devices that are connected elsewhere."""

from collections.abc import Sequence
from datetime import datetime

from roadstead.core import registry
from roadstead.core.messages import DeviceStatusChanged
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.telemetry import connection_store
from roadstead.core.telemetry.connections import TOLD, Connection, LogRow, insert_log
from roadstead.core.work import Work
from roadstead.db import storable
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import DeviceId, TenantId


@operation(Grant.READINGS_WRITE)
async def note_connections(work: Work, device_id: DeviceId, told: list[Connection]) -> None:
    """Somebody says that a device came or went, in this order. The device is what the last of it says.

    Unless something newer is known of it: then this is only written down. What lies ahead happens now.
    """
    await registry.load_device(work, device_id)
    now = work.now()
    rows = [_row(work.tenant_id, device_id, one, min(one.at, now)) for one in told]
    await insert_log(work.tx, rows)
    for one in told:
        news = await connection_store.update_device(
            work.tx, device_id, gateway=TOLD, online=one.connected, at=min(one.at, now)
        )
        if news is not None:
            work.emit(DeviceStatusChanged(device_id, *news))


@operation(Grant.DEVICES_READ)
async def list_connections(
    work: Work, device_id: DeviceId, span: Span, *, limit: int, newest_first: bool = True
) -> list[Connection]:
    """When a device came and went within a span."""
    if await registry.find_device(work, device_id) is None:
        raise NotFound("device", device_id)
    return await connection_store.select_connections(work.tx, device_id, span, limit=limit, newest_first=newest_first)


async def forget_connections(work: Work, device_ids: Sequence[DeviceId], span: Span) -> None:
    """Forget when devices came and went within a span, without asking for rights."""
    await connection_store.delete_connections(work.tx, device_ids, span)


def _row(tenant: TenantId, device_id: DeviceId, one: Connection, at: datetime) -> LogRow:
    reason, address = storable(one.reason), storable(one.address)
    return (tenant, device_id, at, TOLD, 0, one.connected, reason, address, one.received, one.sent)
