"""/commands, /devices/{deviceId}/commands and /command-types."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from roadstead.bus import Bus, Publisher
from roadstead.core import commands
from roadstead.core.commands import CommandSource
from roadstead.core.downlinks import CommandAnswer, Hearer
from roadstead.core.messages import CommandChanged, FactMessage, encode_fact, encode_facts
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.workers.commands import CommandTimers
from roadstead.workers.news import follow_commands
from tests.conftest import Tenant
from tests.dialects.native.fleet import MOTOR, ok, problem
from tests.fleet import uplink
from tests.people import last_actions
from tests.workers.conftest import running

VALVE: dict[str, Any] = {
    "key": "valve",
    "profileVersion": "1.0",
    "name": "Valve",
    "components": [],
    "writableFields": [
        {"name": "target", "valueType": "DOUBLE", "min": 0, "max": 100, "writable": True},
        {"name": "steps", "valueType": "BIGINT", "arraySize": 2, "writable": True},
    ],
    "commands": [
        {
            "type": "OPEN",
            "paramsSchema": {
                "type": "object",
                "properties": {"percent": {"type": "number", "maximum": 100}},
                "required": ["percent"],
            },
        },
        {"type": "FETCH", "paramsSchema": {"$ref": "http://127.0.0.1:9/schema.json"}},
    ],
}


@pytest_asyncio.fixture
async def valve(acme: Tenant) -> str:
    """A device that has been seen, with a profile that has commands."""
    ok(await acme.api.post("/api/v1/device-profiles", json=VALVE))
    return await add_seen(acme, "valve-1", deviceProfile="valve@1.0")


async def add_seen(tenant: Tenant, name: str, **fields: Any) -> str:
    """A device that has once been connected."""
    device = ok(await tenant.api.post("/api/v1/devices", json={"name": name, **fields}))["id"]
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE device SET status = 'OFFLINE' WHERE id = %s", device)
    return str(device)


def place(device: str, *more: str) -> str:
    """The commands of a device, or one of them."""
    return "/".join([f"/api/v1/devices/{device}/commands", *more])


async def make(tenant: Tenant, device: str, type_: str = "REBOOT", **fields: Any) -> dict[str, Any]:
    """A command, as answered."""
    found: dict[str, Any] = ok(await tenant.api.post(place(device), json={"type": type_, **fields}))
    return found


async def finish(tenant: Tenant, command: dict[str, Any], status: str = "SUCCESS") -> None:
    """As if it had been to its device and back; the facts go nowhere."""
    device = DeviceId(UUID(command["deviceId"]))
    async with tenant.edge.system_database.tx() as tx:
        await CommandSource().claim(tx, [Hearer(tenant.tenant_id, device, str(new_id()))], most=100)
        answer = CommandAnswer(UUID(command["id"]), status)  # type: ignore[arg-type]
        refused = await commands.take_answers(tx, [(uplink(tenant.tenant_id, device, {}), answer)])
    assert not refused


async def test_a_command_is_queued_with_what_it_says_and_a_line_in_the_audit_log(acme: Tenant, valve: str) -> None:
    answer = await acme.api.post(
        place(valve), json={"type": "OPEN", "params": {"percent": 40}, "ttlSeconds": 60, "timeoutSeconds": 5}
    )
    command = ok(answer)
    assert answer.status_code == 201 and answer.headers["location"] == place(valve, command["id"])
    assert {name: command[name] for name in ("deviceId", "type", "params", "status")} == {
        "deviceId": valve,
        "type": "OPEN",
        "params": {"percent": 40},
        "status": "PENDING",
    }
    assert not {"sentAt", "completedAt", "result", "error", "batchId"} & command.keys()
    assert ok(await acme.api.get(place(valve, command["id"]))) == command
    assert await last_actions(acme, 1) == ["command.create"]

    cancelled = ok(await acme.api.post(place(valve, command["id"], "cancel")))
    assert cancelled["status"] == "CANCELLED" and cancelled["completedAt"]
    assert await last_actions(acme, 1) == ["command.cancel"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"type": "JUMP"}, ["/type"]),
        ({"type": ""}, ["/type"]),
        ({"type": "OPEN"}, ["/params/percent"]),
        ({"type": "OPEN", "params": {"percent": 101}}, ["/params/percent"]),
        ({"type": "OPEN", "params": [1]}, ["/params"]),
        ({"type": "REBOOT", "params": {"delaySeconds": "soon"}}, ["/params/delaySeconds"]),
        ({"type": "REBOOT", "params": {"now": True}}, ["/params"]),
        ({"type": "REBOOT", "timeoutSeconds": 0}, ["/timeoutSeconds"]),
        ({"type": "REBOOT", "ttlSeconds": 604_801}, ["/ttlSeconds"]),
        ({"type": "REBOOT", "urgent": True}, ["/urgent"]),
        ({"type": "UPDATE_CONFIG", "params": {}}, ["/params"]),
        ({"type": "UPDATE_CONFIG", "params": {"target": 101, "speed": 1}}, ["/params/target", "/params/speed"]),
        ({"type": "UPDATE_CONFIG", "params": {"steps": [1]}}, ["/params/steps"]),
        ({"type": "UPDATE_FIRMWARE", "params": {"version": "x" * 70_000}}, ["/params"]),
        ({"type": "UPDATE_FIRMWARE", "params": {"version": "1\0"}}, ["/params"]),
        ({"type": "FETCH", "params": {}}, ["/params"]),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_name(
    acme: Tenant, valve: str, body: dict[str, Any], pointers: list[str]
) -> None:
    status, code, found = problem(await acme.api.post(place(valve), json=body))
    assert (status, found) == (422, pointers)
    assert code in {"validation-failed", "unknown-field"}


async def test_writable_fields_are_set_as_the_profile_has_them(acme: Tenant, valve: str) -> None:
    params = {"target": 20, "steps": [1, 2]}
    assert (await make(acme, valve, "UPDATE_CONFIG", params=params))["params"] == params
    plain = await add_seen(acme, "plain")
    assert (await make(acme, plain, "UPDATE_CONFIG", params={"anything": [True]}))["params"] == {"anything": [True]}
    assert problem(await acme.api.post(place(plain), json={"type": "OPEN", "params": {"percent": 1}}))[2] == ["/type"]


async def test_only_a_device_that_can_come_is_told_anything(acme: Tenant, globex: Tenant, valve: str) -> None:
    new = ok(await acme.api.post("/api/v1/devices", json={"name": "new"}))["id"]
    ok(await acme.api.put(f"/api/v1/devices/{valve}/status", json={"status": "INACTIVE"}))
    for device in (new, valve):
        assert problem(await acme.api.post(place(device), json={"type": "REBOOT"}))[:2] == (409, "invalid-state")
    assert problem(await globex.api.post(place(valve), json={"type": "REBOOT"}))[:2] == (404, "not-found")


async def test_what_is_sent_twice_with_one_key_is_queued_once(acme: Tenant, valve: str) -> None:
    for path, body in (
        (place(valve), {"type": "REBOOT"}),
        ("/api/v1/commands/bulk", {"target": {"deviceIds": [valve]}, "command": {"type": "REBOOT"}}),
    ):
        answers = [await acme.api.post(path, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert ok(answers[0]) == ok(answers[1])
    assert len(ok(await acme.api.get("/api/v1/commands"))["items"]) == 2


async def test_commands_are_listed_newest_first_and_filtered(acme: Tenant, globex: Tenant, valve: str) -> None:
    plain = await add_seen(acme, "plain")
    made = [await make(acme, valve), await make(acme, valve, "OPEN", params={"percent": 1}), await make(acme, plain)]
    await make(globex, await add_seen(globex, "theirs"))
    await finish(acme, made[1])  # and sends made[0]
    ids = [command["id"] for command in made]

    async def listed(path: str = "/api/v1/commands", **params: Any) -> list[str]:
        return [item["id"] for item in ok(await acme.api.get(path, params=params))["items"]]

    assert await listed() == ids[::-1]
    assert await listed(place(valve)) == [ids[1], ids[0]]
    assert await listed(deviceId=plain) == [ids[2]]
    assert await listed(deviceId="nobody") == await listed(batchId="none") == []
    assert await listed(status=["SENT", "PENDING"]) == [ids[2], ids[0]]
    assert await listed(place(valve), status="SUCCESS", type="OPEN") == [ids[1]]
    assert await listed(type="REBOOT", **{"from": made[1]["createdAt"]}) == [ids[2]]
    assert await listed(to=made[1]["createdAt"]) == [ids[0]]

    first = ok(await acme.api.get("/api/v1/commands", params={"limit": 2, "includeTotal": True}))
    assert first["totalItems"] == 3
    rest = ok(await acme.api.get("/api/v1/commands", params={"limit": 2, "cursor": first["nextCursor"]}))
    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert problem(await acme.api.get("/api/v1/commands", params={"status": "DONE"}))[0] == 422
    assert problem(await globex.api.get(place(valve)))[:2] == (404, "not-found")


async def test_whoever_waits_hears_at_once(acme: Tenant, bus: Bus, valve: str) -> None:
    command = await make(acme, valve)
    await finish(acme, command)
    assert ok(await acme.api.get(place(valve, command["id"]), params={"wait": "PT30S"}))["status"] == "SUCCESS"

    for wait in ("PT31S", "P1D", "soon"):
        assert problem(await acme.api.get(place(valve, command["id"]), params={"wait": wait}))[2] == ["wait"]

    open_ = await make(acme, valve)
    began = time.monotonic()
    assert ok(await acme.api.get(place(valve, open_["id"]), params={"wait": "PT0.2S"}))["status"] == "PENDING"
    assert 0.2 <= time.monotonic() - began < 5

    # Told by the log, long before it would look by itself.
    async with running(follow_commands(bus, acme.edge.command_news)):
        waiting = asyncio.create_task(acme.api.get(place(valve, open_["id"]), params={"wait": "PT30S"}))
        async with asyncio.timeout(5):
            while not acme.edge.command_news._waiting:
                await asyncio.sleep(0.005)
        await finish(acme, open_)
        async for _ in _telling(bus, acme, open_, waiting):
            pass
        assert ok(await waiting)["status"] == "SUCCESS"


async def _telling(
    bus: Bus, tenant: Tenant, command: dict[str, Any], waiting: "asyncio.Task[Any]"
) -> AsyncIterator[None]:
    """Say that it has changed, as the relay does, until somebody has heard."""
    fact = encode_fact(CommandChanged(DeviceId(UUID(command["deviceId"])), UUID(command["id"]), "SUCCESS"))
    publisher = Publisher(bus)
    await publisher.start()
    began = time.monotonic()
    while not waiting.done() and time.monotonic() - began < 0.9:
        message = FactMessage(0, tenant.tenant_id, 0, fact)
        await publisher.put(f"facts.{tenant.tenant_id}", encode_facts([message]), message_id=str(new_id()))
        await asyncio.wait([waiting], timeout=0.05)
        yield
    assert waiting.done(), "the log was not heard"
    await publisher.close()


async def test_types_are_what_is_built_in_and_what_profiles_have(acme: Tenant, globex: Tenant, valve: str) -> None:
    newer = VALVE | {"profileVersion": "1.1", "commands": [*VALVE["commands"], {"type": "CLOSE", "paramsSchema": {}}]}
    ok(await acme.api.post("/api/v1/device-profiles", json=newer))
    items = ok(await acme.api.get("/api/v1/command-types"))["items"]
    assert [item["type"] for item in items if item["builtIn"]] == list(commands.BUILT_IN)
    own = {item["type"]: item for item in items if not item["builtIn"]}
    assert {type_: item["deviceProfile"] for type_, item in own.items()} == dict.fromkeys(
        ["CLOSE", "FETCH", "OPEN"], "valve@1.1"
    )
    assert own["OPEN"]["paramsSchema"] == VALVE["commands"][0]["paramsSchema"]
    assert all(item["builtIn"] for item in ok(await globex.api.get("/api/v1/command-types"))["items"])


async def bulk(tenant: Tenant, target: dict[str, Any], **fields: Any) -> Any:
    """What a bulk is answered with."""
    body = {"target": target, "command": {"type": "REBOOT"}, **fields}
    return ok(await tenant.api.post("/api/v1/commands/bulk", json=body))


async def test_a_bulk_goes_to_ids_groups_sites_profiles_and_filters(acme: Tenant, globex: Tenant, valve: str) -> None:
    ok(await acme.api.post("/api/v1/sensor-profiles", json=MOTOR))
    site = ok(await acme.api.post("/api/v1/sites", json={"name": "Harbour"}))["id"]
    pier = ok(await acme.api.post("/api/v1/sites", json={"name": "Pier", "parentId": site}))["id"]
    north = await add_seen(acme, "north", siteId=pier, tags={"line": "north"})
    south = await add_seen(acme, "south", tags={"line": "south"})
    selector = {"matchTags": {"line": "south"}}
    group = ok(await acme.api.post("/api/v1/device-groups", json={"name": "g", "selector": selector}))["id"]
    theirs = ok(await globex.api.post("/api/v1/device-groups", json={"name": "g", "selector": selector}))["id"]

    for target, devices in (
        ({"deviceIds": [north, south, north]}, {north, south}),
        ({"deviceGroupId": group}, {south}),
        ({"siteId": site}, {north}),
        ({"deviceProfile": "valve"}, {valve}),
        ({"filter": {"tag": "line"}}, {north, south}),
    ):
        queued = await bulk(acme, target)
        assert (queued["accepted"], queued["rejected"]) == (len(devices), [])
        made = ok(await acme.api.get("/api/v1/commands", params={"batchId": queued["batchId"]}))["items"]
        assert {command["deviceId"] for command in made} == devices
        progress = ok(await acme.api.get(f"/api/v1/commands/bulk/{queued['batchId']}"))
        assert (progress["status"], progress["total"], progress["counts"]["pending"]) == (
            "RUNNING",
            *[len(devices)] * 2,
        )
        missing = await globex.api.get(f"/api/v1/commands/bulk/{queued['batchId']}")
        assert problem(missing)[:2] == (404, "not-found")

    for target, pointer in (
        ({}, "/target"),
        ({"siteId": site, "deviceGroupId": group}, "/target"),
        ({"deviceGroupId": theirs}, "/target/deviceGroupId"),
        ({"siteId": "x"}, "/target/siteId"),
        ({"deviceIds": ["x"]}, "/target/deviceIds/0"),
        ({"deviceIds": []}, "/target"),
        ({"filter": {"tag": "none"}}, "/target"),
    ):
        body: dict[str, Any] = {"target": target, "command": {"type": "REBOOT"}}
        assert problem(await acme.api.post("/api/v1/commands/bulk", json=body))[2] == [pointer]
    wrong = {"target": {"deviceIds": [valve]}, "command": {"type": "REBOOT", "ttlSeconds": 0}, "perMinute": 0}
    assert problem(await acme.api.post("/api/v1/commands/bulk", json=wrong))[0] == 422


async def test_a_bulk_tells_whom_it_leaves_out_and_why(acme: Tenant, globex: Tenant, valve: str) -> None:
    new = ok(await acme.api.post("/api/v1/devices", json={"name": "new"}))["id"]
    plain, theirs = await add_seen(acme, "plain"), await add_seen(globex, "theirs")
    body = {"type": "OPEN", "params": {"percent": 5}}
    queued = await bulk(acme, {"deviceIds": [new, valve, plain, theirs]}, command=body)
    assert queued["accepted"] == 1
    assert {line["deviceId"]: line["code"] for line in queued["rejected"]} == {
        new: "invalid-state",
        plain: "validation-failed",
        theirs: "not-found",
    }
    nobody = await bulk(acme, {"deviceIds": [new]})
    done = ok(await acme.api.get(f"/api/v1/commands/bulk/{nobody['batchId']}"))
    assert (nobody["accepted"], done["status"], done["total"]) == (0, "COMPLETED", 0)


async def test_a_bulk_leaves_little_by_little_and_can_be_stopped(acme: Tenant, valve: str) -> None:
    devices = [valve, *[await add_seen(acme, f"plain-{number}") for number in range(3)]]
    queued = await bulk(acme, {"deviceIds": devices}, perMinute=1)
    hearers = [Hearer(acme.tenant_id, DeviceId(UUID(device)), "a/1") for device in devices]
    async with acme.edge.system_database.tx() as tx:
        first = await CommandSource().claim(tx, hearers, most=10)
    assert [str(downlink.device) for downlink in first] == [valve]

    # A minute later, so to speak.
    timers = CommandTimers(acme.edge.system_database)
    async with acme.edge.system_database.tx() as tx:
        await tx.run(
            """
            UPDATE command SET release_at = release_at - interval '1 min', due_at = due_at - interval '1 min'
            WHERE tenant_id = %s AND status = 'PENDING'
            """,
            acme.tenant_id,
        )
    await timers.look()
    async with acme.edge.system_database.tx() as tx:
        second = await CommandSource().claim(tx, hearers, most=10)
    assert [str(downlink.device) for downlink in second] == [devices[1]]

    path = f"/api/v1/commands/bulk/{queued['batchId']}"
    stopped = ok(await acme.api.post(f"{path}/cancel"))
    assert (stopped["status"], stopped["counts"]["sent"], stopped["counts"]["cancelled"]) == ("CANCELLED", 2, 2)
    assert problem(await acme.api.post(f"{path}/cancel"))[:2] == (409, "invalid-state")
    assert (await last_actions(acme, 1)) == ["command.bulk-cancel"]


async def test_a_bulk_ends_when_its_commands_have_and_stops_when_too_many_fail(acme: Tenant, valve: str) -> None:
    devices = [valve, *[await add_seen(acme, f"plain-{number}") for number in range(3)]]
    timers = CommandTimers(acme.edge.system_database)

    async def run(statuses: list[str], **fields: Any) -> dict[str, Any]:
        queued = await bulk(acme, {"deviceIds": devices}, **fields)
        made = ok(await acme.api.get("/api/v1/commands", params={"batchId": queued["batchId"]}))["items"]
        for command, status in zip(made, statuses, strict=False):
            await finish(acme, command, status)
        await timers.look()
        found: dict[str, Any] = ok(await acme.api.get(f"/api/v1/commands/bulk/{queued['batchId']}"))
        return found

    assert (await run(["SUCCESS", "FAILED", "SUCCESS", "SUCCESS"]))["status"] == "COMPLETED"
    assert (await run(["SUCCESS", "FAILED"], maxFailurePercent=25))["status"] == "RUNNING"
    aborted = await run(["FAILED", "FAILED"], maxFailurePercent=25)
    assert (aborted["status"], aborted["counts"]["cancelled"], aborted["counts"]["failed"]) == ("ABORTED", 2, 2)
    items = ok(await acme.api.get("/api/v1/commands", params={"batchId": aborted["batchId"], "status": "CANCELLED"}))
    assert {item["error"] for item in items["items"]} == {"the bulk was aborted: 2 of 4 had failed"}


async def test_a_deleted_device_takes_its_commands_along(acme: Tenant, valve: str) -> None:
    command = await make(acme, valve)
    ok(await acme.api.delete(f"/api/v1/devices/{valve}"))
    assert ok(await acme.api.get("/api/v1/commands"))["items"] == []
    assert problem(await acme.api.get(place(valve, command["id"])))[:2] == (404, "not-found")
