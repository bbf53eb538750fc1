"""Logs of jobs: how a program learns what came of what it has queued (contract section 19)."""

from typing import Any

from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.world import add_application, add_device

__all__ = ["data_path", "edge"]


async def test_a_job_is_queued_done_and_found_by_either_of_its_ids(edge: Any, acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application_id = await add_application(client)
    names = {"applicationId": application_id}
    queued = await client.data("devices.export", **names)
    assert len(queued["jobId"]) == 21
    waiting = await client.data("applicationJobLog.get", jobId=queued["jobId"], **names)
    assert (waiting["status"], "output" in waiting, "runStartedAt" in waiting) == ("queued", False, False)
    log = await run_job(client, application_id, queued)
    assert (log["status"], log["requestedByType"], log["resourceId"]) == ("completed", "user", application_id)
    assert await client.data("applicationJobLog.get", jobId=log["id"], **names) == log | {
        "_links": log["_links"] | {"self": {"href": f"/applications/{application_id}/jobLogs/{log['id']}"}}
    }
    assert await client.failure("applicationJobLog.get", jobId="0" * 24, **names) == (404, "NotFound")
    assert await theirs.failure("applicationJobLog.get", jobId=log["id"], **names) == (404, "NotFound")
    elsewhere = await add_application(client, "Mill")
    answer = await client.failure("applicationJobLog.get", applicationId=elsewhere, jobId=log["id"])
    assert answer == (404, "NotFound")


async def test_logs_are_listed_sorted_and_searched(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=["level"])
    names = {"applicationId": application_id}
    await run_job(client, application_id, await client.data("devices.export", **names))
    await client.data("device.export", deviceId=device_id, json={}, **names)
    await client.data("devices.payloadCounts", **names)

    async def ask(**params: Any) -> list[str]:
        page = await client.data("applicationJobLogs.get", params=params, **names)
        assert page["totalCount"] >= page["count"]
        return [each["name"] for each in page["items"]]

    both = ["Device data export", "Devices payload counts"]
    assert await ask() == ["Devices export", *both]
    assert await ask(sortField="name", sortDirection="desc") == ["Devices payload counts", "Devices export", both[0]]
    assert await ask(query={"status": "queued"}) == both
    assert await ask(query={"status": {"$in": ["completed"]}}) == ["Devices export"]
    assert await ask(query={"resourceType": "device", "resourceId": device_id}) == ["Device data export"]
    assert await ask(query={"name": {"$startsWith": "Devices"}}, perPage=1, page=1) == ["Devices payload counts"]
    assert await ask(query={"runCompletedAt": None}) == both


async def test_one_export_of_a_kind_is_made_at_a_time(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    first, second = [await add_device(client, application_id, name) for name in "ab"]
    names = {"applicationId": application_id}
    queued = await client.data("devices.export", **names)
    assert await client.failure("devices.export", **names) == (409, "Conflict")
    await client.data("device.export", deviceId=first, json={}, **names)
    await client.data("device.export", deviceId=second, json={}, **names)
    assert await client.failure("device.export", deviceId=first, json={}, **names) == (409, "Conflict")
    await run_job(client, application_id, queued)
    await client.data("devices.export", **names)


async def test_who_may_not_delete_readings_may_not_have_data_removed(edge: Any, acme: Tenant) -> None:
    client, member = await Client.of(acme), await Client.of(acme, Role.MEMBER)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id)
    names = {"applicationId": application_id, "deviceId": device_id}
    assert await member.failure("device.removeData", **names) == (403, "Forbidden")
    asked = {"applicationId": application_id, "json": {"query": {}}}
    assert await member.failure("devices.removeData", **asked) == (403, "Forbidden")
    assert (await member.ask("device.export", json={}, **names)).status_code == 202


async def test_a_url_or_address_that_cannot_be_one_is_refused_by_name(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    for name, value in (("callbackUrl", "ftp://harbour.test/x"), ("email", "a@b.test\nBcc: c@d.test")):
        answer = await client.ask("data.export", applicationId=application_id, json={"deviceIds": [], name: value})
        assert (answer.status_code, name in answer.json()["message"]) == (400, True)
