"""/stream and /stream/ws over real sockets: what is said on the log reaches those who may hear it, and nobody else."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
import websockets
from prometheus_client import CollectorRegistry

from roadstead.bus import Bus, Publisher
from roadstead.core.messages import (
    Accepted,
    AlertChanged,
    BindingChanged,
    CommandChanged,
    ConfigurationReported,
    DesiredStateChanged,
    DeviceStatusChanged,
    EventRaised,
    ExportChanged,
    Fact,
    FactMessage,
    Reading,
    ValueType,
    encode_accepted,
    encode_fact,
    encode_facts,
)
from roadstead.dialects.native import create_app
from roadstead.gateways.http import HttpServer
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId, ExportId, SensorId, new_id
from roadstead.web import listening
from roadstead.web.edge import Edge
from roadstead.web.vigil import Vigil
from roadstead.workers.live import LiveHub, LiveMetrics
from tests.conftest import Tenant
from tests.fleet import add_device, add_sensor

_numbers = itertools.count(1_000_000)


class Server:
    """The API on a port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def sse(self, key: str, *, last: str | None = None, **params: Any) -> AsyncIterator["Sse"]:
        """An open stream of server-sent events."""
        headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last} if last else {})
        async with (
            httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20) as client,
            client.stream("GET", "/api/v1/stream", params=params) as response,
        ):
            yield Sse(response)

    def ws(self, key: str | None, query: str, **options: Any) -> Any:
        """A WebSocket."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = self.url.replace("http", "ws") + f"/api/v1/stream/ws?{query}"
        return websockets.connect(url, additional_headers=headers, **options)


class Sse:
    """Reads server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The next block: its fields; comments under the empty name."""
        block: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line:
                    return block
                name, _, value = line.partition(": ")
                block[name] = value
        return {"event": "(end)"}

    async def event(self) -> tuple[str, str, Any]:
        """The next event: type, id, data."""
        while True:
            block = await self.next()
            if "event" in block:
                return block["event"], block.get("id", ""), msgspec.json.decode(block.get("data", "null"))


@asynccontextmanager
async def serving(edge: Edge) -> AsyncIterator[Server]:
    """The API on a port of its own."""
    http = HttpServer(create_app(edge))
    yield Server(await http.start("127.0.0.1", 0))
    await http.stop()


@pytest_asyncio.fixture
async def server(edge: Edge) -> AsyncIterator[Server]:
    """The API."""
    async with serving(edge) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def publisher(bus: Bus) -> AsyncIterator[Publisher]:
    """The way onto the log for those who have accepted something."""
    opened = Publisher(bus)
    await opened.start()
    yield opened
    await opened.close()


async def report(publisher: Publisher, tenant: Tenant, device: UUID, *values: int) -> None:
    """A device has reported these, and they are stored."""
    readings = [Reading("one", 1_714_564_800_000 + 1_000 * value, value, '{"n":1}') for value in values]
    message = Accepted.of(tenant.tenant_id, ids.to_bytes(device), "native", "readings", 1_714_564_801_000, readings)
    await publisher.put("accepted.0", encode_accepted([message]), message_id=f"a{next(_numbers)}")


async def tell(publisher: Publisher, tenant: Tenant, fact: Fact) -> None:
    """Something has happened in the core."""
    number = next(_numbers)
    body = FactMessage(number, tenant.tenant_id, 1_714_564_800_000, encode_fact(fact))
    await publisher.put(f"facts.{tenant.tenant_id}", encode_facts([body]), message_id=f"f{number}")


async def make_sensor(tenant: Tenant) -> tuple[UUID, UUID]:
    """A device with a sensor."""
    database = tenant.edge.system_database
    device = await add_device(database, tenant.tenant_id)
    return device, await add_sensor(database, tenant.tenant_id, device, "one", ValueType.BIGINT)


async def test_readings_and_devices_are_told_as_they_happen(
    server: Server, acme: Tenant, globex: Tenant, publisher: Publisher
) -> None:
    device, sensor = await make_sensor(acme)
    foreign, _ = await make_sensor(globex)
    async with server.sse(acme.key, topics="reading,device") as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        welcome = await stream.next()
        assert welcome["id"]

        await report(publisher, globex, foreign, 9)
        await report(publisher, acme, device, 5)
        reading = await stream.event()
        await tell(publisher, acme, DeviceStatusChanged(DeviceId(device), "OFFLINE", False))
        status = await stream.event()

    assert reading[0] == "reading"
    assert reading[2] == {
        "sensorId": str(sensor),
        "deviceId": str(device),
        "timestamp": "2024-05-01T12:00:05Z",
        "value": 5,
        "valueType": "BIGINT",
        "metadata": {"n": 1},
        "receivedAt": "2024-05-01T12:00:01Z",
    }
    assert status[0] == "device"
    assert status[2] == {
        "type": "status",
        "deviceId": str(device),
        "timestamp": "2024-05-01T12:00:00Z",
        "status": "OFFLINE",
        "online": False,
    }


async def test_what_the_rooms_of_the_core_say_is_told_under_its_topic_and_resumed(
    server: Server, acme: Tenant, globex: Tenant, publisher: Publisher
) -> None:
    device, sensor = await make_sensor(acme)
    one = new_id()
    facts = [
        CommandChanged(DeviceId(device), one, "SUCCESS"),
        AlertChanged(one, DeviceId(device), "RESOLVED", new_id(), SensorId(sensor), "FIXED"),
        EventRaised(one, DeviceId(device)),
        EventRaised(one, None),
        BindingChanged(one),
        DesiredStateChanged(DeviceId(device)),
        ConfigurationReported(DeviceId(device)),
        ExportChanged(ExportId(one), "READY"),
    ]
    topics = "command,alert,event,binding,export"
    async with server.sse(acme.key, topics=topics) as stream:
        welcome = await stream.next()
        for fact in facts:
            await tell(publisher, globex, fact)
            await tell(publisher, acme, fact)
        heard = [await stream.event() for _ in facts]
    async with server.sse(acme.key, topics=topics, last=heard[3][1]) as stream:
        again = [await stream.event() for _ in facts[4:]]

    id_, at = str(one), {"timestamp": "2024-05-01T12:00:00Z"}
    of_device = {"deviceId": str(device)} | at
    alert = {"alertId": id_, "ruleId": heard[1][2]["ruleId"], "sensorId": str(sensor), "resolution": "FIXED"}
    assert [(name, data) for name, _, data in heard] == [
        ("command", {"commandId": id_, "status": "SUCCESS"} | of_device),
        ("alert", alert | {"status": "RESOLVED"} | of_device),
        ("event", {"eventId": id_} | of_device),
        ("event", {"eventId": id_} | at),
        ("binding", {"type": "changed", "bindingId": id_} | at),
        ("binding", {"type": "desired"} | of_device),
        ("binding", {"type": "reported"} | of_device),
        ("export", {"exportId": id_, "status": "READY"} | at),
    ]
    assert (again, bool(welcome["id"])) == (heard[4:], True)


async def test_who_comes_back_hears_what_was_missed(server: Server, acme: Tenant, publisher: Publisher) -> None:
    device, _ = await make_sensor(acme)
    async with server.sse(acme.key, topics="reading") as stream:
        position = (await stream.next())["id"]
        await report(publisher, acme, device, 1, 2, 3)
        heard = [await stream.event() for _ in range(2)]
    await report(publisher, acme, device, 4)

    async with server.sse(acme.key, topics="reading", last=heard[-1][1]) as stream:
        rest = [await stream.event() for _ in range(2)]
    async with server.sse(acme.key, topics="reading", last=position) as stream:
        everything = [await stream.event() for _ in range(4)]

    assert [data["value"] for _, _, data in heard + rest] == [1, 2, 3, 4]
    assert [id_ for _, id_, _ in everything] == [id_ for _, id_, _ in heard + rest]


async def test_a_quiet_stream_is_kept_alive_and_tells_where_it_is(
    server: Server, acme: Tenant, globex: Tenant, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "KEEP_ALIVE_S", 0.1)
    device, _ = await make_sensor(globex)
    async with server.sse(acme.key, topics="reading") as stream:
        welcome = await stream.next()
        await report(publisher, globex, device, 1)
        ids_heard = {(await stream.next())["id"] for _ in range(5)}

    assert ids_heard - {welcome["id"]}


@pytest.mark.parametrize(
    ("params", "status", "fields"),
    [
        ({}, 422, ["topics"]),
        ({"topics": ""}, 422, ["topics"]),
        ({"topics": "reading,live"}, 422, ["topics"]),
        ({"topics": "weather"}, 422, ["topics"]),
        ({"topics": "reading", "deviceId": "{unknown}"}, 404, []),
        ({"topics": "reading", "deviceId": "{foreign}"}, 404, []),
        ({"topics": "reading", "sensorId": "{unknown}"}, 404, []),
        ({"topics": "reading", "siteId": "{unknown}"}, 404, []),
        ({"topics": "device", "sensorId": "{sensor}"}, 422, ["sensorId"]),
        ({"topics": "reading", "colour": "red"}, 422, ["colour"]),
        ({"topics": "reading", "last": "nonsense"}, 422, ["Last-Event-ID"]),
    ],
)
async def test_what_cannot_be_heard_is_refused(
    acme: Tenant, globex: Tenant, params: dict[str, str], status: int, fields: list[str]
) -> None:
    _, sensor = await make_sensor(acme)
    foreign, _ = await make_sensor(globex)
    spelled = {name: text.format(unknown=new_id(), foreign=foreign, sensor=sensor) for name, text in params.items()}
    headers = {"Last-Event-ID": last} if (last := spelled.pop("last", None)) else {}

    answer = await acme.api.get("/api/v1/stream", params=spelled, headers=headers)

    problem = answer.json()
    assert (answer.status_code, [error.get("parameter") for error in problem.get("errors", [])]) == (status, fields)


@pytest.mark.parametrize(
    ("topic", "grant"),
    [
        ("device", Grant.DEVICES_READ),
        ("command", Grant.COMMANDS_READ),
        ("alert", Grant.ALERTS_READ),
        ("event", Grant.EVENTS_READ),
        ("binding", Grant.CONFIG_READ),
        ("export", Grant.EXPORTS_READ),
    ],
)
async def test_hearing_of_a_topic_needs_the_right_to_read_what_it_is_about(
    acme: Tenant, topic: str, grant: Grant
) -> None:
    for missing in (grant, Grant.READINGS_READ):
        key = await acme.add_key([one for one in Grant if one is not missing])
        answer = await acme.client(key).get("/api/v1/stream", params={"topics": topic})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")
        assert missing in answer.json()["detail"]


async def test_nobody_hears_anything_without_a_credential(acme: Tenant) -> None:
    assert (await acme.client().get("/api/v1/stream", params={"topics": "device"})).status_code == 401


async def test_a_revoked_key_hears_nothing_more(edge: Edge, acme: Tenant) -> None:
    key = await acme.add_key([Grant.READINGS_READ])
    async with (
        serving(msgspec.structs.replace(edge, vigil=Vigil(every_s=0.1))) as server,
        server.sse(key, topics="reading") as stream,
        server.ws(key, "topics=reading") as socket,
    ):
        await stream.next()
        await socket.recv()
        async with edge.system_database.tx() as tx:
            await tx.run("UPDATE api_key SET revoked_at = now() WHERE tenant_id = %s AND prefix = %s",
                         acme.tenant_id, key[:12])  # fmt: skip

        name, _, data = await stream.event()
        assert (name, data["status"], data["code"]) == ("error", 401, "unauthenticated")
        assert await stream.event() == ("(end)", "", None)
        [error] = msgspec.json.decode(await socket.recv())
        assert (error["type"], error["data"]["status"]) == ("error", 401)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


async def test_who_is_too_slow_is_told_so_and_cut_off(
    edge: Edge, bus: Bus, acme: Tenant, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = await make_sensor(acme)
    hub = LiveHub(bus, edge.tenant_database, edge.ports, metrics=LiveMetrics(CollectorRegistry()), most_waiting=5)
    running = asyncio.create_task(hub.run())
    async with (
        serving(msgspec.structs.replace(edge, live=hub)) as server,
        server.sse(acme.key, topics="reading") as stream,
        server.ws(acme.key, "topics=reading") as socket,
    ):
        await stream.next()
        await socket.recv()
        await report(publisher, acme, device, *range(6))

        name, _, data = await stream.event()
        assert (name, data["status"], data["code"]) == ("error", 429, "too-slow")
        [error] = msgspec.json.decode(await socket.recv())
        assert error["data"]["code"] == "too-slow"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4429
        assert "5 events" in closed.value.rcvd.reason
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def hear(socket: Any, count: int) -> list[Any]:
    """The next so many events of a socket, positions left out."""
    heard: list[Any] = []
    async with asyncio.timeout(20):
        while len(heard) < count:
            messages = msgspec.json.decode(await socket.recv())
            heard += [message for message in messages if message["type"] != "position"]
    assert len(heard) == count
    return heard


async def test_the_websocket_tells_the_same_and_goes_on_after_a_cursor(
    server: Server, acme: Tenant, publisher: Publisher
) -> None:
    device, sensor = await make_sensor(acme)
    async with server.ws(acme.key, f"topics=reading,device&deviceId={device}") as socket:
        [position] = msgspec.json.decode(await socket.recv())
        await report(publisher, acme, device, 1, 2)
        heard = await hear(socket, 2)
    await report(publisher, acme, device, 3)
    async with server.ws(acme.key, f"topics=reading&cursor={heard[0]['id']}") as socket:
        rest = await hear(socket, 2)

    assert position["type"] == "position"
    assert [(message["type"], message["data"]["value"]) for message in heard + rest] == [
        ("reading", 1), ("reading", 2), ("reading", 2), ("reading", 3),
    ]  # fmt: skip
    assert heard[0]["data"]["sensorId"] == str(sensor)


async def test_a_browser_shows_its_token_as_a_subprotocol(server: Server, acme: Tenant) -> None:
    protocols = ["roadstead.v1", f"bearer.{acme.key}"]
    async with server.ws(None, "topics=reading", subprotocols=protocols) as socket:
        assert socket.subprotocol == "roadstead.v1"
        [position] = msgspec.json.decode(await socket.recv())
        assert position["type"] == "position"


@pytest.mark.parametrize(
    ("query", "with_key", "code"),
    [
        ("topics=reading", False, 4401),
        ("topics=live", True, 4422),
        ("topics=reading&colour=red", True, 4422),
        ("topics=reading&cursor=x", True, 4422),
        ("topics=reading&siteId=none", True, 4404),
    ],
)
async def test_a_websocket_that_is_refused_says_why_and_closes(
    server: Server, acme: Tenant, query: str, with_key: bool, code: int
) -> None:
    async with server.ws(acme.key if with_key else None, query) as socket:
        [error] = msgspec.json.decode(await socket.recv())
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()

    assert (error["type"], error["data"]["status"]) == ("error", code - 4000)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == code
    assert closed.value.rcvd.reason


async def test_a_websocket_that_is_spoken_to_closes(server: Server, acme: Tenant) -> None:
    async with server.ws(acme.key, "topics=reading") as socket:
        await socket.recv()
        await socket.send("hello")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1003


async def test_without_an_upgrade_the_websocket_asks_for_one(acme: Tenant) -> None:
    answer = await acme.api.get("/api/v1/stream/ws", params={"topics": "reading"})

    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade-required")


async def test_listeners_hold_no_database_connections(server: Server, acme: Tenant) -> None:
    async with AsyncExitStack() as streams:
        for _ in range(12):  # The pool has eight.
            stream = await streams.enter_async_context(server.sse(acme.key, topics="reading"))
            await stream.next()
        assert (await acme.api.get("/api/v1/devices")).status_code == 200


async def test_who_leaves_is_forgotten(server: Server, edge: Edge, acme: Tenant, live: LiveHub) -> None:
    before = live._count
    async with server.sse(acme.key, topics="reading") as stream, server.ws(acme.key, "topics=device") as socket:
        await stream.next()
        await socket.recv()
        assert live._count == before + 2
    async with asyncio.timeout(10):
        while live._count != before:
            await asyncio.sleep(0.01)
