"""/system, and whom to call about one."""

from typing import Any

import pytest

from roadstead.core import registry
from roadstead.core.registry import DeviceDraft
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import SpaceId, parse_base62
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import add_system, project_of


async def test_a_system_comes_back_as_it_was_made_and_belongs_to_one_project(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    made = await add_system(client, "north", name="North", metadata={"a": {"b": 1}})
    assert (made["name"], made["alias"], made["metadata"]) == ("North", "north", {"a": {"b": 1}})
    assert made["projectId"] == project_of(client)
    for name in (made["id"], "north"):
        assert await client.data("system.get", systemId=name) == made
        for operation, body in (("system.get", None), ("system.update", {"name": "x"}), ("system.delete", None)):
            assert await stranger.failure(operation, json=body, systemId=name) == 404, operation
    assert await stranger.failure("system.list", projectId=project_of(client)) == 404
    assert await stranger.failure("system.create", json={"name": "x"}, projectId=project_of(client)) == 404
    await add_system(stranger, "north")


async def test_a_system_is_a_space_and_the_default_space_is_a_system(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add_system(client, "north")
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="native"))
        spaces = {space.id: space for space in await registry.list_spaces(work)}
    listed = (await client.data("system.list", projectId=project_of(client)))["items"]
    assert [parse_base62(each["id"]) for each in listed] == list(spaces)
    default = listed[0]
    assert parse_base62(default["id"]) == device.space_id
    assert spaces[SpaceId(device.space_id)].is_default
    assert listed[1] == made

    changed = await client.data("system.update", json={"alias": "main", "name": "Main"}, systemId=default["id"])
    assert (await client.data("system.get", systemId="main")) == changed
    assert await client.failure("system.delete", systemId="main") == 409


async def test_aliases_are_unique_and_fit_into_paths(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_system(client, "north")
    south = await add_system(client, "south")
    project = project_of(client)
    assert await client.failure("system.create", json={"name": "x", "alias": "north"}, projectId=project) == 409
    assert await client.failure("system.update", json={"alias": "north"}, systemId=south["id"]) == 409
    assert (await client.data("system.update", json={"alias": "south"}, systemId="south")) == south
    wrong: list[dict[str, Any]] = [{"alias": "a/b"}, {"alias": "a.b"}, {"alias": ""}, {"name": ""}, {"name": "\0"}]
    for body in (*wrong, {"metadata": {"a": "\0"}}, {"metadata": []}):
        assert await client.failure("system.create", json={"name": "x"} | body, projectId=project) == 400, body
        assert await client.failure("system.update", json=body, systemId="south") == 400, body
    bare = await client.data("system.update", json=[{"op": "remove", "path": "alias"}], systemId="south")
    assert "alias" not in bare
    assert await client.failure("system.get", systemId="south") == 404


async def test_a_system_with_devices_stays(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add_system(client, "north")
    space_id = parse_base62(made["id"])
    assert space_id is not None
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="one", space_id=SpaceId(space_id)))
    assert await client.failure("system.delete", systemId="north") == 409
    async with acme.work() as work:
        await registry.delete_device(work, device.id, purge=True, expected=None)
    gone = await client.data("system.delete", systemId="north")
    assert gone == {"id": made["id"], "status": 200, "deleted": True}
    assert await client.failure("system.get", systemId=made["id"]) == 404


async def test_contacts_are_listed_and_taken_off_again(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    await add_system(client, "north")
    await add_system(client, "south")
    await add_system(stranger, "north")
    sent = {"name": "Night desk", "email": "desk@acme.test", "phone": "+1 555 0100", "metadata": {"shift": 2}}
    made = await client.data("system.contact-create", json=sent, systemId="north")
    assert {name: made[name] for name in sent} == sent
    await client.data("system.contact-create", json={"name": "Day desk"}, systemId="north")
    listed = await client.data("system.contact-list", systemId="north")
    assert [each["name"] for each in listed["items"]] == ["Night desk", "Day desk"]
    found = await client.data("system.contact-list", params={"search": "night"}, systemId="north")
    assert found["items"] == [made]
    assert (await client.data("system.contact-list", systemId="south"))["items"] == []

    for who, system in ((stranger, "north"), (client, "south")):
        assert await who.failure("system.contact-delete", systemId=system, contactId=made["id"]) == 404
    assert await client.failure("system.contact-delete", systemId="north", contactId="nothing") == 404
    for wrong in ({}, {"name": ""}, {"name": "x", "email": "x" * 255}, {"name": "x", "phone": "\0"}):
        assert await client.failure("system.contact-create", json=wrong, systemId="north") == 400, wrong
    assert (await client.data("system.contact-delete", systemId="north", contactId=made["id"]))["deleted"]
    assert (await client.data("system.contact-list", systemId="north"))["total"] == 1
    await client.data("system.delete", systemId="north")


async def test_members_without_a_role_on_a_system_see_what_their_membership_lets_them(acme: Tenant) -> None:
    client, member = await Client.of(acme), await Client.of(acme, Role.MEMBER)
    await add_system(client, "north")
    assert (await member.data("system.get", systemId="north"))["alias"] == "north"
    assert await member.failure("blueprint.create", json={"name": "x"}, projectId=project_of(client)) == 403


@pytest.mark.parametrize("path", ["system/{}", "blueprint/{}", "network/{}", "attribute/{}", "interface/{}/tag.model"])
async def test_a_name_that_nothing_can_have_is_not_there(acme: Tenant, path: str) -> None:
    client = await Client.of(acme)
    for name in ("a%00b", "%F0%9F%90%9F", "x" * 3000, "0" * 22):
        answer = await client.http.get(f"/v1/{path.format(name)}")
        assert answer.status_code == 404, answer.text
