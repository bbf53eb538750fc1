"""Of the applications of others a tenant sees those that it may install or has, and nothing else."""

import pytest

from roadstead.core import applications
from roadstead.core.applications import Application, ApplicationDraft
from roadstead.core.identity import Permission
from roadstead.db import Database
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant

TABLES = ["application", "custom_permission", "allowed_tenant", "application_installation"]


async def add(developer: Tenant, *allowed: Tenant, name: str = "Thermostat") -> Application:
    """An application with a custom permission, which these tenants may install."""
    draft = ApplicationDraft(name=name, client_permissions=[Permission.INGEST_WRITE])
    permission = applications.CustomPermissionDraft(alias="rooms:heat", category="rooms", name="Heat rooms")
    async with developer.work() as work:
        application = (await applications.create_application(work, draft)).application
        await applications.create_custom_permission(work, application.id, permission)
        for tenant in allowed:
            await applications.allow_tenant(work, application.id, tenant.organization_id)
    return application


async def install(tenant: Tenant, application: Application) -> None:
    """Whatever it asks for."""
    async with tenant.work() as work:
        await applications.install(work, application.id, None)


async def test_a_query_that_forgets_the_tenant_sees_its_own_rows_only(
    tenant_database: Database, acme: Tenant, globex: Tenant
) -> None:
    for developer, tenant in ((acme, globex), (globex, acme)):
        await install(tenant, await add(developer, tenant))

    for tenant in (acme, globex):
        async with tenant_database.tx(tenant.tenant_id) as tx:
            for table in TABLES:
                found = await tx.rows(f"SELECT DISTINCT tenant_id FROM {table}")
                assert found == [(tenant.tenant_id,)], table
    async with tenant_database.tx() as tx:
        for table in TABLES:
            assert await tx.value(f"SELECT count(tenant_id) FROM {table}") == 0, table
        for function in ("offered_applications()", "offered_custom_permissions()"):
            assert await tx.value(f"SELECT count(*) FROM {function}") == 0, function


async def test_what_a_tenant_was_not_allowed_to_install_is_not_there_for_it(
    tenant_database: Database, acme: Tenant, globex: Tenant
) -> None:
    shown, hidden = await add(acme, globex), await add(acme, name="Hidden one")

    async with tenant_database.tx(globex.tenant_id) as tx:
        assert await tx.rows("SELECT id FROM offered_applications()") == [(shown.id,)]
        assert await tx.rows("SELECT id FROM offered_custom_permissions()") == []
    async with tenant_database.tx(acme.tenant_id) as tx:
        assert await tx.rows("SELECT id FROM offered_applications()") == []
    async with globex.work() as work:
        with pytest.raises(NotFound):
            await applications.get_offered(work, hidden.id)


async def test_only_the_developer_learns_who_has_installed_an_application(
    tenant_database: Database, acme: Tenant, globex: Tenant
) -> None:
    application = await add(acme, globex, acme)
    await install(globex, application)
    sql = "SELECT name FROM installing_tenants(%s)"

    async with tenant_database.tx(acme.tenant_id) as tx:
        assert await tx.rows(sql, application.id) == [("Globex",)]
    async with tenant_database.tx(globex.tenant_id) as tx:
        assert await tx.rows(sql, application.id) == []


async def test_a_tenant_cannot_write_into_an_application_of_another(acme: Tenant, globex: Tenant) -> None:
    application = await add(acme, globex)
    async with globex.work() as work:
        changed = await work.tx.run("UPDATE application SET name = 'stolen' WHERE id = %s", application.id)
        with pytest.raises(NotFound):
            await applications.allow_tenant(work, application.id, new_id())
    assert changed == 0
    async with acme.work() as work:
        assert (await applications.get_application(work, application.id)).name == "Thermostat"
        (allowed,) = (await applications.list_allowed_tenants(work, application.id, PageQuery())).items
    assert allowed.organization_id == globex.organization_id
