"""`.search` on interface paths: what is found, counted, sorted, paged and aggregated; of one project only."""

from typing import Any

import pytest

from roadstead.core.messages import Accepted, Reading
from roadstead.core.telemetry import Patches, copy_line, index_next, merge_state, searching
from roadstead.dialects.leverege import search as search_routes
from roadstead.kernel import ids, time
from roadstead.kernel.ids import parse_base62
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import add_blueprint, add_object, add_system

BOATS: dict[str, dict[str, Any]] = {
    "Albatross": {"status": "active", "speed": 12.5, "tags": ["fast", "red"], "seen": "2026-01-10T12:00:00Z"},
    "Brant": {"status": "idle", "speed": 3, "position": {"lat": 53.5, "lon": 10.0}, "seen": 1_768_046_400_000},
    "Curlew": {"status": "active", "docked": True, "position": {"lat": 48.1, "lon": 11.5}},
    "Dunlin": {"serial": "ZSD-TAG-001", "note": "spare anchor on board"},
}


async def report(tenant: Tenant, device_id: str, **values: Any) -> None:
    """What a device reports, projected as the worker does it."""
    key = parse_base62(device_id)
    assert key is not None
    at = time.to_millis(time.now())
    readings = [Reading(path, at, value) for path, value in values.items()]
    patches = Patches()
    patches.add(Accepted.of(tenant.tenant_id, ids.to_bytes(key), "leverege", "data", at, readings))
    async with tenant.edge.system_database.tx() as tx:
        await merge_state(tx, [copy_line(each, patch, seen=True) for each, patch in patches.items()])


async def fleet(tenant: Tenant) -> tuple[Client, dict[str, str]]:
    """A client, and the ids of four boats in the system `main` by their names."""
    client = await Client.of(tenant)
    await add_system(client, "main")
    await add_blueprint(client, "boat", {"path": "status", "type": "string"})
    ids_ = {}
    for name, values in BOATS.items():
        ids_[name] = (await add_object(client, "main/boat", name=name))["id"]
        await report(tenant, ids_[name], **flat(values))
    return client, ids_


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """As the paths of sensors."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= {f"{name}.{below}": each for below, each in value.items()}
        elif isinstance(value, list):
            found |= {f"{name}[{index}]": each for index, each in enumerate(value)}
        else:
            found[name] = value
    return found


async def search(client: Client, **body: Any) -> dict[str, Any]:
    """Boats of the system `main`."""
    found: dict[str, Any] = await client.data("interface.search", json=body, systemId="main", blueprint="boat")
    return found


async def names_of(client: Client, filter_: Any) -> list[str]:
    """The names of the boats that a filter finds, in order."""
    found = await search(client, filter=filter_, sort=[{"field": "name"}])
    names = [item["name"] for item in found["items"]]
    assert found["count"] == found["total"] == len(names)
    return names


FOUND: list[tuple[dict[str, Any], str]] = [
    ({"type": "equals", "field": "data/status", "value": "active"}, "AC"),
    ({"type": "equals", "field": "data/status", "value": "Active"}, ""),
    ({"type": "equals", "field": "data/status", "value": ["active", "idle"]}, "ABC"),
    ({"type": "equals", "field": "data/status", "value": "active", "not": True}, "BD"),
    ({"type": "equals", "field": "data/status", "value": "idle", "empty": True}, "BD"),
    ({"type": "equals", "field": "data/docked", "value": "true", "fieldType": "boolean"}, "C"),
    ({"type": "equals", "field": "data/tags", "value": "red"}, "A"),
    ({"type": "equals", "field": "name", "value": "Brant"}, "B"),
    ({"type": "equals", "field": "simulated", "value": False}, "ABCD"),
    ({"type": "comparison", "field": "data/speed", "comparator": ">", "value": 3}, "A"),
    ({"type": "comparison", "field": "data/speed", "comparator": ">=", "value": 3}, "AB"),
    ({"type": "comparison", "field": "data/speed", "comparator": "!=", "value": 3}, "A"),
    ({"type": "comparison", "field": "data/speed", "comparator": "[]", "value1": 3, "value2": 12.5}, "AB"),
    ({"type": "comparison", "field": "data/speed", "comparator": "(]", "value1": 3, "value2": 12.5}, "A"),
    ({"type": "comparison", "field": "data/speed", "comparator": "![]", "value1": 4, "value2": 20}, "B"),
    ({"type": "exists", "field": "data/position"}, "BC"),
    ({"type": "exists", "field": "data/position/lat", "not": True}, "AD"),
    ({"type": "expression", "kind": "regexp", "field": "data/status", "value": "act.*"}, "AC"),
    ({"type": "expression", "kind": "regexp", "field": "data/status", "value": "act"}, ""),
    ({"type": "expression", "kind": "regexp", "field": "name", "value": "[ab].*", "ignoreCase": True}, "AB"),
    ({"type": "expression", "kind": "queryString", "field": "data/serial", "value": "zsd-TAG*"}, "D"),
    ({"type": "expression", "kind": "queryString", "field": "data/serial", "value": "*tag*"}, "D"),
    ({"type": "expression", "kind": "queryString", "field": "data/note", "value": 'ANCHOR AND NOT "on anchor"'}, "D"),
    ({"type": "expression", "kind": "queryString", "field": "data/status", "value": "idle OR (act* AND NOT x)"}, "ABC"),
    ({"type": "groupedText", "value": "anch spare"}, "D"),
    ({"type": "groupedText", "value": "*ncho*"}, "D"),
    ({"type": "groupedText", "value": "CURL"}, "C"),
    ({"type": "geoDistance", "field": "data/position", "lat": 53.5, "lon": 10.01, "distance": 1, "units": "km"}, "B"),
    (
        {
            "type": "geoBoundingBox",
            "field": "data/position",
            "topLeft": {"lat": 54, "lon": 9},
            "bottomRight": {"lat": 48, "lon": 11},
        },
        "B",
    ),
    (
        {
            "type": "geoShape",
            "field": "data/position",
            "shape": {"type": "Polygon", "coordinates": [[[11, 48], [12, 48], [12, 49], [11, 48]]]},
        },
        "C",
    ),
    (
        {
            "type": "geoShape",
            "field": "data/position",
            "relation": "disjoint",
            "shape": {"type": "envelope", "coordinates": [[11, 49], [12, 48]]},
        },
        "B",
    ),
    ({"type": "logical", "operator": "and", "conditions": []}, "ABCD"),
    (
        {
            "type": "comparison",
            "field": "data/seen",
            "comparator": "[]",
            "value1": "2026-01-10",
            "value2": "2026-01-10",
            "isDate": True,
        },
        "AB",
    ),
    (
        {
            "type": "comparison",
            "field": "data/seen",
            "comparator": "<",
            "value": "2026-01-10T08:00:00",
            "isDate": True,
            "timezone": "America/New_York",
        },
        "AB",
    ),
    ({"type": "comparison", "field": "created", "comparator": ">", "value": "2026-01-01"}, "ABCD"),
]


async def test_every_kind_of_filter_finds_what_it_is_true_for(acme: Tenant, globex: Tenant) -> None:
    client, ids_ = await fleet(acme)
    stranger, _ = await fleet(globex)
    for filter_, initials in FOUND:
        assert "".join(name[0] for name in await names_of(client, filter_)) == initials, filter_
    only = {"type": "idList", "ids": [ids_["Brant"], "nonsense"]}
    assert await names_of(client, only) == ["Brant"]
    assert await names_of(stranger, only) == []


async def test_a_page_is_sorted_with_those_without_the_field_where_they_are_wanted(acme: Tenant) -> None:
    client, _ = await fleet(acme)

    async def order(**sort: Any) -> str:
        found = await search(client, sort=[{"field": "data/speed", **sort}, {"field": "name"}])
        return "".join(item["name"][0] for item in found["items"])

    assert await order() == "BACD"
    assert await order(order="desc", missing="_last") == "ABCD"
    assert await order(order="asc", missing="_first") == "CDBA"
    assert "".join(item["name"][0] for item in (await search(client))["items"]) == "DCBA"


async def test_a_token_continues_where_the_page_ended_and_only_in_the_same_order(acme: Tenant) -> None:
    client, _ = await fleet(acme)
    sort = [{"field": "data/speed", "order": "desc", "missing": "_first"}]
    seen, token = [], None
    for _ in range(4):
        found = await search(client, limit=1, sort=sort, nextToken=token)
        assert found["count"] == found["total"] == 4
        seen += [item["name"] for item in found["items"]]
        token = found.get("nextToken")
    assert (sorted(seen), seen[2:], token) == (sorted(BOATS), ["Albatross", "Brant"], None)

    first = await search(client, limit=1, sort=sort)
    names = {"systemId": "main", "blueprint": "boat"}
    for body in ({"nextToken": first["nextToken"]}, {"nextToken": "x"}, {"limit": -1}, {"limit": 10_001}):
        assert await client.failure("interface.search", json=body, **names) == 400, body
    assert [each["name"] for each in (await search(client, limit=2, offset=1))["items"]] == ["Curlew", "Brant"]
    assert (await search(client, limit=0))["items"] == []
    assert (await search(client, limit=0))["count"] == 4


async def test_matches_are_counted_in_buckets_and_buckets_in_buckets(acme: Tenant) -> None:
    client, _ = await fleet(acme)
    aggs = {
        "status": {
            "type": "terms",
            "field": "data.status",
            "aggs": {"speed": {"type": "stats", "field": "data/speed"}},
        },
        "idle": {"type": "terms", "field": "data/status", "exclude": ["active"]},
        "speed": {"type": "range", "field": "data/speed", "ranges": [{"to": 5}, {"from": 5, "key": "fast"}]},
        "steps": {"type": "histogram", "field": "data.speed", "interval": 5},
        "near": {
            "type": "geoDistance",
            "field": "data/position",
            "origin": {"lat": 53.5, "lon": 10.0},
            "ranges": [{"to": 1000}, {"from": 1000}],
        },
        "some": {"type": "filters", "filters": {"docked": {"type": "exists", "field": "data/docked"}}},
        "types": {"type": "terms", "field": "blueprintId"},
    }
    found = (await search(client, limit=0, aggs=aggs))["aggs"]
    active, idle = found["status"]["buckets"]
    assert (active["key"], active["count"], active["speed"]["avg"], idle["count"]) == ("active", 2, 12.5, 1)
    assert found["idle"]["buckets"] == [{"key": "idle", "count": 1}]
    assert [(bucket["key"], bucket["count"]) for bucket in found["speed"]["buckets"]] == [("*-5.0", 1), ("fast", 1)]
    assert found["steps"]["buckets"] == [{"key": 0, "count": 1}, {"key": 10, "count": 1}]
    assert [bucket["count"] for bucket in found["near"]["buckets"]] == [1, 1]
    assert found["some"]["buckets"] == [{"key": "docked", "count": 1}]
    (bucket,) = found["types"]["buckets"]
    assert (len(bucket["key"]), bucket["count"]) == (22, 4)
    names = {"systemId": "main", "blueprint": "boat"}
    for wrong in ({"type": "magic", "field": "name"}, {"type": "range", "field": "name"}, {"type": "terms"}):
        assert await client.failure("interface.search", json={"aggs": {"a": wrong}}, **names) == 400, wrong


async def test_a_search_finds_what_is_reported_after_the_first_one(acme: Tenant) -> None:
    client, ids_ = await fleet(acme)
    wanted = {"type": "equals", "field": "data/status", "value": "lost"}
    assert await names_of(client, wanted) == []
    await report(acme, ids_["Brant"], status="lost", note="buoy seven")
    assert await names_of(client, wanted) == ["Brant"]
    assert await names_of(client, {"type": "groupedText", "value": "buoy"}) == ["Brant"]
    await report(acme, ids_["Brant"], status="found", note="none")
    assert await names_of(client, wanted) == []
    assert await names_of(client, {"type": "groupedText", "value": "buoy"}) == []


async def test_a_search_among_many_devices_is_put_off_until_they_are_indexed(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = await fleet(acme)
    database = acme.edge.system_database
    async with database.tx() as tx:
        await tx.run("DELETE FROM device_value WHERE tenant_id = %s", acme.tenant_id)
        await tx.run("DELETE FROM searched_tenant")
    monkeypatch.setattr(searching, "_AT_ONCE", 2)
    wanted = {"filter": {"type": "equals", "field": "data/status", "value": "idle"}}
    answer = await client.ask("interface.search", json=wanted, systemId="main", blueprint="boat")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    went_on = True
    while went_on:
        async with database.tx() as tx:
            went_on = await index_next(tx)
    assert await names_of(client, wanted["filter"]) == ["Brant"]


async def test_children_are_searched_and_an_only_child_is_searched_with_its_parent(acme: Tenant) -> None:
    client, ids_ = await fleet(acme)
    tag = await add_blueprint(client, "tag", {"path": "serial", "type": "string"})
    for path, kind in (("tag", "oneToOne"), ("fences", "oneToMany")):
        body = {"path": path, "type": "relationship", "relationshipType": kind, "targetBlueprintId": tag["id"]}
        await client.data("attribute.create", json=body, blueprintId="boat")
    only = await add_object(client, f"main/boat/{ids_['Brant']}/tag", name="tag")
    fence = await add_object(client, f"main/boat/{ids_['Brant']}/fences", name="fence")
    await report(acme, only["id"], serial="TAG-1")
    await report(acme, fence["id"], serial="FENCE-1")

    assert await names_of(client, {"type": "equals", "field": "data/tag/id", "value": only["id"]}) == ["Brant"]
    assert await names_of(client, {"type": "equals", "field": "data/tag/data/serial", "value": "TAG-1"}) == ["Brant"]
    body = {"filter": {"type": "expression", "kind": "queryString", "field": "data/serial", "value": "fence*"}}
    for owner, count in ((ids_["Brant"], 1), (ids_["Dunlin"], 0), ("*", 1)):
        place = {"systemId": "main", "blueprint": "boat", "objId": owner, "rel": "fences"}
        found = await client.data("interface.group-search", json=body, **place)
        assert (found["count"], len(found["items"])) == (count, count), owner


async def test_a_search_that_takes_too_long_is_given_up_and_told_so(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = await fleet(acme)
    monkeypatch.setattr(search_routes, "_LONGEST_S", 1)
    wanted = {"filter": {"type": "expression", "kind": "regexp", "field": "data/note", "value": "spare.*"}}
    async with acme.edge.system_database.tx() as tx:
        # Waiting counts as well: nobody reads the values while this lasts.
        await tx.run("LOCK TABLE device_value IN ACCESS EXCLUSIVE MODE")
        answer = await client.ask("interface.search", json=wanted, systemId="main", blueprint="boat")
    assert (answer.status_code, answer.json()["message"]) == (503, "the database took too long over this; ask for less")
    assert (await search(client))["count"] == len(BOATS)


async def test_an_expression_is_run_in_bounded_time_whatever_it_is(acme: Tenant) -> None:
    client, ids_ = await fleet(acme)
    await report(acme, ids_["Brant"], note="a" * 400)
    for pattern in ("(a*)*b", "(a|aa)+$", "(?:(?:a{1,50}){1,50}){1,50}", "((a+)+)+b", r"\pL+", "a{1000}"):
        filter_ = {"type": "expression", "kind": "regexp", "field": "data/note", "value": pattern}
        answer = await client.http.post("/v1/interface/main/boat.search", json={"filter": filter_})
        assert answer.status_code in (200, 400, 503), (pattern, answer.text)
        assert answer.elapsed.total_seconds() < 15, pattern
    assert (await search(client))["count"] == len(BOATS)
