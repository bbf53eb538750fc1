"""Staying signed in, and signing out."""

import asyncio

import pytest

from roadstead.core import identity
from roadstead.core.identity import SignedIn
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.people import account, actor_of, add_person, authenticate, entry, last_actions, sign_in


async def refresh(edge: Edge, token: str) -> SignedIn:
    async with entry(edge) as door:
        return await identity.refresh_session(door, token)


async def test_a_refresh_token_renews_the_session_once(acme: Tenant) -> None:
    first = await sign_in(acme, await add_person(acme))
    second = await refresh(acme.edge, first.refresh_token)
    third = await refresh(acme.edge, second.refresh_token)

    for token in (first, second, third):
        await authenticate(acme.edge, token.access_token)
    assert len({each.refresh_token for each in (first, second, third)}) == 3


async def test_a_refresh_token_that_comes_again_ends_the_whole_family(acme: Tenant) -> None:
    person = await add_person(acme)
    first, other = await sign_in(acme, person), await sign_in(acme, person)
    second = await refresh(acme.edge, first.refresh_token)

    with pytest.raises(Unauthenticated, match="used before"):
        await refresh(acme.edge, first.refresh_token)
    with pytest.raises(Unauthenticated, match="over"):
        await refresh(acme.edge, second.refresh_token)
    with pytest.raises(Unauthenticated, match="over"):
        await authenticate(acme.edge, second.access_token)
    await authenticate(acme.edge, other.access_token)
    assert (await last_actions(acme, 1)) == ["session.revoke"]


async def test_of_two_who_show_a_refresh_token_at_once_one_is_a_thief(acme: Tenant) -> None:
    first = await sign_in(acme, await add_person(acme))
    outcomes = await asyncio.gather(
        refresh(acme.edge, first.refresh_token), refresh(acme.edge, first.refresh_token), return_exceptions=True
    )
    assert sum(isinstance(outcome, SignedIn) for outcome in outcomes) == 1
    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, first.access_token)


async def test_signing_out_acts_at_once(acme: Tenant) -> None:
    session = await sign_in(acme, await add_person(acme))
    async with entry(acme.edge) as door:
        await identity.sign_out(door, "never was")
        await identity.sign_out(door, session.refresh_token)
        await identity.sign_out(door, session.refresh_token)

    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, session.access_token)
    with pytest.raises(Unauthenticated):
        await refresh(acme.edge, session.refresh_token)
    assert (await last_actions(acme, 1)) == ["session.delete"]


async def test_who_was_removed_cannot_renew(acme: Tenant) -> None:
    person = await add_person(acme, Role.MEMBER)
    session = await sign_in(acme, person)
    async with acme.work() as work:
        await identity.remove_member(work, person.id)
    with pytest.raises(Unauthenticated):
        await refresh(acme.edge, session.refresh_token)


async def test_switching_opens_a_session_in_another_of_ones_organizations(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    actor = await actor_of(acme, person)
    async with account(acme.edge, actor) as own:
        with pytest.raises(Forbidden):
            await identity.switch_organization(own, globex.organization_id)
    await add_person(globex, email=person.email, known=True)
    async with account(acme.edge, actor) as own:
        there = await identity.switch_organization(own, globex.organization_id)

    assert (await authenticate(acme.edge, there.access_token)).tenant_id == globex.tenant_id
