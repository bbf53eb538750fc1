"""Invitations by e-mail, and how people answer them."""

from typing import Any

import pytest

from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import new_id
from tests.conftest import Postbox, Tenant
from tests.dialects.lightelligence.team import Member, add_role, again, give, join, nowhere, role_named


async def invite(owner: Member, email: str, *names: str) -> dict[str, Any]:
    """Somebody is asked to have these roles."""
    roles = [{"id": (await role_named(owner, name))["id"]} for name in names]
    made: dict[str, Any] = await owner.data(
        "createInvite", tenantId=owner.tenant_id, json={"receiverEmail": email, "roles": roles}
    )
    return made


async def answer(client: Member, invite_id: str, status: str) -> Any:
    """Somebody accepts or declines."""
    return await client.data("answerInvite", userId=client.id, inviteId=invite_id, json={"status": status})


async def test_whoever_accepts_has_the_roles_that_were_offered(acme: Tenant, globex: Tenant) -> None:
    owner, guest = await join(acme), await join(globex)
    await add_role(owner, "Guard")
    made = await invite(owner, guest.person.email, "Guard", "reader")
    assert (made["status"], made["senderId"], made["receiverEmail"]) == ("open", owner.id, guest.person.email)
    assert made["tenant"] == {"id": owner.tenant_id, "name": "Acme"}
    assert [role["name"] for role in made["roles"]] == ["Guard", "reader"]

    assert await guest.data("listUserInvites", userId=guest.id) == [made]
    assert await answer(guest, made["id"], "accepted") == {"id": made["id"], "status": "accepted"}
    joined = await again(acme, guest.person)
    tenant = await joined.data("getUserTenant", userId=guest.id, tenantId=owner.tenant_id)
    assert [role["name"] for role in tenant["userRoles"]] == ["Guard", "reader"]
    assert "devices_base_data:write" not in await joined.permissions()
    (kept,) = await owner.data("listTenantInvites", tenantId=owner.tenant_id, params={"status": "accepted"})
    assert kept == {**made, "status": "accepted"}


async def test_whoever_has_no_tenant_any_more_may_join_one(acme: Tenant, globex: Tenant) -> None:
    owner, former = await join(acme), await join(globex, Role.MEMBER)
    await (await join(globex)).ask("removeTenantUser", tenantId=globex.organization_id, userId=former.id)
    made = await invite(owner, former.person.email, "reader")
    guest = await nowhere(globex, former.person)
    assert await guest.data("listUserTenants", userId=guest.id) == []
    assert await answer(guest, made["id"], "accepted") == {"id": made["id"], "status": "accepted"}
    assert [each["name"] for each in await guest.data("listUserTenants", userId=guest.id)] == ["Acme"]
    async with acme.edge.tenant_database.tx(acme.tenant_id) as tx:
        told = await tx.row("SELECT actor_name FROM audit_log WHERE action = 'invitation.accept'")
    assert told == (former.person.display_name,)


async def test_an_answer_is_for_good(acme: Tenant, globex: Tenant) -> None:
    owner, guest = await join(acme), await join(globex)
    made = await invite(owner, guest.person.email, "writer")
    assert await answer(guest, made["id"], "declined") == {"id": made["id"], "status": "declined"}
    for status in ("accepted", "declined", "open"):
        again_ = await guest.failure("answerInvite", userId=guest.id, inviteId=made["id"], json={"status": status})
        assert again_ == (400, "ID_VALIDATION")
    revoked = await owner.failure("revokeInvite", tenantId=owner.tenant_id, inviteId=made["id"])
    assert revoked == (404, "ID_RESOURCE_NOT_FOUND")
    assert (await invite(owner, guest.person.email, "writer"))["status"] == "open"
    statuses = [each["status"] for each in await guest.data("listUserInvites", userId=guest.id)]
    assert statuses == ["open", "declined"]


async def test_nobody_answers_for_others(acme: Tenant, globex: Tenant) -> None:
    owner, guest, other = await join(acme), await join(globex), await join(globex)
    made = await invite(owner, guest.person.email, "writer")
    for body in ({"status": "accepted"}, {"status": "declined"}):
        refused = await other.failure("answerInvite", userId=other.id, inviteId=made["id"], json=body)
        assert refused == (404, "ID_RESOURCE_NOT_FOUND")
        refused = await other.failure("answerInvite", userId=guest.id, inviteId=made["id"], json=body)
        assert refused == (403, "ID_FORBIDDEN")
    assert await other.data("listUserInvites", userId=other.id) == []


async def test_an_invitation_is_the_same_through_the_native_api(acme: Tenant, postbox: Postbox) -> None:
    owner = await join(acme)
    email = f"new@{acme.slug}.test"
    made = await invite(owner, email, "owner")
    (listed,) = (await acme.api.get("/api/v1/organizations/current/invitations")).json()["items"]
    assert (listed["id"], listed["role"], listed["status"]) == (made["id"], "ADMIN", "PENDING")
    mail = postbox.newest(email)
    token = next(line.strip() for line in mail.text.splitlines() if line.startswith("  "))
    answered = await acme.client().post(
        f"/api/v1/invitations/{token}/accept", json={"name": "Ada Muster", "password": "a" * 12}
    )
    assert answered.status_code == 200
    users = await owner.data("listTenantUsers", tenantId=owner.tenant_id)
    assert (users[0]["firstName"], users[0]["lastName"], users[0]["userRoles"][0]["name"]) == (
        "Ada",
        "Muster",
        "owner",
    )

    body = {"email": f"two@{acme.slug}.test", "role": "MEMBER"}
    native = (await acme.api.post("/api/v1/organizations/current/invitations", json=body)).json()
    (shown,) = await owner.data("listTenantInvites", tenantId=owner.tenant_id, params={"status": "open"})
    assert (shown["id"], [role["name"] for role in shown["roles"]]) == (native["id"], ["writer"])


async def test_an_invitation_that_is_withdrawn_or_has_run_out_is_gone(acme: Tenant, globex: Tenant) -> None:
    owner, guest = await join(acme), await join(globex)
    first = await invite(owner, guest.person.email, "writer")
    assert (await owner.ask("revokeInvite", tenantId=owner.tenant_id, inviteId=first["id"])).status_code == 204
    second = await invite(owner, guest.person.email, "writer")
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE invitation SET expires_at = %s WHERE id = %s", time.now(), second["id"])
    assert await owner.data("listTenantInvites", tenantId=owner.tenant_id) == []
    assert await guest.data("listUserInvites", userId=guest.id) == []
    for made in (first, second):
        refused = await guest.failure("answerInvite", userId=guest.id, inviteId=made["id"], json={"status": "accepted"})
        assert refused == (400, "ID_VALIDATION")
    assert (await invite(owner, guest.person.email, "writer"))["status"] == "open"


async def test_an_address_is_asked_once(acme: Tenant, globex: Tenant) -> None:
    owner, elsewhere, member = await join(acme), await join(globex), await join(acme, Role.MEMBER)
    email = f"New@{acme.slug}.test"
    await invite(owner, email, "writer")
    body = {"receiverEmail": email.lower(), "roleNames": ["reader"]}
    assert await owner.failure("createInvite", tenantId=owner.tenant_id, json=body) == (409, "ID_CONFLICT")
    await invite(elsewhere, email, "writer")
    body = {"receiverEmail": member.person.email, "roleNames": ["reader"]}
    assert await owner.failure("createInvite", tenantId=owner.tenant_id, json=body) == (409, "ID_CONFLICT")


async def test_roles_are_told_by_id_or_by_name(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await join(acme), await join(globex)
    reader, foreign = await role_named(owner, "reader"), await role_named(stranger, "reader")
    made = await owner.data(
        "createInvite", tenantId=owner.tenant_id, json={"receiverEmail": "a@example.test", "roleNames": ["Reader"]}
    )
    assert [role["id"] for role in made["roles"]] == [reader["id"]]

    given = [{"id": reader["id"]}]
    malformed: list[dict[str, Any]] = [{}, {"roles": []}, {"roleNames": []}, {"roles": given, "roleNames": ["reader"]}]
    unknown: list[dict[str, Any]] = [
        {"roles": [{"id": foreign["id"]}]},
        {"roles": [{"id": str(new_id())}]},
        {"roleNames": ["nobody"]},
    ]
    for named, expected in [
        *((named, (400, "ID_VALIDATION")) for named in malformed),
        *((named, (404, "ID_RESOURCE_NOT_FOUND")) for named in unknown),
    ]:
        body = {"receiverEmail": "b@example.test", **named}
        assert await owner.failure("createInvite", tenantId=owner.tenant_id, json=body) == expected
    twice = {"receiverEmail": "b@example.test", "roles": [{"id": reader["id"]}, {"id": reader["id"]}]}
    assert await owner.failure("createInvite", tenantId=owner.tenant_id, json=twice) == (400, "ID_VALIDATION")
    wrong = {"receiverEmail": "nobody", "roles": [{"id": reader["id"]}]}
    assert await owner.failure("createInvite", tenantId=owner.tenant_id, json=wrong) == (400, "ID_VALIDATION")


async def test_nobody_offers_more_than_they_have(acme: Tenant) -> None:
    owner, clerk = await join(acme), await join(acme, Role.MEMBER)
    office = await owner.data(
        "createRole", json={"name": "Office", "permissions": [{"alias": "tenant_user_management:write"}]}
    )
    await give(owner, clerk.id, office)
    body = {"receiverEmail": "a@example.test", "roleNames": ["writer"]}
    assert await clerk.failure("createInvite", tenantId=clerk.tenant_id, json=body) == (403, "ID_FORBIDDEN")
    body = {"receiverEmail": "a@example.test", "roleNames": ["Office"]}
    assert (await clerk.data("createInvite", tenantId=clerk.tenant_id, json=body))["status"] == "open"
    assert await clerk.failure("listTenantInvites", tenantId=clerk.tenant_id) == (403, "ID_FORBIDDEN")


@pytest.mark.parametrize("status", ["gone", "OPEN"])
async def test_a_status_that_is_none_is_refused(acme: Tenant, status: str) -> None:
    owner = await join(acme)
    params = {"status": status}
    refused = await owner.failure("listTenantInvites", tenantId=owner.tenant_id, params=params)
    assert refused == (400, "ID_VALIDATION")
    refused = await owner.failure("listUserInvites", userId=owner.id, params=params)
    assert refused[0] == 400
