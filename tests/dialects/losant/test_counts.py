"""How much there was: devices and messages, by day and hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

from roadstead.core import metering
from roadstead.core.metering import Counts, Payload
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application


async def _add_devices(client: Client, application_id: str, count: int) -> list[str]:
    made = [
        await client.data("devices.post", applicationId=application_id, json={"name": f"Pump {number}"})
        for number in range(count)
    ]
    return [each["id"] for each in made]


async def _count(tenant: Tenant, device_id: str, at: datetime, *, times: int = 1) -> None:
    """Count messages of a device as the worker does."""
    async with tenant.edge.system_database.tx() as tx:
        id_ = await tx.value("SELECT id FROM device WHERE tenant_id = %s ORDER BY created_at, id", tenant.tenant_id)
        counts = Counts()
        for _ in range(times):
            counts.add(tenant.tenant_id, id_, at, Payload.DEVICE_STATE, "device.mqtt", size_bytes=10)
        await metering.add_counts(tx, counts)
    assert device_id


def _last(counts: dict[str, Any]) -> dict[str, Any]:
    last: dict[str, Any] = counts["counts"][-1]
    return last


async def test_devices_are_counted_as_they_come_and_go(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    id_, other = await add_application(client), await add_application(client, "Mill")
    first, *_ = await _add_devices(client, id_, 3)
    await _add_devices(client, other, 1)
    await client.data("device.delete", applicationId=id_, deviceId=first)
    counts = await client.data("application.deviceCounts", applicationId=id_)
    assert {"created": 3, "deleted": 1, "total": 2}.items() <= _last(counts).items()
    assert _last(counts)["date"] == datetime.now(UTC).strftime("%Y-%m-%dT00:00:00.000Z")
    assert await theirs.failure("application.deviceCounts", applicationId=id_) == (404, "NotFound")


async def test_there_were_so_many_devices_at_the_end_of_a_day(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    await _add_devices(client, id_, 3)
    async with acme.edge.system_database.tx() as tx:
        sql = """
            WITH today AS (UPDATE device_count SET created = 1 WHERE tenant_id = %s RETURNING *)
            INSERT INTO device_count SELECT tenant_id, space_id, day - 2, 2, 0 FROM today
        """
        await tx.run(sql, acme.tenant_id)
    counts = (await client.data("application.deviceCounts", applicationId=id_))["counts"]
    assert [(each["created"], each["total"]) for each in counts] == [(2, 2), (0, 2), (1, 3)]


async def test_an_empty_organization_had_no_devices(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    counts = await client.data("application.deviceCounts", applicationId=id_)
    assert {each["total"] for each in counts["counts"]} == {0}


async def test_messages_are_counted_by_kind_and_way(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_, other = await add_application(client), await add_application(client, "Mill")
    [device] = await _add_devices(client, id_, 1)
    now = datetime.now(UTC)
    await _count(acme, device, now, times=3)
    await _count(acme, device, now - timedelta(days=40))
    assert await client.data("application.payloadCounts", applicationId=id_) == {"deviceState": {"device.mqtt": 3}}
    params = {"asBytes": True, "start": int((now - timedelta(days=50)).timestamp() * 1000)}
    counted = await client.data("application.payloadCounts", applicationId=id_, params=params)
    assert counted == {"deviceState": {"device.mqtt": 40}}
    assert await client.data("application.payloadCounts", applicationId=other) == {}
    shown = await client.data("application.get", applicationId=id_, params={"summaryInclude": "payloadCount"})
    assert shown["summary"] == {"payloadCount": {"deviceState": {"device.mqtt": 3}}}


async def test_messages_are_charted_by_day_and_hour(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    [device] = await _add_devices(client, id_, 1)
    await _count(acme, device, datetime.now(UTC), times=3)
    days = await client.data("application.payloadCountsBreakdown", applicationId=id_)
    assert len(days["counts"]) == 31
    assert _last(days)["value"] == 3
    params = {"resolution": 3600000, "start": -7_200_000}
    hours = await client.data("application.payloadCountsBreakdown", applicationId=id_, params=params)
    assert len(hours["counts"]) == 3
    assert sum(each["value"] for each in hours["counts"]) == 3
    wrong = {"resolution": 5}
    failure = await client.failure("application.payloadCountsBreakdown", applicationId=id_, params=wrong)
    assert failure == (400, "Validation")


async def test_no_notebook_has_run(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    counted = await client.data("application.notebookMinuteCounts", applicationId=id_)
    assert {each["minutes"] for each in counted["counts"]} == {0}


async def test_the_period_of_many_applications_is_summarised_at_once(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    await _add_devices(client, id_, 2)
    params = {"filter": "Harbour", "include": "deviceCounts,payloadCounts"}
    [shown] = (await client.data("applications.periodSummaries", params=params))["items"]
    assert (shown["name"], shown["applicationId"]) == ("Harbour", id_)
    assert set(shown["summary"]) == {"deviceCounts", "payloadCounts"}
    assert _last(shown["summary"]["deviceCounts"])["total"] == 2
