"""/sites over HTTP."""

from typing import Any
from uuid import uuid4

from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, add_site, names, ok, problem

SITES = "/api/v1/sites"


async def test_a_site_comes_back_as_it_was_created_with_the_names_above_it(acme: Tenant, globex: Tenant) -> None:
    top = await add_site(acme, "Plant")
    sent: dict[str, Any] = {
        "parentId": top["id"],
        "location": {"latitude": 1.5, "longitude": 2.5},
        "timeZone": "Europe/Berlin",
        "address": {"city": "Berlin"},
        "tags": {"a": "b"},
        "metadata": {"n": 1},
    }
    hall = await add_site(acme, "Hall", **sent)
    answer = await acme.api.get(f"{SITES}/{hall['id']}")

    assert {key: hall[key] for key in sent} == sent
    assert (hall["path"], hall["deviceCount"], hall["version"]) == (["Plant", "Hall"], 0, 1)
    assert (ok(answer), answer.headers["etag"]) == (hall, '"1"')
    assert problem(await globex.api.get(f"{SITES}/{hall['id']}"))[0] == 404
    assert ok(await globex.api.get(f"{SITES}/tree")) == {"items": []}


async def test_what_is_wrong_with_a_site_is_named(acme: Tenant, globex: Tenant) -> None:
    theirs = await add_site(globex, "Theirs")
    await add_site(acme, "Plant")
    for body, expected in (
        ({"name": "Plant"}, (409, ["/name"])),
        ({"name": "x", "parentId": theirs["id"]}, (422, ["/parentId"])),
        ({"name": "x", "timeZone": "Mars/Base"}, (422, ["/timeZone"])),
        ({"name": "x", "location": {"latitude": 0, "longitude": 181}}, (422, ["/location/longitude"])),
        ({"name": "x", "path": ["y"]}, (422, ["/path"])),
    ):
        assert problem(await acme.api.post(SITES, json=body))[::2] == expected, body
    await add_site(globex, "Plant")


async def test_a_tree_is_at_most_8_levels_deep(acme: Tenant) -> None:
    chain = [await add_site(acme, "level 1")]
    for level in range(2, 9):
        chain.append(await add_site(acme, f"level {level}", parentId=chain[-1]["id"]))
    assert chain[-1]["path"] == [f"level {level}" for level in range(1, 9)]
    too_deep = await acme.api.post(SITES, json={"name": "level 9", "parentId": chain[-1]["id"]})
    assert problem(too_deep)[::2] == (422, ["/parentId"])

    pair = await add_site(acme, "pair")
    await add_site(acme, "one", parentId=pair["id"])
    answer = await acme.api.patch(f"{SITES}/{pair['id']}", json={"parentId": chain[6]["id"]})
    assert problem(answer)[::2] == (422, ["/parentId"])
    ok(await acme.api.patch(f"{SITES}/{pair['id']}", json={"parentId": chain[5]["id"]}))


async def test_a_site_that_moves_takes_along_what_is_below_and_never_goes_below_itself(acme: Tenant) -> None:
    a, b = await add_site(acme, "a"), await add_site(acme, "b")
    a1 = await add_site(acme, "a1", parentId=a["id"])
    a2 = await add_site(acme, "a2", parentId=a1["id"])
    device = await add_device(acme, "pump", siteId=a2["id"])
    for target in (a, a1, a2):
        answer = await acme.api.patch(f"{SITES}/{a['id']}", json={"parentId": target["id"]})
        assert problem(answer)[::2] == (422, ["/parentId"])

    moved = ok(await acme.api.patch(f"{SITES}/{a1['id']}", json={"parentId": b["id"]}))
    assert moved["path"] == ["b", "a1"]
    assert ok(await acme.api.get(f"{SITES}/{a2['id']}"))["path"] == ["b", "a1", "a2"]
    assert await names(acme, f"{SITES}/{b['id']}/devices") == [device["name"]]
    assert await names(acme, f"{SITES}/{a['id']}/devices") == []
    top = ok(await acme.api.patch(f"{SITES}/{a1['id']}", json={"parentId": None}))
    assert top["path"] == ["a1"]


async def test_the_tree_counts_devices_from_the_bottom_up(acme: Tenant) -> None:
    a = await add_site(acme, "a")
    a2, a1 = await add_site(acme, "a2", parentId=a["id"]), await add_site(acme, "a1", parentId=a["id"])
    await add_site(acme, "b")
    for name, site in (("1", a), ("2", a1), ("3", a1), ("4", a2)):
        await add_device(acme, name, siteId=site["id"])

    def line(node: Any) -> Any:
        return node["name"], node["deviceCount"], [line(child) for child in node["children"]]

    tree = ok(await acme.api.get(f"{SITES}/tree"))["items"]
    assert [line(node) for node in tree] == [("a", 4, [("a1", 2, []), ("a2", 1, [])]), ("b", 0, [])]
    assert ok(await acme.api.get(f"{SITES}/{a['id']}"))["deviceCount"] == 4
    assert await names(acme, f"{SITES}/{a['id']}/devices", includeSubsites="false") == ["1"]
    assert (await acme.api.get(f"{SITES}/{uuid4()}/devices")).status_code == 404


async def test_sites_are_listed_by_parent_and_name(acme: Tenant) -> None:
    plant = await add_site(acme, "Plant")
    await add_site(acme, "Hall 1", parentId=plant["id"])
    await add_site(acme, "Hall 2", parentId=plant["id"])
    for params, found in (
        ({}, ["Hall 1", "Hall 2", "Plant"]),
        ({"sort": "-createdAt"}, ["Hall 2", "Hall 1", "Plant"]),
        ({"parentId": "root"}, ["Plant"]),
        ({"parentId": plant["id"]}, ["Hall 1", "Hall 2"]),
        ({"parentId": "x"}, []),
        ({"q": "ALL"}, ["Hall 1", "Hall 2"]),
        ({"q": "%"}, []),
    ):
        assert await names(acme, SITES, **params) == found, params


async def test_a_patch_merges_and_a_put_replaces(acme: Tenant) -> None:
    place = {"latitude": 1, "longitude": 2, "label": "x"}
    site = await add_site(acme, "Plant", tags={"a": "1"}, address={"city": "B", "zip": "1"}, location=place)
    path = f"{SITES}/{site['id']}"
    patch = {"tags": {"b": "2"}, "address": {"zip": None}, "location": {"label": None}, "timeZone": "UTC"}
    patched = ok(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))

    assert (patched["tags"], patched["address"]) == ({"a": "1", "b": "2"}, {"city": "B"})
    assert (patched["location"], patched["timeZone"]) == ({"latitude": 1, "longitude": 2}, "UTC")
    assert problem(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))[0] == 412
    replaced = ok(await acme.api.put(path, json={"name": "Works"}))
    assert (replaced["path"], replaced["tags"], replaced["version"]) == (["Works"], {}, 3)
    assert not {"timeZone", "address", "location"} & replaced.keys()


async def test_a_site_goes_when_it_is_empty_or_its_contents_have_somewhere_to_go(acme: Tenant, globex: Tenant) -> None:
    old, new = await add_site(acme, "old"), await add_site(acme, "new")
    hall = await add_site(acme, "hall", parentId=old["id"])
    device = await add_device(acme, "pump", siteId=old["id"])
    theirs = await add_site(globex, "theirs")
    path = f"{SITES}/{old['id']}"

    assert problem(await acme.api.delete(path))[:2] == (409, "in-use")
    for target in (old, hall, theirs):
        answer = await acme.api.delete(path, params={"reassignTo": target["id"]})
        assert problem(answer)[::2] == (422, ["reassignTo"])
    assert (await acme.api.delete(path, params={"reassignTo": new["id"]})).status_code == 204
    assert ok(await acme.api.get(f"{SITES}/{hall['id']}"))["path"] == ["new", "hall"]
    assert ok(await acme.api.get(f"/api/v1/devices/{device['id']}"))["siteId"] == new["id"]
    assert (await acme.api.delete(f"{SITES}/{hall['id']}")).status_code == 204
