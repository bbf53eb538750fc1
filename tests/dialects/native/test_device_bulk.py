"""/devices/bulk over HTTP."""

from typing import Any
from uuid import uuid4

from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, add_site, names, ok, problem

BULK = "/api/v1/devices/bulk"


async def bulk(tenant: Tenant, *operations: Any, **more: Any) -> Any:
    """The answer to some operations."""
    return await tenant.api.post(BULK, json={"operations": list(operations), **more})


async def test_each_operation_does_its_work_on_ids_or_on_a_filter(acme: Tenant, globex: Tenant) -> None:
    site = await add_site(acme, "Plant")
    a, b = await add_device(acme, "a", tags={"x": "1"}), await add_device(acme, "b", virtual=True)
    await add_device(globex, "b", virtual=True)
    everything = {"filter": {"status": ["PENDING", "ACTIVE"]}}
    answer = await bulk(
        acme,
        {"op": "addTags", **everything, "value": {"new": "yes"}},
        {"op": "removeTags", "ids": [a["id"]], "value": ["x"]},
        {"op": "setSite", "filter": {"tag": "new:yes", "q": "a"}, "value": site["id"]},
        {"op": "setStatus", "filter": {"status": "ACTIVE"}, "value": "MAINTENANCE"},
        {"op": "patch", "ids": [b["id"]], "value": {"name": "c", "metadata": {"n": 1}}},
    )
    result = ok(answer)
    devices = {device["name"]: device for device in ok(await acme.api.get("/api/v1/devices"))["items"]}

    assert answer.status_code == 200
    assert (result["succeeded"], result["failed"]) == (6, 0)
    assert [(line["index"], line["status"]) for line in result["results"]] == [(n, 200) for n in (0, 0, 1, 2, 3, 4)]
    assert result["results"][-1]["resource"] == devices["c"]
    assert (devices["a"]["tags"], devices["a"]["siteId"]) == ({"new": "yes"}, site["id"])
    assert (devices["c"]["tags"], devices["c"]["status"]) == ({"new": "yes"}, "MAINTENANCE")
    assert ok(await globex.api.get("/api/v1/devices"))["items"][0]["tags"] == {}

    gone = await bulk(acme, {"op": "delete", "ids": [a["id"]]}, {"op": "setSite", "filter": {}, "value": None})
    assert [line["status"] for line in ok(gone)["results"]] == [204, 200]
    assert await names(acme, "/api/v1/devices") == ["c"]


async def test_what_fails_is_told_and_the_rest_is_done(acme: Tenant, globex: Tenant) -> None:
    a, b = await add_device(acme, "a"), await add_device(acme, "b")
    theirs = await add_device(globex, "theirs")
    answer = await bulk(
        acme,
        {"op": "patch", "ids": [a["id"], b["id"]], "value": {"name": "z"}},
        {"op": "delete", "ids": [theirs["id"], str(uuid4())]},
        {"op": "setStatus", "ids": [b["id"]], "value": "ACTIVE"},
    )
    result = answer.json()

    assert (answer.status_code, result["succeeded"], result["failed"]) == (207, 1, 4)
    assert [(line["status"], line.get("problem", {}).get("code")) for line in result["results"]] == [
        (200, None),
        (409, "name-taken"),
        (404, "not-found"),
        (404, "not-found"),
        (409, "invalid-state"),
    ]
    assert await names(acme, "/api/v1/devices") == ["b", "z"]
    assert await names(globex, "/api/v1/devices") == ["theirs"]


async def test_an_atomic_request_does_all_or_nothing(acme: Tenant) -> None:
    a = await add_device(acme, "a")
    operations = (
        {"op": "addTags", "ids": [a["id"]], "value": {"x": "1"}},
        {"op": "delete", "ids": [str(uuid4())]},
    )
    assert problem(await bulk(acme, *operations, atomic=True)) == (404, "not-found", ["/operations/1"])
    assert ok(await acme.api.get("/api/v1/devices"))["items"] == [a]


async def test_an_operation_that_makes_no_sense_is_named_and_nothing_is_done(acme: Tenant) -> None:
    a = await add_device(acme, "a")
    one = {"ids": [a["id"]]}
    for operation, pointer in (
        ({"op": "paint", **one}, "/operations/1/op"),
        ({"op": "delete"}, "/operations/1"),
        ({"op": "delete", **one, "filter": {}}, "/operations/1"),
        ({"op": "delete", **one, "value": 1}, "/operations/1/value"),
        ({"op": "delete", "ids": ["x"]}, "/operations/1/ids"),
        ({"op": "delete", "filter": {"colour": "red"}}, "/operations/1/filter/colour"),
        ({"op": "patch", **one}, "/operations/1/value"),
        ({"op": "patch", **one, "value": {"status": "ACTIVE"}}, "/operations/1/value"),
        ({"op": "addTags", **one, "value": ["x"]}, "/operations/1/value"),
        ({"op": "removeTags", **one, "value": {"x": "1"}}, "/operations/1/value"),
        ({"op": "setSite", **one, "value": "nowhere"}, "/operations/1/value/siteId"),
        ({"op": "setStatus", **one, "value": "BROKEN"}, "/operations/1/value"),
    ):
        answer = await bulk(acme, {"op": "addTags", **one, "value": {"x": "1"}}, operation)
        assert problem(answer)[::2] == (422, [pointer]), operation
    assert problem(await bulk(acme))[::2] == (422, ["/operations"])
    assert problem(await bulk(acme, *[{"op": "delete", **one}] * 501))[::2] == (422, ["/operations"])
    assert ok(await acme.api.get("/api/v1/devices"))["items"] == [a]


async def test_a_request_changes_at_most_1000_devices(acme: Tenant) -> None:
    a = await add_device(acme, "a")
    ids = [a["id"]] * 600
    tag = {"op": "addTags", "value": {"x": "1"}}
    assert problem(await bulk(acme, {**tag, "ids": ids}, {**tag, "ids": ids}))[::2] == (422, ["/operations/1"])
    assert ok(await acme.api.get("/api/v1/devices"))["items"] == [a]
