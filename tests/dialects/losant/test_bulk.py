"""Changes, deletions and restorations of many devices, at once and by jobs."""

from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.fleet import service
from roadstead.kernel.ids import parse_hex24
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.world import add_application, add_device


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """The routes, with a telemetry store: attributes that go lose their history."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


FLOW = {"name": "flow", "dataType": "number"}


def to_set(target: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"operation": "set", "target": target, "value": value} | more


def to_remove(target: str, **more: Any) -> dict[str, Any]:
    return {"operation": "remove", "target": target} | more


def to_add(target: str, value: Any) -> dict[str, Any]:
    return {"operation": "add", "target": target, "value": value}


async def change(client: Client, application: str, *operations: dict[str, Any], **body: Any) -> tuple[int, int, int]:
    """How many were updated, failed, and were skipped."""
    told = {"updateOperations": list(operations)} | body
    found = await client.data("devices.patch", applicationId=application, json=told)
    return found["updated"], found["failed"], found["skipped"]


async def read(client: Client, application: str, device: str) -> Any:
    params = {"tagsAsObject": True, "attributesAsObject": True}
    return await client.data("device.get", applicationId=application, deviceId=device, params=params)


# --- operations ------------------------------------------------------------------------------------------------------


async def test_fields_are_set_and_removed(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    system = await add_device(client, application, "system", deviceClass="system")
    hub = await add_device(client, application, "hub", deviceClass="gateway")
    device = await add_device(client, application, "pump", description="old")
    operations = [
        to_set("name", "new"),
        to_set("deviceClass", "peripheral"),
        to_set("description", "of steel"),
        to_set("gatewayId", hub),
        to_set("parentId", system),
        to_set("systemInterval", 60),
        to_set("keepDuplicates", True),
    ]

    assert await change(client, application, *operations, deviceIds=[device]) == (1, 0, 0)
    assert await change(client, application, *operations, deviceIds=[device]) == (0, 0, 1)
    expected = {
        "name": "new",
        "deviceClass": "peripheral",
        "description": "of steel",
        "gatewayId": hub,
        "parentId": system,
        "systemInterval": 60,
        "keepDuplicates": True,
    }
    assert (await read(client, application, device)).items() >= expected.items()

    undone = [to_remove("description"), to_remove("parentId")]
    assert await change(client, application, *undone, query={"name": "new"}) == (1, 0, 0)
    assert await change(client, application, *undone, query={"name": "new"}) == (0, 0, 1)
    found = await read(client, application, device)
    assert found["parentId"] is None
    assert "description" not in found
    assert found["keepDuplicates"]


async def test_tags_are_set_with_one_value_and_removed_with_all(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    tags = [{"key": "line", "value": "1"}, {"key": "line", "value": "2"}, {"key": "pier", "value": "9"}]
    device = await add_device(client, application, tags=tags)

    added = to_set("tag", {"key": "hall", "value": "A"})
    assert await change(client, application, added, deviceIds=[device]) == (1, 0, 0)
    assert (await read(client, application, device))["tags"] == {"line": ["1", "2"], "pier": ["9"], "hall": ["A"]}
    edits = [to_set("tag", {"key": "line", "value": "1"}), to_remove("tag", tagKey="pier")]
    assert await change(client, application, *edits, deviceIds=[device]) == (1, 0, 0)
    assert (await read(client, application, device))["tags"] == {"line": ["1"], "hall": ["A"]}
    assert await change(client, application, *edits, deviceIds=[device]) == (0, 0, 1)


async def test_attributes_are_added_changed_renamed_and_removed(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["flow"])
    bare = await add_device(client, application, "bare")
    both = [device, bare]
    blob = {"name": "photo", "dataType": "blob", "contentType": "image/png"}

    assert await change(client, application, to_add("attribute", blob), deviceIds=both) == (2, 0, 0)
    assert await change(client, application, to_add("attribute", FLOW), deviceIds=both) == (1, 0, 1)
    edits = [
        to_set("attributeTag", {"key": "unit", "value": "l"}, attributeName="flow"),
        to_set("attributeTag", {"key": "unit", "value": "m3"}, attributeName="flow"),
        to_set("attributeDescription", "how much", attributeName="flow"),
        to_set("attributeContentType", "image/jpeg", attributeName="photo"),
        to_set("attributeName", "picture", attributeName="photo"),
        to_set("attributeName", "other", attributeName="nothing"),
    ]
    assert await change(client, application, *edits, deviceIds=[device]) == (1, 0, 0)
    assert (await read(client, application, device))["attributes"] == {
        "flow": {"dataType": "number", "attributeTags": {"unit": "m3"}, "description": "how much"},
        "picture": {"dataType": "blob", "attributeTags": {}, "contentType": "image/jpeg"},
    }
    edits = [
        to_remove("attributeTag", attributeName="flow", tagKey="unit"),
        to_remove("attributeDescription", attributeName="flow"),
        to_remove("attribute", attributeName="picture"),
    ]
    assert await change(client, application, *edits, deviceIds=[device]) == (1, 0, 0)
    assert await change(client, application, *edits, deviceIds=[device]) == (0, 0, 1)
    assert (await read(client, application, device))["attributes"] == {
        "flow": {"dataType": "number", "attributeTags": {}}
    }


async def test_an_attribute_of_a_system_is_worked_out_and_other_devices_are_skipped(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    system = await add_device(client, application, "system", deviceClass="system", attributes=["total"])
    other = await add_device(client, application, "pump")
    children = {"aggregation": "SUM", "childAttributes": [{"name": "flow", "mode": "all"}]}
    edit = to_add("attributeSystem", {"name": "total", "dataType": "number", "system": children})

    assert await change(client, application, edit, deviceIds=[system, other]) == (1, 0, 1)
    assert (await read(client, application, system))["attributes"]["total"]["system"] == children
    assert await change(client, application, edit, query={}) == (0, 0, 2)


async def test_fields_of_a_patch_are_given_to_all(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    for name in ("one", "two"):
        await add_device(client, application, name, attributes=["flow"], tags=[{"key": "line", "value": name}])
    fields = {"description": "same", "tags": [{"key": "pier", "value": "1"}], "attributes": [FLOW]}

    assert await change(client, application, query={}, updateFields=fields) == (2, 0, 0)
    assert await change(client, application, query={}, updateFields=fields) == (0, 0, 2)
    for item in (await client.data("devices.get", applicationId=application))["items"]:
        assert item["description"] == "same"
        assert item["tags"] == [{"key": "pier", "value": "1"}]


async def test_what_fails_leaves_that_device_as_it_was_and_the_rest_goes_on(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    good = await add_device(client, application, "good")
    bad = await add_device(client, application, "bad", attributes=[{"name": "flow", "dataType": "string"}])
    edits = [to_set("tag", {"key": "line", "value": "1"}), to_add("attribute", FLOW)]

    assert await change(client, application, *edits, query={}) == (1, 1, 0)
    assert (await read(client, application, good))["tags"] == {"line": ["1"]}
    assert (await read(client, application, bad))["tags"] == {}


async def test_only_devices_of_the_application_are_changed_and_everybody_sees_it(acme: Tenant, globex: Tenant) -> None:
    client, other = await Client.of(acme), await Client.of(globex)
    application, beside, foreign = (
        await add_application(client),
        await add_application(client, "Beside"),
        await add_application(other),
    )
    own = await add_device(client, application)
    apart = await add_device(client, beside)
    theirs = await add_device(other, foreign)
    edit = to_set("tag", {"key": "line", "value": "1"})

    assert await change(client, application, edit, deviceIds=[own, apart, theirs]) == (1, 0, 0)
    assert await change(client, application, to_set("name", "x"), query={"$or": []}) == (1, 0, 0)
    assert (await read(client, beside, apart))["tags"] == {}
    assert (await read(other, foreign, theirs))["name"] == "pump"
    shown = await acme.api.get(f"/api/v1/devices/{parse_hex24(own)}")
    assert shown.json()["tags"] == {"line": "1"}
    body = {"updateOperations": [edit], "query": {}}
    assert await other.failure("devices.patch", applicationId=application, json=body) == (404, "NotFound")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": {}},
        {"updateOperations": [to_set("name", "x")]},
        {"query": {}, "updateOperations": []},
        {"query": {}, "updateOperations": [to_set("colour", "red")]},
        {"query": {}, "updateOperations": [to_set("name", "")]},
        {"query": {}, "updateOperations": [to_remove("name")]},
        {"query": {}, "updateOperations": [to_set("name", "x")] * 26},
        {"query": {"colour": "red"}, "updateOperations": [to_set("name", "x")]},
        {"query": {}, "deviceIds": ["0" * 24], "updateOperations": [to_set("name", "x")]},
        {"query": {}, "updateOperations": [to_set("name", "x")], "colour": "red"},
    ],
)
async def test_what_is_not_said_clearly_changes_nothing(acme: Tenant, body: dict[str, Any]) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application)
    assert await client.failure("devices.patch", applicationId=application, json=body) == (400, "Validation")
    assert (await read(client, application, device))["name"] == "pump"


# --- deletion and restoration ----------------------------------------------------------------------------------------


async def test_devices_of_a_query_are_deleted_and_brought_back(acme: Tenant, globex: Tenant) -> None:
    client, other = await Client.of(acme), await Client.of(globex)
    application = await add_application(client)
    tags = [{"key": "line", "value": "1"}]
    made = [await add_device(client, application, name, tags=tags, attributes=["flow"]) for name in ("a", "b", "c")]
    await add_device(client, await add_application(client, "Beside"), "a")
    query = {"query": {"name": {"$in": ["a", "b"]}}}

    async def names(**params: Any) -> list[str]:
        found = await client.data("devices.get", applicationId=application, params=params)
        return [item["name"] for item in found["items"]]

    before = await read(client, application, made[0])
    assert await client.data("devices.delete", applicationId=application, json=query) == {"removed": 2, "failed": 0}
    assert await names() == ["c"]
    assert await client.data("devices.delete", applicationId=application, json=query) == {"removed": 0, "failed": 0}
    assert await other.failure("devices.restore", applicationId=application, json=query) == (404, "NotFound")

    only = {"query": {"name": "a", "deletedAt": {"$gt": 0}}}
    assert await client.data("devices.restore", applicationId=application, json=only) == {"restored": 1, "failed": 0}
    assert await names() == ["a", "c"]
    assert await names(queryDeleted=True) == ["b"]
    after = await read(client, application, made[0])
    assert {name: after[name] for name in ("tags", "attributes", "id")} == {
        name: before[name] for name in ("tags", "attributes", "id")
    }
    for action in ("devices.delete", "devices.restore"):
        assert await client.failure(action, applicationId=application, json={}) == (400, "Validation")


# --- jobs ------------------------------------------------------------------------------------------------------------


async def test_deletion_and_restoration_are_jobs_when_that_is_wanted(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    for name in ("a", "b"):
        await add_device(client, application, name)
    body = {"query": {"name": {"$ne": "b"}}, "forceJob": True}

    queued = await client.data("devices.delete", applicationId=application, json=body)
    log = await run_job(client, application, queued)
    assert log["status"] == "completed"
    assert log["output"] == {"removed": 1, "failed": 0}
    assert log["progress"].items() >= {"completed": 1, "total": 1}.items()
    found = await client.data("devices.get", applicationId=application)
    assert [item["name"] for item in found["items"]] == ["b"]

    log = await run_job(client, application, await client.data("devices.restore", applicationId=application, json=body))
    assert log["output"] == {"restored": 1, "failed": 0}
    assert (await client.data("devices.get", applicationId=application))["totalCount"] == 2


async def test_many_are_changed_by_a_job_whose_failures_can_be_read(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    await add_device(client, application, "good")
    await add_device(client, application, "done", attributes=[FLOW])
    bad = await add_device(client, application, "bad", attributes=[{"name": "flow", "dataType": "string"}])
    monkeypatch.setattr(service, "AT_ONCE", 2)
    body = {"query": {}, "updateOperations": [to_add("attribute", FLOW)]}

    answer = await client.ask("devices.patch", applicationId=application, json=body)
    assert answer.status_code == 202
    log = await run_job(client, application, answer.json())

    output = log["output"]
    assert {name: output[name] for name in ("updated", "skipped", "failed")} == {
        "updated": 1,
        "skipped": 1,
        "failed": 1,
    }
    link = httpx.URL(output["logLink"])
    lines = (await acme.api.get(link.raw_path.decode())).text.splitlines()
    assert lines[0] == "ID,Error"
    assert lines[1].startswith(f"{bad},")
    assert len(lines) == 2
