"""What lies in the telemetry store and in the state of a device, put there and read straight."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from roadstead.core.messages import Reading, Value
from roadstead.core.ports import Series, Span
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, parse_hex24
from tests.conftest import Tenant

SINCE = datetime(2026, 5, 1, tzinfo=UTC)


def uuid_of(hex24: str) -> UUID:
    """The id that a program sees as 24 digits."""
    found = parse_hex24(hex24)
    assert found is not None
    return found


async def put_points(tenant: Tenant, device: str, path: str, values: Sequence[Value]) -> None:
    """What a device has reported, a value a second, in the store and in its state."""
    store = tenant.edge.ports.telemetry
    columns = store.columns()
    first = time.to_millis(SINCE)
    readings = [Reading(path, first + 1000 * number, value) for number, value in enumerate(values)]
    columns.add(tenant.tenant_id, ids.to_bytes(uuid_of(device)), time.to_millis(time.now()), readings)
    await store.insert(columns)
    latest = msgspec.json.encode({path: [values[-1], readings[-1].at, readings[-1].at]}).decode()
    async with tenant.edge.system_database.tx() as tx:
        sql = "UPDATE device_state SET body = body || %s::jsonb WHERE tenant_id = %s AND device_id = %s"
        await tx.run(sql, latest, tenant.tenant_id, uuid_of(device))


async def points_of(tenant: Tenant, device: str, path: str) -> list[float | None]:
    """The numbers that are kept."""
    span = Span(SINCE, time.now())
    series = [Series(DeviceId(uuid_of(device)), path)]
    found = await tenant.edge.ports.telemetry.points(tenant.tenant_id, series, span, limit=100)
    return [point.number for point in found]
