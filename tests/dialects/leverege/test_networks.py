"""/network."""

import secrets
from typing import Any

from roadstead.core import registry
from roadstead.core.registry import DeviceDraft
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import project_of


def fresh() -> str:
    """A name that no other test has given on this platform."""
    return f"net-{secrets.token_hex(6)}"


async def add_network(client: Client, network_id: str, **fields: Any) -> dict[str, Any]:
    """A network with one key."""
    body = {"name": "Zebra", "networkId": network_id, "aliasKeys": ["deviceId"]} | fields
    made: dict[str, Any] = await client.data("network.create", json=body, projectId=project_of(client))
    return made


async def test_a_network_comes_back_as_it_was_made(acme: Tenant) -> None:
    client, name = await Client.of(acme), fresh()
    sent = {"name": "Zebra", "networkId": name, "aliasKeys": ["deviceId", "SID-64"], "metadata": {"a": 1}}
    made = await client.data("network.create", json=sent, projectId=project_of(client))
    assert {key: made[key] for key in sent} == sent
    for id_ in (made["id"], name):
        assert await client.data("network.get", projectId=project_of(client), networkId=id_) == made
        assert (await client.http.get(f"/v1/network/{id_}")).json() == made
    listed = await client.data("network.list", projectId=project_of(client))
    assert listed["items"] == [made]


async def test_the_name_of_a_network_is_taken_once_on_the_platform(acme: Tenant, globex: Tenant) -> None:
    client, stranger, name = await Client.of(acme), await Client.of(globex), fresh()
    made = await add_network(client, name)
    body = {"name": "x", "networkId": name, "aliasKeys": []}
    for who in (client, stranger):
        answer = await who.ask("network.create", json=body, projectId=project_of(who))
        assert answer.status_code == 409
        assert acme.slug not in answer.text
        assert made["id"] not in answer.text
    assert (await stranger.data("network.list", projectId=project_of(stranger)))["items"] == []
    for operation, change in (("network.get", None), ("network.update", {"name": "x"}), ("network.delete", None)):
        for id_ in (made["id"], name):
            names = {"projectId": project_of(stranger), "networkId": id_}
            assert await stranger.failure(operation, json=change, **names) == 404, operation


async def test_everything_but_its_name_in_messages_changes(acme: Tenant) -> None:
    client, name = await Client.of(acme), fresh()
    made = await add_network(client, name, metadata={"a": 1})
    names = {"projectId": project_of(client), "networkId": name}
    changed = await client.data("network.update", json={"aliasKeys": ["deveui"], "metadata": {"b": 2}}, **names)
    assert changed == {**made, "aliasKeys": ["deveui"], "metadata": {"a": 1, "b": 2}}
    replaced = await client.http.put(
        f"/v1/network/{name}", json={"name": "Lora", "networkId": name, "aliasKeys": ["deveui"]}
    )
    assert replaced.json() == {"id": made["id"], "name": "Lora", "networkId": name, "aliasKeys": ["deveui"]}
    changes: list[dict[str, Any]] = [
        {"networkId": fresh()},
        {"name": ""},
        {"aliasKeys": ["a", "a"]},
        {"aliasKeys": ["a/b"]},
        {"aliasKeys": "a"},
        {"aliasKeys": [str(number) for number in range(51)]},
    ]
    for wrong in changes:
        assert await client.failure("network.update", json=wrong, **names) == 400, wrong
    changes = [{"networkId": "a b"}, {"networkId": "a/b"}, {"networkId": ""}, {"aliasKeys": None}]
    for wrong in changes:
        body = {"name": "x", "networkId": fresh(), "aliasKeys": []} | wrong
        assert await client.failure("network.create", json=body, projectId=project_of(client)) == 400, wrong


async def test_a_network_that_devices_have_names_in_stays(acme: Tenant) -> None:
    client, name = await Client.of(acme), fresh()
    made = await add_network(client, name)
    draft = DeviceDraft(name="one", network_id=name, network_aliases={name: {"deviceId": "17"}})
    async with acme.work() as work:
        device = await registry.create_device(work, draft)
    names = {"projectId": project_of(client), "networkId": made["id"]}
    assert await client.failure("network.delete", **names) == 409
    async with acme.work() as work:
        await registry.delete_device(work, device.id, purge=True, expected=None)
    assert (await client.data("network.delete", **names))["id"] == made["id"]
    assert await client.failure("network.get", **names) == 404
