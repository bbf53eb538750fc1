"""What somebody who has signed in sees of themselves."""

import pytest

from roadstead.core.identity import Permission
from roadstead.core.identity.permissions import READER, WRITER
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client, token_for
from tests.dialects.lightelligence.programs import add_application, install, permissions
from tests.dialects.lightelligence.team import Member, add_role, again, give, join, nowhere, role_named
from tests.people import add_person, client_of, sign_in


async def test_somebody_sees_their_own_profile(acme: Tenant) -> None:
    client = await join(acme, email=f"ada@{acme.slug}.test")
    native = client_of(acme, await sign_in(acme, client.person))
    await native.patch("/api/v1/auth/me", json={"name": "Ada Maria Muster"})

    user = await client.data("getUser", userId=client.id)
    assert user == {
        "id": client.id,
        "email": f"ada@{acme.slug}.test",
        "firstName": "Ada Maria",
        "lastName": "Muster",
        "twoFactorAuthEnabled": False,
        "enabled": True,
        "emailVerified": True,
    }


@pytest.mark.parametrize("operation", ["getUser", "listUserTenants", "listUserPermissions", "listUserInvites"])
async def test_nobody_sees_others(acme: Tenant, operation: str) -> None:
    client, other = await join(acme), await join(acme)
    for user_id in (other.id, str(new_id()), "me"):
        assert await client.failure(operation, userId=user_id) == (403, "ID_FORBIDDEN")
    assert await Client(acme).failure(operation, userId=other.id) == (401, "ID_UNAUTHORIZED")


async def test_tenants_are_listed_with_roles_newest_first(acme: Tenant, globex: Tenant) -> None:
    owner = await join(globex)
    client = await join(acme, Role.MEMBER)
    await add_person(globex, Role.MEMBER, email=client.person.email, known=True)
    await give(owner, client.id, await role_named(owner, "reader"))

    tenants = await client.data("listUserTenants", userId=client.id)
    assert [(each["name"], each["id"]) for each in tenants] == [
        ("Globex", str(globex.organization_id)),
        ("Acme", str(acme.organization_id)),
    ]
    assert [[role["name"] for role in each["userRoles"]] for each in tenants] == [["reader"], ["writer"]]
    assert {(each["status"]["code"], each["applicationInstallationStatus"]) for each in tenants} == {("active", "ok")}
    assert tenants[0]["userRoles"][0]["locked"] is True
    assert tenants[0]["userRoles"][0]["displayName"] == "Reader"

    page = (await client.ask("listUserTenants", userId=client.id, params={"page": 1, "pageSize": 1})).json()
    assert page["meta"] == {"page": 1, "pageSize": 1, "itemsTotal": 2, "pagesTotal": 2}
    assert [each["name"] for each in page["data"]] == ["Acme"]
    for wrong in ({"pageSize": 101}, {"pageSize": 0}, {"page": -1}):
        assert await client.failure("listUserTenants", userId=client.id, params=wrong) == (400, "ID_VALIDATION")


async def test_one_tenant_is_that_of_the_token(acme: Tenant, globex: Tenant) -> None:
    client = await join(acme)
    await add_person(globex, email=client.person.email, known=True)
    tenant = await client.data("getUserTenant", userId=client.id, tenantId=acme.organization_id)
    assert (tenant["name"], [role["name"] for role in tenant["userRoles"]]) == ("Acme", ["owner"])
    for tenant_id in (globex.organization_id, new_id()):
        answer = await client.failure("getUserTenant", userId=client.id, tenantId=tenant_id)
        assert answer == (404, "ID_RESOURCE_NOT_FOUND")
    assert await client.failure("getUserTenant", userId=client.id, tenantId="mine") == (400, "ID_VALIDATION")


async def test_permissions_are_those_of_all_roles_and_change_at_once(acme: Tenant) -> None:
    owner, client = await join(acme), await join(acme, Role.MEMBER)
    assert await owner.permissions() == set(Permission)
    assert await client.permissions() == WRITER

    reader = await role_named(owner, "reader")
    ingest = await add_role(owner, "Feeder", Permission.INGEST_WRITE)
    await give(owner, client.id, reader, ingest)
    assert await client.permissions() == READER | {Permission.INGEST_WRITE}
    await owner.data("updateRole", roleId=ingest["id"], json={"permissions": [{"alias": "firmware:write"}]})
    assert await client.permissions() == READER | {Permission.FIRMWARE_WRITE}

    path = f"/v1/tenants/{client.tenant_id}/users/{client.id}/permissions"
    told = (await client.http.get(path)).json()["data"]
    assert {each["alias"] for each in told["permissions"]} == READER | {Permission.FIRMWARE_WRITE}
    foreign = await client.http.get(f"/v1/tenants/{new_id()}/users/{client.id}/permissions")
    assert (foreign.status_code, foreign.json()["errorCode"]) == (404, "ID_RESOURCE_NOT_FOUND")


async def test_custom_permissions_come_with_roles(acme: Tenant, globex: Tenant) -> None:
    developer, owner, client = await join(globex), await join(acme), await join(acme, Role.MEMBER)
    application = await add_application(developer, acme)
    await install(owner, application)
    custom = await developer.data(
        "createCustomPermission",
        applicationId=application["id"],
        json={"alias": "doors:open", "category": "Doors", "name": "Open doors"},
    )
    role = await owner.data("createRole", json={"name": "Porter", "customPermissions": [{"id": custom["id"]}]})
    await give(owner, client.id, role)

    told = await client.data("listUserPermissions", userId=client.id)
    assert told == {"permissions": [], "customPermissions": [{"id": custom["id"], "alias": "doors:open"}]}
    assert (await owner.data("listUserPermissions", userId=owner.id))["customPermissions"] == []


async def test_a_program_is_told_where_it_is_installed(acme: Tenant, globex: Tenant) -> None:
    developer, owner = await join(globex), await join(acme)
    application = await add_application(
        developer, acme, permissions=permissions(user=[Permission.DEVICES_BASE_DATA_READ])
    )
    await install(owner, application)
    person = await add_person(acme, Role.MEMBER)
    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    token = await token_for(acme, person, client_id=application["oauth2Client"]["id"])
    client = Member(acme, person, token)

    tenants = await client.data("listUserTenants", userId=client.id)
    assert {each["name"]: each["applicationInstallationStatus"] for each in tenants} == {
        "Acme": "ok",
        "Globex": "outdated",
    }
    assert await client.permissions() == {Permission.DEVICES_BASE_DATA_READ}


async def test_who_has_not_chosen_a_tenant_sees_what_is_theirs(acme: Tenant) -> None:
    person = await add_person(acme)
    client = await nowhere(acme, person)
    assert (await client.data("getUser", userId=client.id))["email"] == person.email
    assert [each["name"] for each in await client.data("listUserTenants", userId=client.id)] == ["Acme"]
    assert await client.data("listUserInvites", userId=client.id) == []
    for operation in ("listUserPermissions", "listPermissions"):
        assert await client.failure(operation, userId=client.id) == (403, "ID_FORBIDDEN")
    assert (await again(acme, person)).id == client.id
