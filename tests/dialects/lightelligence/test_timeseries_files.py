"""Files with points of a tenant's own series: request, status, file, and what did not fit into it."""

from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.app.mounts import Mount, Mounts
from roadstead.kernel.ids import new_id
from roadstead.web.edge import Edge
from roadstead.workers.file_jobs import FileWorker
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, app_of, check_answer
from tests.dialects.lightelligence.reporting import DAY, fetch, is_waiting, make_due, worker_of
from tests.dialects.lightelligence.test_timeseries import add, put

_EVERYTHING: dict[str, Any] = {}


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest.fixture
def worker(edge: Edge) -> FileWorker:
    """It works when it is told to."""
    return worker_of(edge)


async def ask(client: Client, *series: str, span: Any = DAY, **params: str) -> str:
    """Where the status of a request is told."""
    body = {"dataFilter": span, "timeseriesFilter": {"timeseriesIds": list(series)}}
    if params:
        answer = await client.ask("requestAggregatedFile", json=body | {"params": params})
    else:
        answer = await client.ask("requestRawFile", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"].startswith("/v1/timeseries/requests/")
    return answer.headers["location"]


async def done(client: Client, worker: FileWorker, url: str) -> httpx.Response:
    """The status once it is no more being worked on; files of other tests may come before it."""
    while (answer := await fetch(client, url)).status_code == 200 and answer.json()["data"]["status"] == "new":
        check_answer("getFileRequest", answer)
        assert await worker.work_once()
    return answer


async def file(client: Client, worker: FileWorker, url: str) -> Any:
    """The file at the end of a request."""
    answer = await done(client, worker, url)
    check_answer("getFileRequest", answer)
    assert answer.status_code == 303, answer.text
    found = await fetch(client, answer.headers["location"])
    assert found.status_code == 200, found.text
    check_answer("downloadFile", found)
    return found.json()


async def test_a_request_leads_to_a_file_with_the_points_of_all_series(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    numbers, places = await add(client), await add(client, "object")
    await put(client, numbers, (0, 1.5), (1, 2), (3_000, 9))
    await put(client, places, (0, {"lat": 1}))

    found = await file(client, worker, await ask(client, numbers, places))

    assert found["meta"] == {"nextRequestUrl": ""}
    points = {(point["timeseriesId"], point["time"]): point["value"] for point in found["data"]}
    assert points == {
        (numbers, "2024-05-01T12:00:00Z"): 1.5,
        (numbers, "2024-05-01T12:01:00Z"): 2,
        (places, "2024-05-01T12:00:00Z"): {"lat": 1},
    }
    everything = await file(client, worker, await ask(client, numbers, span=_EVERYTHING))
    assert [point["value"] for point in everything["data"]] == [9, 2, 1.5]


async def test_series_are_chosen_by_metadata_and_within_the_tenant(
    acme: Tenant, globex: Tenant, worker: FileWorker
) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    mine = await add(client, metadata={"site": "A"})
    theirs = await add(stranger, metadata={"site": "A"})
    for one, series in ((client, mine), (stranger, theirs), (client, await add(client, metadata={"site": "B"}))):
        await put(one, series, (0, 1))
    body = {"dataFilter": DAY, "timeseriesFilter": {"metadata": {"site": "A"}}}

    url = (await client.ask("requestRawFile", json=body)).headers["location"]
    found = await file(client, worker, url)
    assert [point["timeseriesId"] for point in found["data"]] == [mine]
    assert (await file(client, worker, await ask(client, theirs)))["data"] == []

    location = (await fetch(client, url)).headers["location"]
    for place in (url, location):
        assert (await fetch(stranger, place)).status_code == 404
        assert (await fetch(Client(acme), place)).status_code == 401


async def test_a_file_may_have_frames(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    numbers, places = await add(client), await add(client, "object")
    await put(client, numbers, (0, 1), (1, 2), (20, 9))
    await put(client, places, (0, {"lat": 1}))

    def told(found: Any) -> list[tuple[str, str, Any]]:
        return [(point["timeseriesId"], point["time"], point["value"]) for point in found["data"]]

    found = await file(client, worker, await ask(client, numbers, places, aggregation="mean", frameSize="15m"))
    assert told(found) == [
        (numbers, "2024-05-01T12:15:00.000Z", 9),
        (numbers, "2024-05-01T12:00:00.000Z", 1.5),
    ]
    found = await file(client, worker, await ask(client, numbers, places, aggregation="count"))
    day = "2024-05-01T00:00:00.000Z"
    assert sorted(told(found)) == sorted([(numbers, day, 3), (places, day, 1)])


@pytest.mark.parametrize("params", [{}, {"aggregation": "sum", "frameSize": "1m"}])
async def test_what_does_not_fit_into_a_file_is_in_the_next(
    acme: Tenant, worker: FileWorker, monkeypatch: pytest.MonkeyPatch, params: dict[str, str]
) -> None:
    client = await Client.of(acme)
    series = sorted([await add(client), await add(client), await add(client)], key=UUID)
    for one in series:
        await put(client, one, *[(minute, minute) for minute in range(7)])
    monkeypatch.setattr("roadstead.core.timeseries.reading.MOST_IN_FILE", 5)
    monkeypatch.setattr("roadstead.core.timeseries.curves._PAGE", 3)

    url, seen, files = await ask(client, *series, **params), [], 0
    while url:
        found = await file(client, worker, url)
        seen += [(point["timeseriesId"], point["value"]) for point in found["data"]]
        url, files = found["meta"]["nextRequestUrl"], files + 1
        assert url == "" or url.startswith("http://api.olt.test/v1/timeseries/requests/")

    assert seen == [(one, value) for one in series for value in range(6, -1, -1)]
    assert files > 3


async def test_a_request_says_how_it_stands_until_its_hour_is_over(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    series = await add(client)
    url = await ask(client, series)
    status = await client.data("getFileRequest", requestId=url.rpartition("/")[2])
    assert status["status"] == "new"
    assert status["createdAt"] <= status["updatedAt"]
    gone = (404, "TIMESERIES_RESOURCE_NOT_FOUND")
    assert await client.failure("downloadFile", fileId=url.rpartition("/")[2]) == gone

    location = (await done(client, worker, url)).headers["location"]
    await make_due(acme)
    await worker.sweep()
    assert (await fetch(client, url)).status_code == 404
    assert (await fetch(client, location)).status_code == 404
    assert await client.failure("getFileRequest", requestId=new_id()) == gone


async def test_a_request_below_a_prefix_leads_to_what_is_below_it(acme: Tenant, worker: FileWorker) -> None:
    client = await Client.of(acme)
    series = await add(client)
    below = Mounts(app_of(acme), [Mount("/lightelligence", frozenset(), app_of(acme))])
    transport = httpx.ASGITransport(below)  # type: ignore[arg-type]
    body = {"dataFilter": {}, "timeseriesFilter": {"timeseriesIds": [series]}}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=client.http.headers) as http:
        asked = await http.post("/lightelligence/v1/timeseries/raw-data", json=body)
        url = asked.headers["location"]
        assert url.startswith("/lightelligence/v1/timeseries/requests/")
        await done(client, worker, url.removeprefix("/lightelligence"))
        found = await http.get(url)
    assert found.headers["location"].startswith("/lightelligence/v1/timeseries/files/")


async def test_a_file_that_cannot_be_made_is_told(
    acme: Tenant, worker: FileWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await Client.of(acme)
    series = await add(client)
    url = await ask(client, series)

    async def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("a defect")

    monkeypatch.setattr(acme.edge.ports.telemetry, "points", broken)
    for _ in range(3):
        await make_due(acme)
        while await is_waiting(acme):
            assert await worker.work_once()
    assert (await fetch(client, url)).json()["data"]["status"] == "failed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dataFilter": {}},
        {"dataFilter": {}, "timeseriesFilter": {}},
        {"dataFilter": {}, "timeseriesFilter": {"timeseriesIds": []}},
        {"dataFilter": {}, "timeseriesFilter": {"metadata": {}}},
        {"dataFilter": {"startTime": "noon"}, "timeseriesFilter": {"metadata": {"site": "A"}}},
        {"dataFilter": {}, "timeseriesFilter": {"name": "load"}},
    ],
)
async def test_what_cannot_be_made_is_refused(acme: Tenant, body: Any) -> None:
    client = await Client.of(acme)

    refused = (400, "TIMESERIES_VALIDATION")
    assert await client.failure("requestRawFile", json=body) == refused
    frames = body | {"params": {"aggregation": "sum"}}
    assert await client.failure("requestAggregatedFile", json=frames) == refused
    right = {"dataFilter": {}, "timeseriesFilter": {"metadata": {"site": "A"}}}
    assert await client.failure("requestAggregatedFile", json=right) == refused
    odd = right | {"params": {"aggregation": "sum", "frameSize": "2h"}}
    assert await client.failure("requestAggregatedFile", json=odd) == refused
