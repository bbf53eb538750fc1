"""Roles that wait for somebody who has never signed in (contract leverege, `pending-user.*`)."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.core.access import pending_store as store
from roadstead.core.access.bindings import create_binding, load_places
from roadstead.core.access.limits import find_roles
from roadstead.core.access.model import Resource
from roadstead.core.access.pending_model import PendingRole
from roadstead.core.access.roles import RoleQuery, list_access_roles
from roadstead.core.access.standing import check_may_give
from roadstead.core.operation import operation, unguarded
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import new_id


@operation(Grant.ORGANIZATION_READ)
async def list_pending_roles(work: Work) -> list[PendingRole]:
    """All of them, oldest first."""
    return await store.select_pending(work.tx, work.tenant_id)


@operation(Grant.MEMBERS_WRITE)
async def add_pending_role(work: Work, pending: PendingRole) -> PendingRole:
    """Somebody will get a role; it is no mistake to say so twice. Nobody promises more than they have there."""
    pending.check()
    resource = Resource(pending.context_type, pending.context_id)
    places = await load_places(work, resource)
    for role in await find_roles(work, [pending.role_name]):
        check_may_give(work, {str(one) for one in role.permissions}, everything=role.everything, places=places)
    if await store.insert_pending(work.tx, work.tenant_id, new_id(), pending, work.now()):
        work.record("pending-role.create", pending.context_id, after=pending)
    return pending


@operation(Grant.MEMBERS_WRITE)
async def delete_pending_role(work: Work, pending: PendingRole) -> None:
    """They will not get it. Raises `NotFound` when nothing like this waits."""
    if not await store.delete_pending(work.tx, work.tenant_id, pending):
        raise NotFound("pending user", pending.email_or_name)
    work.record("pending-role.delete", pending.context_id, before=pending)


@unguarded("the provider has said who it is; `work` is that of the platform")
async def hand_over_pending_roles(work: Work, person_id: UUID, *, issuers: Sequence[str], names: Sequence[str]) -> None:
    """Somebody has come: they get what waited for them. What cannot be given any more waits on."""
    for pending in await store.lock_pending_of(work.tx, work.tenant_id, issuers, names):
        roles = await list_access_roles(work, RoleQuery(names=[pending.role_name]))
        try:
            for role in roles:
                resource = Resource(pending.context_type, pending.context_id)
                await create_binding(work, person_id, role.number, resource)
        except NotFound:
            continue
        if roles:
            await store.delete_pending(work.tx, work.tenant_id, pending)
