"""Who shall have which configuration, through the API."""

from typing import Any

from roadstead.core.messages import BindingChanged, ConfigurationReported, DesiredStateChanged
from tests.configuration import (
    BINDINGS,
    add_artefact,
    bind,
    deliver,
    desired,
    desired_state,
    facts_of,
    report,
    saying,
    work_off,
)
from tests.conftest import Tenant
from tests.dialects.native.fleet import MOTOR, PUMP, add_device, add_profiles, add_site, ok, problem
from tests.people import last_actions


async def add_group(tenant: Tenant, name: str, **selector: Any) -> Any:
    """A group of devices, as answered."""
    return ok(await tenant.api.post("/api/v1/device-groups", json={"name": name, "selector": selector}))


async def binding_of(tenant: Tenant, binding: Any) -> Any:
    """A binding as it is now."""
    return ok(await tenant.api.get(f"{BINDINGS}/{binding['id']}"))


async def test_a_device_shall_have_what_is_bound_to_it_at_once(acme: Tenant, globex: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    first, second = await add_artefact(acme, "network", {"a": 1}), await add_artefact(acme, "network", {"a": 2})
    empty = await desired_state(acme, device)
    assert (empty["documentVersion"], empty["entries"], empty["drift"]) == (0, [], False)

    made = await acme.api.put(
        BINDINGS, json={"targetType": "DEVICE", "targetId": device["id"], "configArtefactId": first["id"]}
    )
    binding = ok(made)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"].endswith(f"/desired-state-bindings/{binding['id']}")
    assert (binding["status"], binding["desiredVersion"], binding["settled"]) == ("PENDING", 1, True)
    assert "deviceCounts" not in binding
    assert await desired(acme, device) == {("", "network"): {"a": 1}}

    again = await bind(acme, first, "DEVICE", device)
    assert again == binding
    other = await bind(acme, second, "DEVICE", device)
    assert (other["id"], other["desiredVersion"], other["version"]) == (binding["id"], 2, 2)
    state = await desired_state(acme, device)
    assert (state["documentVersion"], state["entries"][0]["desiredVersion"]) == (2, 2)
    assert [type(fact) for fact in (await facts_of(acme))[-3:]].count(DesiredStateChanged) == 1
    assert BindingChanged in {type(fact) for fact in await facts_of(acme)}
    assert await last_actions(acme, 3) == ["binding.update", "configuration.put_binding", "binding.create"]

    gone = await acme.api.delete(f"{BINDINGS}/{binding['id']}")
    assert gone.status_code == 204
    assert await desired(acme, device) == {}
    assert (await desired_state(acme, device))["documentVersion"] == 3
    theirs = await add_device(globex, "pump-1")
    assert problem(await acme.api.get(f"/api/v1/devices/{theirs['id']}/desired-state"))[0] == 404


async def test_what_is_not_there_cannot_be_bound(acme: Tenant, globex: Tenant) -> None:
    device, theirs = await add_device(acme, "pump-1"), await add_device(globex, "pump-1")
    artefact, foreign = await add_artefact(acme, "network", 1), await add_artefact(globex, "network", 1)
    for target_type, target_id, artefact_id in (
        ("DEVICE", theirs["id"], artefact["id"]),
        ("DEVICE", device["id"], foreign["id"]),
        ("DEVICE", "pump-1", artefact["id"]),
        ("COMPONENT", device["id"], artefact["id"]),
        ("DEVICE_GROUP", device["id"], artefact["id"]),
        ("DEVICE_PROFILE", "pump@1.0", artefact["id"]),
        ("DEVICE_PROFILE", "@", artefact["id"]),
        ("SENSOR_PROFILE", device["id"], artefact["id"]),
        ("DEVICE", device["id"], "x"),
    ):
        body = {"targetType": target_type, "targetId": target_id, "configArtefactId": artefact_id}
        assert problem(await acme.api.put(BINDINGS, json=body))[:2] == (404, "not-found"), body
    for body in (
        {"targetType": "SITE", "targetId": device["id"], "configArtefactId": artefact["id"]},
        {"targetType": "DEVICE", "targetId": device["id"], "configArtefactId": artefact["id"], "priority": 10**9},
        {"targetType": "DEVICE", "targetId": device["id"], "configArtefactId": artefact["id"], "more": 1},
    ):
        assert problem(await acme.api.put(BINDINGS, json=body))[0] == 422, body


async def test_a_binding_is_replaced_only_as_it_was_seen(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    first, second = await add_artefact(acme, "network", 1), await add_artefact(acme, "network", 2)
    body = {"targetType": "DEVICE", "targetId": device["id"], "configArtefactId": first["id"]}
    assert (await acme.api.put(BINDINGS, json=body, headers={"If-Match": '"1"'})).status_code == 412
    binding = ok(await acme.api.put(BINDINGS, json=body, headers={"Idempotency-Key": "one"}))
    replayed = await acme.api.put(BINDINGS, json=body, headers={"Idempotency-Key": "one"})
    assert (replayed.status_code, replayed.headers["idempotency-replayed"]) == (201, "true")
    body["configArtefactId"] = second["id"]
    assert ok(await acme.api.put(BINDINGS, json=body, headers={"If-Match": '"1"'}))["version"] == 2
    assert (await acme.api.put(BINDINGS, json=body, headers={"If-Match": '"1"'})).status_code == 412
    place = f"{BINDINGS}/{binding['id']}"
    assert (await acme.api.delete(place, headers={"If-Match": '"1"'})).status_code == 412
    assert (await acme.api.delete(place, headers={"If-Match": '"2"'})).status_code == 204


async def test_the_most_specific_binding_wins_until_it_goes(acme: Tenant) -> None:
    await add_profiles(acme)
    site = await add_site(acme, "Harbour")
    device = await add_device(acme, "pump-1", deviceProfile="pump@1.0", siteId=site["id"], tags={"line": "north"})
    lone = await add_device(acme, "other")
    component = ok(await acme.api.get(f"/api/v1/devices/{device['id']}/components"))["items"][0]
    north, harbour = (
        await add_group(acme, "n", matchTags={"line": "north"}),
        await add_group(acme, "h", siteIds=[site["id"]]),
    )
    made = [await add_artefact(acme, "network", {"from": number}) for number in range(6)]
    targets = [
        ("SENSOR_PROFILE", "motor@1.0", ("motor", "network")),
        ("DEVICE_PROFILE", "pump@1.0", ("", "network")),
        ("DEVICE_GROUP", north, ("", "network")),
        ("DEVICE_GROUP", harbour, ("", "network")),
        ("DEVICE", device, ("", "network")),
    ]
    bound = []
    for number, (target_type, target, place) in enumerate(targets):
        bound.append(await bind(acme, made[number], target_type, target))
        await work_off(acme)
        assert await desired(acme, device) == {place: {"from": number}}
    part = await bind(acme, made[5], "COMPONENT", component)
    both = {("", "network"): {"from": 4}, ("motor", "network"): {"from": 5}}
    assert await desired(acme, device) == both
    assert await desired(acme, lone) == {}

    ok(await acme.api.delete(f"{BINDINGS}/{part['id']}"))
    for number in reversed(range(5)):
        assert await desired(acme, device) == {targets[number][2]: {"from": number}}
        ok(await acme.api.delete(f"{BINDINGS}/{bound[number]['id']}"))
        await work_off(acme)
    assert await desired(acme, device) == {}


async def test_of_two_groups_the_higher_priority_wins_then_the_newest(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1", tags={"a": "1"})
    old, new = await add_group(acme, "old", matchTags={"a": "1"}), await add_group(acme, "new", matchTags={"a": "1"})
    first, second = await add_artefact(acme, "network", 1), await add_artefact(acme, "network", 2)
    await bind(acme, first, "DEVICE_GROUP", old)
    await bind(acme, second, "DEVICE_GROUP", new)
    await work_off(acme)
    assert await desired(acme, device) == {("", "network"): 2}

    await bind(acme, first, "DEVICE_GROUP", old, priority=1)
    await work_off(acme)
    assert await desired(acme, device) == {("", "network"): 1}


async def test_documents_follow_tags_groups_sites_profiles_and_components(acme: Tenant) -> None:
    await add_profiles(acme)
    ok(await acme.api.post("/api/v1/sensor-profiles", json={**MOTOR, "key": "fan"}))
    port, pier = await add_site(acme, "Port"), await add_site(acme, "Pier")
    device = await add_device(acme, "pump-1", siteId=pier["id"])
    group = await add_group(acme, "g", matchTags={"line": "north"})
    below = await add_group(acme, "b", siteIds=[port["id"]])
    await bind(acme, await add_artefact(acme, "by-tag", 1), "DEVICE_GROUP", group)
    await bind(acme, await add_artefact(acme, "by-site", 1), "DEVICE_GROUP", below)
    await bind(acme, await add_artefact(acme, "by-profile", 1), "DEVICE_PROFILE", "pump")
    await bind(acme, await add_artefact(acme, "by-part", 1), "SENSOR_PROFILE", "fan@1.0")
    place = f"/api/v1/devices/{device['id']}"

    async def names() -> set[str]:
        await work_off(acme)
        return {name for _, name in await desired(acme, device)}

    assert await names() == set()
    ok(await acme.api.patch(place, json={"tags": {"line": "north"}}))
    assert await names() == {"by-tag"}
    ok(await acme.api.patch(f"/api/v1/device-groups/{group['id']}", json={"selector": {"matchTags": {"line": "east"}}}))
    assert await names() == set()
    ok(await acme.api.patch(f"/api/v1/sites/{pier['id']}", json={"parentId": port["id"]}))
    assert await names() == {"by-site"}
    ok(await acme.api.patch(place, json={"deviceProfile": "pump@1.0"}))
    assert await names() == {"by-site", "by-profile"}
    fan = {"deviceId": device["id"], "key": "fan", "name": "Fan", "sensorProfile": "fan@1.0"}
    component = ok(await acme.api.post("/api/v1/components", json=fan))
    assert await names() == {"by-site", "by-profile", "by-part"}
    ok(await acme.api.delete(f"/api/v1/components/{component['id']}"))
    ok(await acme.api.delete(f"/api/v1/sites/{pier['id']}", params={"reassignTo": (await add_site(acme, "X"))["id"]}))
    assert await names() == {"by-profile"}
    newcomer = await add_device(acme, "pump-2", deviceProfile="pump@1.0", tags={"line": "east"})
    await work_off(acme)
    assert {name for _, name in await desired(acme, newcomer)} == {"by-profile", "by-tag"}


async def test_an_artefact_for_a_profile_goes_to_that_profile_only(acme: Tenant) -> None:
    await add_profiles(acme)
    ok(await acme.api.post("/api/v1/device-profiles", json={**PUMP, "key": "valve", "components": []}))
    pump = await add_device(acme, "pump-1", deviceProfile="pump@1.0")
    valve = await add_device(acme, "valve-1", deviceProfile="valve@1.0")
    group = await add_group(acme, "both", deviceIds=[pump["id"], valve["id"]])
    for_pumps = await add_artefact(acme, "network", 1, profile="pump@1.0")
    for_motors = await add_artefact(acme, "curve", 1, profile="motor@1.0")
    for target_type, target, artefact in (
        ("DEVICE", valve["id"], for_pumps),
        ("DEVICE_PROFILE", "valve@1.0", for_pumps),
        ("SENSOR_PROFILE", "motor@1.0", for_pumps),
        ("DEVICE", pump["id"], for_motors),
        ("DEVICE_GROUP", group["id"], for_motors),
    ):
        body = {"targetType": target_type, "targetId": target, "configArtefactId": artefact["id"]}
        assert problem(await acme.api.put(BINDINGS, json=body))[:2] == (422, "profile-mismatch"), body
    await bind(acme, for_pumps, "DEVICE_GROUP", group)
    await bind(acme, for_motors, "SENSOR_PROFILE", "motor@1.0")
    await work_off(acme)
    assert set(await desired(acme, pump)) == {("", "network"), ("motor", "curve")}
    assert await desired(acme, valve) == {}


async def test_what_is_bound_to_cannot_be_deleted_and_a_device_takes_its_bindings_along(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1")
    group = await add_group(acme, "g", deviceIds=[device["id"]])
    artefact = await add_artefact(acme, "network", 1)
    motor = ok(await acme.api.get("/api/v1/sensor-profiles", params={"key": "motor"}))["items"][0]
    pump = ok(await acme.api.get("/api/v1/device-profiles", params={"key": "pump"}))["items"][0]
    bound = [
        await bind(acme, artefact, *target)
        for target in (("DEVICE_GROUP", group), ("DEVICE_PROFILE", pump), ("SENSOR_PROFILE", motor), ("DEVICE", device))
    ]
    for place in (f"device-groups/{group['id']}", f"device-profiles/{pump['id']}", f"sensor-profiles/{motor['id']}"):
        assert problem(await acme.api.delete(f"/api/v1/{place}"))[:2] == (409, "in-use"), place
    ok(await acme.api.delete(f"/api/v1/devices/{device['id']}"))
    assert problem(await acme.api.get(f"{BINDINGS}/{bound[3]['id']}"))[0] == 404
    await work_off(acme)
    assert (await binding_of(acme, bound[0]))["deviceCounts"]["pending"] == 0


async def test_a_binding_says_how_far_its_devices_are(acme: Tenant, globex: Tenant) -> None:
    devices = [await add_device(acme, f"pump-{number}", tags={"a": "1"}) for number in range(3)]
    group = await add_group(acme, "g", matchTags={"a": "1"})
    artefact = await add_artefact(acme, "network", 1)
    binding = await bind(acme, artefact, "DEVICE_GROUP", group)
    assert (binding["status"], binding["settled"]) == ("PENDING", False)
    await work_off(acme)
    now = await binding_of(acme, binding)
    assert (now["status"], now["settled"], now["deviceCounts"]["pending"]) == ("PENDING", True, 3)

    for device, status in zip(devices, ("ACCEPTED", "IN_PROGRESS", "REJECTED"), strict=True):
        document = await deliver(acme, device, "one")
        assert document is not None
        await report(acme, device, [saying(document.entries[0], status, message=f"is {status}")])
    now = await binding_of(acme, binding)
    assert (now["status"], now["drift"]) == ("MIXED", False)
    assert now["deviceCounts"] == {
        "pending": 0, "inProgress": 1, "accepted": 1, "rejected": 1, "failed": 0, "drifting": 0,
    }  # fmt: skip
    assert ConfigurationReported in {type(fact) for fact in await facts_of(acme)}

    async def reports(**params: Any) -> list[Any]:
        return list(ok(await acme.api.get(f"{BINDINGS}/{binding['id']}/reports", params=params))["items"])

    assert len(await reports()) == 3
    (rejected,) = await reports(status="REJECTED")
    assert (rejected["deviceId"], rejected["message"], rejected["reportedHash"]) == (
        devices[2]["id"], "is REJECTED", artefact["sha256"],
    )  # fmt: skip
    assert await reports(drift="true") == []
    for status, found in (("MIXED", 1), ("PENDING", 0)):
        listed = ok(await acme.api.get(BINDINGS, params={"status": status}))["items"]
        assert len(listed) == found
    assert ok(await globex.api.get(BINDINGS))["items"] == []
    for device in devices:
        document = await deliver(acme, device, "two")
        assert document is not None
        await report(acme, device, [saying(document.entries[0], "ACCEPTED")])
    assert (await binding_of(acme, binding))["status"] == "ACCEPTED"


async def test_another_hash_is_drift(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    binding = await bind(acme, await add_artefact(acme, "network", 1), "DEVICE", device)
    document = await deliver(acme, device, "one")
    assert document is not None
    await report(acme, device, [saying(document.entries[0], "ACCEPTED")])
    assert (await binding_of(acme, binding))["status"] == "ACCEPTED"

    # Somebody has turned a knob on the device itself.
    mine = saying(document.entries[0], "ACCEPTED", hash="f" * 64)
    await report(acme, device, [mine, {**mine, "artefact_name": "unasked"}])
    now = await binding_of(acme, binding)
    assert (now["status"], now["drift"], now["reportedHash"]) == ("PENDING", True, "f" * 64)
    state = await desired_state(acme, device)
    assert (state["drift"], state["entries"][0]["drift"]) == (True, True)
    assert [stray["artefactName"] for stray in state["strays"]] == ["unasked"]
    (line,) = ok(await acme.api.get(f"{BINDINGS}/{binding['id']}/reports", params={"drift": "true"}))["items"]
    assert line["drift"] is True

    # A report that is older than what is known changes nothing.
    await report(acme, device, [saying(document.entries[0], "ACCEPTED")], at=1)
    assert (await binding_of(acme, binding))["drift"] is True


async def test_a_dry_run_says_who_would_change_and_changes_nothing(acme: Tenant) -> None:
    devices = [await add_device(acme, f"pump-{number}", tags={"a": "1"}) for number in range(3)]
    group = await add_group(acme, "g", matchTags={"a": "1"})
    first, second = await add_artefact(acme, "network", 1), await add_artefact(acme, "network", 2)
    await bind(acme, second, "DEVICE", devices[0])
    body = {"targetType": "DEVICE_GROUP", "targetId": group["id"], "configArtefactId": first["id"]}
    facts = len(await facts_of(acme))

    preview = ok(await acme.api.put(BINDINGS, json=body, params={"dryRun": "true"}))
    assert (preview["examined"], preview["complete"], preview["changed"]) == (3, True, 2)
    assert {device["deviceId"] for device in preview["devices"]} == {devices[1]["id"], devices[2]["id"]}
    change = preview["devices"][0]["changes"][0]
    assert (change["artefactName"], change["after"]["hash"]) == ("network", first["sha256"])
    assert "before" not in change
    assert len(ok(await acme.api.get(BINDINGS))["items"]) == 1
    assert len(await facts_of(acme)) == facts
    await work_off(acme)
    assert await desired(acme, devices[1]) == {}

    binding = await bind(acme, first, "DEVICE_GROUP", group)
    await work_off(acme)
    place = f"{BINDINGS}/{binding['id']}"
    preview = ok(await acme.api.delete(place, params={"dryRun": "true"}))
    assert preview["changed"] == 2
    assert all("after" not in device["changes"][0] for device in preview["devices"])
    assert await binding_of(acme, binding) is not None
    single = {"targetType": "DEVICE", "targetId": devices[1]["id"], "configArtefactId": second["id"]}
    preview = ok(await acme.api.put(BINDINGS, json=single, params={"dryRun": "true"}))
    (change,) = preview["devices"][0]["changes"]
    assert (change["before"]["targetType"], change["after"]["targetType"]) == ("DEVICE_GROUP", "DEVICE")
    assert await desired(acme, devices[1]) == {("", "network"): 1}
    missing = await acme.api.put(
        BINDINGS, json={**single, "targetId": single["configArtefactId"]}, params={"dryRun": "true"}
    )
    assert problem(missing)[0] == 404


async def test_bindings_are_found_by_target_artefact_and_name(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1")
    network, limits = await add_artefact(acme, "network", 1), await add_artefact(acme, "limits", 1)
    await bind(acme, network, "DEVICE", device)
    await bind(acme, limits, "DEVICE", device)
    await bind(acme, network, "DEVICE_PROFILE", "pump@1.0")

    async def count(**params: Any) -> int:
        return len(ok(await acme.api.get(BINDINGS, params=params))["items"])

    assert await count() == 3
    assert await count(targetType="DEVICE") == await count(targetId=device["id"]) == 2
    assert await count(targetId="pump@1.0") == await count(targetId="pump", targetType="DEVICE_PROFILE") == 1
    assert await count(targetId="pump", targetType="SENSOR_PROFILE") == await count(targetId="nothing") == 0
    assert await count(configArtefactId=limits["id"]) == await count(artefactName="limits") == 1
    page = ok(await acme.api.get(BINDINGS, params={"limit": 2, "sort": "updatedAt", "includeTotal": "true"}))
    assert (len(page["items"]), page["totalItems"]) == (2, 3)
    assert (
        len(ok(await acme.api.get(BINDINGS, params={"cursor": page["nextCursor"], "sort": "updatedAt"}))["items"]) == 1
    )
