"""Files with what was kept of devices: made by a worker, there for an hour, for the tenant alone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core import timeseries
from roadstead.core.ports import TelemetryStore
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import new_id
from roadstead.web.edge import Edge
from roadstead.workers.file_jobs import FileWorker
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, check_answer
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.reporting import (
    DAY,
    NOON,
    fetch,
    fetched,
    is_waiting,
    make_due,
    minutes,
    report,
    told,
    worker_of,
)

PEOPLE, CO2 = "$.attributes.people", "$.attributes.air.co2"
_ONE, _MANY, _FRAMES = "downloadTimeseriesDump", "downloadBulkTimeseriesDump", "downloadBulkAggregation"


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest.fixture
def worker(edge: Edge) -> FileWorker:
    """It works when it is told to."""
    return worker_of(edge)


async def two_sensors(client: Client) -> tuple[str, str]:
    """The ids of two devices of one type, in the order of the files; the first is tagged `hall`."""
    type_ = await add_type(client)
    made = [await add_device(client, type_, name=name, tags=[name]) for name in ("hall", "attic")]
    return made[0]["id"], made[1]["id"]


async def ask(client: Client, device: str, **fields: str) -> str:
    """The URL of a dump of one path."""
    url: str = (await client.data("requestTimeseriesDump", json={"path": PEOPLE} | fields, deviceId=device))["url"]
    return url


async def ask_many(client: Client, device_filter: Any, *paths: str, **fields: str) -> str:
    """The URL of a dump of many."""
    body = {"dataFilter": {"paths": list(paths), **fields}, "deviceFilter": device_filter}
    answer = await client.ask("requestBulkTimeseriesDump", json=body)
    assert answer.status_code == 202, answer.text
    url: str = answer.json()["data"]["url"]
    return url


async def ask_frames(client: Client, device_filter: Any, *paths: str, **params: str) -> str:
    """The URL of frames of many."""
    body = {"dataFilter": {"paths": list(paths), **DAY}, "deviceFilter": device_filter, "params": params}
    answer = await client.ask("requestBulkAggregation", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["data"]["url"]
    return answer.headers["location"]


def by_place(entries: Any) -> dict[tuple[str, str], list[tuple[str, Any]]]:
    """Times and values by device and path, each of which has one entry."""
    found = {(entry["deviceId"], entry["path"]): told(entry["datapoints"]) for entry in entries}
    assert len(found) == len(entries)
    return found


async def test_a_dump_is_an_array_of_all_points_of_a_path(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    device = (await two_sensors(client))[0]
    await report(acme, device, "people", minutes(range(12_000)))
    await report(acme, device, "air.co2", minutes([1.0]))

    url = await ask(client, device)
    assert url.startswith("http://api.olt.test/v1/devices/")
    waiting = await fetch(client, url)
    check_answer(_ONE, waiting)
    assert (waiting.status_code, waiting.json()["errorCode"]) == (404, "TIMESERIES_DUMP_NOT_FOUND")
    points = await fetched(client, worker, url)
    assert [point["value"] for point in points] == list(range(11_999, -1, -1))
    assert points[-1] == {"value": 0, "time": "2024-05-01T12:00:00Z"}
    check_answer(_ONE, await fetch(client, url))

    span = {"startTime": "2024-05-01T12:01:00Z", "endTime": "2024-05-01T12:03:00Z"}
    part = await fetched(client, worker, await ask(client, device, **span))
    assert told(part) == [("2024-05-01T12:02:00Z", 2), ("2024-05-01T12:01:00Z", 1)]
    assert await fetched(client, worker, await ask(client, device, endTime="2024-05-01T12:00:00Z")) == []


async def test_a_dump_of_many_has_an_entry_for_each_device_and_path(
    acme: Tenant, globex: Tenant, worker: FileWorker
) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    hall, attic = await two_sensors(client)
    theirs = (await two_sensors(stranger))[0]
    await report(acme, hall, "people", minutes([1, 2]))
    await report(acme, attic, "people", minutes([3]))
    await report(acme, hall, "air.co2", minutes([400.5]))
    await report(globex, theirs, "people", minutes([99]))

    url = await ask_many(client, {"deviceId": [hall, attic, theirs]}, PEOPLE, CO2, "$.attributes.air.voc")
    entries = await fetched(client, worker, url)

    check_answer(_MANY, await fetch(client, url))
    assert by_place(entries) == {
        (hall, PEOPLE): [("2024-05-01T12:01:00Z", 2), ("2024-05-01T12:00:00Z", 1)],
        (hall, CO2): [("2024-05-01T12:00:00Z", 400.5)],
        (attic, PEOPLE): [("2024-05-01T12:00:00Z", 3)],
        (attic, CO2): [],
    }
    tagged = await fetched(client, worker, await ask_many(client, {"deviceTag": ["Hall"]}, PEOPLE))
    assert [entry["deviceId"] for entry in tagged] == [hall]
    assert await fetched(client, worker, await ask_many(client, {"deviceId": [theirs]}, PEOPLE)) == []


async def test_frames_of_many_are_newest_first_and_without_a_size_one(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    hall, attic = await two_sensors(client)
    await report(acme, hall, "people", [*minutes([1, 2, 9]), (NOON + timedelta(hours=9), 5)])
    await report(acme, attic, "zones[0]", minutes([True, False]))
    both = {"deviceId": [hall, attic]}

    url = await ask_frames(client, both, PEOPLE, "$.attributes.zones[0]", aggregation="mean", frameSize="15m")
    entries = await fetched(client, worker, url)

    check_answer(_FRAMES, await fetch(client, url))
    assert by_place(entries) == {
        (hall, PEOPLE): [("2024-05-01T21:00:00.000Z", 5), ("2024-05-01T12:00:00.000Z", 4)],
        (hall, "$.attributes.zones[0]"): [],
        (attic, PEOPLE): [],
        (attic, "$.attributes.zones[0]"): [("2024-05-01T12:00:00.000Z", 0.5)],
    }
    whole = by_place(await fetched(client, worker, await ask_frames(client, both, PEOPLE, aggregation="max")))
    assert whole == {(hall, PEOPLE): [("2024-05-01T00:00:00.000Z", 9)], (attic, PEOPLE): []}


async def test_a_file_is_for_its_tenant_with_a_token_and_where_it_was_asked_for(
    acme: Tenant, globex: Tenant, worker: FileWorker
) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    hall, attic = await two_sensors(client)
    url = await ask(client, hall)
    await fetched(client, worker, url)
    dump = url.rpartition("/")[2]

    assert (await fetch(stranger, url)).status_code == 404
    assert (await fetch(Client(acme), url)).status_code == 401
    elsewhere = (404, "TIMESERIES_DUMP_NOT_FOUND")
    assert await client.failure(_ONE, deviceId=attic, dumpId=dump) == elsewhere
    assert await client.failure(_MANY, dumpId=dump) == elsewhere
    assert await client.failure(_FRAMES, dumpId=dump) == elsewhere
    assert await client.failure(_ONE, deviceId=hall, dumpId=new_id()) == elsewhere


async def test_a_file_goes_after_an_hour(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    device = (await two_sensors(client))[0]
    url = await ask(client, device)
    await fetched(client, worker, url)
    async with acme.edge.system_database.tx() as tx:
        kept = await tx.value("SELECT due_at - completed_at FROM points_job WHERE tenant_id = %s", acme.tenant_id)
    assert kept == timedelta(hours=1)

    await make_due(acme)
    await worker.sweep()
    assert (await fetch(client, url)).status_code == 404
    assert [blob async for blob in acme.edge.ports.blobs.list(f"{acme.organization_id}/")] == []
    await make_due(acme)
    await worker.sweep()
    async with acme.edge.system_database.tx() as tx:
        assert await tx.value("SELECT count(*) FROM points_job WHERE tenant_id = %s", acme.tenant_id) == 0


async def test_a_worker_that_dies_is_followed_by_another(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    device = (await two_sensors(client))[0]
    await report(acme, device, "people", minutes([1]))
    url = await ask(client, device)
    dump, job = url.rpartition("/")[2], None
    while job is None or str(job.id) != dump:
        async with acme.edge.system_database.tx() as tx:
            job = await timeseries.JOBS.claim(tx)
    await acme.edge.ports.blobs.put(f"{acme.organization_id}/{timeseries.file_name(job.id, job.lease)}", b"[half")
    assert (await fetch(client, url)).status_code == 404

    await make_due(acme)
    assert len(await fetched(client, worker, url)) == 1
    assert len([blob async for blob in acme.edge.ports.blobs.list(f"{acme.organization_id}/")]) == 1


async def test_a_store_that_is_away_is_waited_for(
    acme: Tenant, worker: FileWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await Client.of(acme)
    device = (await two_sensors(client))[0]
    await report(acme, device, "people", minutes([1]))
    url = await ask(client, device)

    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("the telemetry store is away")

    with monkeypatch.context() as patched:
        patched.setattr(acme.edge.ports.telemetry, "points", away)
        while await is_waiting(acme):
            assert await worker.work_once()
    assert (await fetch(client, url)).status_code == 404
    await make_due(acme)
    assert len(await fetched(client, worker, url)) == 1


async def test_memory_holds_a_page_of_a_dump(acme: Tenant, worker: FileWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await Client.of(acme)
    device = (await two_sensors(client))[0]
    await report(acme, device, "people", minutes(range(12_000)))
    store: TelemetryStore = acme.edge.ports.telemetry
    asked: list[int] = []
    stored: list[int] = []
    points = store.points

    async def counted(*args: Any, limit: int, **kwargs: Any) -> Any:
        # What was read before must have been stored by now, but for what is in hand.
        asked.append(limit)
        return await points(*args, limit=limit, **kwargs)

    async def put(key: str, content: AsyncIterator[bytes]) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            async for piece in content:
                stored.append(len(asked))
                yield piece

        return await put_blob(key, pieces())

    put_blob = acme.edge.ports.blobs.put
    monkeypatch.setattr(store, "points", counted)
    monkeypatch.setattr(acme.edge.ports.blobs, "put", put)

    assert len(await fetched(client, worker, await ask(client, device))) == 12_000
    assert max(asked) <= 5_000
    assert stored[0] < stored[1] < stored[2] < len(asked)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dataFilter": {"paths": []}, "deviceFilter": {"deviceTag": ["hall"]}},
        {"dataFilter": {"paths": [PEOPLE]}, "deviceFilter": {}},
        {"dataFilter": {"paths": [PEOPLE]}, "deviceFilter": {"deviceTag": ["ha*"]}},
        {"dataFilter": {"paths": [PEOPLE]}, "deviceFilter": {"deviceColour": ["red"]}},
        {"dataFilter": {"paths": ["$.events.crowded"]}, "deviceFilter": {"deviceTag": ["hall"]}},
        {"dataFilter": {"paths": [PEOPLE], "startTime": "noon"}, "deviceFilter": {"deviceTag": ["hall"]}},
    ],
)
async def test_what_cannot_be_made_is_refused(acme: Tenant, body: Any) -> None:
    client = await Client.of(acme)

    refused = (400, "SENSORLAKEQUERY_VALIDATION")
    assert await client.failure("requestBulkTimeseriesDump", json=body) == refused
    frames = body | {"params": {"aggregation": "sum"}}
    assert await client.failure("requestBulkAggregation", json=frames) == refused
    right = {"dataFilter": {"paths": [PEOPLE]}, "deviceFilter": {"deviceTag": ["hall"]}}
    assert await client.failure("requestBulkAggregation", json=right) == refused


async def test_a_tenant_that_asks_for_too_many_files_is_told_to_wait(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = await Client.of(acme), await Client.of(globex)
    device = (await two_sensors(client))[0]
    monkeypatch.setattr("roadstead.core.timeseries.jobs.MOST_WAITING", 1)
    await ask(client, device)

    assert (await client.failure("requestTimeseriesDump", json={"path": PEOPLE}, deviceId=device))[0] == 429
    await ask(other, (await two_sensors(other))[0])


async def test_a_dump_of_a_path_that_no_rule_keeps_is_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = (await two_sensors(client))[0]

    wrong = {"path": "$.attributes.air.voc"}
    assert await client.failure("requestTimeseriesDump", json=wrong, deviceId=device) == (400, "TIMESERIES_BADREQUEST")
    assert await client.failure("requestTimeseriesDump", json={"path": PEOPLE}, deviceId=new_id()) == (
        404,
        "TIMESERIES_DEVICE",
    )
