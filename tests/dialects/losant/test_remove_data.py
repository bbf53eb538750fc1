"""Data of devices is taken away, of a span, of some attributes, or altogether (contract section 8)."""

from datetime import timedelta
from typing import Any

from roadstead.kernel import time
from roadstead.kernel.ids import to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.kept import points_of, put_points, uuid_of
from tests.dialects.losant.test_time_series import BEGIN
from tests.dialects.losant.world import add_application, add_device, report

__all__ = ["data_path", "edge"]


async def _latest(tenant: Tenant, device_id: str) -> dict[str, Any]:
    """The newest values by the native API."""
    answer = await tenant.api.get("/api/v1/readings/latest", params={"deviceId": str(uuid_of(device_id))})
    return {reading["sensorId"]: reading["value"] for reading in answer.json()["items"]}


async def test_a_span_of_a_device_goes_and_the_newest_value_is_one_that_is_left(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id, other = [await add_device(client, application_id, name, attributes=["level"]) for name in "ab"]
    for each in (device_id, other):
        await put_points(acme, each, "level", [1.0, 2.0, 3.0, 4.0])
    names = {"applicationId": application_id, "deviceId": device_id}
    params = {"start": BEGIN + 2000, "end": BEGIN + 3000}
    queued = await client.data("device.removeData", params=params, **names)
    log = await run_job(client, application_id, queued)
    assert (log["status"], log["output"]) == ("completed", {"removed": 2, "completed": 1})
    assert (log["resourceType"], log["resourceId"]) == ("device", device_id)
    assert await points_of(acme, device_id, "level") == [1.0, 2.0]
    assert list((await _latest(acme, device_id)).values()) == [2.0]
    await run_job(client, application_id, await client.data("device.removeData", **names))
    assert await points_of(acme, device_id, "level") == []
    assert await _latest(acme, device_id) == {}
    assert await points_of(acme, other, "level") == [1.0, 2.0, 3.0, 4.0]


async def test_some_attributes_of_the_devices_of_a_query_go(edge: Any, acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application_id, elsewhere = await add_application(client), await add_application(client, "Mill")
    device_id = await add_device(client, application_id, "one", attributes=["level", "speed"])
    stranger = await add_device(client, elsewhere, "one", attributes=["level"])
    for device, path in ((device_id, "level"), (device_id, "speed"), (stranger, "level")):
        await put_points(acme, device, path, [1.0, 2.0])
    body = {"query": {"name": "one"}, "attributes": ["level"]}
    names = {"applicationId": application_id}
    await run_job(client, application_id, await client.data("devices.removeData", json=body, **names))
    assert await points_of(acme, device_id, "level") == []
    assert await points_of(acme, device_id, "speed") == [1.0, 2.0]
    assert await points_of(acme, stranger, "level") == [1.0, 2.0]
    assert await theirs.failure("devices.removeData", json=body, **names) == (404, "NotFound")
    assert await client.failure("devices.removeData", json={}, **names) == (400, "Validation")


async def test_connections_and_commands_are_kept_where_that_is_wished(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=["level"])
    names = {"applicationId": application_id, "deviceId": device_id}
    said = {"status": "connected", "connectedAt": (time.now() - timedelta(minutes=1)).isoformat()}
    await client.data("device.setConnectionStatus", json=said, **names)
    await client.data("device.sendCommand", json={"name": "stop"}, **names)
    async with acme.edge.system_database.tx() as tx:
        sql = "UPDATE command SET status = 'SUCCESS', completed_at = now(), due_at = NULL WHERE tenant_id = %s"
        await tx.run(sql, acme.tenant_id)

    async def count() -> tuple[int, int]:
        commands = await client.data("device.getCommand", params={"limit": 10}, **names)
        logs = await client.data("device.getLogEntries", params={"limit": 10}, **names)
        return len(commands), len(logs)

    assert await count() == (1, 1)
    keep = {"query": {}, "keepConnectionHistory": True, "keepCommandHistory": True}
    asked = {"applicationId": application_id}
    await run_job(client, application_id, await client.data("devices.removeData", json=keep, **asked))
    assert await count() == (1, 1)
    keep["keepConnectionHistory"] = False
    await run_job(client, application_id, await client.data("devices.removeData", json=keep, **asked))
    assert await count() == (1, 0)
    await run_job(client, application_id, await client.data("device.removeData", **names))
    assert await count() == (0, 0)


async def test_files_go_with_the_last_value_that_stands_for_them(data_path: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=[{"name": "photo", "dataType": "blob"}])
    now = time.to_millis(time.now()) - 10_000
    for offset, content in enumerate(("aGVsbG8=", "aGVsbG8=", "d29ybGQ=")):
        await report(client, application_id, device_id, {"photo": content}, time=now + 1000 * offset)
    names = {"applicationId": application_id, "deviceId": device_id}

    async def files() -> int:
        blobs = acme.edge.ports.blobs.list(f"{acme.organization_id}/")
        return len([blob async for blob in blobs if to_hex24(uuid_of(device_id)) in blob.key])

    assert await files() == 2
    gone = await client.data("device.removeData", params={"start": now, "end": now + 500}, **names)
    await run_job(client, application_id, gone)
    assert await files() == 2
    gone = await client.data("device.removeData", params={"start": now, "end": now + 1500}, **names)
    await run_job(client, application_id, gone)
    assert await files() == 1
