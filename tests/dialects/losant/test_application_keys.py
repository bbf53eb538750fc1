"""Access keys as programs make and look after them."""

from typing import Any

import pytest

from roadstead.kernel.ids import new_id, to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application

NOBODY = "0" * 24


async def add_key(client: Client, application: str, **fields: Any) -> Any:
    """A key, with its secret."""
    return await client.data("applicationKeys.post", applicationId=application, json=fields)


async def test_the_secret_of_a_key_is_told_once(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    made = await add_key(client, application, name="Quay", description="by the water")
    assert len(made["key"]) == 36
    assert len(made["secret"]) == 64
    assert (made["status"], made["filterType"], made["addressFilterType"]) == ("active", "all", "all")
    assert (made["createdByType"], made["_type"]) == ("user", "applicationKey")
    shown = await client.data("applicationKey.get", applicationId=application, applicationKeyId=made["id"])
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name not in ("secret", "_links")} | {
        "_links": shown["_links"]
    }


async def test_a_key_is_changed_in_all_but_the_devices_it_is_for(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    made = await add_key(client, application, name="Quay", deviceTags=[{"key": "kind", "value": "pump"}])
    place = {"applicationId": application, "applicationKeyId": made["id"]}
    rules = {
        "status": "inactive",
        "filterType": "whitelist",
        "pubTopics": ["chat/#"],
        "subTopics": ["chat/+"],
        "addressFilterType": "blacklist",
        "addresses": ["10.1.2.3", "10.1.0.0/16"],
    }
    changed = await client.data("applicationKey.patch", json={**rules, "name": None}, **place)
    assert {name: changed[name] for name in rules} == rules
    assert "name" not in changed
    assert changed["deviceTags"] == [{"key": "kind", "value": "pump"}]
    assert await client.failure("applicationKey.patch", json={"deviceTags": []}, **place) == (400, "Validation")
    for body in ({"pubTopics": ["a/#/b"]}, {"addresses": ["nowhere"]}):
        assert await client.failure("applicationKey.patch", json=body, **place) == (400, "Validation")
    assert await client.data("applicationKey.delete", **place) == {"success": True}
    assert await client.failure("applicationKey.get", **place) == (404, "NotFound")


async def test_keys_of_another_application_or_organization_are_not_there(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    application, other = await add_application(ours), await add_application(ours, "Other")
    foreign = await add_application(theirs)
    made = await add_key(ours, application)
    for client, place in ((ours, other), (theirs, application), (theirs, foreign)):
        for action in ("applicationKey.get", "applicationKey.delete"):
            asked = {"applicationId": place, "applicationKeyId": made["id"]}
            assert await client.failure(action, **asked) == (404, "NotFound")
        changed = {"json": {"status": "inactive"}, "applicationId": place, "applicationKeyId": made["id"]}
        assert await client.failure("applicationKey.patch", **changed) == (404, "NotFound")
    assert await theirs.failure("applicationKeys.post", applicationId=application, json={}) == (404, "NotFound")
    assert await theirs.failure("applicationKeys.get", applicationId=application) == (404, "NotFound")
    assert (await ours.data("applicationKeys.get", applicationId=other))["totalCount"] == 0


async def test_a_key_for_a_device_that_is_not_there_is_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    answer = await client.ask("applicationKeys.post", applicationId=application, json={"deviceIds": [NOBODY]})
    assert (answer.status_code, "deviceIds/0" in answer.json()["message"]) == (400, True)


async def test_keys_are_listed_in_pages_newest_first_and_by_name(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    for name in ("quay", "Basin", "crane"):
        await add_key(client, application, name=name)

    async def listed(**params: Any) -> tuple[list[str], int]:
        page = await client.data("applicationKeys.get", applicationId=application, params=params)
        return [each["name"] for each in page["items"]], page["totalCount"]

    assert await listed() == (["crane", "Basin", "quay"], 3)
    assert await listed(sortField="name", sortDirection="asc") == (["Basin", "crane", "quay"], 3)
    assert await listed(perPage=2, page=1) == (["quay"], 3)
    assert await listed(perPage=2, page=7) == ([], 3)
    assert await listed(filterField="name", filter="*A*") == (["crane", "Basin", "quay"], 3)
    assert await listed(filterField="name", filter="basin") == (["Basin"], 1)
    assert await client.failure("applicationKeys.get", applicationId=application, params={"sortField": "colour"}) == (
        400,
        "Validation",
    )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": {"$contains": "UA", "$ci": True}}, ["quay"]),
        ({"status": "inactive"}, ["basin"]),
        ({"status": {"$ne": "inactive"}, "filterType": {"$in": ["all", "none"]}}, ["quay"]),
        ({"pubTopics": {"$startsWith": "chat/"}}, ["crane"]),
        ({"subTopics": "news"}, ["crane"]),
        ({"deviceTags": {"kind": "pump"}}, ["basin"]),
        ({"deviceTags": None}, ["crane", "quay"]),
        ({"deviceTags": {"$tagKey": "kind", "$tagValue": {"$in": ["pump", "fan"]}}}, ["basin"]),
        ({"description": None}, ["basin", "crane"]),
        ({"addresses": {"$startsWith": "10."}, "addressFilterType": "whitelist"}, ["quay"]),
        ({"creationDate": {"$gt": "2026-01-01T00:00:00Z"}}, ["basin", "crane", "quay"]),
        ({"deviceIds": {"$ne": NOBODY}, "id": {"$ne": NOBODY}}, ["basin", "crane", "quay"]),
        ({"$nor": [{"name": "quay"}, {"name": "crane"}]}, ["basin"]),
    ],
)
async def test_keys_are_found_by_advanced_queries(acme: Tenant, query: Any, names: list[str]) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    await add_key(
        client,
        application,
        name="quay",
        description="by the water",
        addressFilterType="whitelist",
        addresses=["10.0.0.1"],
    )
    basin = await add_key(client, application, name="basin", deviceTags=[{"key": "kind", "value": "pump"}])
    place = {"applicationId": application, "applicationKeyId": basin["id"]}
    await client.data("applicationKey.patch", json={"status": "inactive"}, **place)
    await add_key(client, application, name="crane", filterType="whitelist", pubTopics=["chat/a"], subTopics=["news"])
    params = {"query": query, "sortField": "name", "sortDirection": "asc"}
    page = await client.data("applicationKeys.get", applicationId=application, params=params)
    assert [each["name"] for each in page["items"]] == names
    assert page["query"] == query


async def test_a_query_about_something_else_is_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    params = {"query": {"colour": "red"}}
    assert (await client.failure("applicationKeys.get", applicationId=application, params=params))[0] == 400
    place = {"applicationId": application, "applicationKeyId": to_hex24(new_id())}
    assert await client.failure("applicationKey.get", **place) == (404, "NotFound")
