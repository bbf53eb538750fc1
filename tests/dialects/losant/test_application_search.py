"""What is in an application is found by its name."""

from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application


async def test_devices_and_tokens_are_found_by_a_part_of_their_name(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    id_, other = await add_application(ours), await add_application(ours, "Mill")
    names = {"name": "Pump 1 (100%)", "deviceClass": "gateway"}
    pump = await ours.data("devices.post", applicationId=id_, json=names)
    await ours.data("devices.post", applicationId=id_, json={"name": "Crane"})
    await ours.data("devices.post", applicationId=other, json={"name": "Pump 2"})
    found = await ours.data("application.search", applicationId=id_, params={"filter": "uMP"})
    assert found == [{"id": pump["id"], "name": "Pump 1 (100%)", "_type": "device", "deviceClass": "gateway"}]
    found = await ours.data("application.search", applicationId=id_, params={"filter": "p*1"})
    assert [each["id"] for each in found] == [pump["id"]]
    assert await ours.data("application.search", applicationId=id_, params={"filter": "100%_"}) == []
    params = {"filter": "pump"}
    assert await theirs.failure("application.search", applicationId=id_, params=params) == (404, "NotFound")


async def test_tokens_are_found_by_name(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    made = await client.data("applicationApiTokens.post", applicationId=id_, json={"name": "Nightly report"})
    found = await client.data("application.search", applicationId=id_, params={"filter": "report"})
    assert [(each["_type"], each["name"]) for each in found] == [("applicationApiToken", "Nightly report")]
    assert made["token"] not in str(found)


async def test_a_search_for_nothing_is_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    id_ = await add_application(client)
    params = {"filter": ""}
    assert await client.failure("application.search", applicationId=id_, params=params) == (400, "Validation")
