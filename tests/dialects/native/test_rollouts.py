"""/firmware/rollouts over HTTP: who is told in which order, what becomes of them, and what halts it all."""

import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from roadstead.kernel import time
from tests.clock import Clock
from tests.conftest import Tenant
from tests.core.firmware.ground import Ground
from tests.dialects.native.firmware import FIRMWARE, add_firmware, add_profile
from tests.dialects.native.fleet import add_site, ok, problem
from tests.people import last_actions

ROLLOUTS = f"{FIRMWARE}/rollouts"
CONTENT = os.urandom(5_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time goes when we say so."""
    clock = Clock()
    monkeypatch.setattr(time, "now", clock)
    return clock


@pytest_asyncio.fixture
async def ground(acme: Tenant) -> Ground:
    """Devices of acme; there is a profile for them."""
    await add_profile(acme)
    return Ground(acme)


async def begin(tenant: Tenant, devices: list[UUID], version: str = "1.1.0", **fields: Any) -> Any:
    """A rollout of a fresh firmware to these devices, as answered."""
    made = await add_firmware(tenant, version, content=CONTENT)
    body = {"target": {"deviceIds": [str(device) for device in devices]}, **fields}
    return ok(await tenant.api.post(f"{FIRMWARE}/{made['id']}/rollouts", json=body))


async def get(tenant: Tenant, rollout: Mapping[str, Any]) -> Any:
    """The rollout as it is by now."""
    return ok(await tenant.api.get(f"{ROLLOUTS}/{rollout['id']}"))


async def devices_of(tenant: Tenant, rollout: Mapping[str, Any], **params: Any) -> list[Any]:
    """Its devices, in order."""
    return list(ok(await tenant.api.get(f"{ROLLOUTS}/{rollout['id']}/devices", params=params))["items"])


def counted(rollout: Mapping[str, Any]) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: count for name, count in rollout["counts"].items() if count}


async def test_a_device_is_told_fetches_installs_and_the_rollout_is_complete(
    acme: Tenant, globex: Tenant, ground: Ground
) -> None:
    [device] = await ground.add_devices(1, profile="pump")
    rollout = await begin(acme, [device])
    assert (rollout["status"], rollout["firmwareVersion"], rollout["waves"]) == ("RUNNING", "1.1.0", [100])
    assert (rollout["currentWave"], counted(rollout)) == (1, {"pending": 1})

    await ground.settle(UUID(rollout["id"]))
    [downlink] = await ground.hear(device)
    params: Any = msgspec.to_builtins(downlink.body)["payload"]
    assert (params["version"], params["sizeBytes"], params["rolloutId"]) == ("1.1.0", len(CONTENT), rollout["id"])
    await ground.settle(UUID(rollout["id"]))
    assert counted(await get(acme, rollout)) == {"sent": 1}

    async with acme.client() as nobody:
        ok(await nobody.head(params["url"]))
        head = await nobody.get(params["url"], headers={"range": "bytes=0-99"})
        await ground.settle(UUID(rollout["id"]))
        assert counted(await get(acme, rollout)) == {"downloading": 1}
        rest = await nobody.get(params["url"], headers={"range": "bytes=100-", "if-range": head.headers["etag"]})
        assert head.content + rest.content == CONTENT
        await ground.settle(UUID(rollout["id"]))
        assert counted(await get(acme, rollout)) == {"installing": 1}
        await ground.say(device, "SUCCESS")
        await ground.settle(UUID(rollout["id"]))
        assert problem(await nobody.get(params["url"]))[:2] == (410, "gone")

    after = await get(acme, rollout)
    assert (after["status"], counted(after), "completedAt" in after) == ("COMPLETED", {"installed": 1}, True)
    assert after["version"] > rollout["version"]
    [line] = await devices_of(acme, rollout)
    assert (line["deviceId"], line["status"], line["attempts"], "error" in line) == (str(device), "INSTALLED", 1, False)
    for path in ("", "/devices"):
        assert problem(await globex.api.get(f"{ROLLOUTS}/{rollout['id']}{path}"))[0] == 404
    assert {"rollout.create", "rollout.advance"} <= set(await last_actions(acme, 10))


async def test_waves_go_one_after_the_other_and_canaries_first(acme: Tenant, ground: Ground) -> None:
    devices = await ground.add_devices(11, profile="pump")
    rollout = await begin(acme, devices, waves=[10, 50, 100], canaryDeviceIds=[str(devices[7])])
    lines = await devices_of(acme, rollout)
    assert [line["wave"] for line in lines] == [0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]
    assert lines[0]["deviceId"] == str(devices[7])

    for wave, told in ((0, 1), (1, 1), (2, 4), (3, 5)):
        await ground.settle(UUID(rollout["id"]))
        heard = [device for device in devices if await ground.hear(device)]
        assert {str(device) for device in heard} == {line["deviceId"] for line in lines if line["wave"] == wave}
        assert (await get(acme, rollout))["currentWave"] == wave
        assert len(heard) == told
        for device in heard:
            await ground.report(device, "1.1.0")
    await ground.settle(UUID(rollout["id"]))
    assert (await get(acme, rollout))["status"] == "COMPLETED"


async def test_a_failing_canary_halts_the_rest_and_a_retry_goes_on(acme: Tenant, ground: Ground) -> None:
    devices = await ground.add_devices(4, profile="pump")
    rollout = await begin(acme, devices, waves=[50, 100], maxFailurePercent=40)
    id_ = UUID(rollout["id"])
    first, second = [UUID(line["deviceId"]) for line in (await devices_of(acme, rollout))[:2]]
    await ground.settle(id_)
    await ground.hear(first)
    await ground.say(first, "FAILED", error="no space left")
    await ground.settle(id_)

    halted = await get(acme, rollout)
    assert (halted["status"], counted(halted)) == ("FAILED", {"failed": 1, "cancelled": 3})
    assert halted["reason"] == "1 of 2 devices failed: more than 40 %"
    [line] = await devices_of(acme, rollout, status="FAILED")
    assert (line["deviceId"], line["error"]) == (str(first), "no space left")
    assert await ground.hear(second) == []
    assert problem(await acme.api.post(f"{ROLLOUTS}/{id_}/resume"))[:2] == (409, "invalid-state")

    again = ok(await acme.api.post(f"{ROLLOUTS}/{id_}/retry"))
    assert (again["status"], counted(again), "reason" in again) == ("RUNNING", {"pending": 4}, False)
    for _ in range(2):
        await ground.settle(id_)
        for device in devices:
            if await ground.hear(device):
                await ground.say(device, "SUCCESS")
    await ground.settle(id_)
    assert counted(await get(acme, rollout)) == {"installed": 4}
    assert problem(await acme.api.post(f"{ROLLOUTS}/{id_}/retry"))[:2] == (409, "invalid-state")


async def test_who_cannot_be_reached_and_who_goes_silent_is_told_apart(
    acme: Tenant, ground: Ground, clock: Clock
) -> None:
    offline, silent, late, twice = await ground.add_devices(4, profile="pump")
    fields: dict[str, Any] = {"ttlSeconds": 600, "timeoutSeconds": 300, "maxFailurePercent": 100, "maxAttempts": 2}
    rollout = await begin(acme, [offline, silent, late, twice], **fields)
    id_ = UUID(rollout["id"])

    async def later(seconds: float) -> None:
        clock.pass_(seconds)
        await ground.expire_commands()
        await ground.settle(id_)

    await ground.settle(id_)
    for device in (silent, late, twice):
        assert await ground.hear(device)
    await ground.say(twice, "FAILED", error="battery low")
    await later(1)
    await later(29)
    assert (await ground.statuses(id_))[twice] == "PENDING"
    assert await ground.hear(twice) == []
    await later(1)
    assert await ground.hear(twice)
    await ground.say(twice, "SUCCESS")
    await later(300)
    assert (await ground.statuses(id_))[silent] == "PENDING"
    await later(60)
    for device in (silent, late):
        assert await ground.hear(device)
    await later(301)
    assert await ground.statuses(id_) == {
        offline: "UNREACHED", silent: "TIMED_OUT", late: "TIMED_OUT", twice: "INSTALLED"
    }  # fmt: skip
    assert (await get(acme, rollout))["status"] == "COMPLETED"
    lines = {line["deviceId"]: line for line in await devices_of(acme, rollout)}
    assert lines[str(silent)]["error"] == "the device was told, and nothing was heard within 300 s"
    assert (lines[str(silent)]["attempts"], lines[str(twice)]["attempts"]) == (2, 2)

    # What turns out later is the truth.
    await ground.report(late, "1.1.0")
    await ground.settle(id_)
    assert counted(await get(acme, rollout)) == {"installed": 2, "timedOut": 1, "unreached": 1}


async def test_when_nobody_of_a_wave_can_be_reached_the_next_does_not_begin(
    acme: Tenant, ground: Ground, clock: Clock
) -> None:
    devices = await ground.add_devices(4, profile="pump")
    rollout = await begin(acme, devices, waves=[50, 100], ttlSeconds=60)
    await ground.settle(UUID(rollout["id"]))
    clock.pass_(61)
    await ground.expire_commands()
    await ground.settle(UUID(rollout["id"]))

    halted = await get(acme, rollout)
    assert (halted["status"], counted(halted)) == ("FAILED", {"unreached": 2, "cancelled": 2})
    assert halted["reason"] == "no device of the first waves could be reached"


async def test_paused_nobody_else_is_told_and_cancelled_nobody_goes_on(acme: Tenant, ground: Ground) -> None:
    told, waiting, other = await ground.add_devices(3, profile="pump")
    rollout = await begin(acme, [told, waiting, other])
    id_, path = UUID(rollout["id"]), f"{ROLLOUTS}/{rollout['id']}"
    await ground.settle(id_)
    [downlink] = await ground.hear(told)
    url: str = msgspec.to_builtins(downlink.body)["payload"]["url"]
    assert ok(await acme.api.post(f"{path}/pause"))["status"] == "PAUSED"
    await ground.settle(id_)
    assert await ground.hear(waiting) == []
    assert (await acme.api.head(url)).status_code == 200
    assert problem(await acme.api.post(f"{path}/pause"))[:2] == (409, "invalid-state")

    ok(await acme.api.post(f"{path}/resume"))
    await ground.settle(id_)
    assert await ground.hear(waiting)
    assert ok(await acme.api.post(f"{path}/cancel"))["status"] == "CANCELLED"
    await ground.settle(id_)
    assert await ground.hear(other) == []
    assert (await acme.api.head(url)).status_code == 410
    assert counted(await get(acme, rollout)) == {"cancelled": 3}
    errors = {line["deviceId"]: line["error"] for line in await devices_of(acme, rollout)}
    assert errors[str(told)] == "the rollout ended: it was cancelled; the device was told"
    assert errors[str(other)] == "the rollout ended: it was cancelled"
    for verb in ("cancel", "resume", "retry"):
        assert problem(await acme.api.post(f"{path}/{verb}"))[:2] == (409, "invalid-state")


async def test_it_begins_when_it_shall_and_keeps_to_its_window(acme: Tenant, ground: Ground, clock: Clock) -> None:
    clock.at = clock.at.replace(hour=12, minute=0, second=0, microsecond=0)
    one, other = await ground.add_devices(2, profile="pump")
    start = time.spell_instant(clock.at.replace(hour=13))
    window = {"start": "22:00", "end": "02:00", "timeZone": "UTC"}
    rollout = await begin(acme, [one, other], startAt=start, window=window, ttlSeconds=172_800)
    id_ = UUID(rollout["id"])
    assert (rollout["status"], rollout["startAt"], rollout["window"]) == ("SCHEDULED", start, window)

    for hour, status, heard in ((12, "SCHEDULED", False), (13, "RUNNING", False), (22, "RUNNING", True)):
        clock.at = clock.at.replace(hour=hour)
        await ground.settle(id_)
        assert (await get(acme, rollout))["status"] == status
        assert bool(await ground.hear(one)) is heard
    await ground.say(one, "SUCCESS")
    clock.pass_(4 * 3600)
    await ground.expire_commands()
    await ground.settle(id_)
    assert (await ground.statuses(id_))[other] == "PENDING"
    assert await ground.hear(other) == []
    clock.pass_(20 * 3600)
    await ground.settle(id_)
    assert await ground.hear(other)


async def test_who_cannot_be_told_at_present_is_told_later_and_who_takes_no_such_command_fails(
    acme: Tenant, ground: Ground, clock: Clock
) -> None:
    closed = {"type": "UPDATE_FIRMWARE", "paramsSchema": {"type": "object", "required": ["slot"]}}
    body = {"key": "valve", "profileVersion": "1.0", "name": "V", "components": [], "commands": [closed]}
    ok(await acme.api.post("/api/v1/device-profiles", json=body))
    [resting], [valve] = await ground.add_devices(1, profile="pump"), await ground.add_devices(1, profile="valve")
    ok(await acme.api.put(f"/api/v1/devices/{resting}/status", json={"status": "INACTIVE"}))
    rollout = await begin(acme, [resting])
    await ground.settle(UUID(rollout["id"]))
    [line] = await devices_of(acme, rollout)
    assert (line["status"], line["attempts"], line["error"]) == ("PENDING", 0, "the device is INACTIVE")
    ok(await acme.api.put(f"/api/v1/devices/{resting}/status", json={"status": "ACTIVE"}))
    await ground.settle(UUID(rollout["id"]))
    assert await ground.hear(resting) == []
    clock.pass_(61)
    await ground.settle(UUID(rollout["id"]))
    assert await ground.hear(resting)

    made = await add_firmware(acme, "1.0.0", deviceProfile="valve")
    target = {"target": {"deviceProfile": "valve"}}
    rollout = ok(await acme.api.post(f"{FIRMWARE}/{made['id']}/rollouts", json=target))
    await ground.settle(UUID(rollout["id"]))
    [line] = await devices_of(acme, rollout)
    assert (line["deviceId"], line["status"]) == (str(valve), "FAILED")
    assert line["error"] == "the device's profile does not take the command: params/slot: is required"


async def test_who_needs_it_not_is_skipped_unless_it_is_forced(acme: Tenant, ground: Ground) -> None:
    await add_profile(acme, "valve")
    old, same, newer, fresh = await ground.add_devices(4, profile="pump")
    [valve] = await ground.add_devices(1, profile="valve")
    for device, version in ((old, "1.0.9"), (same, "1.1.0"), (newer, "1.10.0")):
        await ground.report(device, version)
    rollout = await begin(acme, [old, same, newer, fresh, valve])
    errors = {line["deviceId"]: line.get("error") for line in await devices_of(acme, rollout)}
    assert errors == {
        str(old): None,
        str(fresh): None,
        str(same): "the device runs 1.1.0 already",
        str(newer): "the device runs 1.10.0, which is newer",
        str(valve): "the firmware is for devices of the profile pump",
    }
    busy = await acme.api.post(f"{FIRMWARE}/{rollout['firmwareId']}/rollouts", json={"target": rollout["target"]})
    assert problem(busy)[:2] == (409, "in-use")
    assert str(old) in busy.json()["detail"]
    ok(await acme.api.post(f"{ROLLOUTS}/{rollout['id']}/cancel"))
    await ground.settle(UUID(rollout["id"]))
    body = {"target": {"deviceIds": [str(same)]}, "force": True}
    forced = ok(await acme.api.post(f"{FIRMWARE}/{rollout['firmwareId']}/rollouts", json=body))
    await ground.settle(UUID(forced["id"]))
    assert await ground.hear(same)
    await ground.report(same, "1.1.0")
    await ground.settle(UUID(forced["id"]))
    # It says what it said before: that is no proof of anything.
    assert counted(await get(acme, forced)) == {"sent": 1}


async def test_targets_are_the_devices_of_the_profile_that_a_selector_means(
    acme: Tenant, globex: Tenant, ground: Ground
) -> None:
    await add_profile(acme, "valve")
    pumps = await ground.add_devices(2, profile="pump")
    valves = await ground.add_devices(1, profile="valve")
    site, theirs = await add_site(acme, "Plant"), await add_site(globex, "Plant")
    for device in [*pumps[:1], *valves]:
        ok(await acme.api.patch(f"/api/v1/devices/{device}", json={"siteId": site["id"]}))
    made = await add_firmware(acme, content=CONTENT)
    path = f"{FIRMWARE}/{made['id']}/rollouts"
    for target, pointer in (
        ({"siteId": theirs["id"]}, "/target/siteId"),
        ({"deviceGroupId": theirs["id"]}, "/target/deviceGroupId"),
        ({"deviceIds": [str(pumps[0]), theirs["id"]]}, "/target/deviceIds/1"),
        ({"filter": {"firmwareVersion": "9.9.9"}}, "/target"),
        ({}, "/target"),
    ):
        assert problem(await acme.api.post(path, json={"target": target}))[::2] == (422, [pointer]), target
    for fields, pointer in (
        ({"waves": [50, 50, 100]}, "/waves"),
        ({"waves": [50]}, "/waves"),
        ({"window": {"start": "25:00", "end": "01:00"}}, "/window/start"),
        ({"canaryDeviceIds": [str(valves[0])]}, "/canaryDeviceIds/0"),
    ):
        body = {"target": {"deviceProfile": "pump"}, **fields}
        assert problem(await acme.api.post(path, json=body))[::2] == (422, [pointer]), fields

    rollout = ok(await acme.api.post(path, json={"target": {"siteId": site["id"]}}))
    assert [line["deviceId"] for line in await devices_of(acme, rollout)] == [str(pumps[0])]
    assert problem(await acme.api.delete(f"{FIRMWARE}/{made['id']}"))[:2] == (409, "in-use")
    ok(await acme.api.post(f"{ROLLOUTS}/{rollout['id']}/cancel"))
    ok(await acme.api.post(f"{FIRMWARE}/{made['id']}/deprecate"))
    assert problem(await acme.api.post(path, json={"target": {"deviceProfile": "pump"}}))[:2] == (409, "invalid-state")
    assert (await acme.api.delete(f"{FIRMWARE}/{made['id']}")).status_code == 204
    listed = ok(await acme.api.get(ROLLOUTS, params={"firmwareId": made["id"], "status": "CANCELLED"}))["items"]
    assert [one["id"] for one in listed] == [rollout["id"]]
    assert ok(await globex.api.get(ROLLOUTS))["items"] == []
