"""Tokens with scopes: what is kept of them, and when they are forgotten."""

from datetime import timedelta

import pytest

from roadstead.core import identity
from roadstead.core.identity import Issued, Person, RolesDraft, Subtype, TokenDraft
from roadstead.kernel import time
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.workers.housekeeping import EXPIRING
from tests.conftest import Tenant
from tests.people import PASSWORD, account, actor_of, add_person, authenticate, entry


async def sign_in(tenant: Tenant, person: Person, *, life: timedelta | None = timedelta(hours=1)) -> Issued:
    """A token of a person."""
    async with entry(tenant.edge) as door:
        return await identity.sign_in_for_token(
            door, email=person.email, password=PASSWORD, otp=None, scopes=["all.User"], life=life
        )


async def whose(tenant: Tenant, text: str) -> identity.TokenHolder:
    """Who shows a token."""
    async with entry(tenant.edge) as door:
        return await identity.authenticate_token(door, text)


async def test_only_the_hash_of_a_token_is_kept(acme: Tenant) -> None:
    person = await add_person(acme)
    issued = await sign_in(acme, person)
    assert identity.find_subtype(issued.text) is Subtype.USER
    async with acme.edge.system_database.tx() as tx:
        row = await tx.row("SELECT t, token_hash FROM person_token t WHERE id = %s", issued.token_id)
    assert row is not None and issued.text not in str(row[0])
    assert row[1] == identity.digest(issued.text)
    assert (await sign_in(acme, person)).text != issued.text


async def test_a_token_is_of_a_person_in_each_of_their_organizations(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme, email="everywhere@harbour.test")
    await add_person(globex, email=person.email, known=True)
    holder = await whose(acme, (await sign_in(acme, person)).text)
    assert {actor.tenant_id for actor in holder.actors} == {acme.tenant_id, globex.tenant_id}
    assert {actor.id for actor in holder.actors} == {person.id}
    assert holder.scopes == {"all.User"}


async def test_such_a_token_is_no_session_of_the_platform(acme: Tenant) -> None:
    issued = await sign_in(acme, await add_person(acme))
    with pytest.raises(Unauthenticated):
        await authenticate(acme.edge, issued.text)
    session = await actor_of(acme, await add_person(acme))
    assert session.session_id is not None


async def test_tokens_can_be_cut_off_at_an_instant(acme: Tenant) -> None:
    person, other = await add_person(acme), await add_person(acme)
    before, theirs = await sign_in(acme, person), await sign_in(acme, other)
    async with account(acme.edge, await actor_of(acme, person)) as own:
        cutoff = time.now() + timedelta(milliseconds=1)
        await identity.cut_tokens_off(own, cutoff)
        assert await identity.find_token_cutoff(own) == cutoff
    with pytest.raises(Unauthenticated):
        await whose(acme, before.text)
    assert (await whose(acme, theirs.text)).scopes == {"all.User"}


async def test_what_is_no_token_of_signing_in_is_not_renewed(acme: Tenant) -> None:
    person = await add_person(acme)
    draft = TokenDraft(name="t", scopes=["all.User"])
    async with account(acme.edge, await actor_of(acme, person)) as own:
        _, text = await identity.create_person_token(own, draft, RolesDraft())
    async with entry(acme.edge) as door:
        for wrong in (text, "nonsense"):
            with pytest.raises(Forbidden):
                await identity.renew_token(door, wrong)


async def test_expired_tokens_are_forgotten_and_those_of_programs_stay(acme: Tenant) -> None:
    person = await add_person(acme)
    short, endless = await sign_in(acme, person), await sign_in(acme, person, life=None)
    draft = TokenDraft(name="t", scopes=["all.User"], expires_at=time.now() + timedelta(hours=1))
    async with account(acme.edge, await actor_of(acme, person)) as own:
        program, _ = await identity.create_person_token(own, draft, RolesDraft())
    async with acme.edge.system_database.tx() as tx:
        past = time.now() - timedelta(seconds=1)
        await tx.run("UPDATE person_token SET expires_at = %s WHERE expires_at IS NOT NULL", past)
        for table in ("person_token", "device_token"):
            await tx.run(f"DELETE FROM {table} WHERE {EXPIRING[table]}")
        rows = await tx.rows("SELECT id FROM person_token WHERE person_id = %s", person.id)
    assert {id_ for (id_,) in rows} == {endless.token_id, program.id}
    assert short.token_id not in {id_ for (id_,) in rows}
