"""Live streams over real sockets: what is said on the log reaches those who asked for it, and nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio
import websockets
from prometheus_client import CollectorRegistry

from roadstead.bus import Bus, Publisher
from roadstead.core.identity import Permission
from roadstead.core.messages import (
    Accepted,
    DeviceChanged,
    DeviceDeleted,
    DeviceTypeChanged,
    Reading,
)
from roadstead.dialects.lightelligence import streaming_ws
from roadstead.gateways.http import HttpServer
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId
from roadstead.web.vigil import Vigil
from roadstead.workers.live import LiveHub, LiveMetrics
from tests.conftest import Tenant
from tests.dialects.lightelligence import fleet
from tests.dialects.lightelligence.browsers import platform_of
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.programs import add_application, as_application, install, permissions
from tests.dialects.lightelligence.reports import report
from tests.dialects.lightelligence.streams import (
    AT,
    ATTRIBUTES,
    CONFIGURATION,
    EVENTS,
    Log,
    Server,
    Stream,
    change_device,
    make_device,
    make_type,
    serving,
)
from tests.notifications import until


@pytest_asyncio.fixture
async def server(acme: Tenant) -> AsyncIterator[Server]:
    """The dialect."""
    async with serving(acme) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def log(bus: Bus) -> AsyncIterator[Log]:
    """The way onto the log for those who have accepted something."""
    publisher = Publisher(bus)
    await publisher.start()
    yield Log(publisher)
    await publisher.close()


async def test_updates_are_told_as_objects_by_section(server: Server, acme: Tenant, globex: Tenant, log: Log) -> None:
    device, foreign = await make_device(acme), await make_device(globex)
    stream = await server.open(await Client.of(acme), ATTRIBUTES, CONFIGURATION, EVENTS)
    await log.report(globex, foreign, {"people": 1})
    await log.report(
        acme,
        device,
        {"air.co2": 417.5, "air.voc": 2, "zones[0]": True, "zones[1]": False, "$health/status": "ok"},
        {"configuration/led": "auto"},
        {"motor/temperature": 71.5},
    )
    told = [await stream.next() for _ in range(3)]
    assert told == [
        (
            ATTRIBUTES,
            {
                "deviceId": str(device),
                "time": "2024-05-01T12:00:00Z",
                "value": {"air": {"co2": 417.5, "voc": 2}, "zones": [True, False]},
            },
        ),
        (CONFIGURATION, {"deviceId": str(device), "time": "2024-05-01T12:00:00Z", "value": {"led": "auto"}}),
        (
            ATTRIBUTES,
            {"deviceId": str(device), "time": "2024-05-01T12:00:00Z", "value": {"motor": {"temperature": 71.5}}},
        ),
    ]
    await log.raise_event(globex, foreign, "crowded", {"people": 1})
    await log.raise_event(acme, device, "crowded", {"people": 40})
    type_, payload = await stream.next()
    assert (type_, payload["deviceId"], payload["type"]) == (EVENTS, str(device), "crowded")
    assert payload["value"] == {"people": 40}
    await stream.close()


async def test_texts_that_stand_for_something_else_are_told_as_what_they_are(
    server: Server, acme: Tenant, log: Log
) -> None:
    typed = await make_device(acme, type_id=await make_type(acme, "Lamp"))
    native = await make_device(acme)
    stream = await server.open(await Client.of(acme), ATTRIBUTES)
    await log.report(acme, typed, {"note": "[1]", "mixed": '"two"'})
    await log.report(acme, typed, {"mixed": "3"})
    await log.report(acme, native, {"note": "[1]"})
    assert await stream.values(3) == [{"note": "[1]", "mixed": "two"}, {"mixed": 3}, {"note": [1]}]
    await stream.close()


async def test_values_of_several_times_and_repeats_are_told_one_after_the_other(
    server: Server, acme: Tenant, log: Log
) -> None:
    device = await make_device(acme)
    stream = await server.open(await Client.of(acme), ATTRIBUTES, deviceId=str(device))
    readings = [Reading("one", AT, 1), Reading("two", AT, 2), Reading("one", AT, 3), Reading("one", AT + 1_000, 4)]
    message = Accepted.of(acme.tenant_id, ids.to_bytes(device), "native", "readings", AT, readings)
    await log.accept(message)
    assert await stream.values(3) == [{"one": 1, "two": 2}, {"one": 3}, {"one": 4}]
    await stream.close()


async def test_each_filter_narrows_and_paths_and_events_only_their_own_kind(
    server: Server, acme: Tenant, log: Log
) -> None:
    device, other = await make_device(acme), await make_device(acme)
    stream = await server.open(
        await Client.of(acme),
        ATTRIBUTES,
        CONFIGURATION,
        EVENTS,
        deviceId=[str(device), str(uuid4())],
        path={"attributes": ["$.air", "$.zones[1]"]},
        event="crowded",
    )
    await log.report(acme, other, {"air.co2": 0})
    await log.report(acme, device, {"airy": 1}, {"air.co2": 2, "people": 2}, {"zones[0]": 3}, {"zones[1]": 4})
    await log.report(acme, device, {"configuration/led": "on"})
    assert await stream.values(3) == [{"air": {"co2": 2}, "people": 2}, {"zones": [None, 4]}, {"led": "on"}]
    await log.raise_event(acme, device, "tampered")
    await log.raise_event(acme, other, "crowded", {"people": 1})
    await log.raise_event(acme, device, "crowded")
    assert await stream.values(1) == [{}]
    await stream.close()


async def test_what_becomes_of_a_device_acts_on_streams_that_run(server: Server, acme: Tenant, log: Log) -> None:
    hall, cellar = await make_type(acme, "Hall sensor"), await make_type(acme, "Cellar", categories=["urn:x:dark"])
    device = await make_device(acme, type_id=hall, name="Living 1")
    client = await Client.of(acme)
    by_tag = await server.open(client, ATTRIBUTES, deviceTag="bright*")
    by_type = await server.open(client, ATTRIBUTES, deviceTypeName=["hall*"], deviceName=["LIVING*"])
    by_category = await server.open(client, ATTRIBUTES, deviceTypeCategory=["urn:x:dark"])

    await log.report(acme, device, {"n": 1})
    assert await by_type.values(1) == [{"n": 1}]

    assert (await acme.api.patch(f"/api/v1/devices/{device}", json={"tags": {"bright-one": ""}})).status_code == 200
    await log.tell(acme, DeviceChanged(DeviceId(device)))
    await told(client, server, log, device)
    await log.report(acme, device, {"n": 2})
    assert await by_tag.values(1) == [{"n": 2}]
    assert await by_type.values(1) == [{"n": 2}]

    await change_device(acme, device, type_id=cellar)
    await log.tell(acme, DeviceChanged(DeviceId(device)))
    await told(client, server, log, device)
    await log.report(acme, device, {"n": 3})
    assert await by_category.values(1) == [{"n": 3}]

    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE device_type SET name = 'Hall of old' WHERE id = %s", cellar)
    await log.tell(acme, DeviceTypeChanged(cellar))
    await told(client, server, log, device)
    await log.report(acme, device, {"n": 4})
    assert await by_type.values(1) == [{"n": 4}]

    async with acme.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM device WHERE id = %s", device)
    await log.tell(acme, DeviceDeleted(DeviceId(device), purge=False))
    heir = await make_device(acme, type_id=cellar, name="Living 2", tags="{}")
    await told(client, server, log, heir)
    await log.report(acme, device, {"n": 5})
    await log.report(acme, heir, {"n": 6})
    assert await by_category.values(2) == [{"n": 4}, {"n": 6}]
    for stream in (by_tag, by_type, by_category):
        await stream.close()


async def told(client: Client, server: Server, log: Log, device: UUID) -> None:
    """Wait until everything that was told before is heard: facts are, when a later one has come through."""
    stream = await server.open(client, EVENTS, event=["marker"])
    await log.raise_event(client.tenant, device, "marker")
    await stream.next()
    await stream.close()


async def test_a_token_opens_one_stream_of_its_type_once_and_soon(server: Server, acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    before = time.now()
    granted = await client.data("requestStream", json={"filter": {"type": [EVENTS]}})
    url: str = granted["url"]
    token = url.split("/")[-3]
    assert url == f"ws://api.olt.test/v1/devices/streaming-connections/{token}/ws/live"
    assert len(token) == 64
    assert int(token, 16)
    left = msgspec.convert(granted["validUntil"], type=type(before)) - before
    assert timedelta(seconds=10) < left < timedelta(seconds=20)

    assert (await client.ask("openStream", token=token, type="live")).status_code == 400
    stream = await server.connect(url)
    await stream.close()
    assert await refused(server, url) == (403, "STREAMING_INVALID_TOKEN")
    assert await client.failure("openStream", token=token, type="live") == (403, "STREAMING_INVALID_TOKEN")
    assert await client.failure("openStreamDeprecated", token=token) == (403, "STREAMING_INVALID_TOKEN")

    for kind, path in (("live", "buffered"), ("buffered", "live")):
        granted = await client.data("requestStream", json={"type": kind, "filter": {"type": [EVENTS]}})
        assert await refused(server, granted["url"].replace(f"ws/{kind}", f"ws/{path}")) == (
            403,
            "STREAMING_INVALID_TOKEN",
        )
    granted = await client.data("requestStream", json={"type": "buffered", "filter": {"type": [EVENTS]}})
    await (await server.connect(granted["url"].removesuffix("/buffered"))).close()

    granted = await client.data("requestStream", json={"filter": {"type": [EVENTS]}})
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE stream_ticket SET expires_at = now() WHERE tenant_id = %s", acme.tenant_id)
        kept = await tx.rows("SELECT token_hash, sealed FROM stream_ticket WHERE tenant_id = %s", acme.tenant_id)
    assert not any(granted["url"].split("/")[-3].encode() in bytes(part) for row in kept for part in row)
    assert await refused(server, granted["url"]) == (403, "STREAMING_INVALID_TOKEN")


async def refused(server: Server, url: str) -> tuple[int, str]:
    """Status and code with which a stream is refused."""
    with pytest.raises(websockets.InvalidStatus) as failed:
        await server.connect(url)
    answer = failed.value.response
    return answer.status_code, json.loads(answer.body or b"{}")["errorCode"]


async def test_requests_that_make_no_sense_are_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    old = (time.now() - timedelta(days=2, hours=1)).isoformat()
    bodies: list[dict[str, Any]] = [
        {},
        {"filter": {}},
        {"filter": {"type": []}},
        {"filter": {"type": ["somethingElse"]}},
        {"filter": {"type": [EVENTS], "deviceId": ["x"]}},
        {"filter": {"type": [EVENTS], "deviceTag": ["ä"]}},
        {"filter": {"type": [EVENTS], "tag": ["a"], "deviceTag": ["b"]}},
        {"filter": {"type": [EVENTS], "colour": ["red"]}},
        {"filter": {"type": [EVENTS], "deviceTag": ["a*"] * 300}},
        {"filter": {"type": [ATTRIBUTES], "path": {"attributes": ["temperature"]}}},
        {"filter": {"type": [ATTRIBUTES], "path": {"attributes": ["$.a.*"]}}},
        {"type": "slow", "filter": {"type": [EVENTS]}},
        {"filter": {"type": [EVENTS]}, "options": {"replayFromTimestamp": time.now().isoformat()}},
        {"type": "buffered", "filter": {"type": [EVENTS]}, "options": {"replayFromTimestamp": "yesterday"}},
        {"type": "buffered", "filter": {"type": [EVENTS]}, "options": {"replayFromTimestamp": old}},
        {"type": "buffered", "filter": {"type": [EVENTS]}, "options": {}},
    ]
    for body in bodies:
        assert await client.failure("requestStream", json=body) == (400, "STREAMING_BADREQUEST"), body
    crowd = {"filter": {"type": [EVENTS], "deviceId": [str(uuid4()) for _ in range(2_000)]}}
    assert (await client.ask("requestStream", json=crowd)).status_code == 413
    assert await Client(acme).failure("requestStream", json={}) == (401, "OLT_UNAUTHORIZED")


async def test_a_live_stream_keeps_nothing_and_a_buffered_one_goes_on_where_it_was(
    server: Server, acme: Tenant, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_ws, "_GOODBYE_S", 0.0)
    device = await make_device(acme)
    client = await Client.of(acme)
    wanted: dict[str, Any] = {"deviceId": [str(device)], "path": {"attributes": ["$.n"]}}
    live = await server.open(client, ATTRIBUTES, **wanted)
    buffered = await server.open(client, ATTRIBUTES, EVENTS, kind="buffered", **wanted)
    await log.report(acme, device, {"n": 1})
    assert await live.values(1) == await buffered.values(1) == [{"n": 1}]
    await live.close()
    await leave(acme, buffered)
    await log.report(acme, device, {"n": 2})
    await log.raise_event(acme, device, "crowded", {"n": 3})

    live = await server.open(client, ATTRIBUTES, **wanted)
    buffered = await server.open(client, EVENTS, ATTRIBUTES, kind="buffered", **wanted)
    await log.report(acme, device, {"n": 4})
    assert await live.values(1) == [{"n": 4}]
    assert await buffered.values(3) == [{"n": 2}, {"n": 3}, {"n": 4}]
    another = await server.open(client, ATTRIBUTES, kind="buffered", **wanted)
    await log.report(acme, device, {"n": 5})
    assert await another.values(1) == [{"n": 5}]
    for stream in (live, buffered, another):
        await stream.close()


async def leave(tenant: Tenant, stream: Stream, *, abruptly: bool = False) -> None:
    """Go away from a buffered stream, and wait until it is written down how far it was read."""
    gone_at = time.now()
    if abruptly:
        stream.socket.transport.abort()
    else:
        await stream.close()

    async def is_kept() -> bool:
        async with tenant.edge.system_database.tx() as tx:
            sql = "SELECT max(seen_at) >= %s FROM stream_buffer WHERE tenant_id = %s"
            return bool(await tx.value(sql, gone_at, tenant.tenant_id))

    await until(is_kept)


async def test_what_may_not_have_arrived_is_told_once_more(server: Server, acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    client = await Client.of(acme)
    stream = await server.open(client, ATTRIBUTES, kind="buffered")
    await log.report(acme, device, {"n": 1})
    assert await stream.values(1) == [{"n": 1}]
    await leave(acme, stream, abruptly=True)
    stream = await server.open(client, ATTRIBUTES, kind="buffered")
    assert await stream.values(1) == [{"n": 1}]
    await stream.close()


async def test_a_replay_begins_at_its_time_and_a_buffer_that_nobody_came_for_is_dropped(
    server: Server, acme: Tenant, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_ws, "_GOODBYE_S", 0.0)
    device = await make_device(acme)
    client, wanted = await Client.of(acme), {"deviceId": [str(device)]}
    await log.report(acme, device, {"n": 1})
    await told(client, server, log, device)
    since = time.exact_now().isoformat()
    await log.report(acme, device, {"n": 2})
    stream = await server.open(client, ATTRIBUTES, EVENTS, kind="buffered", since=since, **wanted)
    assert await stream.values(1) == [{"n": 2}]
    await leave(acme, stream)

    async with acme.edge.system_database.tx() as tx:
        sql = "UPDATE stream_buffer SET seen_at = now() - interval '49 hours' WHERE tenant_id = %s"
        await tx.run(sql, acme.tenant_id)
    await log.report(acme, device, {"n": 3})
    await told(client, server, log, device)
    stream = await server.open(client, ATTRIBUTES, EVENTS, kind="buffered", **wanted)
    await log.report(acme, device, {"n": 4})
    assert await stream.values(1) == [{"n": 4}]
    await stream.close()


async def test_a_stream_ends_with_the_session_of_its_token(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.edge = msgspec.structs.replace(acme.edge, vigil=Vigil(every_s=0.05))
    client = await Client.of(acme)
    async with serving(acme) as server:
        stream = await server.open(client, ATTRIBUTES)
        async with acme.edge.system_database.tx() as tx:
            await tx.run(
                "DELETE FROM session WHERE person_id IN (SELECT person_id FROM membership WHERE tenant_id = %s)",
                acme.tenant_id,
            )
        assert await stream.ends() == 1008


async def test_a_stream_of_an_application_ends_with_its_installation(acme: Tenant, globex: Tenant, log: Log) -> None:
    globex.edge = acme.edge = msgspec.structs.replace(acme.edge, vigil=Vigil(every_s=0.05))
    developer, owner = await Client.of(acme), await Client.of(globex)
    wanted = permissions(client=[Permission.DEVICES_STREAMING_READ])
    application = await add_application(developer, globex, permissions=wanted)
    await install(owner, application)
    program = await as_application(globex, application)
    device = await make_device(globex)
    async with serving(globex) as server:
        stream = await server.open(program, ATTRIBUTES)
        await log.report(globex, device, {"n": 1})
        assert await stream.values(1) == [{"n": 1}]
        await owner.ask("uninstallApplication", applicationId=application["id"])
        assert await stream.ends() == 1008


async def test_whoever_may_not_stream_gets_no_address(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client, acme, permissions=permissions(client=[Permission.INGEST_WRITE]))
    await install(client, application)
    program = await as_application(acme, application)
    failure = await program.failure("requestStream", json={"filter": {"type": [EVENTS]}})
    assert failure == (403, "STREAMING_INVALID_TOKEN")


async def test_an_address_leads_to_where_it_was_asked_for(acme: Tenant, log: Log) -> None:
    platform = platform_of(acme.edge)
    token = (await Client.of(acme)).http.headers["Authorization"]
    http = HttpServer(platform)
    port = await http.start("127.0.0.1", 0)
    async with httpx.AsyncClient(headers={"Authorization": token}) as client:
        path, body = "/v1/devices/streaming-connections", {"filter": {"type": [ATTRIBUTES]}}
        below = (await client.post(f"http://127.0.0.1:{port}/lightelligence{path}", json=body)).json()["data"]["url"]
        named = await client.post(f"http://127.0.0.1:{port}{path}", json=body, headers={"Host": "id.olt.test"})
    assert below.startswith(f"ws://api.test/lightelligence{path}/")
    assert named.json()["data"]["url"].startswith(f"ws://id.olt.test{path}/")
    stream = Stream(await websockets.connect(below.replace("api.test", f"127.0.0.1:{port}")))
    await log.report(acme, await make_device(acme), {"n": 1})
    assert await stream.values(1) == [{"n": 1}]
    await stream.close()
    await http.stop()


async def test_what_a_device_reports_is_told_as_it_was_said(server: Server, acme: Tenant, log: Log) -> None:
    client = await Client.of(acme)
    device = await fleet.add_device(client, await fleet.add_type(client), name="Hall 1", tags=["Hall"])
    stream = await server.open(
        client, ATTRIBUTES, CONFIGURATION, deviceTag="HALL", deviceTypeName="ceiling*", deviceName="hall *"
    )
    attributes, configuration = {"people": 4, "air": {"co2": 417.5}, "zones": [True, False]}, {"led": "auto"}
    said = [report(acme, device["id"], attributes), report(acme, device["id"], configuration, "configuration")]
    taken = await acme.edge.intake.take_in(said)
    await log.accept(*taken.accepted)
    assert await stream.values(2) == [attributes, configuration]
    await stream.close()


async def test_a_listener_that_is_too_slow_is_cut_and_a_buffer_is_not_lost(acme: Tenant, bus: Bus, log: Log) -> None:
    hub = LiveHub(
        bus, acme.edge.tenant_database, acme.edge.ports, metrics=LiveMetrics(CollectorRegistry()), most_waiting=2
    )
    running = asyncio.create_task(hub.run())
    acme.edge = msgspec.structs.replace(acme.edge, live=hub)
    device = await make_device(acme)
    client = await Client.of(acme)
    async with serving(acme) as server:
        stream = await server.open(client, ATTRIBUTES, kind="buffered")
        await log.report(acme, device, *({"n": number} for number in range(5)))
        assert await stream.ends() == 1013
        again = await server.open(client, ATTRIBUTES, kind="buffered")
        assert await again.values(5) == [{"n": number} for number in range(5)]
        await again.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_a_listener_says_is_ignored(server: Server, acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    stream = await server.open(await Client.of(acme), ATTRIBUTES)
    await stream.socket.send("hello")
    await stream.socket.send(b"\x00\xff")
    await log.report(acme, device, {"n": 1})
    assert await stream.values(1) == [{"n": 1}]
    await stream.close()
