"""The door: which client it is, whether its secret is right, and where its application can work."""

from uuid import UUID

import msgspec
import pytest

from roadstead.core import applications
from roadstead.core.applications import (
    ApplicationChange,
    ApplicationDraft,
    Client,
    ClientKind,
    InstallationStatus,
)
from roadstead.core.identity import Permission
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.core.applications.test_isolation import add, install
from tests.people import entry, work_of


async def client(tenant: Tenant, client_id: object) -> Client | None:
    """As the door sees it."""
    async with entry(tenant.edge) as door:
        return await applications.find_client(door, str(client_id))


async def test_a_client_is_found_by_its_id_until_its_application_is_deleted(acme: Tenant) -> None:
    draft = ApplicationDraft(name="Thermostat", with_public_client=True, redirect_uris=["https://a.example.test/"])
    async with acme.work() as work:
        made = (await applications.create_application(work, draft)).application

    confidential, public = await client(acme, made.client_id), await client(acme, made.public_client_id)
    assert confidential is not None
    assert public is not None
    assert (confidential.kind, public.kind) == (ClientKind.CONFIDENTIAL, ClientKind.PUBLIC)
    assert confidential.application_id == public.application_id == made.id
    assert confidential.redirect_uris == ["https://a.example.test/"]
    for unknown in (made.id, new_id(), "olt-portal", ""):
        assert await client(acme, unknown) is None
    async with acme.work() as work:
        await applications.delete_application(work, made.id)
    assert await client(acme, made.client_id) is None
    assert await client(acme, made.public_client_id) is None


async def test_the_former_secret_is_not_good_any_more(acme: Tenant) -> None:
    draft = ApplicationDraft(name="Thermostat", with_public_client=True)
    async with acme.work() as work:
        made = await applications.create_application(work, draft)
    first = await client(acme, made.application.client_id)
    assert first is not None
    applications.check_secret(first, made.secret)
    for wrong in ("", made.secret + "x"):
        with pytest.raises(Unauthenticated):
            applications.check_secret(first, wrong)

    async with acme.work() as work:
        secret = await applications.replace_secret(work, made.application.id)
    second = await client(acme, made.application.client_id)
    assert second is not None
    applications.check_secret(second, secret)
    with pytest.raises(Unauthenticated):
        applications.check_secret(second, made.secret)
    public = await client(acme, made.application.public_client_id)
    assert public is not None
    with pytest.raises(Unauthenticated):
        applications.check_secret(public, secret)


async def test_an_application_reaches_the_tenants_that_have_installed_it(acme: Tenant, globex: Tenant) -> None:
    application = await add(acme, acme, globex)
    await install(globex, application)

    async def reach() -> dict[UUID, InstallationStatus]:
        async with entry(acme.edge) as door:
            return await applications.load_reach(door, application.id)

    assert await reach() == {globex.organization_id: InstallationStatus.OK}
    async with acme.work() as work:
        change = ApplicationChange(user_permissions=[Permission.INGEST_WRITE])
        await applications.change_application(work, application.id, change)
    assert await reach() == {globex.organization_id: InstallationStatus.OUTDATED}
    async with acme.work() as work:
        await applications.deny_tenant(work, application.id, globex.organization_id)
    assert await reach() == {}


async def test_nobody_installs_what_asks_for_more_than_they_may_do(acme: Tenant, globex: Tenant) -> None:
    application = await add(acme, globex)
    actor = globex.actor()
    lesser = msgspec.structs.replace(actor, grants=actor.grants - {Grant.READINGS_WRITE})
    async with work_of(globex.edge, lesser) as work:
        with pytest.raises(Forbidden, match="readings:write"):
            await applications.install(work, application.id, None)
    async with work_of(globex.edge, actor) as work:
        await applications.install(work, application.id, None)
