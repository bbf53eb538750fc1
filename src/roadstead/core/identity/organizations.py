"""The organizations of a person."""

from roadstead.core import tenancy
from roadstead.core.identity.role_model import OwnTenant
from roadstead.core.identity.store import members, people, roles
from roadstead.core.operation import unguarded
from roadstead.core.tenancy import Organization, OrganizationDraft
from roadstead.core.work import Account
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import NotFound
from roadstead.kernel.page import Page, PageQuery


@unguarded("everyone may know where they are a member")
async def list_own_organizations(account: Account, query: PageQuery) -> Page[Organization]:
    """The organizations the caller is a member of, by name."""
    own = [each.tenant_id for each in await people.select_memberships(account.tx, account.person_id)]
    return await tenancy.list_organizations(account, query, among=own)


@unguarded("everyone may know where they are a member")
async def list_own_tenants(account: Account, query: PageQuery) -> Page[OwnTenant]:
    """The organizations the caller is a member of with their roles there, newest first."""
    return await roles.page_own_tenants(account.tx, account.person_id, query)


@unguarded("everyone may know where they are a member")
async def get_own_tenant(account: Account) -> OwnTenant:
    """The organization the caller has signed in to, with their roles there."""
    tenant = await roles.select_own_tenant(account.tx, account.person_id, account.actor.tenant_id)
    if tenant is None:
        raise NotFound("organization", account.actor.organization_id)
    return tenant


@unguarded("everyone with an account may found an organization")
async def create_organization(account: Account, draft: OrganizationDraft) -> Organization:
    """Found an organization; the caller becomes its owner."""
    organization = await tenancy.found_organization(account, draft)
    await members.insert_member(account.tx, organization.tenant_id, account.person_id, Role.OWNER, time.now())
    return organization
