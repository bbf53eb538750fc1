"""Roles of a tenant: what they add up to, who may give them, and that both doors agree."""

import asyncio

import pytest

from roadstead.core import identity, tenancy
from roadstead.core.identity import Permission, Person, RoleChange, RoleDraft, TenantRole
from roadstead.core.identity.permissions import OWNER, PERMISSIONS_OF_ROLE, READER, WRITER
from roadstead.core.identity.role_model import HeldRole, rights_of
from roadstead.kernel.actor import GRANTS_OF_ROLE, Grant, Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.ids import is_ours
from roadstead.kernel.page import PageQuery
from tests.conftest import Postbox, Tenant
from tests.people import account, actor_of, add_person, client_of, entry, last_actions, sign_in, work_of

EVERYTHING = PageQuery(limit=100)


async def roles_of(tenant: Tenant) -> dict[str, TenantRole]:
    """The roles of a tenant by name."""
    async with tenant.work() as work:
        found = await identity.list_roles(work, held_by=None, query=EVERYTHING)
    return {role.name: role for role in found.items}


async def add_role(tenant: Tenant, owner: Person, name: str, *permissions: Permission) -> TenantRole:
    """A role that an owner makes."""
    async with work_of(tenant.edge, await actor_of(tenant, owner)) as work:
        return await identity.create_role(work, RoleDraft(name=name, permissions=permissions))


async def give(tenant: Tenant, giver: Person, person: Person, *roles: TenantRole) -> None:
    """Somebody gives somebody roles."""
    async with work_of(tenant.edge, await actor_of(tenant, giver)) as work:
        await identity.set_member_roles(work, person.id, [role.id for role in roles])


async def names_of(tenant: Tenant, person: Person) -> list[str]:
    """The roles of somebody, newest first."""
    async with tenant.work() as work:
        found = await identity.list_member_roles(work, person.id, EVERYTHING)
    return [role.name for role in found.items]


async def platform_role(tenant: Tenant, person: Person) -> Role:
    """What the native API calls somebody."""
    async with tenant.work() as work:
        found = await identity.list_members(work, roles=[], text=person.email, query=EVERYTHING)
    return found.items[0].role


def test_roles_add_up() -> None:
    reader = HeldRole(standard="reader")
    ingest = HeldRole(permissions=[Permission.INGEST_WRITE])

    both = rights_of(Role.MEMBER, [reader, ingest])
    assert both.permissions == READER | {Permission.INGEST_WRITE}
    assert Grant.READINGS_WRITE in both.grants
    assert Grant.DEVICES_WRITE not in both.grants
    assert both.role is Role.MEMBER


def test_without_roles_the_one_of_the_platform_counts() -> None:
    for role in Role:
        rights = rights_of(role, None)
        assert (rights.role, rights.permissions, rights.grants) == (
            role,
            PERMISSIONS_OF_ROLE[role],
            GRANTS_OF_ROLE[role],
        )


def test_the_nearest_role_of_the_platform_brings_all_it_may_do() -> None:
    assert rights_of(Role.MEMBER, [HeldRole(standard="owner")]).grants == GRANTS_OF_ROLE[Role.OWNER]
    everything = rights_of(Role.MEMBER, [HeldRole(permissions=list(Permission))])
    assert (everything.role, everything.permissions) == (Role.ADMIN, OWNER)
    assert Grant.ORGANIZATION_DELETE not in everything.grants
    writer = rights_of(Role.OWNER, [HeldRole(standard="writer")])
    assert (writer.role, writer.permissions) == (Role.MEMBER, WRITER)
    assert writer.grants >= GRANTS_OF_ROLE[Role.MEMBER]
    assert not {Grant.MEMBERS_WRITE, Grant.ORGANIZATION_WRITE, Grant.API_KEYS_READ} & writer.grants


async def test_every_tenant_has_three_roles_under_ids_of_its_own(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await roles_of(acme), await roles_of(globex)
    assert sorted(ours) == ["owner", "reader", "writer"]
    assert all(role.standard == name and is_ours(role.id) for name, role in ours.items())
    assert ours["owner"].all_permissions == OWNER
    assert not {role.id for role in ours.values()} & {role.id for role in theirs.values()}
    async with acme.work() as work:
        with pytest.raises(NotFound):
            await identity.get_role(work, theirs["owner"].id)


async def test_the_standard_roles_stay_as_they_are(acme: Tenant) -> None:
    owner = await add_person(acme)
    for role in (await roles_of(acme)).values():
        async with work_of(acme.edge, await actor_of(acme, owner)) as work:
            for deed in (
                identity.change_role(work, role.id, RoleChange(description="other")),
                identity.delete_role(work, role.id),
            ):
                with pytest.raises(Forbidden, match="stays as it is"):
                    await deed


async def test_a_name_is_taken_once_per_tenant(acme: Tenant, globex: Tenant) -> None:
    owner, other = await add_person(acme), await add_person(globex)
    await add_role(acme, owner, "Guard")
    with pytest.raises(Conflict, match="'guard' already exists"):
        await add_role(acme, owner, "guard")
    with pytest.raises(Conflict):
        await add_role(acme, owner, "Writer")
    second = await add_role(acme, owner, "Clerk")
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        with pytest.raises(Conflict):
            await identity.change_role(work, second.id, RoleChange(name="GUARD"))
        assert (await identity.change_role(work, second.id, RoleChange(name="clerk"))).name == "clerk"
    await add_role(globex, other, "Guard")


@pytest.mark.parametrize("name", ["ab", "x" * 33, "a.b.c", "Ärzte"])
async def test_a_name_that_is_none_is_refused(acme: Tenant, name: str) -> None:
    owner = await add_person(acme)
    with pytest.raises(Invalid, match="name"):
        await add_role(acme, owner, name)


async def test_a_reader_cannot_write_through_the_native_api_either(acme: Tenant) -> None:
    owner, member = await add_person(acme), await add_person(acme, Role.MEMBER)
    roles = await roles_of(acme)
    client = client_of(acme, await sign_in(acme, member))
    assert (await client.post("/api/v1/devices", json={"name": "before"})).status_code == 201

    await give(acme, owner, member, roles["reader"])
    assert (await client.post("/api/v1/devices", json={"name": "after"})).status_code == 403
    assert (await client.get("/api/v1/devices")).status_code == 200
    assert await platform_role(acme, member) is Role.MEMBER

    await give(acme, owner, member, roles["reader"], roles["writer"])
    assert (await client.post("/api/v1/devices", json={"name": "after"})).status_code == 201
    assert set(await names_of(acme, member)) == {"writer", "reader"}
    assert "member.set-roles" in await last_actions(acme, 3)


async def test_whoever_is_given_the_role_of_owner_is_owner_everywhere(acme: Tenant) -> None:
    owner, member = await add_person(acme), await add_person(acme, Role.MEMBER)
    roles = await roles_of(acme)
    assert await names_of(acme, owner) == ["owner"]
    assert await names_of(acme, member) == ["writer"]

    await give(acme, owner, member, roles["owner"])
    assert await platform_role(acme, member) is Role.OWNER
    await give(acme, member, owner, roles["writer"])
    assert await platform_role(acme, owner) is Role.MEMBER
    with pytest.raises(Conflict) as refusal:
        await give(acme, member, member, roles["writer"])
    assert refusal.value.code == "last-owner"


async def test_two_owners_who_demote_each_other_at_once_leave_one(acme: Tenant) -> None:
    first, second = await add_person(acme), await add_person(acme)
    writer = (await roles_of(acme))["writer"]
    outcomes = await asyncio.gather(
        give(acme, first, second, writer), give(acme, second, first, writer), return_exceptions=True
    )
    assert [type(each) for each in outcomes if each is not None] in ([Conflict], [Forbidden])
    assert sorted([await platform_role(acme, first), await platform_role(acme, second)]) == ["MEMBER", "OWNER"]


async def test_a_role_on_the_platform_replaces_those_of_the_tenant(acme: Tenant) -> None:
    owner, member = await add_person(acme), await add_person(acme, Role.MEMBER)
    await give(acme, owner, member, (await roles_of(acme))["reader"])
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        await identity.change_member(work, member.id, Role.MEMBER)
    assert await names_of(acme, member) == ["writer"]
    assert (await actor_of(acme, member)).grants == GRANTS_OF_ROLE[Role.MEMBER]


async def test_a_changed_role_counts_at_once_and_moves_its_holders(acme: Tenant) -> None:
    owner, member = await add_person(acme), await add_person(acme, Role.MEMBER)
    role = await add_role(acme, owner, "Guard", Permission.DEVICES_BASE_DATA_READ)
    await give(acme, owner, member, role)
    assert Grant.DEVICES_WRITE not in (await actor_of(acme, member)).grants

    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        changed = await identity.change_role(work, role.id, RoleChange(permissions=list(Permission)))
    assert (changed.members, changed.all_permissions) == (1, OWNER)
    assert Grant.DEVICES_WRITE in (await actor_of(acme, member)).grants
    assert await platform_role(acme, member) is Role.ADMIN


async def test_nobody_gives_or_takes_more_than_they_have(acme: Tenant) -> None:
    owner, clerk, member = await add_person(acme), await add_person(acme, Role.MEMBER), await add_person(acme)
    roles = await roles_of(acme)
    office = await add_role(
        acme, owner, "Office", Permission.TENANT_USER_MANAGEMENT_WRITE, Permission.TENANT_USER_MANAGEMENT_READ
    )
    strong = await add_role(acme, owner, "Strong", Permission.APPLICATIONS_WRITE)
    await give(acme, owner, clerk, office)

    async with work_of(acme.edge, await actor_of(acme, clerk)) as work:
        for deed in (
            identity.set_member_roles(work, clerk.id, [roles["owner"].id]),
            identity.set_member_roles(work, clerk.id, [office.id, strong.id]),
            identity.set_member_roles(work, member.id, [office.id]),
            identity.change_role(work, office.id, RoleChange(permissions=list(Permission))),
            identity.change_role(work, strong.id, RoleChange(permissions=[])),
            identity.create_role(work, RoleDraft(name="Mine", permissions=[Permission.DEVICES_STATES_READ])),
            identity.delete_role(work, strong.id),
            identity.create_offer(work, email="me@example.test", role_ids=[roles["writer"].id]),
            identity.remove_member(work, member.id),
        ):
            with pytest.raises(Forbidden, match="rights you do not have"):
                await deed
        assert (await identity.create_role(work, RoleDraft(name="Nothing"))).permissions == []


async def test_a_role_that_is_all_somebody_has_stays(acme: Tenant) -> None:
    owner, member = await add_person(acme), await add_person(acme, Role.MEMBER)
    role = await add_role(acme, owner, "Guard", Permission.DEVICES_STATES_READ)
    await give(acme, owner, member, role)
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        with pytest.raises(Invalid, match="no other"):
            await identity.delete_role(work, role.id)

    await give(acme, owner, member, role, (await roles_of(acme))["reader"])
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        await identity.create_offer(work, email="guest@example.test", role_ids=[role.id])
        with pytest.raises(Invalid, match="no other"):
            await identity.delete_role(work, role.id)
        (offer,) = (await identity.list_offers(work, statuses=["open"], query=EVERYTHING)).items
        await identity.withdraw_invitation(work, offer.id)
        await identity.delete_role(work, role.id)
    assert await names_of(acme, member) == ["reader"]


async def test_roles_of_others_cannot_be_given(acme: Tenant, globex: Tenant) -> None:
    owner, stranger = await add_person(acme), await add_person(globex)
    theirs = (await roles_of(globex))["reader"]
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        ours = (await identity.list_roles(work, held_by=owner.id, query=EVERYTHING)).items[0]
        for deed in (
            identity.set_member_roles(work, owner.id, [ours.id, theirs.id]),
            identity.set_member_roles(work, stranger.id, [ours.id]),
            identity.create_offer(work, email="a@example.test", role_ids=[theirs.id]),
            identity.list_role_holders(work, theirs.id, EVERYTHING),
        ):
            with pytest.raises(NotFound):
                await deed
        with pytest.raises(Invalid, match="at least one role"):
            await identity.set_member_roles(work, owner.id, [])


# --- what is offered -------------------------------------------------------------------------------------------------


async def test_an_invitation_with_roles_is_one_of_the_platform_too(acme: Tenant, postbox: Postbox) -> None:
    owner = await add_person(acme)
    roles = await roles_of(acme)
    email = f"new@{acme.slug}.test"
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        offer = await identity.create_offer(work, email=email, role_ids=[roles["owner"].id, roles["reader"].id])
        assert {role.name for role in offer.roles} == {"owner", "reader"}
        (listed,) = (await identity.list_invitations(work, EVERYTHING)).items
        assert (listed.id, listed.role) == (offer.id, Role.ADMIN)
    mail = postbox.newest(email)
    assert "as owner, reader." in mail.text

    token = next(line.strip() for line in mail.text.splitlines() if line.startswith("  ") and " " not in line.strip())
    async with entry(acme.edge) as door:
        joined = await identity.accept_invitation(door, token, actor=None, name="Ada", password="a" * 12)
    assert await platform_role(acme, joined.person) is Role.OWNER
    assert set(await names_of(acme, joined.person)) == {"owner", "reader"}


async def test_a_native_invitation_is_an_offer_of_the_nearest_role(acme: Tenant) -> None:
    async with acme.work() as work:
        await identity.create_invitation(work, email="a@example.test", role=Role.MEMBER)
        (offer,) = (await identity.list_offers(work, statuses=["open"], query=EVERYTHING)).items
    assert (offer.email, [role.name for role in offer.roles]) == ("a@example.test", ["writer"])


async def test_whoever_has_the_address_answers(acme: Tenant, globex: Tenant) -> None:
    owner = await add_person(acme)
    guest, other = await add_person(globex), await add_person(globex)
    reader = (await roles_of(acme))["reader"]
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        first = await identity.create_offer(work, email=guest.email.upper(), role_ids=[reader.id])
        with pytest.raises(Conflict, match="has not answered"):
            await identity.create_offer(work, email=guest.email, role_ids=[reader.id])
    with pytest.raises(NotFound):
        async with account(globex.edge, await actor_of(globex, other)) as own:
            await identity.accept_offer(own, first.id)
    actor = await actor_of(globex, guest)
    async with account(globex.edge, actor) as own:
        await identity.decline_offer(own, first.id)
        with pytest.raises(Invalid, match="declined already"):
            await identity.accept_offer(own, first.id)
    assert (await last_actions(acme, 1)) == ["invitation.decline"]

    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        second = await identity.create_offer(work, email=guest.email, role_ids=[reader.id])
    async with account(globex.edge, actor) as own:
        await identity.accept_offer(own, second.id)
        found = (await identity.list_own_offers(own, statuses=[], query=EVERYTHING)).items
        assert {(each.id, each.status) for each in found} == {(first.id, "declined"), (second.id, "accepted")}
        tenants = (await identity.list_own_tenants(own, EVERYTHING)).items
    assert [(each.name, [role.name for role in each.roles]) for each in tenants] == [
        ("Globex", ["owner"]),
        ("Acme", ["reader"]),
    ]
    async with work_of(acme.edge, await actor_of(acme, owner)) as work:
        with pytest.raises(Conflict, match="already exists"):
            await identity.create_offer(work, email=guest.email, role_ids=[reader.id])


# --- names and notes of organizations --------------------------------------------------------------------------------


async def test_a_name_that_another_organization_has_is_told(acme: Tenant, globex: Tenant) -> None:
    ours = tenancy.OrganizationChange(name=acme.slug.title())
    async with acme.work() as work:
        await tenancy.change_organization(work, ours, expected=None)
    async with acme.work() as work:
        await tenancy.check_name_is_free(work, acme.slug, but=acme.tenant_id)
    async with globex.work() as work:
        with pytest.raises(Conflict, match="already exists"):
            await tenancy.check_name_is_free(work, acme.slug, but=globex.tenant_id)


async def test_notes_are_kept_by_dialect_and_hidden_in_the_audit_log(acme: Tenant) -> None:
    async with acme.work() as work:
        one = await tenancy.change_organization(work, tenancy.OrganizationChange(notes={"a": {"x": 1}}), expected=None)
        two = await tenancy.change_organization(work, tenancy.OrganizationChange(notes={"b": 2}), expected=one.version)
        assert two.notes == {"a": {"x": 1}, "b": 2}
        assert {change["path"]: change["to"] for change in work.tx.audit[-1].changes} == {"notes": "(hidden)"}
