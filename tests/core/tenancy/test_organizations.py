"""Organizations: founding, suspending, deleting, restoring."""

import pytest

from roadstead.core import tenancy
from roadstead.core.messages import OrganizationChanged, decode_fact
from roadstead.core.tenancy import OrganizationDraft, OrganizationStatus
from roadstead.core.tenancy.model import slug_from
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.people import entry, last_actions


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Acme", "acme"), ("Ångström & Söhne", "angstrom-sohne"), ("X", "org-x"), ("水", "org"), ("a" * 60, "a" * 32)],
)
def test_a_slug_resembles_its_name(name: str, slug: str) -> None:
    assert slug_from(name) == slug


async def test_a_slug_that_was_asked_for_is_not_replaced(acme: Tenant) -> None:
    async with entry(acme.edge) as door:
        with pytest.raises(Conflict, match=acme.slug):
            await tenancy.found_organization(door, OrganizationDraft(name="Another", slug=acme.slug))


async def test_settings_are_checked_when_an_organization_is_founded(acme: Tenant) -> None:
    async with entry(acme.edge) as door:
        with pytest.raises(Invalid, match="unknownSensorPolicy"):
            await tenancy.found_organization(
                door, OrganizationDraft(name="x", settings={"unknownSensorPolicy": "SHRUG"})
            )


async def test_what_happens_to_an_organization_is_told_and_recorded(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        await tenancy.delete_organization(work, confirm=acme.slug)
    async with entry(acme.edge) as door:
        restored = await tenancy.restore_organization(door, acme.slug)
        assert await door.tx.value("SELECT delete_at FROM tenant WHERE tenant_id = %s", acme.tenant_id) is None
        await tenancy.suspend_organization(door, acme.slug)
        with pytest.raises(NotFound):
            await tenancy.restore_organization(door, "no-such-organization")

    assert restored.status is OrganizationStatus.ACTIVE
    assert await last_actions(acme) == ["organization.suspend", "organization.restore", "organization.delete"]
    async with acme.edge.system_database.tx() as tx:
        facts = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s", acme.tenant_id)
        assert await tx.value("SELECT status FROM tenant WHERE tenant_id = %s", globex.tenant_id) == "ACTIVE"
    assert [decode_fact(fact) for (fact,) in facts] == [OrganizationChanged()] * 3


async def test_deleting_takes_the_right_to(acme: Tenant) -> None:
    async with acme.work(Role.ADMIN) as work:
        with pytest.raises(Forbidden, match="organization:delete"):
            await tenancy.delete_organization(work, confirm=acme.slug)


async def test_whoever_runs_the_platform_sees_all_organizations(acme: Tenant, globex: Tenant) -> None:
    async with entry(acme.edge) as door:
        everything = await tenancy.list_organizations(door, PageQuery(limit=10_000))
        some = await tenancy.list_organizations(door, PageQuery(), among=[globex.tenant_id])
    assert {acme.slug, globex.slug} <= {each.slug for each in everything.items}
    assert [each.slug for each in some.items] == [globex.slug]
