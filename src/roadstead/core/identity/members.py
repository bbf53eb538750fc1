"""What can be done with the members of an organization."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.identity.model import Member, check_within, grants_of
from roadstead.core.identity.role_model import rights_of
from roadstead.core.identity.store import members as store
from roadstead.core.identity.store import roles, sessions
from roadstead.core.operation import check_grant, operation, unguarded
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.ORGANIZATION_READ)
async def list_members(work: Work, *, roles: Sequence[Role], text: str | None, query: PageQuery) -> Page[Member]:
    """People with access, by address; `text` is looked for in names and addresses."""
    return await store.page_members(work.tx, work.tenant_id, roles=roles, text=text, query=query)


@operation(Grant.MEMBERS_WRITE)
async def change_member(work: Work, person_id: UUID, role: Role) -> Member:
    """Give a member another role, at once, in place of all they have.

    Nobody gives a role that may do more than they themselves, or takes such a role away: only an owner makes owners.
    Raises `Conflict` for the last owner.
    """
    await roles.lock_roles(work.tx, work.tenant_id)
    before = await load_member(work, person_id)
    held = await roles.select_held(work.tx, work.tenant_id, person_id)
    given = held.held if held else None
    check_within(work.actor.grants, grants_of(role) | rights_of(before.role, given).grants)
    if role is before.role and not given:
        return before
    if role is not Role.OWNER:
        await check_not_last_owner(work, before)
    await store.update_role(work.tx, work.tenant_id, before.person_id, role)
    await roles.replace_member_roles(work.tx, work.tenant_id, before.person_id, [], work.now())
    after = msgspec.structs.replace(before, role=role)
    work.record("member.update", person_id, before=before, after=after)
    return after


@unguarded("oneself may always leave; for anyone else it asks for members:write")
async def remove_member(work: Work, person_id: UUID) -> None:
    """End a membership and its sessions, at once. Keys they have made stay. Raises `Conflict` for the last owner."""
    if person_id != work.actor.id:
        check_grant(work.actor, Grant.MEMBERS_WRITE)
    before = await load_member(work, person_id)
    if person_id != work.actor.id:
        held = await roles.select_held(work.tx, work.tenant_id, person_id)
        check_within(work.actor.grants, rights_of(before.role, held.held if held else None).grants)
    await check_not_last_owner(work, before)
    await store.delete_member(work.tx, work.tenant_id, before.person_id)
    await sessions.revoke_sessions_of_member(work.tx, work.tenant_id, before.person_id, work.now())
    work.record("member.delete", person_id, before=before)


async def load_member(work: Work, person_id: UUID) -> Member:
    """One member, without asking for rights."""
    member = await store.select_member(work.tx, work.tenant_id, person_id)
    if member is None:
        raise NotFound("member", person_id)
    return member


async def load_grants(work: Work, person_id: UUID) -> frozenset[Grant]:
    """What a member may do in the tenant, without asking for rights."""
    held = await roles.select_held(work.tx, work.tenant_id, person_id)
    if held is None:
        raise NotFound("user", person_id)
    return rights_of(held.role, held.held).grants


async def load_emails(work: Work, person_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The addresses of those of these people who are members, without asking for rights."""
    return await store.select_emails(work.tx, work.tenant_id, person_ids)


async def check_not_last_owner(work: Work, member: Member) -> None:
    """Raises `Conflict` for the last owner."""
    if member.role is Role.OWNER and await store.lock_owners(work.tx, work.tenant_id) == [member.person_id]:
        raise Conflict("an organization keeps at least one owner; make somebody else owner first", code="last-owner")
