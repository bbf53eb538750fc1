"""Timers over HTTP: their life, what is refused, and that they fire."""

from typing import Any

import msgspec
import pytest
import pytest_asyncio

from roadstead.core import registry
from roadstead.core.ports import Ports
from roadstead.core.registry import DeviceDraft
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import new_id, to_base62, to_bytes
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.rights import add_user
from tests.dialects.leverege.world import project_of
from tests.receivers import receiver
from tests.workers.test_timers import Firing

LATER = {"type": "once", "delay": 60_000}
QUERY = {"type": "queryUrl", "url": "http://127.0.0.1:9/"}


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """The owner of an organization."""
    return await Client.of(acme)


async def add_timer(client: Client, timer: Any, action: Any, name: str = "t") -> Any:
    """A timer that does not run yet."""
    body = {"name": name, "timer": timer, "action": action}
    return await client.data("timer.create", json=body, projectId=project_of(client))


async def call(client: Client, operation: str, timer: Any, **asked: Any) -> Any:
    """An operation about one timer."""
    return await client.data(operation, projectId=project_of(client), timerId=timer["id"], **asked)


async def test_the_life_that_programs_know(client: Client, system_database: Database, ports: Ports) -> None:
    fire = Firing(system_database, ports)
    async with receiver() as heard:
        heard.body = b"done"
        url = f"http://127.0.0.1:{heard.port}/hook"
        action = {"type": "queryUrl", "url": url, "method": "post", "header": {"X-A": "b"}, "body": {"c": 1}}
        made = await add_timer(client, {"type": "once", "delay": 1}, action, "cleaning")
        assert made["projectId"] == project_of(client)
        assert (made["running"], made["nextRun"], made["timer"]) == (False, None, {"type": "once", "delay": 1})
        assert made["action"] == action | {"method": "POST"}
        started = await call(client, "timer.start", made)
        assert started["running"] and abs(started["nextRun"] - time.to_millis(time.now())) < 5_000
        while not heard.requests:
            await fire()
        assert msgspec.json.decode(heard.requests[0].body) == {"c": 1}
        assert heard.requests[0].headers["x-a"] == "b"

    params = {"start": 0, "search": "CLEAN"}
    found = await client.data("timer.list", projectId=project_of(client), params=params)
    assert [item["id"] for item in found["items"]] == [made["id"]]
    assert found["items"][0]["lastRun"].items() >= {"status": 200, "answer": "done"}.items()
    assert not found["items"][0]["running"]
    assert await call(client, "timer.delete", made) == {"status": 200, "id": made["id"], "deleted": True}
    assert await client.failure("timer.get", projectId=project_of(client), timerId=made["id"]) == 404


async def test_a_timer_is_found_without_its_project_too(client: Client) -> None:
    made = await add_timer(client, LATER, QUERY)
    for method, path in (("GET", ""), ("PUT", "/start"), ("PUT", "/stop"), ("DELETE", "")):
        answer = await client.http.request(method, f"/v1/timer/{made['id']}{path}")
        assert (answer.status_code, answer.json()["id"]) == (200, made["id"])


async def test_a_timer_that_runs_can_be_stopped_and_changed(client: Client) -> None:
    made = await add_timer(client, {"type": "repeating", "delay": 1_000, "runImmediately": True, "note": "ours"}, QUERY)
    assert made["timer"]["note"] == "ours"
    await call(client, "timer.start", made)
    changed = await call(client, "timer.update", made, json={"name": "n", "timer": {"delay": 3_600_000}})
    assert (changed["name"], changed["timer"]["delay"], changed["timer"]["note"]) == ("n", 3_600_000, "ours")
    assert changed["running"]
    steps = [{"op": "replace", "path": "timer", "value": {"type": "scheduled", "cron": "0 4 * * *", "timezone": "CET"}}]
    by_cron = await call(client, "timer.update", made, json=steps)
    assert by_cron["timer"] == {"type": "scheduled", "cron": "0 4 * * *", "timezone": "CET"}
    assert by_cron["nextRun"] > time.to_millis(time.now())
    replaced = await call(client, "timer.update", made, json={"timer": LATER, "action": QUERY | {"method": "DELETE"}})
    assert (replaced["timer"], replaced["action"]["method"]) == (LATER, "DELETE")
    stopped = await call(client, "timer.stop", made)
    assert (stopped["running"], stopped["nextRun"]) == (False, None)


async def test_a_solar_timer_says_when_the_sun_rises(client: Client) -> None:
    spec = {"type": "solar", "latitude": 33.75, "longitude": -84.39, "timezone": "America/New_York", "offset": -60_000}
    made = await add_timer(client, spec, QUERY)
    assert made["timer"] == spec | {"fromSunrise": True, "cron": "0 0 * * *"}
    started = await call(client, "timer.start", made)
    ahead_ms = started["nextRun"] - time.to_millis(time.now())
    assert 0 < ahead_ms <= 25 * 3_600_000


async def test_a_timer_publishes_what_a_device_would_say(
    client: Client, system_database: Database, ports: Ports
) -> None:
    async with client.tenant.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
    message = {"type": "inboundDataEventMsg", "deviceId": to_base62(device.id), "data": [{"path": "a/b", "value": 1}]}
    action = {"type": "publishTopic", "topic": "inbound", "message": message}
    made = await add_timer(client, {"type": "once", "delay": 0}, action)
    assert made["action"] == action
    await call(client, "timer.start", made)
    fire = Firing(system_database, ports)
    await fire()
    (uplink,) = fire.log.uplinks
    assert uplink.tenant == client.tenant.tenant_id
    assert msgspec.json.decode(uplink.payload)["values"] == [{"path": "a/b", "value": 1}]
    assert "error" not in (await call(client, "timer.get", made))["lastRun"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"timer": LATER, "action": QUERY}, "name"),
        ({"name": "t", "action": QUERY}, "timer"),
        ({"name": "t", "timer": LATER}, "action"),
        ({"name": "t\0", "timer": LATER, "action": QUERY}, "name"),
        ({"name": "t", "timer": LATER | {"note": "\0"}, "action": QUERY}, "timer"),
        ({"name": "t", "timer": {"type": "yearly"}, "action": QUERY}, "timer/type"),
        ({"name": "t", "timer": {"type": "repeating"}, "action": QUERY}, "timer/delay"),
        ({"name": "t", "timer": {"type": "once", "delay": "soon"}, "action": QUERY}, "timer.delay"),
        ({"name": "t", "timer": {"type": "scheduled", "cron": "x"}, "action": QUERY}, "timer/cron"),
        ({"name": "t", "timer": {"type": "solar", "latitude": 1}, "action": QUERY}, "timer/longitude"),
        ({"name": "t", "timer": LATER, "action": {"type": "triggerScript"}}, "action/type"),
        ({"name": "t", "timer": LATER, "action": {"type": "queryUrl"}}, "action/url"),
        ({"name": "t", "timer": LATER, "action": {"type": "queryUrl", "url": "http://10.0.0.1/"}}, "action/url"),
        ({"name": "t", "timer": LATER, "action": QUERY | {"topic": "x"}}, "action/topic"),
        ({"name": "t", "timer": LATER, "action": {"type": "publishTopic", "message": {}}}, "action/topic"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_the_name_of_its_member(client: Client, body: Any, named: str) -> None:
    answer = await client.ask("timer.create", json=body, projectId=project_of(client))
    assert answer.status_code == 400
    assert named in answer.json()["message"]


@pytest.mark.parametrize(
    ("topic", "change", "status", "named"),
    [
        ("v1/readings/x/y", {}, 400, "'v1/readings/x/y' is not offered: a message like this goes to 'inbound'"),
        ("net-outbound", {}, 400, "is not offered"),
        ("inbound", {"type": "inboundAckMsg"}, 400, "timers publish data"),
        ("inbound", {"event": {}}, 400, "timers publish data"),
        ("inbound", {"deviceId": to_base62(new_id())}, 404, "does not exist"),
        ("inbound", {"time": "yesterday"}, 400, "time: is no instant"),
    ],
)
async def test_topics_that_are_not_offered_are_refused_by_name(
    client: Client, topic: str, change: Any, status: int, named: str
) -> None:
    async with client.tenant.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
    message = {"type": "inboundDataEventMsg", "deviceId": to_base62(device.id), "data": {"a": 1}} | change
    body = {"name": "t", "timer": LATER, "action": {"type": "publishTopic", "topic": topic, "message": message}}
    answer = await client.ask("timer.create", json=body, projectId=project_of(client))
    assert (answer.status_code, named in answer.json()["message"]) == (status, True), answer.text


async def test_timers_of_another_project_are_not_there(client: Client, globex: Tenant) -> None:
    made = await add_timer(client, LATER, QUERY)
    other = await Client.of(globex)
    for operation in ("timer.get", "timer.update", "timer.start", "timer.stop", "timer.delete"):
        for project in (project_of(client), project_of(other)):
            assert await other.failure(operation, json={}, projectId=project, timerId=made["id"]) == 404
    assert (await other.data("timer.list", projectId=project_of(other)))["items"] == []
    assert await other.failure("timer.list", projectId=project_of(client)) == 404
    assert await Client(client.tenant).failure("timer.list", projectId=project_of(client)) == 401


async def test_who_may_do_what_says_a_role(client: Client) -> None:
    made = await add_timer(client, LATER, QUERY)
    body = {"name": "t", "timer": LATER, "action": QUERY}
    place = {"projectId": project_of(client), "timerId": made["id"]}
    all_of_them = ("list", "get", "create", "update", "start", "stop", "delete")

    async def allowed(somebody: Client) -> set[str]:
        return {
            name for name in all_of_them if (await somebody.ask(f"timer.{name}", json=body, **place)).status_code != 403
        }

    _, fresh = await add_user(client)
    assert await allowed(fresh) == set()
    _, reader = await add_user(client, "timer.list", "timer.read")
    assert await allowed(reader) == {"list", "get"}
    _, keeper = await add_user(client, "timer.create", "timer.read", "timer.update", "timer.delete")
    assert await allowed(keeper) == set(all_of_them) - {"list"}


async def test_who_publishes_for_a_device_may_write_its_data(client: Client) -> None:
    async with client.tenant.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
    message = {"type": "inboundDataEventMsg", "deviceId": to_base62(device.id), "data": {"a": 1}}
    body = {"name": "t", "timer": LATER, "action": {"type": "publishTopic", "topic": "inbound", "message": message}}
    _, keeper = await add_user(client, "timer.create", "device.read")
    assert await keeper.failure("timer.create", json=body, projectId=project_of(client)) == 403
    _, writer = await add_user(client, "timer.create", "device.read", "device.updateAnyData")
    await writer.data("timer.create", json=body, projectId=project_of(client))


async def test_a_device_is_found_by_its_name_in_a_network(
    client: Client, globex: Tenant, system_database: Database, ports: Ports
) -> None:
    aliases = {"acme-net": {"deveui": "0011"}}
    async with client.tenant.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump", network_aliases=aliases))
    async with globex.work() as work:
        await registry.create_device(work, DeviceDraft(name="pump", network_aliases={"globex-net": {"deveui": "0022"}}))
    message = {
        "type": "inboundDataEventMsg",
        "networkId": "acme-net",
        "aliasKey": "deveui",
        "deviceId": "0011",
        "time": "2026-01-01T00:00:00Z",
        "data": {"a": 1},
    }
    action = {"type": "publishTopic", "topic": "acme-net-inbound", "message": message}
    made = await add_timer(client, {"type": "once", "delay": 0}, action)
    await call(client, "timer.start", made)
    fire = Firing(system_database, ports)
    await fire()
    (uplink,) = fire.log.uplinks
    assert uplink.device == to_bytes(device.id)
    assert msgspec.json.decode(uplink.payload)["at"] == 1_767_225_600_000

    foreign = message | {"networkId": "globex-net", "deviceId": "0022"}
    action = {"type": "publishTopic", "topic": "globex-net-inbound", "message": foreign}
    body = {"name": "t", "timer": LATER, "action": action}
    assert await client.failure("timer.create", json=body, projectId=project_of(client)) == 404
