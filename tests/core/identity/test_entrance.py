"""Credentials: whose they are, and when they are no longer good."""

from datetime import timedelta

import pytest

from roadstead.core import identity, tenancy
from roadstead.core.identity import KeyDraft, KeyStatus
from roadstead.kernel import time
from roadstead.kernel.actor import GRANTS_OF_ROLE, ActorKind, Grant, Role
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.people import PASSWORD, add_person, authenticate, entry, sign_in


async def test_a_key_stands_for_its_organization_and_its_scopes(acme: Tenant, globex: Tenant) -> None:
    key = await acme.add_key([Grant.DEVICES_READ])
    actor = await authenticate(acme.edge, key, "192.0.2.7")

    assert (actor.kind, actor.tenant_id, actor.organization_id) == (
        ActorKind.API_KEY,
        acme.tenant_id,
        acme.organization_id,
    )
    assert (actor.grants, actor.role, actor.address) == (frozenset({Grant.DEVICES_READ}), None, "192.0.2.7")
    assert (await authenticate(globex.edge, globex.key)).tenant_id == globex.tenant_id


@pytest.mark.parametrize(
    "credential", ["sk_live_" + "0" * 43, "sk_live_short", "sk_prod_" + "0" * 43, "", "x", "a.b.c"]
)
async def test_what_nobody_was_given_is_refused(acme: Tenant, credential: str) -> None:
    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, credential)


async def test_a_revoked_key_is_refused_at_once(acme: Tenant) -> None:
    async with acme.work() as work:
        new = await identity.create_key(work, KeyDraft(name="soon gone"))
    await authenticate(acme.edge, new.secret)
    async with acme.work() as work:
        await identity.revoke_key(work, new.key.id)

    with pytest.raises(Unauthenticated, match="revoked"):
        await authenticate(acme.edge, new.secret)
    async with acme.work() as work:
        listed = await identity.list_keys(work, [KeyStatus.REVOKED], PageQuery())
    assert [key.id for key in listed.items] == [new.key.id]


async def test_an_expired_key_is_refused(acme: Tenant) -> None:
    async with acme.work() as work:
        new = await identity.create_key(work, KeyDraft(name="short", expires_at=time.now() + timedelta(hours=1)))
    await authenticate(acme.edge, new.secret)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE api_key SET expires_at = now() - interval '1 second' WHERE id = %s", new.key.id)

    with pytest.raises(Unauthenticated, match="expired"):
        await authenticate(acme.edge, new.secret)


async def test_a_rotated_key_keeps_its_old_secret_for_the_grace_only(acme: Tenant) -> None:
    async with acme.work() as work:
        first = await identity.create_key(work, KeyDraft(name="rotating"))
        second = await identity.rotate_key(work, first.key.id, grace=timedelta(hours=1))
    assert (await authenticate(acme.edge, first.secret)).id == (await authenticate(acme.edge, second.secret)).id

    async with acme.work() as work:
        third = await identity.rotate_key(work, first.key.id, grace=timedelta(0))
    await authenticate(acme.edge, third.secret)
    for gone in (first.secret, second.secret):
        with pytest.raises(Unauthenticated):
            await authenticate(acme.edge, gone)


async def test_a_key_is_good_only_in_its_networks(acme: Tenant) -> None:
    async with acme.work() as work:
        new = await identity.create_key(work, KeyDraft(name="at home", allowed_cidrs=["10.1.0.0/16", "2001:db8::/32"]))

    for inside in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"):
        await authenticate(acme.edge, new.secret, inside)
    for outside in ("10.2.0.1", "2001:db9::1", ""):
        with pytest.raises(Forbidden, match="may not be used from"):
            await authenticate(acme.edge, new.secret, outside)


async def test_the_last_use_of_a_key_is_noted_once_a_minute(acme: Tenant) -> None:
    async def last_used() -> object:
        async with acme.edge.system_database.tx() as tx:
            return await tx.value("SELECT max(last_used_at) FROM api_key WHERE tenant_id = %s", acme.tenant_id)

    await authenticate(acme.edge, acme.key)
    first = await last_used()
    await authenticate(acme.edge, acme.key)
    assert first is not None and await last_used() == first

    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE api_key SET last_used_at = last_used_at - interval '1 minute'")
    await authenticate(acme.edge, acme.key)
    assert await last_used() >= first  # type: ignore[operator]


async def test_noting_the_last_use_waits_for_nobody(acme: Tenant) -> None:
    async with acme.edge.system_database.tx() as other:
        await other.run("SELECT 1 FROM api_key WHERE tenant_id = %s FOR UPDATE", acme.tenant_id)
        await authenticate(acme.edge, acme.key)


async def test_nobody_works_in_a_suspended_organization(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    session = await sign_in(acme, person)
    async with entry(acme.edge) as door:
        await tenancy.suspend_organization(door, acme.slug)

    for credential in (acme.key, session.access_token):
        with pytest.raises(Forbidden, match="suspended"):
            await authenticate(acme.edge, credential)
    await authenticate(globex.edge, globex.key)
    async with entry(acme.edge) as door:
        with pytest.raises(Forbidden, match="no organization you can work in"):
            await identity.sign_in(door, email=person.email, password=PASSWORD)

    async with entry(acme.edge) as door:
        await tenancy.restore_organization(door, str(acme.organization_id))
    await authenticate(acme.edge, acme.key)


async def test_a_session_token_stands_for_a_member_with_their_role(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme, Role.MEMBER)
    actor = await authenticate(acme.edge, (await sign_in(acme, person)).access_token)

    assert (actor.kind, actor.id, actor.tenant_id) == (ActorKind.USER, person.id, acme.tenant_id)
    assert (actor.role, actor.grants) == (Role.MEMBER, GRANTS_OF_ROLE[Role.MEMBER])


async def test_another_role_and_the_end_of_a_membership_act_at_once(acme: Tenant) -> None:
    person = await add_person(acme, Role.ADMIN)
    token = (await sign_in(acme, person)).access_token
    async with acme.work() as work:
        await identity.change_member(work, person.id, Role.MEMBER)
    assert Grant.MEMBERS_WRITE not in (await authenticate(acme.edge, token)).grants

    async with acme.work() as work:
        await identity.remove_member(work, person.id)
    with pytest.raises(Unauthenticated, match="session is over"):
        await authenticate(acme.edge, token)
