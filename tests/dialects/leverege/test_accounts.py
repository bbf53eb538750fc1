"""/v1/user and /v1/project/{p}/account: the people of a project."""

from typing import Any

import pytest

from roadstead.core import identity
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id, parse_base62, to_base62
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.people import PASSWORD, add_account, log_in
from tests.dialects.leverege.world import project_of
from tests.people import PASSWORD as OWN_PASSWORD
from tests.people import add_person


async def give_role(owner: Client, account: dict[str, Any], *permissions: str) -> None:
    """A fresh role with these permissions, on the project."""
    role = await owner.data("role.create", json={"name": f"role-{new_id()}", "projectId": project_of(owner)})
    named = [dict(zip(("module", "name"), one.split("."), strict=True)) for one in permissions]
    await owner.data("role.add-permissions", json={"permissions": named}, roleId=role["id"])
    await bind(owner, account, role["id"])


async def bind(owner: Client, account: dict[str, Any], role: Any) -> None:
    """A role on the project."""
    binding = {"projectId": project_of(owner), "userId": account["id"], "role": role}
    await owner.data("user-role.create", json=binding | {"resourceId": project_of(owner), "resourceType": "project"})


async def test_an_account_is_read_back_as_it_was_made(acme: Tenant) -> None:
    owner = await Client.of(acme)
    made = await add_account(
        owner, "maria", name="Maria M", email="maria@acme.test", phone="+41 1", metadata={"team": {"of": 2}}
    )
    assert made["projectId"] == project_of(owner)
    assert (made["name"], made["email"], made["phone"]) == ("Maria M", "maria@acme.test", "+41 1")
    assert made["metadata"] == {"team": {"of": 2}}
    names = {"projectId": project_of(owner), "userId": made["id"]}
    assert await owner.data("account.get", **names) == made
    assert await owner.data("user.get", userId=made["id"]) == made
    assert await owner.data("user.by-username", projectId=project_of(owner), username="MARIA") == made


async def test_a_fresh_account_may_do_nothing_in_any_dialect(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria")
    maria = await log_in(acme, "maria")
    project = project_of(owner)
    assert await maria.failure("account.list", projectId=project) == 403
    assert await maria.failure("account.create", json={"username": "x", "password": PASSWORD}, projectId=project) == 403
    assert await maria.failure("user.get", userId=(await add_account(owner))["id"]) == 403
    assert (await maria.data("user.get", userId=account["id"]))["username"] == "maria"
    async with acme.work() as work:
        assert not await identity.load_grants(work, identity_of(account))


def identity_of(account: dict[str, Any]) -> Any:
    """The id of a person."""
    return parse_base62(account["id"])


async def test_people_made_here_are_members_of_the_organization_and_the_other_way_round(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria", name="Maria M")
    native = await add_person(acme, Role.MEMBER)
    members = (await acme.api.get("/api/v1/organizations/current/members")).json()
    assert "Maria M" in [item["name"] for item in members["items"]]
    listed = await owner.data("account.list", projectId=project_of(owner))
    names = [item["username"] for item in listed["items"]]
    assert {"maria", native.email} <= set(names)
    assert listed["count"] == listed["total"] == len(names)
    async with acme.work() as work:
        page = await identity.list_members(work, roles=[], text="Maria", query=PageQuery())
    assert [member.person_id for member in page.items] == [identity_of(account)]
    assert page.items[0].email.endswith(".invalid")


async def test_names_are_taken_once_per_project(acme: Tenant, globex: Tenant) -> None:
    owner, other = await Client.of(acme), await Client.of(globex)
    mine = await add_account(owner, "maria", email="maria@mail.test")
    body = {"username": "Maria", "password": PASSWORD}
    assert await owner.failure("account.create", json=body, projectId=project_of(owner)) == 409
    theirs = await add_account(other, "maria", email="maria@mail.test", password="theirs-7")
    assert mine["id"] != theirs["id"]
    assert (
        await Client(acme).failure(
            "login", json={"username": "maria", "password": "theirs-7", "projectId": project_of(owner)}
        )
        == 401
    )


async def test_a_name_is_free_again_when_its_account_is_gone(acme: Tenant) -> None:
    owner = await Client.of(acme)
    made = await add_account(owner, "maria")
    names = {"projectId": project_of(owner), "userId": made["id"]}
    deleted = await owner.data("account.delete", **names)
    assert deleted == {"status": 200, "id": made["id"], "deleted": True}
    assert await owner.failure("account.get", **names) == 404
    again = await add_account(owner, "maria")
    assert again["id"] != made["id"]
    async with acme.edge.system_database.tx() as tx:
        assert await tx.value("SELECT count(*) FROM person WHERE id = %s", identity_of(made)) == 0


async def test_a_list_is_searched_and_cut_into_pages(acme: Tenant) -> None:
    owner = await Client.of(acme)
    for number in range(5):
        await add_account(owner, f"crew-{number}")
    params = {"search": "CREW", "perPage": 2, "startIndex": 3}
    listed = await owner.data("user.list", params=params)
    assert [item["username"] for item in listed["items"]] == ["crew-3", "crew-4"]
    assert (listed["count"], listed["total"], listed["perPage"], listed["startIndex"]) == (2, 5, 2, 3)


@pytest.mark.parametrize(
    "params",
    [
        {"role[name]": "admin"},
        {"role.name": "admin"},
        {"role": '{"name": "admin"}'},
    ],
    ids=str,
)
async def test_a_list_can_be_of_those_with_a_role(acme: Tenant, params: dict[str, str]) -> None:
    owner = await Client.of(acme)
    chief = await add_account(owner, "chief")
    await add_account(owner, "crew")
    await bind(owner, chief, 1)
    listed = await owner.data("account.list", projectId=project_of(owner), params=params)
    assert [item["username"] for item in listed["items"]] == ["chief"]
    other = {"role": f'{{"name": "admin", "projectId": "{to_base62(new_id())}"}}'}
    assert await owner.failure("account.list", projectId=project_of(owner), params=other) == 404


async def test_patches_come_as_operations_or_as_an_object(acme: Tenant) -> None:
    owner = await Client.of(acme)
    made = await add_account(owner, "maria", phone="1", metadata={"a": 1, "b": 2})
    names = {"projectId": project_of(owner), "userId": made["id"]}
    steps = [
        {"op": "replace", "path": "phone", "value": "2"},
        {"op": "replace", "path": "metadata", "value": {"c": 3}},
        {"op": "add", "path": "email", "value": "maria@acme.test"},
    ]
    changed = await owner.data("account.update", json=steps, **names)
    assert (changed["phone"], changed["metadata"], changed["email"]) == ("2", {"c": 3}, "maria@acme.test")
    changed = await owner.data("user.update", json={"name": "M", "metadata": {"d": 4}}, userId=made["id"])
    assert (changed["name"], changed["metadata"]) == ("M", {"c": 3, "d": 4})
    changed = await owner.data("account.update", json=[{"op": "remove", "path": "phone"}], **names)
    assert changed["phone"] is None
    assert await owner.data("account.get", **names) == changed
    for wrong in ([{"op": "move", "path": "phone"}], {"email": "nothing"}, {"phone": 1}, "text"):
        assert await owner.failure("account.update", json=wrong, **names) == 400


async def test_people_change_themselves_but_not_their_password_without_the_old_one(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria")
    maria, elsewhere = await log_in(acme, "maria"), await log_in(acme, "maria")
    changed = await maria.data(
        "user.update", json=[{"op": "replace", "path": "phone", "value": "3"}], userId=account["id"]
    )
    assert changed["phone"] == "3"
    step = [{"op": "replace", "path": "password", "value": "other-7"}]
    assert await maria.failure("user.update", json=step, userId=account["id"]) == 403
    names = {"userId": account["id"]}
    body = {"oldPassword": "wrong-7", "newPassword": "other-7"}
    assert await maria.failure("user.change-password", json=body, **names) == 401
    assert await maria.failure("user.change-password", json=body | {"newPassword": "five5"}, **names) == 400
    assert await maria.data("user.change-password", json=body | {"oldPassword": PASSWORD}, **names) == {"status": 200}
    await maria.data("verify")
    assert await elsewhere.failure("verify") == 401
    await log_in(acme, "maria", "other-7")


async def test_an_administrator_sets_a_password_and_ends_the_sessions(acme: Tenant) -> None:
    owner = await Client.of(acme)
    account = await add_account(owner, "maria")
    maria = await log_in(acme, "maria")
    step = [{"op": "replace", "path": "password", "value": "other-7"}]
    await owner.data("account.update", json=step, projectId=project_of(owner), userId=account["id"])
    assert await maria.failure("verify") == 401
    await log_in(acme, "maria", "other-7")


async def test_nobody_lays_hands_on_people_with_an_account_of_their_own(acme: Tenant, globex: Tenant) -> None:
    owner = await Client.of(acme)
    person = await add_person(acme, Role.MEMBER)
    names = {"projectId": project_of(owner), "userId": to_base62(person.id)}
    for wrong in ({"password": "other-7"}, {"name": "X"}, {"username": "x"}):
        assert await owner.failure("account.update", json=wrong, **names) == 403
    assert (await owner.data("account.update", json={"phone": "7"}, **names))["phone"] == "7"
    await log_in(acme, person.email, OWN_PASSWORD)

    # Made here, and by now somewhere else, too: who could read their mail could take them over there.
    account = await add_account(owner, "maria", email="maria@acme.test")
    async with globex.edge.system_database.tx() as tx:
        await tx.run(
            "INSERT INTO membership (tenant_id, person_id, role, joined_at) VALUES (%s, %s, 'OWNER', now())",
            globex.tenant_id,
            identity_of(account),
        )
    names["userId"] = account["id"]
    for wrong in ({"password": "other-7"}, {"email": "thief@acme.test"}):
        assert await owner.failure("account.update", json=wrong, **names) == 403


async def test_nobody_manages_those_who_may_do_more(acme: Tenant) -> None:
    owner = await Client.of(acme)
    helper, chief, crew = [await add_account(owner, name) for name in ("helper", "chief", "crew")]
    await give_role(owner, helper, "user.update", "user.delete", "user.create", "user.list", "user.read")
    await bind(owner, chief, 1)
    client = await log_in(acme, "helper")
    project = project_of(owner)
    await client.data("account.update", json={"phone": "1"}, projectId=project, userId=crew["id"])
    step = [{"op": "replace", "path": "password", "value": "other-7"}]
    assert await client.failure("account.update", json=step, projectId=project, userId=chief["id"]) == 403
    assert await client.failure("user.delete", userId=chief["id"]) == 403
    await client.data("user.delete", userId=crew["id"])


async def test_people_of_other_projects_are_not_there(acme: Tenant, globex: Tenant) -> None:
    account = await add_account(await Client.of(acme), "maria")
    other = await Client.of(globex)
    names = {"projectId": project_of(other), "userId": account["id"]}
    for operation in ("account.get", "account.update", "account.delete"):
        assert await other.failure(operation, json={}, **names) == 404
    assert await other.failure("user.get", userId=account["id"]) == 404
    assert await other.failure("user.by-username", projectId=project_of(other), username="maria") == 404
    acme_names = names | {"projectId": to_base62(acme.organization_id)}
    assert await other.failure("account.get", **acme_names) == 404


@pytest.mark.parametrize(
    "body",
    [
        {"username": "maria"},
        {"username": "maria", "password": "five5"},
        {"username": "ma ria", "password": PASSWORD},
        {"username": "maria", "password": PASSWORD, "email": "nothing"},
        {"username": "maria", "password": PASSWORD, "metadata": []},
    ],
    ids=str,
)
async def test_an_account_that_cannot_be_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    owner = await Client.of(acme)
    assert await owner.failure("account.create", json=body, projectId=project_of(owner)) == 400
