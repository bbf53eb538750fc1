"""Roles: made, changed, given and taken away."""

from typing import Any

import pytest

from roadstead.core.identity import ID_OF_PERMISSION, Permission
from roadstead.core.identity.permissions import READER, WRITER
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.programs import add_application, install
from tests.dialects.lightelligence.team import Member, add_role, give, join, role_named
from tests.people import client_of, sign_in


def ids(*permissions: Permission) -> list[str]:
    """The ids of permissions, in the order of the catalogue."""
    return [str(ID_OF_PERMISSION[one]) for one in Permission if one in permissions]


async def add_custom(developer: Client, owner: Client, tenant: Tenant, alias: str = "doors:open") -> dict[str, Any]:
    """A permission of an application that a tenant has installed."""
    application = await add_application(developer, tenant)
    await install(owner, application)
    body = {"alias": alias, "category": "Doors", "name": "Open doors"}
    made: dict[str, Any] = await developer.data("createCustomPermission", applicationId=application["id"], json=body)
    return made


async def test_the_catalogue_names_all_permissions(acme: Tenant, globex: Tenant) -> None:
    listed = (await (await join(acme)).data("listPermissions"))["permissions"]
    assert {each["alias"] for each in listed} == set(Permission)
    assert listed[0]["name"] == "Read applications"
    assert (await (await join(globex, Role.MEMBER)).data("listPermissions"))["permissions"] == listed


async def test_three_roles_are_there_and_locked(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await join(acme), await join(globex)
    roles = {role["name"]: role for role in await owner.data("listRoles")}
    assert sorted(roles) == ["owner", "reader", "writer"]
    assert {(role["locked"], role["usersCount"]) for role in roles.values()} == {(True, 1), (True, 0)}
    assert roles["writer"]["permissionIds"] == ids(*WRITER)
    assert roles["reader"]["permissionIds"] == ids(*READER)
    assert roles["owner"]["displayName"] == "Owner"
    for role in roles.values():
        change = await owner.failure("updateRole", roleId=role["id"], json={"description": "x"})
        assert change == (403, "ID_FORBIDDEN")
        assert await owner.failure("deleteRole", roleId=role["id"]) == (403, "ID_FORBIDDEN")
        assert await stranger.failure("getRole", roleId=role["id"]) == (404, "ID_RESOURCE_NOT_FOUND")


async def test_a_role_of_the_tenants_own(acme: Tenant, globex: Tenant) -> None:
    owner, developer = await join(acme), await join(globex)
    custom = await add_custom(developer, owner, acme)
    body = {
        "name": "Night guard",
        "description": "Looks after it",
        "permissions": [{"alias": "devices_states:read"}, {"id": ids(Permission.INGEST_WRITE)[0]}],
        "customPermissions": [{"id": custom["id"]}],
    }
    role = await owner.data("createRole", json=body)
    assert role == {
        "id": role["id"],
        "name": "Night guard",
        "description": "Looks after it",
        "locked": False,
        "usersCount": 0,
        "permissionIds": ids(Permission.DEVICES_STATES_READ, Permission.INGEST_WRITE),
        "customPermissions": [
            {"id": custom["id"], "alias": "doors:open", "applicationId": custom["applicationId"]},
        ],
        "createdAt": role["createdAt"],
        "updatedAt": role["createdAt"],
        "displayName": "Night guard",
    }
    assert await owner.data("getRole", roleId=role["id"]) == role
    assert (await owner.data("listRoles"))[0] == role
    told = (await owner.http.get(f"/v1/roles/{role['id']}/permissions")).json()["data"]
    assert [each["alias"] for each in told["permissions"]] == ["devices_states:read", "ingest:write"]
    assert told["customPermissions"] == [{"id": custom["id"], "alias": "doors:open"}]

    await developer.ask("deleteCustomPermission", applicationId=custom["applicationId"], permissionId=custom["id"])
    assert (await owner.data("getRole", roleId=role["id"]))["customPermissions"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": "ab"},
        {"name": "a.b.c"},
        {"name": "x" * 33},
        {"name": "Guard", "permissions": [{}]},
        {"name": "Guard", "permissions": [{"alias": "nothing:read"}]},
        {"name": "Guard", "permissions": [{"id": "6c2a1f0e-3a94-4d37-9a51-6f1d1a0e5a11"}]},
        {"name": "Guard", "permissions": [{"alias": "ingest:write", "id": ids(Permission.TENANT_READ)[0]}]},
        {"name": "Guard", "customPermissions": [{"id": "6c2a1f0e-3a94-4d37-9a51-6f1d1a0e5a11"}]},
        {"name": "Guard", "permissions": "all"},
    ],
)
async def test_a_role_that_cannot_be_is_refused(acme: Tenant, wrong: dict[str, Any]) -> None:
    owner = await join(acme)
    assert await owner.failure("createRole", json=wrong) == (400, "ID_VALIDATION")
    role = await add_role(owner, "Clerk")
    if wrong:
        assert await owner.failure("updateRole", roleId=role["id"], json=wrong) == (400, "ID_VALIDATION")
    assert await owner.data("getRole", roleId=role["id"]) == role


async def test_permissions_of_applications_elsewhere_cannot_be_given(acme: Tenant, globex: Tenant) -> None:
    owner, other = await join(acme), await join(globex)
    custom = await add_custom(other, other, globex)
    body = {"name": "Porter", "customPermissions": [{"id": custom["id"]}]}
    assert await owner.failure("createRole", json=body) == (400, "ID_VALIDATION")
    assert (await other.data("createRole", json=body))["customPermissions"][0]["id"] == custom["id"]


async def test_a_change_answers_what_was_sent(acme: Tenant) -> None:
    owner = await join(acme)
    role = await add_role(owner, "Clerk", Permission.DEVICES_STATES_READ)
    changed = await owner.data("updateRole", roleId=role["id"], json={"name": "Chief"})
    assert changed == {"id": role["id"], "name": "Chief", "updatedAt": changed["updatedAt"]}
    changed = await owner.data(
        "updateRole", roleId=role["id"], json={"permissions": [{"alias": "ingest:write"}], "customPermissions": []}
    )
    assert changed.keys() == {"id", "updatedAt", "permissionIds", "customPermissions"}
    after = await owner.data("getRole", roleId=role["id"])
    assert (after["name"], after["permissionIds"]) == ("Chief", ids(Permission.INGEST_WRITE))
    assert after["updatedAt"] > role["updatedAt"]

    await add_role(owner, "Guard")
    for name in ("guard", "Writer"):
        assert await owner.failure("createRole", json={"name": name}) == (409, "ID_CONFLICT")
        assert await owner.failure("updateRole", roleId=role["id"], json={"name": name}) == (409, "ID_CONFLICT")
    assert await owner.failure("updateRole", roleId=new_id(), json={}) == (404, "ID_RESOURCE_NOT_FOUND")


async def test_a_deleted_role_is_taken_from_those_who_have_others(acme: Tenant, globex: Tenant) -> None:
    owner, member, stranger = await join(acme), await join(acme, Role.MEMBER), await join(globex)
    role, reader = await add_role(owner, "Clerk", Permission.INGEST_WRITE), await role_named(owner, "reader")
    await give(owner, member.id, role)
    assert await owner.failure("deleteRole", roleId=role["id"]) == (400, "ID_VALIDATION")
    await give(owner, member.id, role, reader)
    for client, role_id in ((stranger, role["id"]), (owner, new_id())):
        assert await client.failure("deleteRole", roleId=role_id) == (403, "ID_FORBIDDEN")
    assert (await owner.ask("deleteRole", roleId=role["id"])).status_code == 204
    assert await member.permissions() == READER
    assert await owner.failure("getRole", roleId=role["id"]) == (404, "ID_RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("form", ["list", "object", "single"])
async def test_roles_are_given_in_place_of_all_others(acme: Tenant, form: str) -> None:
    owner, member = await join(acme), await join(acme, Role.MEMBER)
    reader = {"id": (await role_named(owner, "reader"))["id"]}
    body: Any = {"list": [reader], "object": {"roles": [reader]}, "single": reader}[form]
    names = {"tenantId": owner.tenant_id, "userId": member.id}
    assert (await owner.ask("setTenantUserRoles", **names, json=body)).status_code == 204
    assert [role["name"] for role in await owner.data("listTenantUserRoles", **names)] == ["reader"]
    assert [role["name"] for role in await owner.data("listRoles", params={"userId": member.id})] == ["reader"]
    assert await member.permissions() == READER

    old = await owner.http.put(f"/v1/tenants/{owner.tenant_id}/users/{member.id}", json=body)
    assert (old.status_code, old.content) == (204, b"")


async def test_roles_cannot_be_given_anyhow(acme: Tenant, globex: Tenant) -> None:
    owner, member, stranger = await join(acme), await join(acme, Role.MEMBER), await join(globex)
    reader, foreign = await role_named(owner, "reader"), await role_named(stranger, "reader")

    async def refusal(tenant_id: Any, user_id: str, body: Any) -> tuple[int, str]:
        return await owner.failure("setTenantUserRoles", tenantId=tenant_id, userId=user_id, json=body)

    given = [{"id": reader["id"]}]
    assert await refusal(owner.tenant_id, stranger.id, given) == (404, "ID_RESOURCE_NOT_FOUND")
    assert await refusal(stranger.tenant_id, stranger.id, given) == (404, "ID_RESOURCE_NOT_FOUND")
    assert await refusal(owner.tenant_id, member.id, [{"id": foreign["id"]}]) == (404, "ID_RESOURCE_NOT_FOUND")
    malformed: list[Any] = [[], {}, {"roles": []}, [{"name": "reader"}], "reader"]
    for wrong in malformed:
        assert await refusal(owner.tenant_id, member.id, wrong) == (400, "ID_VALIDATION"), wrong
    assert await refusal(owner.tenant_id, owner.id, given) == (409, "ID_CONFLICT")
    assert await member.permissions() == WRITER
    for names in ({"userId": stranger.id}, {"userId": new_id()}):
        answer = await owner.failure("listTenantUserRoles", tenantId=owner.tenant_id, **names)
        assert answer == (404, "ID_RESOURCE_NOT_FOUND")
    assert await owner.data("listRoles", params={"userId": stranger.id}) == []


async def test_whoever_has_a_role_is_listed_the_latest_first(acme: Tenant, globex: Tenant) -> None:
    owner, first, second = await join(acme), await join(acme, Role.MEMBER), await join(acme, Role.MEMBER)
    stranger = await join(globex)
    role, reader = await add_role(owner, "Clerk"), await role_named(owner, "reader")
    await give(owner, second.id, role)
    await give(owner, first.id, role, reader)
    answer = (await owner.ask("listRoleUsers", roleId=role["id"])).json()
    assert [user["id"] for user in answer["data"]] == [first.id, second.id]
    assert [set(user["roleIds"]) for user in answer["data"]] == [{role["id"], reader["id"]}, {role["id"]}]
    assert answer["meta"] == {"page": 0, "pageSize": 20, "itemsTotal": 2, "pagesTotal": 1}
    assert (await owner.data("getRole", roleId=role["id"]))["usersCount"] == 2
    implied = await owner.data("listRoleUsers", roleId=(await role_named(owner, "owner"))["id"])
    assert [user["id"] for user in implied] == [owner.id]
    assert await stranger.failure("listRoleUsers", roleId=role["id"]) == (404, "ID_RESOURCE_NOT_FOUND")


async def test_the_native_api_sees_the_nearest_role(acme: Tenant) -> None:
    owner, member = await join(acme), await join(acme, Role.MEMBER)
    native = client_of(acme, await sign_in(acme, member.person))

    async def shown() -> str:
        members = (await acme.api.get("/api/v1/organizations/current/members")).json()["items"]
        return next(str(each["role"]) for each in members if each["userId"] == member.id)

    await give(owner, member.id, await role_named(owner, "reader"))
    assert await shown() == "MEMBER"
    assert (await native.post("/api/v1/devices", json={"name": "pump"})).status_code == 403
    await give(owner, member.id, await add_role(owner, "Everything", *Permission))
    assert await shown() == "ADMIN"
    await give(owner, member.id, await role_named(owner, "owner"))
    assert await shown() == "OWNER"

    path = f"/api/v1/organizations/current/members/{member.id}"
    assert (await client_of(acme, await sign_in(acme, owner.person)).patch(path, json={"role": "MEMBER"})).is_success
    assert await member.permissions() == WRITER
    assert [role["name"] for role in await owner.data("listRoles", params={"userId": member.id})] == ["writer"]


async def test_nobody_makes_themselves_stronger(acme: Tenant) -> None:
    owner, clerk = await join(acme), await join(acme, Role.MEMBER)
    office = await add_role(
        owner, "Office", Permission.TENANT_USER_MANAGEMENT_READ, Permission.TENANT_USER_MANAGEMENT_WRITE
    )
    await give(owner, clerk.id, office)
    strong = {"permissions": [{"alias": "applications:write"}]}
    given = [{"id": (await role_named(owner, "owner"))["id"]}]
    assert await clerk.failure("updateRole", roleId=office["id"], json=strong) == (403, "ID_FORBIDDEN")
    assert await clerk.failure("createRole", json={"name": "Strong", **strong}) == (403, "ID_FORBIDDEN")
    for user in (clerk, owner):
        refused = await clerk.failure("setTenantUserRoles", tenantId=clerk.tenant_id, userId=user.id, json=given)
        assert refused == (403, "ID_FORBIDDEN")
    assert (await clerk.data("createRole", json={"name": "Weak"}))["permissionIds"] == []


async def test_pages_of_roles(acme: Tenant) -> None:
    owner: Member = await join(acme)
    for number in range(4):
        await add_role(owner, f"Role {number}")
    page = (await owner.ask("listRoles", params={"page": 1, "pageSize": 3})).json()
    assert page["meta"] == {"page": 1, "pageSize": 3, "itemsTotal": 7, "pagesTotal": 3}
    assert len(page["data"]) == 3
    assert (await owner.ask("listRoles", params={"page": 9})).json()["data"] == []
    assert await owner.failure("listRoles", params={"pageSize": 101}) == (400, "ID_VALIDATION")
    assert await owner.failure("listRoles", params={"userId": "me"}) == (400, "ID_VALIDATION")
