"""Members and invitations over HTTP."""

import re
from collections.abc import Sequence

import msgspec

from roadstead.core.ports import Mail
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import new_id
from tests.conftest import Postbox, Tenant
from tests.people import PASSWORD, add_person, last_actions, person_client

MEMBERS = "/api/v1/organizations/current/members"
INVITATIONS = "/api/v1/organizations/current/invitations"


def token_in(mail: Mail) -> str:
    return str(re.findall(r"\b[0-9A-Za-z]{43}\b", mail.text)[0])


async def test_members_come_in_pages(acme: Tenant, globex: Tenant) -> None:
    for name in ("a", "b", "c"):
        await add_person(acme, Role.MEMBER, email=f"{name}@{acme.slug}.test")
    await add_person(globex)

    first = (await acme.api.get(MEMBERS, params={"limit": 2})).json()
    second = (await acme.api.get(MEMBERS, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert [each["name"] for page in (first, second) for each in page["items"]] == ["a", "b", "c"]
    assert "nextCursor" not in second
    assert first["items"][0].keys() == {"userId", "email", "name", "role", "joinedAt"}
    numbered = (await acme.api.get(MEMBERS, params={"page": 1, "size": 2, "role": "MEMBER"})).json()
    assert (len(numbered["items"]), numbered["totalItems"], numbered["totalPages"]) == (1, 3, 2)


async def test_roles_change_and_people_go(acme: Tenant, globex: Tenant) -> None:
    person, me = await person_client(acme, Role.MEMBER)
    foreign, _ = await person_client(globex)
    assert (await me.patch(f"{MEMBERS}/{person.id}", json={"role": "ADMIN"})).json()["code"] == "scope-missing"
    changed = await acme.api.patch(f"{MEMBERS}/{person.id}", json={"role": "ADMIN"})
    assert (changed.status_code, changed.json()["role"]) == (200, "ADMIN")
    assert (await acme.api.patch(f"{MEMBERS}/{person.id}", json={"role": "KING"})).status_code == 422

    for nobody in (foreign.id, new_id(), "x"):
        assert (await acme.api.delete(f"{MEMBERS}/{nobody}")).status_code == 404
        assert (await acme.api.patch(f"{MEMBERS}/{nobody}", json={"role": "ADMIN"})).status_code == 404
    assert (await me.delete(f"{MEMBERS}/{person.id}")).status_code == 204
    assert (await me.get("/api/v1/auth/me")).status_code == 401


async def test_the_last_owner_is_a_conflict(acme: Tenant) -> None:
    person, me = await person_client(acme)
    refused = await me.delete(f"{MEMBERS}/{person.id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "last-owner")


async def test_an_invitation_makes_an_account_and_a_member_once(acme: Tenant, postbox: Postbox) -> None:
    email = f"new@{acme.slug}.test"
    made = await acme.api.post(INVITATIONS, json={"email": email, "role": "ADMIN"})
    assert made.json().keys() == {"id", "email", "role", "status", "expiresAt", "invitedBy", "createdAt"}
    assert (made.status_code, made.json()["status"]) == (201, "PENDING")
    place = f"/api/v1/invitations/{token_in(postbox.newest(email))}/accept"

    bare = await acme.client().post(place, json={"name": "New"})
    assert (bare.status_code, bare.json()["errors"][0]["pointer"]) == (422, "/password")
    joined = await acme.client().post(place, json={"name": "New", "password": PASSWORD})
    assert (joined.status_code, joined.json()["organization"]["slug"]) == (200, acme.slug)
    me = (await acme.client(joined.json()["accessToken"]).get("/api/v1/auth/me")).json()
    assert (me["email"], me["name"], me["role"]) == (email, "New", "ADMIN")

    again = await acme.client().post(place, json={"name": "New", "password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (410, "gone")
    assert (await acme.client().post(f"/api/v1/invitations/{'0' * 43}/accept", json={})).status_code == 404
    assert (await acme.api.get(INVITATIONS)).json()["items"] == []
    assert (await acme.api.post(INVITATIONS, json={"email": email.upper()})).json()["code"] == "already-member"
    assert "invitation.accept" in await last_actions(acme)


async def test_who_has_an_account_signs_in_to_accept(acme: Tenant, globex: Tenant, postbox: Postbox) -> None:
    person, me = await person_client(acme)
    await globex.api.post(INVITATIONS, json={"email": person.email})
    place = f"/api/v1/invitations/{token_in(postbox.newest(person.email))}/accept"

    stranger = await acme.client().post(place, json={"name": "Thief", "password": PASSWORD})
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")
    assert (await acme.client("sk_live_x").post(place, json={})).status_code == 401
    assert (await acme.api.post(place, json={})).status_code == 403
    joined = await me.post(place, json={})
    assert (joined.json()["organization"]["slug"], joined.json()["user"]["id"]) == (globex.slug, str(person.id))


async def test_a_second_invitation_replaces_the_first(acme: Tenant, globex: Tenant, postbox: Postbox) -> None:
    email = f"twice@{acme.slug}.test"
    tokens = []
    for _ in range(2):
        await acme.api.post(INVITATIONS, json={"email": email})
        tokens.append(token_in(postbox.newest(email)))
    await globex.api.post(INVITATIONS, json={"email": email})

    open_ones = (await acme.api.get(INVITATIONS)).json()["items"]
    assert [each["email"] for each in open_ones] == [email]
    body = {"password": PASSWORD}
    first, second = [await acme.client().post(f"/api/v1/invitations/{each}/accept", json=body) for each in tokens]
    assert (first.status_code, second.status_code) == (410, 200)


async def test_an_invitation_can_be_withdrawn_and_runs_out(acme: Tenant, globex: Tenant, postbox: Postbox) -> None:
    email = f"late@{acme.slug}.test"
    made = (await acme.api.post(INVITATIONS, json={"email": email})).json()
    assert (await globex.api.delete(f"{INVITATIONS}/{made['id']}")).status_code == 404
    assert (await acme.api.delete(f"{INVITATIONS}/{made['id']}")).status_code == 204
    assert (await acme.api.delete(f"{INVITATIONS}/{made['id']}")).status_code == 404

    await acme.api.post(INVITATIONS, json={"email": email})
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE invitation SET expires_at = expires_at - interval '7 days'")
    assert (await acme.api.get(INVITATIONS)).json()["items"] == []
    place = f"/api/v1/invitations/{token_in(postbox.newest(email))}/accept"
    assert (await acme.client().post(place, json={"password": PASSWORD})).status_code == 410


class FullPostbox:
    """Takes no mail."""

    async def send(self, mail: Mail) -> Sequence[str]:
        """Not today."""
        raise Unavailable("the mail server is away")


async def test_without_mail_there_is_no_invitation(acme: Tenant) -> None:
    ports = msgspec.structs.replace(acme.edge.ports, mailer=FullPostbox())
    tenant = Tenant(acme.tenant_id, acme.slug, msgspec.structs.replace(acme.edge, ports=ports))
    refused = await tenant.client(acme.key).post(INVITATIONS, json={"email": "x@y.test"})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert (await acme.api.get(INVITATIONS)).json()["items"] == []


async def test_members_neither_see_nor_make_invitations(acme: Tenant) -> None:
    _, me = await person_client(acme, Role.MEMBER)
    assert (await me.get(INVITATIONS)).status_code == 403
    assert (await me.post(INVITATIONS, json={"email": "x@y.test"})).status_code == 403
    for body, pointer in (({"email": "no address"}, "/email"), ({"email": "x@y.test", "role": "OWNER"}, "/role")):
        refused = await acme.api.post(INVITATIONS, json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
