"""/components over HTTP."""

from typing import Any
from uuid import uuid4

from tests.conftest import Tenant
from tests.dialects.native.fleet import MOTOR, add_device, add_profiles, names, ok, problem

COMPONENTS = "/api/v1/components"


async def add_component(tenant: Tenant, device: Any, key: str, **fields: Any) -> Any:
    """A component bound to `motor`, as answered."""
    body = {"deviceId": device["id"], "key": key, "name": key.title(), "sensorProfile": "motor", **fields}
    return ok(await tenant.api.post(COMPONENTS, json=body))


async def sensors_of(tenant: Tenant, device: Any) -> dict[str, tuple[str | None, bool]]:
    """Component and activity of each sensor of a device, by key."""
    items = ok(await tenant.api.get(f"/api/v1/devices/{device['id']}/sensors"))["items"]
    return {item["key"]: (item.get("componentId"), item["active"]) for item in items}


async def test_a_component_brings_the_sensors_of_its_profile(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1")
    component = await add_component(acme, device, "left", tags={"side": "l"}, metadata={"n": 1})
    answer = await acme.api.get(f"{COMPONENTS}/{component['id']}")
    sensors = ok(await acme.api.get(f"{COMPONENTS}/{component['id']}/sensors"))["items"]

    assert (ok(answer), answer.headers["etag"]) == (component, '"1"')
    assert (component["sensorProfile"], component["tags"], component["metadata"]) == (
        "motor@1.0",
        {"side": "l"},
        {"n": 1},
    )
    assert [sensor["key"] for sensor in sensors] == ["phases[0]", "phases[1]", "rpm", "starts"]
    for path in (component["id"], f"{component['id']}/sensors"):
        assert problem(await globex.api.get(f"{COMPONENTS}/{path}"))[0] == 404
    assert await names(globex, COMPONENTS) == []


async def test_a_component_needs_a_device_a_free_key_and_a_profile(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    device, theirs = await add_device(acme, "pump-1"), await add_device(globex, "pump-1")
    await add_component(acme, device, "left")
    whole = {"deviceId": device["id"], "key": "right", "name": "Right", "sensorProfile": "motor@1.0"}
    for change, expected in (
        ({"key": "left"}, (409, ["/key"])),
        ({"deviceId": theirs["id"]}, (422, ["/deviceId"])),
        ({"deviceId": "x"}, (422, ["/deviceId"])),
        ({"sensorProfile": "motor@9.9"}, (422, ["/sensorProfile"])),
        ({"key": "a/b"}, (422, ["/key"])),
        ({"key": "$x"}, (422, ["/key"])),
        ({"name": ""}, (422, ["/name"])),
    ):
        assert problem(await acme.api.post(COMPONENTS, json=whole | change))[::2] == expected, change


async def test_a_component_keeps_its_device_and_key_and_changes_the_rest(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1")
    component = await add_component(acme, device, "left", tags={"a": "1", "b": "2"})
    path = f"{COMPONENTS}/{component['id']}"

    patched = ok(await acme.api.patch(path, json={"name": "Port", "tags": {"a": None}, "key": "left"}))
    assert (patched["name"], patched["tags"], patched["version"]) == ("Port", {"b": "2"}, 2)
    assert problem(await acme.api.patch(path, json={"key": "right"}))[::2] == (422, ["/key"])
    assert problem(await acme.api.patch(path, json={"name": "x"}, headers={"if-match": '"1"'}))[0] == 412
    whole = {"deviceId": device["id"], "key": "left", "name": "Left", "sensorProfile": "motor"}
    assert ok(await acme.api.put(path, json=whole))["tags"] == {}
    assert problem(await acme.api.put(path, json=whole | {"deviceId": str(uuid4())}))[::2] == (422, ["/deviceId"])


async def test_sensors_follow_the_profile_of_their_component(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1")
    component = await add_component(acme, device, "left")
    fields = [field for field in MOTOR["fields"] if field["name"] != "starts"] + [
        {"name": "torque", "valueType": "DOUBLE"}
    ]
    ok(await acme.api.post("/api/v1/sensor-profiles", json=MOTOR | {"profileVersion": "2.0", "fields": fields}))
    ok(await acme.api.patch(f"{COMPONENTS}/{component['id']}", json={"sensorProfile": "motor@2.0"}))

    id_ = component["id"]
    assert await sensors_of(acme, device) == {
        "phases[0]": (id_, True),
        "phases[1]": (id_, True),
        "rpm": (id_, True),
        "starts": (id_, False),
        "torque": (id_, True),
    }


async def test_sensors_of_a_deleted_component_rest_until_it_is_made_again(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1")
    component = await add_component(acme, device, "left")
    before = ok(await acme.api.get(f"{COMPONENTS}/{component['id']}/sensors"))["items"]
    assert (await acme.api.delete(f"{COMPONENTS}/{component['id']}")).status_code == 204
    assert set((await sensors_of(acme, device)).values()) == {(None, False)}

    again = await add_component(acme, device, "left")
    after = ok(await acme.api.get(f"{COMPONENTS}/{again['id']}/sensors"))["items"]
    assert [sensor["id"] for sensor in after] == [sensor["id"] for sensor in before]
    assert all(sensor["active"] for sensor in after)


async def test_a_component_that_the_device_profile_requires_stays(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1", deviceProfile="pump")
    (component,) = ok(await acme.api.get(f"/api/v1/devices/{device['id']}/components"))["items"]
    assert problem(await acme.api.delete(f"{COMPONENTS}/{component['id']}"))[:2] == (409, "in-use")


async def test_a_device_that_changes_its_profile_gets_what_is_missing(acme: Tenant) -> None:
    await add_profiles(acme)
    other = {
        "key": "valve",
        "profileVersion": "1.0",
        "name": "Valve",
        "fields": [{"name": "open", "valueType": "BOOLEAN"}],
    }
    ok(await acme.api.post("/api/v1/sensor-profiles", json=other))
    for key, components in (
        ("station", [("motor", "motor"), ("valve", "valve")]),
        ("odd", [("motor", "valve")]),
    ):
        body = {
            "key": key,
            "profileVersion": "1.0",
            "name": key,
            "components": [{"key": name, "name": name, "sensorProfile": profile} for name, profile in components],
        }
        ok(await acme.api.post("/api/v1/device-profiles", json=body))
    device = await add_device(acme, "pump-1", deviceProfile="pump")
    path = f"/api/v1/devices/{device['id']}"

    assert problem(await acme.api.patch(path, json={"deviceProfile": "odd"}))[:2] == (409, "profile-mismatch")
    assert ok(await acme.api.patch(path, json={"deviceProfile": "station"}))["deviceProfile"] == "station@1.0"
    assert sorted(item["key"] for item in ok(await acme.api.get(f"{path}/components"))["items"]) == ["motor", "valve"]
    assert (await sensors_of(acme, device)).keys() >= {"rpm", "open"}
    assert "deviceProfile" not in ok(await acme.api.patch(path, json={"deviceProfile": None}))


async def test_components_are_found_by_device_profile_and_beginning(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    one, two = await add_device(acme, "one"), await add_device(acme, "two")
    await add_component(acme, one, "left", name="Port side")
    await add_component(acme, two, "right", name="Starboard")
    for params, found in (
        ({}, ["Port side", "Starboard"]),
        ({"sort": "-name"}, ["Starboard", "Port side"]),
        ({"deviceId": one["id"]}, ["Port side"]),
        ({"deviceId": [one["id"], two["id"]]}, ["Port side", "Starboard"]),
        ({"deviceId": "x"}, []),
        ({"sensorProfile": "motor"}, ["Port side", "Starboard"]),
        ({"sensorProfile": "motor@1.1"}, []),
        ({"q": "port"}, ["Port side"]),
        ({"q": "RIG"}, ["Starboard"]),
        ({"q": "side"}, []),
    ):
        assert await names(acme, COMPONENTS, **params) == found, params
    assert await names(globex, COMPONENTS) == []
