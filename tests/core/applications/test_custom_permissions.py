"""Custom permissions in roles: those of applications that are installed, and only as long as they are."""

from uuid import UUID

from roadstead.core import applications
from roadstead.core.applications import Application, CustomPermissionDraft
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.applications.test_isolation import add, install


async def permission_of(developer: Tenant, application: Application) -> UUID:
    """The id of the one that comes with it."""
    async with developer.work() as work:
        (one,) = (await applications.list_custom_permissions(work, application.id, PageQuery())).items
    return one.id


async def add_role(tenant: Tenant, *permissions: UUID) -> UUID:
    """A role that holds them."""
    role = new_id()
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        await tx.run(
            """
            INSERT INTO role (tenant_id, id, name, custom_permissions, created_at, updated_at)
            VALUES (%s, %s, %s, %s, now(), now())
            """,
            tenant.tenant_id,
            role,
            str(role),
            list(permissions),
        )
    return role


async def held(tenant: Tenant, role: UUID) -> list[UUID]:
    """What a role holds."""
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        found: list[UUID] = await tx.value("SELECT custom_permissions FROM role WHERE id = %s", role)
    return found


async def test_they_are_known_by_name_where_their_application_is_installed(acme: Tenant, globex: Tenant) -> None:
    application = await add(acme, globex)
    permission = await permission_of(acme, application)

    async def names(tenant: Tenant) -> list[str]:
        async with tenant.work() as work:
            return [one.alias for one in await applications.load_custom_permissions(work, [permission, new_id()])]

    assert await names(globex) == []
    await install(globex, application)
    assert await names(globex) == ["rooms:heat"]
    assert await names(acme) == []


async def test_one_that_is_deleted_is_gone_from_the_roles_of_all_tenants(acme: Tenant, globex: Tenant) -> None:
    application, other = await add(acme, globex, acme), await add(acme, globex, name="Other one")
    permission, rest = await permission_of(acme, application), await permission_of(acme, other)
    theirs, ours = await add_role(globex, permission, rest), await add_role(acme, permission)

    async with acme.work() as work:
        await applications.delete_custom_permission(work, application.id, permission)
    assert await held(globex, theirs) == [rest]
    assert await held(acme, ours) == []
    async with acme.work() as work:
        await applications.delete_application(work, other.id)
    assert await held(globex, theirs) == []


async def test_uninstalling_takes_them_out_of_the_roles_of_this_tenant(acme: Tenant, globex: Tenant) -> None:
    application, other = await add(acme, globex, acme), await add(acme, globex, name="Other one")
    permission, rest = await permission_of(acme, application), await permission_of(acme, other)
    for tenant in (acme, globex):
        await install(tenant, application)
    theirs, ours = await add_role(globex, rest, permission), await add_role(acme, permission)

    async with globex.work() as work:
        await applications.uninstall(work, application.id)
    assert await held(globex, theirs) == [rest]
    assert await held(acme, ours) == [permission]
    second = CustomPermissionDraft(alias="rooms:cool", category="rooms", name="Cool rooms")
    async with acme.work() as work:
        await applications.create_custom_permission(work, application.id, second)
    await install(globex, application)
    assert await held(globex, theirs) == [rest]
