"""/devices over HTTP."""

from typing import Any
from uuid import uuid4

import pytest

from roadstead.kernel.actor import Grant
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, add_profiles, add_site, names, ok, problem, set_state

DEVICES = "/api/v1/devices"


async def test_a_device_comes_back_as_it_was_created_and_belongs_to_one_tenant(acme: Tenant, globex: Tenant) -> None:
    site = await add_site(acme, "Plant")
    sent: dict[str, Any] = {
        "name": "pump-1",
        "externalId": "ext-1",
        "serialNumber": "SN-1",
        "siteId": site["id"],
        "location": {"latitude": 52.5, "longitude": 13.4, "label": "hall 3"},
        "tags": {"zone": "north"},
        "metadata": {"bought": {"year": 2020}},
    }
    created = await acme.api.post(DEVICES, json=sent)
    device = ok(created)

    assert created.status_code == 201
    assert (created.headers["location"], created.headers["etag"]) == (f"{DEVICES}/{device['id']}", '"1"')
    assert {key: device[key] for key in sent} == sent
    assert (device["status"], device["online"], device["virtual"], device["version"]) == ("PENDING", False, False, 1)
    assert not {"lastSeenAt", "activatedAt", "deviceProfile", "parentDeviceId", "firmwareVersion"} & device.keys()
    assert ok(await acme.api.get(f"{DEVICES}/{device['id']}")) == device
    assert await names(globex, DEVICES) == []
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = {"name": "mine"} if method in ("PUT", "PATCH") else None
        answer = await globex.api.request(method, f"{DEVICES}/{device['id']}", json=body)
        assert problem(answer)[:2] == (404, "not-found"), method


async def test_a_name_and_an_external_id_are_taken_once_per_organization(acme: Tenant, globex: Tenant) -> None:
    first = await add_device(acme, "pump-1", externalId="x")
    second = await add_device(acme, "pump-2")
    path = f"{DEVICES}/{second['id']}"

    assert problem(await acme.api.post(DEVICES, json={"name": "pump-1"})) == (409, "name-taken", ["/name"])
    assert problem(await acme.api.post(DEVICES, json={"name": "p", "externalId": "x"}))[2] == ["/externalId"]
    assert problem(await acme.api.patch(path, json={"name": "pump-1"})) == (409, "name-taken", ["/name"])
    assert problem(await acme.api.put(path, json={"name": "pump-2", "externalId": "x"}))[0] == 409
    await add_device(globex, "pump-1", externalId="x")
    ok(await acme.api.delete(f"{DEVICES}/{first['id']}"))
    assert ok(await acme.api.patch(path, json={"name": "pump-1"}))["name"] == "pump-1"


async def test_what_is_wrong_with_a_device_is_named(acme: Tenant, globex: Tenant) -> None:
    foreign = await add_site(globex, "Theirs")
    for body, pointer in (
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 121}, "/name"),
        ({"name": "x", "colour": "red"}, "/colour"),
        ({"name": "x", "organizationId": str(uuid4())}, "/organizationId"),
        ({"name": "x", "externalId": "e" * 129}, "/externalId"),
        ({"name": "x", "tags": {"": "v"}}, "/tags/"),
        ({"name": "x", "tags": {"a/b": "v" * 257}}, "/tags/a~1b"),
        ({"name": "x", "tags": {str(n): "" for n in range(51)}}, "/tags"),
        ({"name": "x", "metadata": {"a": "b" * 17_000}}, "/metadata"),
        ({"name": "x", "location": {"latitude": 91, "longitude": 0}}, "/location/latitude"),
        ({"name": "x", "location": {"latitude": 1}}, "/location/longitude"),
        ({"name": "x", "siteId": foreign["id"]}, "/siteId"),
        ({"name": "x", "siteId": "nowhere"}, "/siteId"),
        ({"name": "x", "parentDeviceId": str(uuid4())}, "/parentDeviceId"),
        ({"name": "x", "deviceProfile": "ghost"}, "/deviceProfile"),
        ({"name": "x", "deviceProfile": "ghost@1"}, "/deviceProfile"),
    ):
        status, _, pointers = problem(await acme.api.post(DEVICES, json=body))
        assert (status, pointers) == (422, [pointer]), body
    assert await names(acme, DEVICES) == []


async def test_a_virtual_device_is_active_from_the_start(acme: Tenant) -> None:
    device = await add_device(acme, "sum of all", virtual=True)
    assert device["status"] == "ACTIVE"
    assert device["activatedAt"] == device["createdAt"]


async def test_a_profile_gives_a_device_its_components_and_sensors(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1", deviceProfile="pump")
    components = ok(await acme.api.get(f"{DEVICES}/{device['id']}/components"))["items"]
    sensors = ok(await acme.api.get(f"{DEVICES}/{device['id']}/sensors"))["items"]

    assert device["deviceProfile"] == "pump@1.0"
    assert [(c["key"], c["name"], c["sensorProfile"]) for c in components] == [("motor", "The motor", "motor@1.0")]
    assert [(s["key"], s["valueType"], s["field"], s["componentId"]) for s in sensors] == [
        ("phases[0]", "DOUBLE", "phases", components[0]["id"]),
        ("phases[1]", "DOUBLE", "phases", components[0]["id"]),
        ("rpm", "DOUBLE", "rpm", components[0]["id"]),
        ("starts", "BIGINT", "starts", components[0]["id"]),
    ]
    assert (sensors[2]["unit"], sensors[2]["min"], sensors[2]["max"]) == ("1/min", 0, 9000)
    assert (await acme.api.get(f"{DEVICES}/{uuid4()}/sensors")).status_code == 404


async def test_a_patch_merges_and_a_put_replaces(acme: Tenant) -> None:
    device = await add_device(
        acme,
        "pump-1",
        externalId="e",
        serialNumber="s",
        location={"latitude": 1, "longitude": 2, "label": "here"},
        tags={"a": "1", "b": "2"},
        metadata={"deep": {"x": 1, "y": 2}, "gone": True},
    )
    path = f"{DEVICES}/{device['id']}"
    patch = {
        "externalId": None,
        "location": {"label": "there"},
        "tags": {"a": None, "c": "3"},
        "metadata": {"deep": {"x": None}, "gone": None},
    }
    patched = ok(await acme.api.patch(path, json=patch, headers={"content-type": "application/merge-patch+json"}))
    assert "externalId" not in patched
    assert patched["serialNumber"] == "s"
    assert patched["location"] == {"latitude": 1, "longitude": 2, "label": "there"}
    assert patched["tags"] == {"b": "2", "c": "3"}
    assert patched["metadata"] == {"deep": {"y": 2}}
    assert patched["version"] == 2
    assert problem(await acme.api.patch(path, json={"location": {"latitude": None}}))[::2] == (422, ["/location"])

    replaced = ok(await acme.api.put(path, json={"name": "pump-2"}))
    assert (replaced["tags"], replaced["metadata"], replaced["version"]) == ({}, {}, 3)
    assert not {"serialNumber", "location"} & replaced.keys()


async def test_etags_guard_reads_and_writes(acme: Tenant) -> None:
    path = f"{DEVICES}/{(await add_device(acme, 'pump-1'))['id']}"
    known = await acme.api.get(path, headers={"if-none-match": '"1"'})
    assert (known.status_code, known.content) == (304, b"")
    ok(await acme.api.patch(path, json={"serialNumber": "1"}, headers={"if-match": '"1"'}))
    for method, body in (("PATCH", {"serialNumber": "2"}), ("PUT", {"name": "x"}), ("DELETE", None)):
        stale = await acme.api.request(method, path, json=body, headers={"if-match": '"1"'})
        assert problem(stale)[:2] == (412, "precondition-failed")
    assert (await acme.api.request("DELETE", path, headers={"if-match": '"2"'})).status_code == 204
    assert (await acme.api.get(path)).status_code == 404


async def test_an_operator_changes_the_status_of_what_has_been_seen(acme: Tenant) -> None:
    pending = await add_device(acme, "new")
    virtual = await add_device(acme, "sum", virtual=True)

    async def put(device: Any, status: str) -> Any:
        return await acme.api.put(f"{DEVICES}/{device['id']}/status", json={"status": status, "reason": "test"})

    assert problem(await put(pending, "INACTIVE"))[:2] == (409, "invalid-state")
    assert ok(await put(virtual, "MAINTENANCE"))["status"] == "MAINTENANCE"
    assert problem(await put(virtual, "OFFLINE"))[::2] == (422, ["/status"])
    assert ok(await acme.api.get(f"{DEVICES}/{virtual['id']}"))["status"] == "MAINTENANCE"


async def test_a_device_is_not_below_itself(acme: Tenant) -> None:
    top = await add_device(acme, "top")
    middle = await add_device(acme, "middle", parentDeviceId=top["id"])
    low = await add_device(acme, "low", parentDeviceId=middle["id"])
    for parent in (top, middle, low):
        answer = await acme.api.patch(f"{DEVICES}/{top['id']}", json={"parentDeviceId": parent["id"]})
        assert problem(answer)[::2] == (422, ["/parentDeviceId"])

    assert await names(acme, DEVICES, parentDeviceId=top["id"]) == ["middle"]
    ok(await acme.api.delete(f"{DEVICES}/{middle['id']}"))
    assert "parentDeviceId" not in ok(await acme.api.get(f"{DEVICES}/{low['id']}"))


async def test_every_filter_finds_what_it_says(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    plant = await add_site(acme, "Plant")
    hall = await add_site(acme, "Hall", parentId=plant["id"])
    berlin, rome = {"latitude": 52.52, "longitude": 13.405}, {"latitude": 41.9, "longitude": 12.5}
    a = await add_device(acme, "alpha pump", siteId=plant["id"], tags={"zone": "n", "x": "1"}, location=berlin)
    await add_device(acme, "beta", siteId=hall["id"], tags={"zone": "s"}, location=rome, deviceProfile="pump@1.0")
    await add_device(acme, "gamma", virtual=True, parentDeviceId=a["id"], serialNumber="ab-77", externalId="EXT 9")
    group = {"name": "north", "selector": {"matchTags": {"zone": "n"}}}
    group_id = ok(await acme.api.post("/api/v1/device-groups", json=group))["id"]
    await set_state(acme, a["id"], "{}")
    async with acme.edge.system_database.tx() as tx:
        await tx.run(
            """
            UPDATE device SET last_seen_at = '2026-05-01T10:00Z', online = true, firmware_version = '1.1' WHERE id = %s
            """,
            a["id"],
        )
    await add_device(globex, "alpha pump", tags={"zone": "n"}, location=berlin)

    for params, found in (
        ({}, ["alpha pump", "beta", "gamma"]),
        ({"status": "ACTIVE"}, ["gamma"]),
        ({"status": ["ACTIVE", "PENDING"]}, ["alpha pump", "beta", "gamma"]),
        ({"online": "true"}, ["alpha pump"]),
        ({"online": "false"}, ["beta", "gamma"]),
        ({"siteId": plant["id"]}, ["alpha pump", "beta"]),
        ({"siteId": plant["id"], "includeSubsites": "false"}, ["alpha pump"]),
        ({"siteId": [plant["id"], hall["id"]], "includeSubsites": "false"}, ["alpha pump", "beta"]),
        ({"siteId": "nowhere"}, []),
        ({"groupId": group_id}, ["alpha pump"]),
        ({"groupId": str(uuid4())}, []),
        ({"deviceProfile": "pump"}, ["beta"]),
        ({"deviceProfile": "pump@1.0"}, ["beta"]),
        ({"deviceProfile": "pump@1.1"}, []),
        ({"tag": "zone"}, ["alpha pump", "beta"]),
        ({"tag": "zone:s"}, ["beta"]),
        ({"tag": ["zone", "x:1"]}, ["alpha pump"]),
        ({"parentDeviceId": a["id"]}, ["gamma"]),
        ({"firmwareVersion": "1.1"}, ["alpha pump"]),
        ({"q": "PUM"}, ["alpha pump"]),
        ({"q": "ump"}, []),
        ({"q": "pump alp"}, ["alpha pump"]),
        ({"q": "AB-7"}, ["gamma"]),
        ({"q": "ext"}, ["gamma"]),
        ({"externalId": "EXT 9"}, ["gamma"]),
        ({"externalId": "ext 9"}, []),
        ({"lastSeenBefore": "2026-05-01T10:00:01Z"}, ["alpha pump"]),
        ({"lastSeenBefore": "2026-05-01T12:00:00+02:00"}, []),
        ({"lastSeenAfter": "2026-05-01T10:00:00Z"}, ["alpha pump"]),
        ({"near": "52.5,13.4,5000"}, ["alpha pump"]),
        ({"near": "52.5,13.4,2000"}, []),
        ({"bbox": "10,40,14,50"}, ["beta"]),
        ({"bbox": "13,40,10,60"}, ["alpha pump"]),
        ({"q": "a", "status": "PENDING"}, ["alpha pump"]),
    ):
        assert await names(acme, DEVICES, **params) == found, params
        stats = ok(await acme.api.get(f"{DEVICES}/stats", params=params))
        assert stats["total"] == len(found), params


async def test_a_filter_that_makes_no_sense_is_named(acme: Tenant) -> None:
    for params, parameter in (
        ({"status": "BROKEN"}, "status"),
        ({"online": "perhaps"}, "online"),
        ({"near": "1,2"}, "near"),
        ({"near": "91,0,5"}, "near"),
        ({"bbox": "1,2,3,x"}, "bbox"),
        ({"tag": ":x"}, "tag"),
        ({"lastSeenAfter": "yesterday"}, "lastSeenAfter"),
        ({"deviceProfile": "pump@x"}, "deviceProfile"),
        ({"sort": "weight"}, "sort"),
        ({"expand": "weather"}, "expand"),
        ({"fields": "id,weight"}, "fields"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"limit": 201}, "limit"),
        ({"colour": "red"}, "colour"),
    ):
        status, _, parameters = problem(await acme.api.get(DEVICES, params=params))
        assert (status, parameters) == (422, [parameter]), params


@pytest.mark.parametrize("sort", ["name", "-name", "createdAt", "-lastSeenAt", "status", "-status,name"])
async def test_every_order_pages_through_all_devices_once(acme: Tenant, sort: str) -> None:
    for number in range(7):
        await add_device(acme, f"device {number}", virtual=number % 2 == 0)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"sort": sort, "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = ok(await acme.api.get(DEVICES, params=params))
        seen += [item["name"] for item in page["items"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            break
    numbered = ok(await acme.api.get(DEVICES, params={"sort": sort, "page": 1, "size": 4}))

    assert sorted(seen) == [f"device {number}" for number in range(7)]
    assert [item["name"] for item in numbered["items"]] == seen[4:]
    assert (numbered["totalItems"], numbered["totalPages"], numbered["page"]) == (7, 2, 1)
    if sort == "status":
        assert seen == [f"device {number}" for number in (0, 2, 4, 6, 1, 3, 5)]


async def test_expand_shows_site_components_and_health(acme: Tenant) -> None:
    await add_profiles(acme)
    site = await add_site(acme, "Plant")
    device = await add_device(acme, "pump-1", siteId=site["id"], deviceProfile="pump")
    plain = await add_device(acme, "plain")
    state = '{"$health/uptimeSeconds": [77, 1777629600000, 1777629601000], "$health/connectionType": ["WIFI", 5, 6]}'
    await set_state(acme, device["id"], state)
    params = {"expand": ["site", "components", "health"]}
    full = ok(await acme.api.get(f"{DEVICES}/{device['id']}", params=params))
    bare = ok(await acme.api.get(f"{DEVICES}/{plain['id']}", params=params))
    listed = ok(await acme.api.get(DEVICES, params=params))["items"]

    assert (full["site"]["name"], full["site"]["deviceCount"]) == ("Plant", 1)
    assert [component["key"] for component in full["components"]] == ["motor"]
    assert full["health"] == {
        "deviceId": device["id"],
        "timestamp": "2026-05-01T10:00:00Z",
        "uptimeSeconds": 77,
        "connectionType": "WIFI",
    }
    assert full["lastSeenAt"] == "2026-05-01T10:00:20Z"
    assert bare["components"] == []
    assert not {"site", "health"} & bare.keys()
    assert listed == [bare, full]
    again = await acme.api.get(f"{DEVICES}/{device['id']}", params=params, headers={"if-none-match": '"1"'})
    assert again.status_code == 200


async def test_only_the_fields_that_were_asked_for_are_answered(acme: Tenant) -> None:
    await add_device(acme, "pump-1", tags={"a": "b"})
    page = ok(await acme.api.get(DEVICES, params={"fields": "name,tags,siteId,createdAt"}))
    whole = ok(await acme.api.get(DEVICES))["items"][0]
    assert page["items"] == [{"name": "pump-1", "tags": {"a": "b"}, "createdAt": whole["createdAt"]}]


async def test_stats_count_by_each_kind(acme: Tenant) -> None:
    await add_profiles(acme)
    site = await add_site(acme, "Plant")
    await add_device(acme, "a", siteId=site["id"], deviceProfile="pump")
    await add_device(acme, "b", siteId=site["id"])
    await add_device(acme, "c", virtual=True)

    async def stats(by: str) -> Any:
        return ok(await acme.api.get(f"{DEVICES}/stats", params={"groupBy": by}))

    assert await stats("status") == {
        "total": 3,
        "groups": [{"key": "PENDING", "count": 2}, {"key": "ACTIVE", "count": 1}],
    }
    assert (await stats("siteId"))["groups"] == [{"key": site["id"], "count": 2}, {"count": 1}]
    assert (await stats("deviceProfile"))["groups"] == [{"count": 2}, {"key": "pump@1.0", "count": 1}]
    assert (await stats("firmwareVersion"))["groups"] == [{"count": 3}]


async def test_creating_a_device_twice_with_one_key_makes_one(acme: Tenant) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await acme.api.post(DEVICES, json={"name": "pump-1"}, headers=headers)
    again = await acme.api.post(DEVICES, json={"name": "pump-1"}, headers=headers)
    assert (ok(again), again.headers["idempotency-replayed"]) == (ok(first), "true")
    assert again.headers["location"] == first.headers["location"]


async def test_a_key_that_may_read_devices_may_not_change_them(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    reader = acme.client(await acme.add_key([Grant.DEVICES_READ]))
    assert (await reader.get(f"{DEVICES}/{device['id']}")).status_code == 200
    for method, path, body in (
        ("POST", DEVICES, {"name": "x"}),
        ("PATCH", f"{DEVICES}/{device['id']}", {"name": "x"}),
        ("PUT", f"{DEVICES}/{device['id']}/status", {"status": "ACTIVE"}),
        ("DELETE", f"{DEVICES}/{device['id']}", None),
        ("POST", f"{DEVICES}/bulk", {"operations": [{"op": "delete", "ids": [device["id"]]}]}),
    ):
        assert problem(await reader.request(method, path, json=body))[:2] == (403, "scope-missing"), path
