"""People and roles for tests of this room."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from roadstead.core import access, identity
from roadstead.core.access import AccessRoleDraft, PermissionName
from roadstead.core.identity import AccountDraft
from roadstead.core.work import Work
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import UserId
from tests.conftest import Tenant


async def add_confined(tenant: Tenant) -> UserId:
    """A member who may do nothing but what they are given on single resources."""
    async with tenant.edge.system_database.tx(tenant.tenant_id) as tx:
        office = Work(tenant.actor(), tx, tenant.edge.ports)
        draft = AccountDraft(username=f"user-{secrets.token_hex(4)}", password=None)
        return (await identity.create_account(office, draft)).person_id


async def add_access_role(work: Work, *permissions: str) -> int:
    """A role with these permissions of the program."""
    role = await access.create_access_role(work, AccessRoleDraft(name=f"role-{secrets.token_hex(4)}"))
    names = [PermissionName(*permission.split(".")) for permission in permissions]
    return (await access.set_role_permissions(work, role.number, names)).number


@asynccontextmanager
async def work_of_person(tenant: Tenant, person_id: UserId) -> AsyncIterator[Work]:
    """Work of a confined member; commits at the end."""
    actor = msgspec.structs.replace(tenant.actor(Role.MEMBER), id=person_id, grants=frozenset())
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        yield await access.with_standing(Work(actor, tx, tenant.edge.ports))
