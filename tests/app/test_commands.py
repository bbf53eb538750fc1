"""Commands on their way to real devices and back: listening, away, silent, late, in two gateways, by the hundred."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from roadstead.bus import Bus
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.supervisor.servers import Servers
from tests.app.commands import Worker, carrying, look, ok, place_of, reach, send
from tests.app.gateway import Running, running_gateway, until
from tests.conftest import Tenant


@pytest_asyncio.fixture(scope="module")
async def _carried(bus: Bus, system_database: Database, database_url: str) -> AsyncIterator[None]:
    async with carrying(bus, system_database, database_url):
        yield


@pytest_asyncio.fixture(scope="module")
async def gateway(
    servers: Servers, bus: Bus, _carried: None, tenant_database: Database, system_database: Database, ports: Ports
) -> AsyncIterator[Running]:
    """The gateway that most tests share."""
    async with running_gateway(servers, tenant_database, system_database, ports) as running:
        yield running


@pytest_asyncio.fixture
async def other_gateway(
    servers: Servers, gateway: Running, tenant_database: Database, system_database: Database, ports: Ports
) -> AsyncIterator[Running]:
    """A second process, so to speak."""
    async with running_gateway(servers, tenant_database, system_database, ports) as running:
        yield running


def silent(_: dict[str, Any]) -> list[dict[str, Any]]:
    """A device that hears and says nothing."""
    return []


async def refusals(tenant: Tenant) -> list[tuple[str, Any]]:
    """Reason and payload of what is in quarantine."""
    found = ok(await tenant.api.get("/api/v1/admin/quarantine"))["items"]
    return [(entry["reason"], entry["payload"]) for entry in found]


async def until_refused(tenant: Tenant, count: int) -> list[tuple[str, Any]]:
    """As soon as there are so many."""
    async with asyncio.timeout(5):
        while len(found := await refusals(tenant)) < count:
            await asyncio.sleep(0.01)
    return found


async def test_a_command_reaches_its_device_and_comes_back(
    acme: Tenant, globex: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pump = await (await Worker.enroll(acme, "pump-1", tmp_path)).connect(gateway.tls)
    neighbour = await (await Worker.enroll(acme, "pump-2", tmp_path)).connect(gateway.tls)
    stranger = await (await Worker.enroll(globex, "pump-1", tmp_path)).connect(gateway.tls)

    command = await send(acme, pump.id, "REBOOT", params={"delaySeconds": 5})
    done = ok(await acme.api.get(place_of(command), params={"wait": "PT10S"}))

    assert (command["status"], done["status"], done["result"]) == ("PENDING", "SUCCESS", {"did": "REBOOT"})
    assert command["createdAt"] <= done["sentAt"] <= done["completedAt"]
    assert pump.heard == [
        {"id": command["id"], "method": "REBOOT", "params": {"delaySeconds": 5}, "timestamp": command["createdAt"]}
    ]
    assert neighbour.heard == stranger.heard == []
    async with acme.work() as work:
        assert (await work.tx.value("SELECT count(*) FROM command WHERE due_at IS NOT NULL")) == 0
    for device in (pump, neighbour, stranger):
        await device.close()


async def test_what_was_sent_while_the_device_was_away_waits_for_it(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pump = await Worker.enroll(acme, "pump-1", tmp_path)
    commands = [await send(acme, pump.id, params={"delaySeconds": number}) for number in range(3)]
    await pump.connect(gateway.tls, subscribe=False)
    # Connected is not enough: nobody can say that it was handed to a device that does not listen.
    assert {(await look(acme, command))["status"] for command in commands} == {"PENDING"}

    await pump.subscribe()
    for command in commands:
        await reach(acme, command, "SUCCESS")
    assert [command["params"]["delaySeconds"] for command in pump.heard] == [0, 1, 2]
    await pump.close()


async def test_what_a_device_did_not_acknowledge_comes_again_with_the_same_id(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pump = await Worker.enroll(acme, "pump-1", tmp_path, silent)
    deaf = await pump.connect(gateway.tls)
    deaf.device.client.manual_ack_set(True)
    command = await send(acme, pump.id)
    await until(lambda: pump.heard)
    assert "deliveredAt" not in await reach(acme, command, "SENT")
    await pump.close()

    await pump.connect(gateway.tls)
    await until(lambda: len(pump.heard) == 2)
    assert [heard["id"] for heard in pump.heard] == [command["id"]] * 2
    async with asyncio.timeout(5):
        while "deliveredAt" not in (now := await look(acme, command)):
            await asyncio.sleep(0.01)
    assert now["status"] == "SENT"

    # What has arrived does not come a third time.
    await pump.close()
    await pump.connect(gateway.tls)
    second = await send(acme, pump.id)
    await until(lambda: len(pump.heard) == 3)
    assert pump.heard[-1]["id"] == second["id"]
    await pump.close()


async def test_a_command_goes_through_all_its_steps_and_never_back(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pump = await (await Worker.enroll(acme, "pump-1", tmp_path, silent)).connect(gateway.tls)
    command = await send(acme, pump.id, "UPDATE_FIRMWARE", params={"version": "1.2.0"})
    await reach(acme, command, "SENT")

    await pump.say({"id": command["id"], "status": "ACKNOWLEDGED"})
    working = await reach(acme, command, "ACKNOWLEDGED")
    await pump.say({"id": command["id"], "status": "ACKNOWLEDGED"})
    await pump.say({"id": command["id"], "status": "FAILED", "error": "no space", "result": {"free": 0}})
    failed = await reach(acme, command, "FAILED")
    await pump.say({"id": command["id"], "status": "FAILED"})  # a repeat
    await pump.say({"id": command["id"], "status": "SUCCESS"})  # a contradiction

    assert (failed["error"], failed["result"]) == ("no space", {"free": 0})
    assert failed["acknowledgedAt"] == working["acknowledgedAt"]
    late = {"id": command["id"], "status": "SUCCESS"}
    assert await until_refused(acme, 1) == [("LATE_ANSWER", late)]
    assert await look(acme, command) == failed
    await pump.close()


async def test_time_runs_out_for_what_cannot_be_sent_and_for_what_is_not_answered(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pump = await Worker.enroll(acme, "pump-1", tmp_path, silent)
    away = await send(acme, pump.id, ttlSeconds=1)
    assert "sentAt" not in await reach(acme, away, "TIMEOUT")
    await pump.connect(gateway.tls)
    unanswered = await send(acme, pump.id, timeoutSeconds=1)
    assert "sentAt" in await reach(acme, unanswered, "TIMEOUT")

    await pump.say({"id": unanswered["id"], "status": "SUCCESS"})
    assert [reason for reason, _ in await until_refused(acme, 1)] == ["LATE_ANSWER"]
    assert [heard["id"] for heard in pump.heard] == [unanswered["id"]]
    assert (await look(acme, unanswered))["status"] == "TIMEOUT"
    await pump.close()


async def test_what_was_cancelled_is_never_sent(acme: Tenant, gateway: Running, tmp_path: Path) -> None:
    pump = await Worker.enroll(acme, "pump-1", tmp_path)
    command, other = await send(acme, pump.id), await send(acme, pump.id)
    assert ok(await acme.api.post(place_of(command) + "/cancel"))["status"] == "CANCELLED"
    await pump.connect(gateway.tls)
    await reach(acme, other, "SUCCESS")

    for each in (command, other):
        again = await acme.api.post(place_of(each) + "/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "invalid-state")
    assert [heard["id"] for heard in pump.heard] == [other["id"]]
    await pump.close()


async def test_what_cannot_be_applied_is_there_to_be_read(
    acme: Tenant, globex: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pump = await (await Worker.enroll(acme, "pump-1", tmp_path, silent)).connect(gateway.tls)
    neighbour = await Worker.enroll(acme, "pump-2", tmp_path)
    stranger = await Worker.enroll(globex, "pump-1", tmp_path)
    waiting, foreign = await send(acme, neighbour.id), await send(globex, stranger.id)
    own = await send(acme, pump.id)
    await reach(acme, own, "SENT")

    said: list[Any] = [
        b"no json",
        {"id": own["id"]},
        {"id": own["id"], "status": "DONE"},
        {"id": "42", "status": "SUCCESS"},
        {"id": waiting["id"], "status": "SUCCESS"},
        {"id": foreign["id"], "status": "SUCCESS"},
        {"id": own["id"], "status": "SUCCESS", "result": "\0"},
    ]
    for each in said:
        await pump.say(each)

    assert sorted(reason for reason, _ in await until_refused(acme, len(said))) == [
        "MALFORMED", "MALFORMED", "MALFORMED", "MISSING_FIELD", "UNKNOWN_COMMAND", "UNKNOWN_COMMAND", "UNKNOWN_COMMAND",
    ]  # fmt: skip
    assert await refusals(globex) == []
    assert {(await look(tenant, command))["status"] for tenant, command in ((acme, waiting), (globex, foreign))} == {
        "PENDING"
    }
    await pump.close()


async def test_a_device_gets_its_commands_in_whichever_gateway_it_is(
    acme: Tenant, gateway: Running, other_gateway: Running, tmp_path: Path
) -> None:
    pump = await (await Worker.enroll(acme, "pump-1", tmp_path)).connect(gateway.tls)
    valve = await (await Worker.enroll(acme, "valve-1", tmp_path)).connect(other_gateway.tls)
    for device in (pump, valve):
        await reach(acme, await send(acme, device.id), "SUCCESS")

    before = pump.device
    await pump.connect(other_gateway.tls)
    await before.cut_off(within_s=5)
    await reach(acme, await send(acme, pump.id), "SUCCESS")
    assert [len(device.heard) for device in (pump, valve)] == [2, 1]
    await pump.close()
    await valve.close()


async def test_a_bulk_reaches_many_and_stops_when_too_many_fail(
    acme: Tenant, globex: Tenant, gateway: Running, tmp_path: Path
) -> None:
    pumps = [await Worker.enroll(acme, f"pump-{number}", tmp_path) for number in range(4)]
    for pump in pumps:
        await pump.connect(gateway.tls)
    ids = [pump.id for pump in pumps]
    unprovisioned = ok(await acme.api.post("/api/v1/devices", json={"name": "new"}))["id"]
    theirs = (await Worker.enroll(globex, "pump-1", tmp_path)).id

    body: dict[str, Any] = {"target": {"deviceIds": [*ids, unprovisioned, theirs]}, "command": {"type": "REBOOT"}}
    queued = await acme.api.post("/api/v1/commands/bulk", json=body)
    assert queued.status_code == 202, queued.text
    assert queued.json()["accepted"] == 4
    assert {line["deviceId"]: line["code"] for line in queued.json()["rejected"]} == {
        unprovisioned: "invalid-state",
        theirs: "not-found",
    }
    done = await until_ended(acme, queued.json()["batchId"])
    assert (done["status"], done["counts"]["success"], done["total"]) == ("COMPLETED", 4, 4)

    # One after the other: the first one fails, and the others are spared.
    pumps[0].answer = lambda command: [{"id": command["id"], "status": "FAILED"}]
    slow = body | {"target": {"deviceIds": ids}, "perMinute": 60, "maxFailurePercent": 20}
    queued = await acme.api.post("/api/v1/commands/bulk", json=slow)
    done = await until_ended(acme, queued.json()["batchId"])
    assert (done["status"], done["counts"]["failed"]) == ("ABORTED", 1)
    assert done["counts"]["failed"] + done["counts"]["success"] + done["counts"]["cancelled"] == 4
    assert done["counts"]["cancelled"] >= 2
    assert sum(len(pump.heard) for pump in pumps) == 8 - done["counts"]["cancelled"]
    for pump in pumps:
        await pump.close()


async def until_ended(tenant: Tenant, batch_id: str) -> dict[str, Any]:
    """A bulk that runs no more."""
    async with asyncio.timeout(5):
        while (found := ok(await tenant.api.get(f"/api/v1/commands/bulk/{batch_id}")))["status"] == "RUNNING":
            await asyncio.sleep(0.01)
    result: dict[str, Any] = found
    return result
