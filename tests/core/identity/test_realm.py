"""Sessions of the realm: whose they are, where they lead, and what is left of them."""

from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest

from roadstead.core import identity
from roadstead.core.identity import Asked, OpenedSession, Person, RealmClient, Tokens
from roadstead.core.ports import TelemetryStore
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import new_id
from roadstead.workers.housekeeping import Housekeeping
from tests.conftest import Tenant
from tests.people import PASSWORD, add_person, entry, last_actions
from tests.workers.test_housekeeping import Readings

URI = "https://app.test/callback"
ISSUER = "https://id.test/realm"
EVERYWHERE = RealmClient(id="olt-portal", is_public=True, redirect_uris=(URI,))


async def sign_in(tenant: Tenant, person: Person) -> OpenedSession:
    async with entry(tenant.edge) as door:
        opened = await identity.sign_in_to_realm(door, email=person.email, password=PASSWORD)
    assert isinstance(opened, OpenedSession)
    return opened


async def grant(
    tenant: Tenant, opened: OpenedSession, organization_id: UUID | None, client: RealmClient = EVERYWHERE
) -> str:
    async with entry(tenant.edge) as door:
        asked = Asked(client=client, redirect_uri=URI, scope="openid")
        return await identity.grant_code(door, opened.session, asked, organization_id)


async def exchange(tenant: Tenant, code: str, client: RealmClient = EVERYWHERE) -> Tokens:
    async with entry(tenant.edge) as door:
        return await identity.exchange_code(door, client, issuer=ISSUER, code=code, redirect_uri=URI, verifier=None)


async def test_a_session_is_found_by_its_secret_and_by_nothing_else(acme: Tenant) -> None:
    opened = await sign_in(acme, await add_person(acme))
    async with entry(acme.edge) as door:
        found = await identity.find_realm_session(door, opened.secret)
        assert found is not None
        assert (found.id, found.person_id) == (opened.session.id, opened.session.person_id)
        for other in (str(opened.session.id), opened.secret[:-1], ""):
            assert await identity.find_realm_session(door, other) is None


async def test_a_session_leads_into_the_tenants_of_its_person(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    opened = await sign_in(acme, person)
    async with entry(acme.edge) as door:
        choices = await identity.list_choices(door, opened.session, EVERYWHERE)
    assert [(choice.organization_id, choice.name) for choice in choices] == [(acme.organization_id, "Acme")]
    for organization_id in (globex.organization_id, new_id()):
        with pytest.raises(Forbidden):
            await grant(acme, opened, organization_id)
    await grant(acme, opened, acme.organization_id)
    await grant(acme, opened, acme.organization_id)
    assert (await last_actions(acme)).count("session.create") == 1


async def test_a_program_leads_nowhere_but_into_its_tenants(acme: Tenant, globex: Tenant) -> None:
    person = await add_person(acme)
    await add_person(globex, Role.MEMBER, email=person.email, known=True)
    opened = await sign_in(acme, person)
    client = RealmClient(id="x", is_public=True, redirect_uris=(URI,), reach=frozenset({globex.organization_id}))
    async with entry(acme.edge) as door:
        choices = await identity.list_choices(door, opened.session, client)
    assert [choice.organization_id for choice in choices] == [globex.organization_id]
    with pytest.raises(Forbidden):
        await grant(acme, opened, acme.organization_id, client)

    tokens = await exchange(acme, await grant(acme, opened, globex.organization_id, client), client)
    gone = RealmClient(id="x", is_public=True, redirect_uris=(URI,), reach=frozenset())
    for wanted in (None, acme.organization_id):
        with pytest.raises(Forbidden):
            async with entry(acme.edge) as door:
                await identity.renew_tokens(
                    door, gone, issuer=ISSUER, refresh_token=tokens.refresh_token, organization_id=wanted
                )


async def test_a_session_that_is_over_gives_no_tokens(acme: Tenant) -> None:
    opened = await sign_in(acme, await add_person(acme))
    code = await grant(acme, opened, acme.organization_id)
    async with entry(acme.edge) as door:
        await identity.end_realm_session(door, opened.session.id)
        await identity.end_realm_session(door, opened.session.id)
    with pytest.raises(Unauthenticated, match="session is over"):
        await exchange(acme, code)
    assert (await last_actions(acme)).count("session.delete") == 1


async def test_what_has_run_out_is_forgotten_and_nothing_else(acme: Tenant) -> None:
    person = await add_person(acme)
    old, young = await sign_in(acme, person), await sign_in(acme, person)
    for opened in (old, young):
        await exchange(acme, await grant(acme, opened, acme.organization_id))
    async with acme.edge.system_database.tx() as tx:
        await tx.run(
            "UPDATE realm_session SET expires_at = expires_at - %s WHERE id = %s", timedelta(days=13), old.session.id
        )

    readings = cast(TelemetryStore, Readings())
    await Housekeeping(acme.edge.system_database, readings, acme.edge.ports.blobs).tidy()

    async with acme.edge.system_database.tx() as tx:
        for table, column in (("realm_session", "id"), ("authorization_code", "session_id"),
                              ("realm_token", "session_id")):  # fmt: skip
            sql = f"SELECT {column} FROM {table} WHERE {column} IN (%s, %s)"
            assert await tx.rows(sql, old.session.id, young.session.id) == [(young.session.id,)], table
