"""Signing in with a password: what it tells, and how guessing is slowed down."""

import asyncio
import time as clock
from datetime import timedelta

import pytest

from roadstead.core import identity
from roadstead.core.identity import passwords
from roadstead.core.ports import PasswordCost
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Forbidden, TooMany, Unauthenticated
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.people import PASSWORD, add_person, authenticate, changed_cost, entry, last_actions


async def attempt(edge: Edge, email: str, password: str = "wrong password", address: str = "192.0.2.1") -> None:
    async with entry(edge, address) as door:
        await identity.sign_in(door, email=email, password=password)


async def hash_of(tenant: Tenant, email: str) -> str:
    async with tenant.edge.system_database.tx() as tx:
        return str(await tx.value("SELECT password_hash FROM person WHERE email = %s", email))


async def test_a_person_signs_in_where_they_were_last(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme, email=f"both@{acme.slug}.test")
    await add_person(globex, Role.MEMBER, email=person.email, known=True)

    async with entry(acme.edge) as door:
        first = await identity.sign_in(door, email=person.email.upper(), password=PASSWORD)
        there = await identity.sign_in(
            door, email=person.email, password=PASSWORD, organization_id=globex.organization_id
        )
        again = await identity.sign_in(door, email=person.email, password=PASSWORD)

    assert [each.organization.slug for each in (first, there, again)] == [acme.slug, globex.slug, globex.slug]
    assert (await authenticate(acme.edge, again.access_token)).role is Role.MEMBER
    assert (await last_actions(globex, 1), await last_actions(acme, 1)) == (["session.create"], ["session.create"])


async def test_an_organization_one_is_no_member_of_stays_closed(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    async with entry(acme.edge) as door:
        with pytest.raises(Forbidden):
            await identity.sign_in(door, email=person.email, password=PASSWORD, organization_id=globex.organization_id)


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(acme: Tenant) -> None:
    person = await add_person(acme)
    told = []
    for email in (person.email, f"nobody@{acme.slug}.test"):
        with pytest.raises(Unauthenticated) as refusal:
            await attempt(acme.edge, email)
        told.append((str(refusal.value), refusal.value.code))
    assert told[0] == told[1]


async def test_comparing_with_nobodys_password_takes_as_long() -> None:
    cost = PasswordCost(rounds=20, memory_kib=8192)
    hashed = await passwords.hash_password(PASSWORD, cost)

    async def seconds(known: str | None) -> float:
        await passwords.is_password("wrong password", known, cost)
        start = clock.perf_counter()
        assert not await passwords.is_password("wrong password", known, cost)
        return clock.perf_counter() - start

    somebody, nobody = await seconds(hashed), await seconds(None)
    assert nobody > somebody / 3


async def test_ten_failures_lock_the_account_for_the_address_only(acme: Tenant) -> None:
    person = await add_person(acme)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await attempt(acme.edge, person.email)

    with pytest.raises(TooMany) as refusal:
        await attempt(acme.edge, person.email, PASSWORD)
    assert 800 < refusal.value.retry_after_s <= 900
    await attempt(acme.edge, person.email, PASSWORD, address="192.0.2.2")

    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE sign_in_failure SET at = at - interval '15 minutes'")
    await attempt(acme.edge, person.email, PASSWORD)


async def test_unknown_accounts_are_locked_alike(acme: Tenant) -> None:
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await attempt(acme.edge, f"nobody@{acme.slug}.test")
    with pytest.raises(TooMany):
        await attempt(acme.edge, f"NOBODY@{acme.slug}.test")


async def test_guesses_made_at_once_do_not_outrun_the_lock(acme: Tenant) -> None:
    person = await add_person(acme)
    outcomes = await asyncio.gather(*(attempt(acme.edge, person.email) for _ in range(24)), return_exceptions=True)
    assert sum(isinstance(outcome, Unauthenticated) for outcome in outcomes) <= 10
    assert sum(isinstance(outcome, TooMany) for outcome in outcomes) >= 14


async def test_signing_in_forgives_earlier_failures(acme: Tenant) -> None:
    person = await add_person(acme)
    for _ in range(2):
        for _ in range(9):
            with pytest.raises(Unauthenticated):
                await attempt(acme.edge, person.email)
        await attempt(acme.edge, person.email, PASSWORD)


async def test_a_password_is_hashed_anew_when_the_cost_changes(acme: Tenant) -> None:
    person = await add_person(acme)
    before = await hash_of(acme, person.email)
    await attempt(acme.edge, person.email, PASSWORD)
    assert await hash_of(acme, person.email) == before

    await attempt(changed_cost(acme.edge, 2), person.email, PASSWORD)
    after = await hash_of(acme, person.email)
    assert before.startswith("$argon2id$") and "t=2," in after
    await attempt(changed_cost(acme.edge, 2), person.email, PASSWORD)
    assert await hash_of(acme, person.email) == after


async def test_sessions_end_after_thirty_days_without_use(acme: Tenant) -> None:
    person = await add_person(acme)
    async with entry(acme.edge) as door:
        session = await identity.sign_in(door, email=person.email, password=PASSWORD)
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE session SET expires_at = expires_at - %s", timedelta(days=30))
    async with entry(acme.edge) as door:
        with pytest.raises(Unauthenticated, match="over"):
            await identity.refresh_session(door, session.refresh_token)
