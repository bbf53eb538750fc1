"""Files of data, of devices and of counts (contract sections 11 and 19)."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx

from roadstead.core import metering
from roadstead.core.metering import Counts, Payload
from tests.conftest import Tenant, app_of
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.kept import put_points, uuid_of
from tests.dialects.losant.test_device_callers import device_client
from tests.dialects.losant.test_time_series import BEGIN, KINDS, at
from tests.dialects.losant.world import add_application, add_device, report

__all__ = ["data_path", "edge"]


async def fetch(client: Client, log: dict[str, Any]) -> dict[str, bytes]:
    """What a job has made, file by file."""
    assert log["status"] == "completed", log
    [url] = log["output"]["downloadUrls"]
    parts = urlsplit(url)
    transport = httpx.ASGITransport(app_of(client.tenant.edge))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as anybody:
        answer = await anybody.get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 200, answer.text
    with ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rows(content: bytes) -> list[list[str]]:
    """The cells of a table."""
    return list(csv.reader(io.StringIO(content.decode())))


async def test_data_of_devices_is_one_table_or_one_of_each(edge: Any, acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application_id = await add_application(client)
    names = {"applicationId": application_id}
    first = await add_device(client, application_id, "one", attributes=KINDS)
    second = await add_device(client, application_id, "two", attributes=["level"])
    await put_points(acme, first, "level", [1.0, 2.5, 9.0])
    await put_points(acme, first, "open", [True])
    await put_points(acme, second, "level", [4.0])
    body = {"deviceIds": [first, second], "start": BEGIN, "end": BEGIN + 1000}
    queued = await client.data("data.export", json=body, **names)
    made = await fetch(client, log := await run_job(client, application_id, queued))
    head, *found = rows(made["data.csv"])
    assert head == ["Timestamp", "ISO Date", "ID", "level", "mode", "open"]
    assert sorted(found) == sorted(
        [
            [str(BEGIN), at(0), first, "1", "", "true"],
            [str(BEGIN + 1000), at(1000), first, "2.5", "", ""],
            [str(BEGIN), at(0), second, "4", "", ""],
        ]
    )
    assert log["progress"] == {"completed": 2, "total": 2, "status": "completed"}
    assert (log["input"]["start"], log["name"]) == (BEGIN, "Data export")

    each = body | {
        "attributes": ["level"],
        "options": {"filePerDevice": True, "includeID": False, "includeDate": False},
    }
    made = await fetch(
        client, await run_job(client, application_id, await client.data("data.export", json=each, **names))
    )
    assert set(made) == {f"{first}.csv", f"{second}.csv"}
    assert rows(made[f"{first}.csv"]) == [["Timestamp", "level"], [str(BEGIN), "1"], [str(BEGIN + 1000), "2.5"]]
    assert await theirs.failure("data.export", json=body, **names) == (404, "NotFound")


async def test_data_of_one_device_takes_its_span_from_the_query(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=["level"])
    await put_points(acme, device_id, "level", [1.0, 2.0, 3.0])
    names = {"applicationId": application_id, "deviceId": device_id}
    params = {"start": BEGIN + 1000, "end": BEGIN + 1000, "email": "somebody@acme.test"}
    log = await run_job(client, application_id, await client.data("device.export", params=params, **names))
    assert rows((await fetch(client, log))["data.csv"])[1:] == [[str(BEGIN + 1000), at(1000), device_id, "2"]]
    assert (log["resourceType"], log["input"]["emails"]) == ("device", ["somebody@acme.test"])
    all_ = await run_job(client, application_id, await client.data("device.export", json={}, **names))
    assert len(rows((await fetch(client, all_))["data.csv"])) == 4


async def test_files_that_were_reported_are_in_it_when_that_is_asked_for(data_path: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    kinds = [{"name": "photo", "dataType": "blob", "contentType": "image/png"}, {"name": "level", "dataType": "number"}]
    device_id = await add_device(client, application_id, attributes=kinds)
    await report(client, application_id, device_id, {"photo": "aGVsbG8=", "level": 1})
    names = {"applicationId": application_id}
    body: dict[str, Any] = {"deviceIds": [device_id], "options": {"includeBlobData": True, "includeDate": False}}
    made = await fetch(
        client, await run_job(client, application_id, await client.data("data.export", json=body, **names))
    )
    head, row = rows(made["data.csv"])
    assert head == ["Timestamp", "ID", "level", "photo"]
    assert row[1:] == [device_id, "1", "aGVsbG8="]
    body["options"]["includeBlobData"] = False
    made = await fetch(
        client, await run_job(client, application_id, await client.data("data.export", json=body, **names))
    )
    assert rows(made["data.csv"])[0] == ["Timestamp", "ID", "level"]
    asked = {"deviceIds": [device_id], "aggregation": "LAST", "resolution": 1000, "attributes": ["photo"]}
    found = await client.data("data.timeSeriesQuery", json=asked, **names)
    [point] = found["devices"][device_id]["points"]
    assert point["data"]["photo"].startswith("http://api.test/storage/")


async def test_devices_are_a_table_with_their_tags_or_json(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    names = {"applicationId": application_id}
    tags = [{"key": "dock", "value": "east"}, {"key": "dock", "value": "north"}]
    first = await add_device(client, application_id, "one", attributes=["level"], tags=tags, description="The, first")
    second = await add_device(client, application_id, "two", deviceClass="gateway")
    made = await fetch(client, await run_job(client, application_id, await client.data("devices.export", **names)))
    head, *found = rows(made["devices.csv"])
    by_id = {row[0]: dict(zip(head, row, strict=True)) for row in found}
    assert set(by_id) == {first, second}
    assert {
        "Name": "one", "Description": "The, first", "Device Class": "standalone", "Attributes": "level",
        "Tag dock": "east, north", "Connected": "false",
    }.items() <= by_id[first].items()  # fmt: skip
    body = {"format": "json", "query": {"name": "two"}}
    queued = await client.data("devices.export", json=body, **names)
    made = await fetch(client, await run_job(client, application_id, queued))
    [device] = json.loads(made["devices.json"])
    assert (device["id"], device["deviceClass"], device["tags"]) == (second, "gateway", [])


async def test_counts_of_devices_are_a_table(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id, other = [await add_device(client, application_id, name) for name in "ab"]
    async with acme.edge.system_database.tx() as tx:
        counts = Counts()
        for _ in range(3):
            counts.add(
                acme.tenant_id, uuid_of(device_id), datetime.now(UTC), Payload.DEVICE_STATE, "device.mqtt", size_bytes=9
            )
        await metering.add_counts(tx, counts)
    queued = await client.data("devices.payloadCounts", applicationId=application_id)
    made = await fetch(client, await run_job(client, application_id, queued))
    head, *found = rows(made["payload-counts.csv"])
    assert head[:4] == ["ID", "Name", "deviceState", "deviceCommand"]
    assert sorted(row[:3] for row in found) == sorted([[device_id, "a", "3"], [other, "b", "0"]])


async def test_a_device_has_its_own_data_made_into_a_file_and_no_others(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id, other = [await add_device(client, application_id, name, attributes=["level"]) for name in "ab"]
    await put_points(acme, device_id, "level", [1.0])
    await put_points(acme, other, "level", [2.0])
    program = await device_client(client, application_id, device_id, deviceIds=[device_id])
    names = {"applicationId": application_id}
    queued = await program.data("data.export", json={"deviceQuery": {}}, **names)
    made = await fetch(client, await run_job(client, application_id, queued))
    assert [row[2] for row in rows(made["data.csv"])[1:]] == [device_id]
    asked = {"deviceQuery": {}, "start": BEGIN, "resolution": 1000}
    assert set((await program.data("data.timeSeriesQuery", json=asked, **names))["devices"]) == {device_id}
    last = {"deviceQuery": {}, "attribute": "level"}
    assert set(await program.data("data.lastValueQuery", json=last, **names)) == {device_id}
