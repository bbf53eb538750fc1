"""Tenants, what is kept about who pays for them, and their users."""

from secrets import token_hex
from typing import Any

import pytest

from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.team import add_role, give, join, nowhere, role_named
from tests.people import add_person, client_of, sign_in

CONTACT = {
    "title": "Ms.",
    "firstname": "Ada",
    "lastname": "Muster",
    "email": "ada@example.test",
    "phone": "123",
    "phoneCountryPrefix": "+49",
}
COMPANY = {
    "name1": "Muster GmbH",
    "name2": "Lamps",
    "street": "Am Weg",
    "housenum": "1a",
    "postcode": "80000",
    "city": "Munich",
    "countryCode": "DE",
}
PAYMENT = {"shopperReference": "6c2a1f0e-3a94-4d37-9a51-6f1d1a0e5a11", "recurringDetailReference": "r-1"}
BODY: dict[str, Any] = {
    "billingContact": CONTACT,
    "billingCompany": COMPANY,
    "package": {"id": "OLT_2020"},
    "payment": PAYMENT,
    "contractId": "C-7",
}


async def test_a_tenant_comes_back_as_it_was_told(acme: Tenant) -> None:
    client = await join(acme, Role.MEMBER)
    name = f"Lamps {token_hex(4)}"
    made = await client.data("createTenant", json={"id": str(new_id()), "name": name, **BODY})
    assert made == {"id": made["id"], "name": name, "status": {"code": "active"}, **BODY}

    tenants = await client.data("listUserTenants", userId=client.id)
    assert (tenants[0]["id"], [role["name"] for role in tenants[0]["userRoles"]]) == (made["id"], ["owner"])
    assert await client.failure("getTenant", tenantId=made["id"]) == (403, "ID_FORBIDDEN")
    native = client_of(acme, await sign_in(acme, client.person))
    listed = (await native.get("/api/v1/organizations")).json()["items"]
    assert made["id"] in [each["id"] for each in listed]


async def test_a_name_is_taken_once(acme: Tenant) -> None:
    client = await join(acme)
    name = f"Lamps {token_hex(4)}"
    await client.data("createTenant", json={"name": name})
    assert await client.failure("createTenant", json={"name": name.upper()}) == (409, "ID_CONFLICT")
    answer = await client.failure("updateTenant", tenantId=client.tenant_id, json={"name": name})
    assert answer == (409, "ID_CONFLICT")
    await client.data("updateTenant", tenantId=client.tenant_id, json={"name": f"{name} 2"})
    await client.data("updateTenant", tenantId=client.tenant_id, json={"name": f"{name} 2".lower()})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "ab"},
        {"name": "x" * 33},
        {"name": None},
        {"billingContact": {**CONTACT, "title": "Dr."}},
        {"billingContact": {**CONTACT, "email": "nobody"}},
        {"billingContact": {"firstname": "Ada"}},
        {"billingContact": None},
        {"billingCompany": {**COMPANY, "housenum": "123456789"}},
        {"billingCompany": {**COMPANY, "city": ""}},
        {"package": {}},
        {"payment": {**PAYMENT, "shopperReference": "1"}},
        {"contractId": "x" * 128},
    ],
)
async def test_a_tenant_that_cannot_be_is_refused(acme: Tenant, wrong: dict[str, Any]) -> None:
    client = await join(acme)
    body = {"name": f"Lamps {token_hex(4)}", **BODY, **wrong}
    assert await client.failure("createTenant", json=body) == (400, "ID_VALIDATION")
    assert await client.failure("updateTenant", tenantId=client.tenant_id, json=wrong) == (400, "ID_VALIDATION")


async def test_whoever_has_chosen_no_tenant_may_found_one(acme: Tenant) -> None:
    client = await nowhere(acme, await add_person(acme, Role.MEMBER))
    made = await client.data("createTenant", json={"name": f"Lamps {token_hex(4)}"})
    assert made["id"] in [each["id"] for each in await client.data("listUserTenants", userId=client.id)]


async def test_a_tenant_of_other_origin_has_all_that_programs_look_for(acme: Tenant, globex: Tenant) -> None:
    client = await join(acme)
    tenant = await client.data("getTenant", tenantId=client.tenant_id)
    assert (tenant["name"], tenant["status"], tenant["package"]) == (
        "Acme",
        {"code": "active"},
        {"id": "OLT_FREE2019"},
    )
    assert tenant["billingContact"]["firstname"] == "-"
    for tenant_id in (globex.organization_id, new_id()):
        for operation in ("getTenant", "updateTenant", "listTenantRoles", "listTenantUsers", "listTenantInvites"):
            answer = await client.failure(operation, tenantId=tenant_id, json={})
            assert answer == (404, "ID_RESOURCE_NOT_FOUND"), operation


async def test_a_change_answers_what_was_sent_and_an_empty_text_takes_away(acme: Tenant) -> None:
    client = await join(acme)
    tenant_id = client.tenant_id
    assert await client.data("updateTenant", tenantId=tenant_id, json={}) == {"id": tenant_id}
    assert await client.data("updateTenant", tenantId=tenant_id, json=BODY) == {"id": tenant_id, **BODY}

    contact = {**CONTACT, "firstname": "Eva", "phone": ""}
    del contact["phoneCountryPrefix"]
    changed = await client.data(
        "updateTenant", tenantId=tenant_id, json={"billingContact": contact, "contractId": "", "name": "Acme & Co"}
    )
    kept = {**CONTACT, "firstname": "Eva"}
    del kept["phone"]
    assert changed == {"id": tenant_id, "name": "Acme & Co", "billingContact": kept, "contractId": ""}
    tenant = await client.data("getTenant", tenantId=tenant_id)
    assert (tenant["billingContact"], tenant["billingCompany"]) == (kept, COMPANY)
    assert "contractId" not in tenant
    organization = (await acme.api.get("/api/v1/organizations/current")).json()
    assert organization["name"] == "Acme & Co"


async def test_roles_in_their_old_form(acme: Tenant) -> None:
    client = await join(acme)
    await add_role(client, "Guard")
    roles = await client.data("listTenantRoles", tenantId=client.tenant_id)
    assert roles[0]["name"] == "Guard"
    assert {role["name"] for role in roles} == {"Guard", "owner", "writer", "reader"}


async def test_users_are_listed_with_the_latest_to_get_a_role_first(acme: Tenant, globex: Tenant) -> None:
    owner = await join(acme)
    first, second = await join(acme, Role.MEMBER), await join(acme, Role.ADMIN)
    await join(globex)
    users = await owner.data("listTenantUsers", tenantId=owner.tenant_id)
    assert [user["id"] for user in users] == [second.id, first.id, owner.id]
    assert [[role["name"] for role in user["userRoles"]] for user in users] == [["owner"], ["writer"], ["owner"]]

    await give(owner, first.id, await role_named(owner, "reader"), await role_named(owner, "writer"))
    users = await owner.data("listTenantUsers", tenantId=owner.tenant_id)
    assert [user["id"] for user in users] == [first.id, second.id, owner.id]
    assert {role["name"] for role in users[0]["userRoles"]} == {"reader", "writer"}
    assert (users[0]["email"], users[0]["twoFactorAuthEnabled"]) == (first.person.email, False)


async def test_a_user_who_is_removed_is_out_at_once(acme: Tenant, globex: Tenant) -> None:
    owner, member, stranger = await join(acme), await join(acme, Role.MEMBER), await join(globex)
    answer = await owner.ask("removeTenantUser", tenantId=owner.tenant_id, userId=member.id)
    assert answer.status_code == 204
    assert await member.failure("listPermissions") == (401, "ID_UNAUTHORIZED")
    for user_id in (member.id, stranger.id, new_id()):
        answer = await owner.ask("removeTenantUser", tenantId=owner.tenant_id, userId=user_id)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "ID_RESOURCE_NOT_FOUND")
    last = await owner.failure("removeTenantUser", tenantId=owner.tenant_id, userId=owner.id)
    assert last == (409, "ID_CONFLICT")


async def test_a_tenant_is_deleted_by_its_owner(acme: Tenant) -> None:
    owner, admin = await join(acme), await join(acme, Role.ADMIN)
    path = f"/v1/tenants/{owner.tenant_id}"
    assert (await admin.http.delete(path)).status_code == 403
    assert (await owner.http.delete(path)).status_code == 204
    assert await owner.failure("listPermissions") == (403, "ID_FORBIDDEN")
    elsewhere = await nowhere(acme, owner.person)
    tenants = await elsewhere.data("listUserTenants", userId=owner.id)
    assert tenants[0]["status"] == {"code": "suspended"}


async def test_what_is_about_the_tenant_needs_its_permissions(acme: Tenant) -> None:
    owner, member = await join(acme), await join(acme, Role.MEMBER)
    await give(owner, member.id, await role_named(owner, "reader"))
    assert (await member.data("getTenant", tenantId=member.tenant_id))["name"] == "Acme"
    assert await member.failure("updateTenant", tenantId=member.tenant_id, json={}) == (403, "ID_FORBIDDEN")
    assert await member.failure("listTenantUsers", tenantId=member.tenant_id) == (403, "ID_FORBIDDEN")
    assert await Client(acme).failure("getTenant", tenantId=member.tenant_id) == (401, "ID_UNAUTHORIZED")
