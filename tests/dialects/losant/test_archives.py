"""Archives: what an application has gathered on a day, as files that are kept."""

import io
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx

from roadstead.core.messages import Reading
from roadstead.kernel import ids
from roadstead.kernel.time import to_millis
from roadstead.workers.archiving import ArchiveClock
from tests.conftest import Tenant, app_of
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import edge
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.kept import uuid_of
from tests.dialects.losant.test_exports import rows
from tests.dialects.losant.world import add_application, add_device

__all__ = ["edge"]
DAY = date(2026, 3, 14)
NOON = to_millis(datetime(2026, 3, 14, 12, tzinfo=UTC))
DAY_MS = 86_400_000


async def _put(tenant: Tenant, device: str, values: list[float], *, begin: int) -> None:
    """What a device has reported, a value a second."""
    store = tenant.edge.ports.telemetry
    columns = store.columns()
    readings = [Reading("level", begin + 1000 * number, value) for number, value in enumerate(values)]
    columns.add(tenant.tenant_id, ids.to_bytes(uuid_of(device)), begin, readings)
    await store.insert(columns)


async def _fetch(client: Client, url: str) -> bytes:
    parts = urlsplit(url)
    transport = httpx.ASGITransport(app_of(client.tenant.edge))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as anybody:
        answer = await anybody.get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 200, answer.text
    return answer.content


async def _archive(client: Client, id_: str, when: Any = NOON) -> dict[str, Any]:
    queued = await client.data("application.archiveData", applicationId=id_, params={"date": when})
    log = await run_job(client, id_, queued)
    assert log["status"] == "completed", log
    output: dict[str, Any] = log["output"]
    return output


async def test_a_day_is_a_table_for_each_device_that_has_said_something(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    pump = await add_device(client, id_, "Pump", attributes=["level"])
    await add_device(client, id_, "Silent", attributes=["level"])
    await _put(acme, pump, [1.0, 2.0], begin=NOON)
    await _put(acme, pump, [3.0], begin=NOON + DAY_MS)
    output = await _archive(client, id_, DAY.isoformat())
    with ZipFile(io.BytesIO(await _fetch(client, output["downloadUrls"][0]))) as archive:
        assert archive.namelist() == [f"{pump}.csv"]
        head, *found = rows(archive.read(f"{pump}.csv"))
    assert head == ["Timestamp", "ISO Date", "level"]
    assert [each[2] for each in found] == ["1", "2"]


async def test_an_archive_holds_what_was_asked_for(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    pump = await add_device(client, id_, "Pump", attributes=["level"], tags=[{"key": "hall", "value": "1"}])
    crane = await add_device(client, id_, "Crane", attributes=["level"])
    for device in (pump, crane):
        await _put(acme, device, [1.0], begin=NOON)
    for mode, wanted in (("whitelist", pump), ("blacklist", crane)):
        config = {"mode": mode, "deviceTags": [{"key": "hall"}], "directory": "cold/store"}
        await client.data("application.patch", applicationId=id_, json={"archiveConfig": config})
        output = await _archive(client, id_)
        assert output["devicesDirectory"] == f"archives/{id_}/cold/store"
        with ZipFile(io.BytesIO(await _fetch(client, output["downloadUrls"][0]))) as archive:
            assert archive.namelist() == [f"{wanted}.csv"]


async def test_events_of_the_day_are_a_table(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    config = {"includeDevices": False, "includeEvents": True}
    id_ = await add_application(client, archiveConfig=config)
    body = {"level": "warning", "subject": "Leak"}
    for days in (3, 2):
        at = datetime.now(UTC) - timedelta(days=days)
        await client.data("events.post", applicationId=id_, json=body | {"subject": f"Leak {days}"})
        async with acme.edge.system_database.tx() as tx:
            sql = "UPDATE event SET occurred_at = %s WHERE tenant_id = %s AND subject = %s"
            await tx.run(sql, at, acme.tenant_id, f"Leak {days}")
    output = await _archive(client, id_, -2 * DAY_MS)
    head, *found = rows(await _fetch(client, output["downloadUrls"][0]))
    assert [each[head.index("subject")] for each in found] == ["Leak 2"]
    queued = await client.data("application.backfillArchiveData", applicationId=id_)
    assert len((await run_job(client, id_, queued))["output"]["downloadUrls"]) == 2
    queued = await client.data("application.fullEventsArchive", applicationId=id_)
    log = await run_job(client, id_, queued)
    head, *found = rows(await _fetch(client, log["output"]["downloadUrls"][0]))
    assert sorted(each[head.index("subject")] for each in found) == ["Leak 2", "Leak 3"]


async def test_backfill_archives_every_day_with_data(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, archiveConfig={"delayDays": 2})
    pump = await add_device(client, id_, "Pump", attributes=["level"])
    now = to_millis(datetime.now(UTC))
    for days in (0, 1, 5, 90):
        await _put(acme, pump, [1.0], begin=now - days * DAY_MS)
    queued = await client.data("application.backfillArchiveData", applicationId=id_)
    output = (await run_job(client, id_, queued))["output"]
    assert len(output["downloadUrls"]) == 2


async def test_days_that_have_become_old_enough_are_archived_by_themselves(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client, archiveConfig={"delayDays": 2})
    pump = await add_device(client, id_, "Pump", attributes=["level"])
    now = to_millis(datetime.now(UTC))
    await _put(acme, pump, [1.0], begin=now - 3 * DAY_MS)
    clock = ArchiveClock(acme.edge.system_database, acme.edge.ports)
    await clock.tick()
    assert (await client.data("applicationJobLogs.get", applicationId=id_))["items"] == []
    async with acme.edge.system_database.tx() as tx:
        sql = "UPDATE space SET archived_until = archived_until - 2 WHERE tenant_id = %s AND archive IS NOT NULL"
        await tx.run(sql, acme.tenant_id)
    await clock.tick()
    await clock.tick()
    [log] = (await client.data("applicationJobLogs.get", applicationId=id_))["items"]
    done = await run_job(client, id_, {"success": True, "jobQueued": True, "jobId": log["id"]})
    assert len(done["output"]["downloadUrls"]) == 1
    await clock.tick()
    assert (await client.data("applicationJobLogs.get", applicationId=id_))["totalCount"] == 1


async def test_a_day_keeps_its_files_when_its_data_has_gone(edge: Any, acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    id_ = await add_application(client)
    pump = await add_device(client, id_, "Pump", attributes=["level"])
    await _put(acme, pump, [1.0], begin=NOON)
    first = await _fetch(client, (await _archive(client, id_))["downloadUrls"][0])
    await client.data("deviceAttribute.delete", applicationId=id_, deviceId=pump, name="level")
    assert await _fetch(client, (await _archive(client, id_))["downloadUrls"][0]) == first
    assert await theirs.failure("application.archiveData", applicationId=id_, params={"date": NOON}) == (
        404,
        "NotFound",
    )


async def test_one_archive_at_a_time_of_days_that_are_over(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    names = {"applicationId": id_}
    for wrong in ("", "soon", 0):
        assert await client.failure("application.archiveData", params={"date": wrong}, **names) == (400, "Validation")
    queued = await client.data("application.archiveData", params={"date": NOON}, **names)
    assert await client.failure("application.archiveData", params={"date": NOON}, **names) == (409, "Conflict")
    assert (await run_job(client, id_, queued))["output"]["downloadUrls"] == []
    directory = {"archiveConfig": {"directory": "../../elsewhere"}}
    assert await client.failure("application.patch", json=directory, **names) == (400, "Validation")
