"""Users with roles on a project, a system or a device; members of a project."""

from typing import Any

import pytest

from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id, to_base62
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_answer
from tests.dialects.leverege.people import PASSWORD, add_account, log_in
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of
from tests.people import PASSWORD as OWN_PASSWORD
from tests.people import add_person

KINDS = ["project", "system", "device"]


async def add_role(owner: Client, name: str, *permissions: str) -> None:
    """A role of the project with these permissions."""
    role = await owner.data("role.create", json={"name": name, "projectId": project_of(owner)})
    named = [dict(zip(("module", "name"), one.split("."), strict=True)) for one in permissions]
    if named:
        await owner.data("role.add-permissions", json={"permissions": named}, roleId=role["id"])


async def place_of(owner: Client, kind: str) -> dict[str, str]:
    """Something that users can have roles on, as a part of the path."""
    if kind == "project":
        return {"projectId": project_of(owner)}
    system = await add_system(owner, "north")
    if kind == "system":
        return {"systemId": system["id"]}
    await add_blueprint(owner, "pump")
    return {"deviceId": (await add_object(owner, "north/pump", name="p1"))["id"]}


@pytest.mark.parametrize("kind", KINDS)
async def test_users_are_given_roles_on_a_thing_and_lose_them(acme: Tenant, kind: str) -> None:
    owner = await Client.of(acme)
    place = await place_of(owner, kind)
    for name in ("viewer", "keeper"):
        await add_role(owner, name, "system.read")
    account = await add_account(owner, "maria")
    body = {"id": account["id"], "permissions": {"role": ["viewer"]}, "metadata": {"shift": "night"}}
    made = await owner.data(f"{kind}.user-create", json=body, **place)
    assert made["username"] == "maria"
    assert made["permissions"] == {"admin": False, "role": ["viewer"]}
    assert made["metadata"] == {"shift": "night"}
    listed = await owner.data(f"{kind}.user-list", **place)
    assert (listed["items"], listed["total"]) == ([made], 1)

    names = place | {"userId": account["id"]}
    steps = [{"op": "replace", "path": "permissions/role", "value": ["keeper"]}]
    changed = await owner.data(f"{kind}.user-update", json=steps, **names)
    assert changed["permissions"] == {"admin": False, "role": ["keeper"]}
    changed = await owner.data(
        f"{kind}.user-update", json={"permissions": {"admin": True}, "metadata": {"a": 1}}, **names
    )
    assert changed["permissions"] == {"admin": True, "role": ["keeper"]}
    assert changed["metadata"] == {"shift": "night", "a": 1}
    assert await owner.data(f"{kind}.user-get", **names) == changed

    assert (await owner.data(f"{kind}.user-remove", **names))["id"] == account["id"]
    assert await owner.failure(f"{kind}.user-get", **names) == 404
    assert (await owner.data(f"{kind}.user-list", **place))["items"] == []
    assert (await owner.data("user.get", userId=account["id"]))["username"] == "maria"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_user_is_made_and_given_roles_at_once_or_not_at_all(acme: Tenant, kind: str) -> None:
    owner = await Client.of(acme)
    place = await place_of(owner, kind)
    await add_role(owner, "viewer", "system.read")
    user = {"username": "maria", "password": PASSWORD}
    for wrong, status in [
        ({"user": user, "permissions": {"role": ["none"]}}, 400),
        ({"user": user | {"password": "five5"}, "permissions": {"role": ["viewer"]}}, 400),
        ({"user": user}, 400),
        ({"permissions": {"role": ["viewer"]}}, 400),
        ({"id": to_base62(new_id()), "permissions": {"role": ["viewer"]}}, 404),
        ({"user": user, "permissions": {"role": ["viewer"]}, "options": {"x": 1}}, 400),
    ]:
        assert await owner.failure(f"{kind}.user-create", json=wrong, **place) == status, wrong
    assert await owner.failure("user.by-username", projectId=project_of(owner), username="maria") == 404
    made = await owner.data(f"{kind}.user-create", json={"user": user, "permissions": {"role": ["viewer"]}}, **place)
    assert made["permissions"]["role"] == ["viewer"]
    await log_in(acme, "maria")


async def test_a_role_on_a_system_opens_that_system_and_no_other(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_role(owner, "viewer", "system.read")
    north, south = await add_system(owner, "north"), await add_system(owner, "south")
    account = await add_account(owner, "maria")
    body = {"id": account["id"], "permissions": {"role": ["viewer"]}}
    await owner.data("system.user-create", json=body, systemId="north")
    maria = await log_in(acme, "maria")
    await maria.data("system.get", systemId=north["id"])
    assert await maria.failure("system.get", systemId=south["id"]) == 404
    await owner.data("system.user-remove", systemId="north", userId=account["id"])
    assert await maria.failure("system.get", systemId=north["id"]) == 403


async def test_who_gives_roles_gives_no_more_than_they_have(acme: Tenant) -> None:
    owner = await Client.of(acme)
    await add_system(owner, "north")
    await add_role(owner, "chief", "user.assignRoles", "user.list", "system.read")
    await add_role(owner, "keeper", "system.update")
    chief, crew = await add_account(owner, "chief"), await add_account(owner, "crew")
    await owner.data(
        "system.user-create", json={"id": chief["id"], "permissions": {"role": ["chief"]}}, systemId="north"
    )
    client = await log_in(acme, "chief")
    give = {"id": crew["id"], "permissions": {"role": ["chief"]}}
    await client.data("system.user-create", json=give, systemId="north")
    for permissions in ({"role": ["keeper"]}, {"admin": True}):
        body = {"id": crew["id"], "permissions": permissions}
        assert await client.failure("system.user-create", json=body, systemId="north") == 403
    assert await client.failure("project.user-create", json=give, projectId=project_of(owner)) == 403


@pytest.mark.parametrize("kind", KINDS)
async def test_things_of_other_projects_are_not_there(acme: Tenant, globex: Tenant, kind: str) -> None:
    owner = await Client.of(acme)
    place = await place_of(owner, kind)
    account = await add_account(owner, "maria")
    other = await Client.of(globex)
    theirs: dict[str, Any] = await add_account(other, "otto")
    body = {"id": theirs["id"], "permissions": {"admin": True}}
    assert await other.failure(f"{kind}.user-list", **place) == 404
    assert await other.failure(f"{kind}.user-create", json=body, **place) == 404
    assert await owner.failure(f"{kind}.user-create", json=body, **place) == 404
    assert await other.failure(f"{kind}.user-get", userId=account["id"], **place) == 404


async def test_a_platform_user_is_added_to_a_project_by_somebody_who_knows_them(acme: Tenant, globex: Tenant) -> None:
    owner_person = await add_person(acme)
    await add_person(globex, email=owner_person.email, known=True)
    friend, stranger = await add_person(globex, Role.MEMBER), await add_person(globex)
    owner = await log_in(acme, owner_person.email, OWN_PASSWORD)
    await add_role(owner, "viewer", "user.list")
    project = project_of(owner)
    body = {"id": to_base62(friend.id), "permissions": {"role": ["viewer"]}}
    added = await owner.data("member.add", json=body, projectId=project)
    assert added["permissions"] == {"admin": False, "role": ["viewer"]}
    assert await owner.failure("member.add", json=body, projectId=project) == 409
    client = await log_in(acme, friend.email, OWN_PASSWORD)
    await add_account(owner, "maria")
    listed = await client.data("member.list", projectId=project)
    assert {item["username"] for item in listed["items"]} == {owner_person.email, friend.email}

    lonely = await Client.of(acme)
    assert await lonely.failure("member.add", json={"id": to_base62(stranger.id)}, projectId=project) == 404
    removed = await owner.data("member.remove", projectId=project, userId=to_base62(friend.id))
    assert removed["deleted"] is True
    assert await client.failure("verify") == 401
    await log_in(globex, friend.email, OWN_PASSWORD)


async def test_an_account_is_no_member_to_be_removed_and_the_last_owner_stays(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria")
    project = project_of(owner)
    assert await owner.failure("member.remove", projectId=project, userId=account["id"]) == 404
    [only] = (await owner.data("member.list", projectId=project))["items"]
    assert await owner.failure("member.remove", projectId=project, userId=only["id"]) == 409


async def test_users_of_a_device_are_found_by_its_interface_path(acme: Tenant) -> None:
    owner = await Client.of(acme)
    place = await place_of(owner, "device")
    account = await add_account(owner, "maria")
    await owner.data("device.user-create", json={"id": account["id"], "permissions": {"admin": True}}, **place)
    answer = await owner.http.get(f"/v1/interface/north/pump/{place['deviceId']}.users")
    check_answer("interface.obj-users", answer)
    assert answer.json()["items"] == [await owner.data("device.user-get", userId=account["id"], **place)]
    member = await Client.of(acme, Role.MEMBER)
    body = {"id": account["id"], "permissions": {"admin": True}}
    assert await member.failure("device.user-create", json=body, **place) == 403
