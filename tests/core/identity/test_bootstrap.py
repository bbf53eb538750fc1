"""The first organization, and what the command line does with accounts."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
import pytest_asyncio

from roadstead.core import identity, tenancy
from roadstead.core.identity import FirstStart
from roadstead.db import Database, Duty, migrate
from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.errors import Conflict, NotFound, Unauthenticated
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.people import PASSWORD, add_person, authenticate, entry


@pytest_asyncio.fixture
async def empty(edge: Edge, database_url: str) -> AsyncIterator[Edge]:
    """A platform nobody has used yet."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        await connection.execute("CREATE DATABASE fresh")
    url = urlsplit(database_url)._replace(path="/fresh").geturl()
    await asyncio.to_thread(migrate, url)
    database = await Database(url, Duty.SYSTEM).open()
    yield msgspec.structs.replace(edge, system_database=database)
    await database.close()


async def found(edge: Edge) -> FirstStart | None:
    async with entry(edge) as door:
        return await identity.found_platform(
            door, organization="Harbour", email="owner@harbour.test", name="Ona", password=PASSWORD
        )


async def test_the_first_start_founds_once_however_many_try(empty: Edge) -> None:
    outcomes = await asyncio.gather(*(found(empty) for _ in range(3)))
    (first,) = [outcome for outcome in outcomes if outcome is not None]
    assert await found(empty) is None

    actor = await authenticate(empty, first.key.secret)
    assert (actor.organization_id, actor.grants) == (first.organization.public_id, frozenset(Grant))
    async with entry(empty) as door:
        session = await identity.sign_in(door, email="owner@harbour.test", password=PASSWORD)
        assert await door.tx.value("SELECT count(*) FROM space WHERE is_default") == 1
        assert len(await identity.list_public_keys(door)) == 1
    assert (await authenticate(empty, session.access_token)).role is Role.OWNER


async def test_accounts_are_made_once_and_joined_by_name(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    with pytest.raises(Conflict):
        await add_person(globex, email=person.email)
    assert (await add_person(globex, email=person.email, known=True)).id == person.id
    with pytest.raises(Conflict):
        await add_person(globex, email=person.email, known=True)
    with pytest.raises(NotFound):
        await add_person(globex, email=f"nobody@{acme.slug}.test", known=True)


async def test_whoever_runs_the_platform_can_set_a_password(acme: Tenant) -> None:
    person = await add_person(acme)
    async with entry(acme.edge) as door:
        await identity.set_password(door, email=person.email, password="another password")
        await identity.sign_in(door, email=person.email, password="another password")
    with pytest.raises(Unauthenticated):
        async with entry(acme.edge) as door:
            await identity.sign_in(door, email=person.email, password=PASSWORD)


async def test_organizations_are_looked_up_by_slug_or_id(acme: Tenant) -> None:
    async with entry(acme.edge) as door:
        by_slug = await tenancy.load_organization_named(door, acme.slug)
        assert by_slug == await tenancy.load_organization_named(door, str(acme.organization_id))
        with pytest.raises(NotFound):
            await tenancy.load_organization_named(door, "no-such-organization")
