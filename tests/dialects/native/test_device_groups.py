"""/device-groups over HTTP."""

from typing import Any
from uuid import uuid4

from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, add_profiles, add_site, names, ok, problem

GROUPS = "/api/v1/device-groups"


async def add_group(tenant: Tenant, name: str, **selector: Any) -> Any:
    """A group, as answered."""
    return ok(await tenant.api.post(GROUPS, json={"name": name, "selector": selector}))


async def test_a_selector_means_those_that_meet_it_and_those_it_names(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    plant = await add_site(acme, "Plant")
    hall = await add_site(acme, "Hall", parentId=plant["id"])
    await add_device(acme, "a", tags={"zone": "n", "kind": "x"}, siteId=hall["id"])
    await add_device(acme, "b", tags={"zone": "s"}, deviceProfile="pump")
    c = await add_device(acme, "c")
    theirs = await add_device(globex, "d", tags={"zone": "n"})

    def expression(key: str, operator: str, *values: str) -> Any:
        return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})

    for selector, members in (
        ({"matchTags": {"zone": "n"}}, ["a"]),
        ({"matchTags": {"zone": "n", "kind": "y"}}, []),
        ({"expressions": [expression("zone", "IN", "n", "s")]}, ["a", "b"]),
        ({"expressions": [expression("zone", "NOT_IN", "n")]}, ["b", "c"]),
        ({"expressions": [expression("kind", "EXISTS")]}, ["a"]),
        ({"expressions": [expression("zone", "NOT_EXISTS")]}, ["c"]),
        ({"siteIds": [plant["id"]]}, ["a"]),
        ({"deviceProfiles": ["pump"]}, ["b"]),
        ({"deviceProfiles": ["pump@1.0", "other"]}, ["b"]),
        ({"deviceIds": [c["id"], theirs["id"]]}, ["c"]),
        ({"matchTags": {"zone": "n"}, "deviceIds": [c["id"]]}, ["a", "c"]),
        ({"matchTags": {"zone": "n"}, "siteIds": [plant["id"]], "deviceProfiles": ["pump"]}, []),
    ):
        preview = ok(await acme.api.post(f"{GROUPS}/preview", json={"selector": selector}))
        assert (preview["count"], [item["name"] for item in preview["items"]]) == (len(members), members), selector
        group = await add_group(acme, str(uuid4()), **selector)
        assert (group["selector"], group["deviceCount"]) == (selector, len(members))
        assert await names(acme, f"{GROUPS}/{group['id']}/devices") == members
        assert await names(acme, "/api/v1/devices", groupId=group["id"]) == members
        assert (await globex.api.get(f"{GROUPS}/{group['id']}/devices")).status_code == 404
        assert await names(globex, "/api/v1/devices", groupId=group["id"]) == []


async def test_members_come_and_go_with_their_tags(acme: Tenant) -> None:
    group = await add_group(acme, "north", matchTags={"zone": "n"})
    device = await add_device(acme, "a")
    path = f"/api/v1/devices/{device['id']}"
    assert await names(acme, f"{GROUPS}/{group['id']}/devices") == []
    ok(await acme.api.patch(path, json={"tags": {"zone": "n"}}))
    assert await names(acme, f"{GROUPS}/{group['id']}/devices") == ["a"]
    ok(await acme.api.patch(path, json={"tags": {"zone": "s"}}))
    assert await names(acme, f"{GROUPS}/{group['id']}/devices") == []


async def test_what_is_wrong_with_a_group_is_named(acme: Tenant, globex: Tenant) -> None:
    await add_group(acme, "north", matchTags={"zone": "n"})
    for body, expected in (
        ({"name": "north", "selector": {"matchTags": {"a": "b"}}}, (409, ["/name"])),
        ({"name": "x", "selector": {}}, (422, ["/selector"])),
        ({"name": "x"}, (422, ["/selector"])),
        ({"name": "x", "selector": {"tags": {}}}, (422, ["/selector/tags"])),
        (
            {"name": "x", "selector": {"expressions": [{"key": "a", "operator": "IN"}]}},
            (422, ["/selector/expressions/0/values"]),
        ),
        (
            {"name": "x", "selector": {"expressions": [{"key": "a", "operator": "EXISTS", "values": ["b"]}]}},
            (422, ["/selector/expressions/0/values"]),
        ),
        (
            {"name": "x", "selector": {"expressions": [{"key": "a", "operator": "LIKE"}]}},
            (422, ["/selector/expressions/0/operator"]),
        ),
        ({"name": "x", "selector": {"deviceIds": ["y"]}}, (422, ["/selector/deviceIds/0"])),
        ({"name": "x", "selector": {"deviceProfiles": ["a@b"]}}, (422, ["/selector/deviceProfiles/0"])),
    ):
        assert problem(await acme.api.post(GROUPS, json=body))[::2] == expected, body
    await add_group(globex, "north", matchTags={"zone": "n"})


async def test_a_group_is_changed_listed_and_deleted(acme: Tenant, globex: Tenant) -> None:
    await add_device(acme, "a", tags={"zone": "n"})
    group = await add_group(acme, "north", matchTags={"zone": "n"})
    await add_group(acme, "south", matchTags={"zone": "s"})
    path = f"{GROUPS}/{group['id']}"
    answer = await acme.api.get(path)
    assert (ok(answer), answer.headers["etag"]) == (group, '"1"')
    listed = ok(await acme.api.get(GROUPS, params={"sort": "-name"}))["items"]
    assert [(item["name"], item["deviceCount"]) for item in listed] == [("south", 0), ("north", 1)]
    assert await names(acme, GROUPS, q="ORT") == ["north"]
    assert await names(globex, GROUPS) == []

    patch = {"description": "up", "selector": {"matchTags": {"zone": None, "kind": "x"}}}
    patched = ok(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))
    assert (patched["selector"], patched["description"], patched["version"]) == ({"matchTags": {"kind": "x"}}, "up", 2)
    assert patched["deviceCount"] == 0
    assert problem(await acme.api.patch(path, json={"name": "south"}))[::2] == (409, ["/name"])
    assert problem(await acme.api.patch(path, json={"selector": {"matchTags": {"kind": None}}}))[::2] == (
        422,
        ["/selector"],
    )
    replaced = ok(await acme.api.put(path, json={"name": "west", "selector": {"matchTags": {"zone": "w"}}}))
    assert "description" not in replaced
    assert problem(await acme.api.request("DELETE", path, headers={"if-match": '"1"'}))[0] == 412
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = {"name": "x", "selector": {"matchTags": {"a": "b"}}} if method in ("PUT", "PATCH") else None
        assert (await globex.api.request(method, path, json=body)).status_code == 404
    assert (await acme.api.delete(path)).status_code == 204
    assert await names(acme, GROUPS) == ["south"]
