"""Members: roles, and who may give them."""

import asyncio

import pytest

from roadstead.core import identity
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, Forbidden, NotFound
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.people import actor_of, add_person, last_actions, work_of


async def test_members_are_seen_inside_their_organization_only(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await add_person(acme, Role.MEMBER), await add_person(globex)
    async with acme.work(Role.MEMBER) as work:
        listed = await identity.list_members(work, roles=[], text=None, query=PageQuery(include_total=True))
        assert ([member.email for member in listed.items], listed.total) == ([ours.email], 1)
        assert (await work.tx.rows("SELECT email FROM person")) == [(ours.email,)]
    async with acme.work() as work:
        for deed in (identity.change_member(work, theirs.id, Role.ADMIN), identity.remove_member(work, theirs.id)):
            with pytest.raises(NotFound):
                await deed


async def test_members_are_found_by_role_name_and_address(acme: Tenant) -> None:
    for role in Role:
        await add_person(acme, role, email=f"{role.lower()}@{acme.slug}.test")

    async def found(roles: list[Role], text: str | None) -> list[str]:
        async with acme.work() as work:
            listed = await identity.list_members(work, roles=roles, text=text, query=PageQuery())
        return [member.name for member in listed.items]

    assert await found([], None) == ["admin", "member", "owner"]
    assert await found([Role.ADMIN, Role.OWNER], None) == ["admin", "owner"]
    assert await found([], "MEMB") == ["member"]
    assert await found([Role.OWNER], "%") == []


async def test_only_owners_make_and_unmake_owners(acme: Tenant) -> None:
    owner, member = await add_person(acme), await add_person(acme, Role.MEMBER)
    async with acme.work(Role.ADMIN) as work:
        assert (await identity.change_member(work, member.id, Role.ADMIN)).role is Role.ADMIN
        for deed in (
            identity.change_member(work, member.id, Role.OWNER),
            identity.change_member(work, owner.id, Role.MEMBER),
            identity.remove_member(work, owner.id),
        ):
            with pytest.raises(Forbidden):
                await deed
    async with acme.work(Role.MEMBER) as work:
        for deed in (identity.change_member(work, member.id, Role.MEMBER), identity.remove_member(work, member.id)):
            with pytest.raises(Forbidden, match="members:write"):
                await deed


async def test_the_last_owner_stays_an_owner(acme: Tenant) -> None:
    owner = await add_person(acme)
    async with acme.work() as work:
        for deed in (identity.change_member(work, owner.id, Role.ADMIN), identity.remove_member(work, owner.id)):
            with pytest.raises(Conflict) as refusal:
                await deed
            assert refusal.value.code == "last-owner"

    await add_person(acme)
    async with acme.work() as work:
        assert (await identity.change_member(work, owner.id, Role.ADMIN)).role is Role.ADMIN
    assert (await last_actions(acme, 1)) == ["member.update"]


async def test_two_owners_who_leave_at_once_do_not_leave_it_without(acme: Tenant) -> None:
    actors = [await actor_of(acme, await add_person(acme)) for _ in range(2)]

    async def leave(number: int) -> None:
        async with work_of(acme.edge, actors[number]) as work:
            await identity.remove_member(work, actors[number].id)

    outcomes = await asyncio.gather(leave(0), leave(1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Conflict]


async def test_everyone_may_leave(acme: Tenant) -> None:
    actor = await actor_of(acme, await add_person(acme, Role.MEMBER))
    async with work_of(acme.edge, actor) as work:
        await identity.remove_member(work, actor.id)
    assert (await last_actions(acme, 1)) == ["member.delete"]
