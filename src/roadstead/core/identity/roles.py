"""What can be done with the roles of a tenant, and with those of its members."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.identity.members import check_not_last_owner, load_member
from roadstead.core.identity.model import RoledMember
from roadstead.core.identity.permissions import Permission
from roadstead.core.identity.role_model import (
    HeldRole,
    Rights,
    RoleChange,
    RoleDraft,
    TenantRole,
    check_covers,
    rights_of,
)
from roadstead.core.identity.store import roles as store
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.ids import TenantId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.ORGANIZATION_READ)
async def list_roles(work: Work, *, held_by: UUID | None, query: PageQuery) -> Page[TenantRole]:
    """Roles, newest first; those of one member, when one is named."""
    return await store.page_roles(work.tx, work.tenant_id, held_by=held_by, query=query)


@operation(Grant.ORGANIZATION_READ)
async def get_role(work: Work, role_id: UUID) -> TenantRole:
    """One role."""
    return (await load_roles(work, [role_id]))[0]


@operation(Grant.MEMBERS_WRITE)
async def create_role(work: Work, draft: RoleDraft) -> TenantRole:
    """Add a role. It may do no more than whoever makes it. Raises `Conflict` when its name is taken."""
    draft.check()
    role = TenantRole(
        id=new_id(),
        name=draft.name,
        description=draft.description,
        permissions=_in_order(draft.permissions),
        custom_permissions=sorted(set(draft.custom_permissions)),
        members=0,
        created_at=work.now(),
        updated_at=work.now(),
    )
    await check_may_give(work, [role])
    if not await store.insert_role(work.tx, work.tenant_id, role):
        raise Conflict.taken("role", "name", role.name)
    work.record("role.create", role.id, after=role)
    return role


@operation(Grant.MEMBERS_WRITE)
async def change_role(work: Work, role_id: UUID, change: RoleChange) -> TenantRole:
    """Change a role; those who have it may do more, or less, at once.

    Raises `Forbidden` for a standard one, and for one that may do more, before or after, than whoever changes it;
    `Conflict` when its name is taken.
    """
    await store.lock_roles(work.tx, work.tenant_id)
    (before,) = await load_roles(work, [role_id])
    _check_own_making(before)
    sent = change.sent()
    draft = RoleDraft(**{name: sent.get(name, getattr(before, name)) for name in RoleDraft.__struct_fields__})
    draft.check()
    after = msgspec.structs.replace(
        before,
        name=draft.name,
        description=draft.description,
        permissions=_in_order(draft.permissions),
        custom_permissions=sorted(set(draft.custom_permissions)),
        updated_at=work.now(),
    )
    await check_may_give(work, [before, after])
    if await store.is_name_taken(work.tx, work.tenant_id, after.name, but=after.id):
        raise Conflict.taken("role", "name", after.name)
    await store.update_role(work.tx, work.tenant_id, after)
    await _follow(work.tx, work.tenant_id, await store.select_held_of_role(work.tx, work.tenant_id, role_id))
    work.record("role.update", role_id, before=before, after=after)
    return after


@operation(Grant.MEMBERS_WRITE)
async def delete_role(work: Work, role_id: UUID) -> None:
    """Delete a role, and take it from those who have it.

    Raises `Forbidden` for a standard one and for one that may do more than whoever deletes it; `Invalid` when somebody,
    or somebody who is invited, has no other.
    """
    await store.lock_roles(work.tx, work.tenant_id)
    (before,) = await load_roles(work, [role_id])
    _check_own_making(before)
    await check_may_give(work, [before])
    if await store.is_only_role(work.tx, work.tenant_id, role_id, work.now()):
        raise Invalid("somebody has this role and no other; give them another first")
    holders = await store.select_held_of_role(work.tx, work.tenant_id, role_id)
    await store.delete_role(work.tx, work.tenant_id, role_id)
    left = [await _load_held(work.tx, work.tenant_id, each.person_id) for each in holders]
    await _follow(work.tx, work.tenant_id, left)
    work.record("role.delete", role_id, before=before)


# --- of members ------------------------------------------------------------------------------------------------------


@operation(Grant.ORGANIZATION_READ)
async def list_role_holders(work: Work, role_id: UUID, query: PageQuery) -> Page[RoledMember]:
    """Members who have a role, the latest to get it first."""
    await load_roles(work, [role_id])
    return await store.page_holders(work.tx, work.tenant_id, role_id, query)


@operation(Grant.ORGANIZATION_READ)
async def list_roled_members(work: Work, query: PageQuery) -> Page[RoledMember]:
    """Members with their roles, the latest to get one first."""
    return await store.page_members(work.tx, work.tenant_id, query)


@operation(Grant.ORGANIZATION_READ)
async def list_member_roles(work: Work, person_id: UUID, query: PageQuery) -> Page[TenantRole]:
    """The roles of one member, newest first. Raises `NotFound` for somebody who is none."""
    await load_member(work, person_id)
    return await store.page_roles(work.tx, work.tenant_id, held_by=person_id, query=query)


@operation(Grant.MEMBERS_WRITE)
async def set_member_roles(work: Work, person_id: UUID, role_ids: Sequence[UUID]) -> None:
    """Give a member these roles in place of all they have, at once; their role on the platform is the nearest.

    Nobody gives, or takes away, more than they have themselves. Raises `Conflict` for the last owner, `NotFound` for a
    role or a member that is not there.
    """
    if not role_ids:
        raise Invalid.field("/roles", "must name at least one role; to take all away, remove the member")
    await store.lock_roles(work.tx, work.tenant_id)
    member = await load_member(work, person_id)
    held = await _load_held(work.tx, work.tenant_id, person_id)
    roles = await load_roles(work, role_ids)
    await _check_covers(work, rights_of(held.role, held.held), rights_of(Role.MEMBER, roles))
    if not any(role.standard == "owner" for role in roles):
        await check_not_last_owner(work, member)
    before = _Roles(await store.select_names_held(work.tx, work.tenant_id, person_id))
    await give_roles(work.tx, work.tenant_id, person_id, role_ids)
    after = _Roles(await store.select_names_held(work.tx, work.tenant_id, person_id))
    work.record("member.set-roles", person_id, before=before, after=after)


# --- for modules that have asked for rights --------------------------------------------------------------------------


async def give_roles(tx: Tx, tenant: TenantId, person_id: UUID, role_ids: Sequence[UUID]) -> None:
    """A member has these from now on, and the nearest role of the platform."""
    await store.replace_member_roles(tx, tenant, person_id, role_ids, time.now())
    await _follow(tx, tenant, [await _load_held(tx, tenant, person_id)])


async def load_roles(work: Work, role_ids: Sequence[UUID]) -> list[TenantRole]:
    """Roles by id. Raises `NotFound` for the first that is not there."""
    found = await store.select_roles(work.tx, work.tenant_id, role_ids)
    known = {role.id for role in found}
    for role_id in role_ids:
        if role_id not in known:
            raise NotFound("role", role_id)
    return found


async def check_may_give(work: Work, roles: Sequence[HeldRole]) -> None:
    """Raises `Forbidden` for roles one of which may do more than whoever asks."""
    await _check_covers(work, *(rights_of(Role.MEMBER, [role]) for role in roles))


class _Roles(msgspec.Struct, frozen=True):
    """What the audit log shows of somebody's roles."""

    roles: list[str]


async def _check_covers(work: Work, *others: Rights) -> None:
    held = await store.select_held(work.tx, work.tenant_id, work.actor.id)
    if held is None:
        raise Forbidden("this is for members of the organization")
    own = msgspec.structs.replace(rights_of(held.role, held.held), grants=work.actor.grants)
    for other in others:
        check_covers(own, other)


async def _load_held(tx: Tx, tenant: TenantId, person_id: UUID) -> store.Held:
    held = await store.select_held(tx, tenant, person_id)
    if held is None:
        raise NotFound("member", person_id)
    return held


async def _follow(tx: Tx, tenant: TenantId, members: Sequence[store.Held]) -> None:
    nearest = [(each.person_id, rights_of(each.role, each.held).role) for each in members]
    await store.update_platform_roles(tx, tenant, nearest)


def _check_own_making(role: TenantRole) -> None:
    if role.standard is not None:
        raise Forbidden(f"the role {role.name} is one that every tenant has; it stays as it is")


def _in_order(permissions: Sequence[Permission]) -> list[Permission]:
    return [one for one in Permission if one in permissions]
