"""Lists of devices, with filters and queries, and what is said of many in a few words."""

import json
from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device


async def harbour(client: Client) -> tuple[str, dict[str, str]]:
    """An application with devices of several kinds; its id and theirs by name."""
    application = await add_application(client)
    crane = await add_device(client, application, "Crane", deviceClass="system", tags=[tag("pier", "1")])
    hub = await add_device(client, application, "Hub", deviceClass="gateway", attributes=["load"], parentId=crane)
    made = {"Crane": crane, "Hub": hub}
    for number in range(3):
        made[f"pump {number}"] = await add_device(
            client,
            application,
            f"pump {number}",
            attributes=["flow", {"name": "place", "dataType": "gps"}],
            tags=[tag("pier", str(number)), tag("pier", "all"), tag("line", "A")],
        )
    return application, made


def tag(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


async def names(client: Client, application: str, **params: Any) -> list[str]:
    found = await client.data("devices.get", applicationId=application, params=params)
    assert found["count"] == len(found["items"])
    return [item["name"] for item in found["items"]]


async def test_a_list_is_narrowed_by_filter_class_tags_and_parent(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, made = await harbour(client)

    assert await names(client, application) == ["Crane", "Hub", "pump 0", "pump 1", "pump 2"]
    assert await names(client, application, filter="PUMP*", filterField="name") == ["pump 0", "pump 1", "pump 2"]
    assert await names(client, application, deviceClass="gateway") == ["Hub"]
    assert await names(client, application, deviceClass=["gateway", "system"]) == ["Crane", "Hub"]
    assert await names(client, application, tagFilter=[{"key": "pier", "value": "1"}]) == ["Crane", "pump 1"]
    assert await names(client, application, tagFilter=[{"value": "1"}, {"key": "line"}]) == ["pump 1"]
    assert await names(client, application, parentId=made["Crane"]) == ["Hub"]
    assert await names(client, application, parentId="null", filter="H*") == []


async def test_a_query_takes_the_place_of_every_other_condition_and_is_said_again(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, made = await harbour(client)
    query = {"$or": [{"name": {"$startsWith": "pump"}, "tags": {"pier": "2"}}, {"ancestorId": made["Crane"]}]}
    params = {
        "query": query,
        "filter": "nothing",
        "deviceClass": ["floating"],
        "tagFilter": [{"key": "none"}],
        "parentId": made["Hub"],
    }

    found = await client.data("devices.get", applicationId=application, params=params)

    assert [item["name"] for item in found["items"]] == ["Hub", "pump 2"]
    assert found["totalCount"] == 2
    assert found["query"] == query


async def test_pages_are_in_the_order_that_is_wanted_and_end(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, made = await harbour(client)

    assert await names(client, application, perPage=2, page=1) == ["pump 0", "pump 1"]
    assert await names(client, application, perPage=2, page=3) == []
    for page in (0, 2, 3):
        found = await client.data("devices.get", applicationId=application, params={"perPage": 2, "page": page})
        assert (found["totalCount"], found["perPage"], found["page"]) == (5, 2, page)
    assert await names(client, application, perPage=2, sortDirection="desc") == ["pump 2", "pump 1"]
    assert await names(client, application, sortField="creationDate", perPage=1) == ["Crane"]
    by_id = sorted(made, key=lambda name: made[name])
    assert await names(client, application, sortField="id") == by_id
    for field in ("lastUpdated", "connectionStatus", "deletedAt"):
        assert sorted(await names(client, application, sortField=field)) == sorted(made)


async def test_what_was_deleted_is_listed_apart_and_by_the_same_queries(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, made = await harbour(client)
    for name in ("pump 1", "pump 2", "Hub"):
        await client.data("device.delete", applicationId=application, deviceId=made[name])

    assert await names(client, application) == ["Crane", "pump 0"]
    assert await names(client, application, queryDeleted=True) == ["Hub", "pump 1", "pump 2"]
    queries: dict[str, dict[str, Any]] = {
        "name": {"name": {"$endsWith": "1"}},
        "tags": {"tags": {"pier": "2"}},
        "pair": {"tags": {"$tagKey": "pier", "$tagValue": {"$in": ["1"]}}},
        "class": {"deviceClass": {"$ne": "standalone"}},
        "above": {"ancestorId": made["Crane"]},
        "attribute": {"attributeName": "load"},
        "deleted": {"deletedAt": {"$gt": 0}},
        "not deleted": {"deletedAt": None},
    }
    found = {
        name: await names(client, application, queryDeleted="true", query=query) for name, query in queries.items()
    }
    assert found == {
        "name": ["pump 1"],
        "tags": ["pump 2"],
        "pair": ["pump 1"],
        "class": ["Hub"],
        "above": ["Hub"],
        "attribute": ["Hub"],
        "deleted": ["Hub", "pump 1", "pump 2"],
        "not deleted": [],
    }
    assert await names(client, application, query={"deletedAt": {"$gt": 0}}) == []


async def test_names_keys_values_and_attributes_of_many_are_said_in_a_few_words(acme: Tenant) -> None:
    client = await Client.of(acme)
    application, made = await harbour(client)
    pumps = {"query": {"name": {"$startsWith": "pump"}}}

    async def ask(action: str, **params: Any) -> Any:
        return await client.data(f"devices.{action}", applicationId=application, params=params)

    found = await ask("deviceNames", startsWith="H")
    assert found == {"deviceSummary": [{"id": made["Hub"], "deviceClass": "gateway", "name": "Hub"}]}
    assert [each["name"] for each in (await ask("deviceNames", **pumps))["deviceSummary"]] == [
        "pump 0",
        "pump 1",
        "pump 2",
    ]
    assert await ask("tagKeys") == {"tagKeys": ["line", "pier"]}
    assert await ask("tagKeys", startsWith="p") == {"tagKeys": ["pier"]}
    assert await ask("tagKeys", query={"name": "Hub"}) == {"tagKeys": []}
    assert await ask("tagValues", key="pier", **pumps) == {"tagKey": "pier", "tagValues": ["0", "1", "2", "all"]}
    assert await ask("tagValues", key="pier", startsWith="a") == {"tagKey": "pier", "tagValues": ["all"]}
    assert await ask("tagValues", key="pier no. 1") == {"tagKey": "pier_no__1", "tagValues": []}
    assert await ask("attributeNames") == {"attributeNames": ["flow", "load", "place"]}
    assert await ask("attributeNames", dataType=["gps"]) == {"attributeNames": ["place"]}
    assert await ask("attributeNames", dataType="number", **pumps) == {"attributeNames": ["flow"]}
    assert await ask("attributeNames", startsWith="pl") == {"attributeNames": ["place"]}
    assert await client.failure("devices.tagValues", applicationId=application) == (400, "Validation")


async def test_lists_know_nothing_of_other_applications_and_organizations(acme: Tenant, globex: Tenant) -> None:
    client, other = await Client.of(acme), await Client.of(globex)
    application, made = await harbour(client)
    empty = await add_application(client, "Empty")
    foreign = await add_application(other)

    everything = {"query": {"$or": [{"id": id_} for id_ in made.values()]}}
    assert await names(client, application, **everything) == sorted(made)
    assert await names(client, empty, **everything) == []
    assert await names(other, foreign, **everything) == []
    for action in ("deviceNames", "tagKeys", "attributeNames"):
        for asker, id_ in ((client, empty), (other, foreign)):
            (found,) = (await asker.data(f"devices.{action}", applicationId=id_, params=everything)).values()
            assert found == []
        assert await other.failure(f"devices.{action}", applicationId=application) == (404, "NotFound")
    assert await other.failure("devices.get", applicationId=application) == (404, "NotFound")


@pytest.mark.parametrize(
    "query",
    [
        '{"colour": "red"}',
        '{"name": 1',
        "name",
        "[]",
        '{"creationDate": {"$gt": "soon"}}',
        '{"id": {"$gt": "000000000000000000000000", "$lt": "000000000000000000000000"}}',
        '{"$and":[' * 40 + "{}" + "]}" * 40,
        '{"$and":[' * 2000 + "{}" + "]}" * 2000,
        json.dumps({"$or": [{"$and": [{"name": "a"}] * 90}] * 15}),
        json.dumps({"name": {"$contains": "a" * 2000}}),
        json.dumps({"name": "a\0"}),
    ],
)
async def test_a_query_that_cannot_be_asked_is_refused(acme: Tenant, query: str) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    answer = await client.http.get(f"/applications/{application}/devices", params={"query": query})
    assert (answer.status_code, answer.json()["type"]) == (400, "Validation")
