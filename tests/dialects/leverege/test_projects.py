"""/project."""

from typing import Any

from roadstead.core import identity, tenancy
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import to_millis
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import project_of
from tests.people import PASSWORD, add_person, sign_in


async def test_a_project_is_an_organization_of_the_platform(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    told = await client.data("project.get", projectId=project_of(client))
    async with acme.work() as work:
        organization = await tenancy.load_organization(work)
    assert (told["id"], told["name"]) == (to_base62(organization.public_id), organization.name)
    assert told["created"] == to_millis(organization.created_at)
    assert [each["id"] for each in (await client.data("project.list"))["items"]] == [told["id"]]

    stranger = await Client.of(globex)
    for operation, body in (("project.get", None), ("project.update", {"name": "x"}), ("project.delete", None)):
        assert await stranger.failure(operation, json=body, projectId=told["id"]) == 404, operation
        assert await stranger.failure(operation, json=body, projectId="nothing") == 404, operation


async def test_name_and_metadata_change_and_the_rest_of_the_platform_sees_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    sent: dict[str, Any] = {"name": "Boats", "metadata": {"colour": "blue"}}
    changed = await client.data("project.update", json=sent, projectId=project_of(client))
    assert {name: changed[name] for name in sent} == sent
    steps = [{"op": "replace", "path": "metadata", "value": {"icon": "boat"}}]
    changed = await client.data("project.update", json=steps, projectId=project_of(client))
    assert (changed["name"], changed["metadata"]) == ("Boats", {"icon": "boat"})
    async with acme.work() as work:
        organization = await tenancy.load_organization(work)
    assert (organization.name, organization.slug) == ("Boats", acme.slug)
    for wrong in ({"name": ""}, {"name": None}, {"metadata": 3}):
        assert await client.failure("project.update", json=wrong, projectId=project_of(client)) == 400, wrong

    member = await Client.of(acme, Role.MEMBER)
    assert await member.failure("project.update", json={"name": "x"}, projectId=project_of(client)) == 403


async def test_whoever_makes_a_project_owns_it_and_logs_in_to_it(acme: Tenant) -> None:
    person = await add_person(acme)
    client = Client(acme, (await sign_in(acme, person)).access_token)
    made = await client.data("project.create", json={"name": "Harbour", "metadata": {"a": 1}})
    assert (made["name"], made["metadata"]) == ("Harbour", {"a": 1})

    login = {"username": person.email, "password": PASSWORD, "projectId": made["id"]}
    inside = Client(acme, (await client.data("login", json=login))["idToken"])
    assert await inside.data("project.get", projectId=made["id"]) == made
    [system] = (await inside.data("system.list", projectId=made["id"]))["items"]
    assert system["name"] == "Default"

    assert await inside.failure("project.create", json={"name": "Other"}) == 403

    outside = Client(acme, (await client.data("login", json={**login, "projectId": None}))["idToken"])
    listed = await outside.data("project.list", params={"sort": "name"})
    assert {each["id"] for each in listed["items"]} == {made["id"], project_of(client)}
    assert await outside.failure("project.create", json={"metadata": {}}) == 400


async def test_a_project_goes_when_its_owner_repeats_its_name(acme: Tenant) -> None:
    owner, member = await Client.of(acme), await Client.of(acme, Role.MEMBER)
    name = (await owner.data("project.get", projectId=project_of(owner)))["name"]
    assert await owner.failure("project.delete", projectId=project_of(owner)) == 400
    assert await owner.failure("project.delete", params={"confirm": "x"}, projectId=project_of(owner)) == 400
    assert await member.failure("project.delete", params={"confirm": name}, projectId=project_of(owner)) == 403
    gone = await owner.data("project.delete", params={"confirm": name}, projectId=project_of(owner))
    assert gone["deleted"]
    assert await owner.failure("project.get", projectId=project_of(owner)) == 403


async def test_somebody_in_no_project_makes_their_first(acme: Tenant) -> None:
    person = await add_person(acme, Role.MEMBER)
    async with acme.work() as work:
        await identity.remove_member(work, person.id)
    knocking = Client(acme)
    login = {"username": person.email, "password": PASSWORD}
    client = Client(acme, (await knocking.data("login", json=login))["idToken"])
    assert (await client.data("project.list"))["items"] == []
    made = await client.data("project.create", json={"name": "First"})
    assert (await client.data("project.list"))["items"] == [made]
    assert await client.data("project.get", projectId=made["id"]) == made
