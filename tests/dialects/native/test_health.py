"""/devices/{id}/health: what devices say about themselves."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Reading
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok, problem
from tests.dialects.native.test_readings import at, report
from tests.fleet import add_device

DAY = {"from": "2024-05-01T00:00:00Z", "to": "2024-05-02T00:00:00Z"}


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def ailing(tenant: Tenant) -> UUID:
    """A device that reported every minute of an hour how it is, and once its firmware."""
    device = await add_device(tenant.edge.system_database, tenant.tenant_id)
    readings = [Reading("$health/uptimeSeconds", at(minute), minute * 60) for minute in range(60)]
    readings += [Reading("$health/batteryPercent", at(minute), 99.5 - minute) for minute in range(60)]
    readings.append(Reading("$health/firmwareVersion", at(0), "1.2.0"))
    readings.append(Reading("$health/metadata", at(0), '{"slot":"a"}'))
    await report(tenant, device, *readings, Reading("temperature", at(59), 20.0))
    return device


async def test_the_newest_of_everything_a_device_said_of_itself(acme: Tenant, globex: Tenant) -> None:
    device = await ailing(acme)

    health = ok(await acme.api.get(f"/api/v1/devices/{device}/health"))

    assert health == {
        "deviceId": str(device),
        "timestamp": "2024-05-01T12:59:00Z",
        "uptimeSeconds": 3540,
        "batteryPercent": 40.5,
        "firmwareVersion": "1.2.0",
        "metadata": {"slot": "a"},
    }
    assert (await globex.api.get(f"/api/v1/devices/{device}/health")).status_code == 404
    assert (await globex.api.get(f"/api/v1/devices/{device}/health/history")).status_code == 404


async def test_a_device_that_never_reported_has_no_health(acme: Tenant) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)

    assert problem(await acme.api.get(f"/api/v1/devices/{device}/health"))[0] == 404
    assert ok(await acme.api.get(f"/api/v1/devices/{device}/health/history")) == {"items": []}


async def history(tenant: Tenant, device: UUID, **params: Any) -> Any:
    """A page of snapshots."""
    return ok(await tenant.api.get(f"/api/v1/devices/{device}/health/history", params=DAY | params))


async def test_snapshots_come_newest_first_page_by_page(acme: Tenant) -> None:
    device = await ailing(acme)

    collected, cursor = [], None
    while True:
        page = await history(acme, device, limit=25, **({"cursor": cursor} if cursor else {}))
        collected += page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            break

    assert [snapshot["uptimeSeconds"] for snapshot in collected] == [minute * 60 for minute in range(59, -1, -1)]
    assert collected[-1] == {
        "deviceId": str(device),
        "timestamp": "2024-05-01T12:00:00Z",
        "uptimeSeconds": 0,
        "batteryPercent": 99.5,
        "firmwareVersion": "1.2.0",
        "metadata": {"slot": "a"},
    }
    assert [type(snapshot["uptimeSeconds"]) for snapshot in collected[:2]] == [int, int]


async def test_snapshots_are_counted_when_asked_for_by_number(acme: Tenant) -> None:
    device = await ailing(acme)

    page = await history(acme, device, page=2, size=25)
    total = await history(acme, device, includeTotal=True, limit=1)

    assert (page["totalItems"], page["totalPages"], len(page["items"])) == (60, 3, 10)
    assert (total["totalItems"], len(total["items"])) == (60, 1)


async def test_an_interval_thins_to_the_last_of_each_stretch(acme: Tenant) -> None:
    device = await ailing(acme)

    page = await history(acme, device, interval="PT30M")
    first = await history(acme, device, interval="PT30M", limit=1)
    second = await history(acme, device, interval="PT30M", limit=1, cursor=first["nextCursor"])

    assert [(item["timestamp"], item["uptimeSeconds"]) for item in page["items"]] == [
        ("2024-05-01T12:30:00Z", 3540),
        ("2024-05-01T12:00:00Z", 1740),
    ]
    assert first["items"] + second["items"] == page["items"]


@pytest.mark.parametrize(
    ("params", "fields"),
    [({"interval": "soon"}, ["interval"]), ({"from": "2024-05-03T00:00:00Z"}, ["from"]), ({"cursor": "x"}, ["cursor"])],
)
async def test_a_history_that_makes_no_sense_is_refused(
    acme: Tenant, params: dict[str, Any], fields: list[str]
) -> None:
    device = await ailing(acme)

    answer = await acme.api.get(f"/api/v1/devices/{device}/health/history", params=DAY | params)

    assert problem(answer) == (422, "validation-failed", fields)
