"""What can be done with roles of a project."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from roadstead.core.access import store
from roadstead.core.access.model import AccessRole, AccessRoleChange, AccessRoleDraft, PermissionName
from roadstead.core.access.standing import check_may_give, project_of
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Forbidden, NotFound


class RoleQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which roles are meant: those that have one of the values of each field that is named."""

    numbers: Collection[int] | None = None
    names: Collection[str] | None = None
    categories: Collection[str] | None = None
    display_names: Collection[str] | None = None
    modules: Collection[str] | None = None
    """Of at least one of its permissions."""

    def means(self, role: AccessRole) -> bool:
        """Whether this is one of them."""
        asked: list[tuple[Collection[Any] | None, Any]] = [
            (self.numbers, role.number),
            (self.names, role.name),
            (self.categories, role.category),
            (self.display_names, role.display_name),
        ]
        modules = {one.module for one in role.permissions}
        return all(wanted is None or value in wanted for wanted, value in asked) and (
            self.modules is None or not modules.isdisjoint(self.modules)
        )


@operation(Grant.ORGANIZATION_READ)
async def list_access_roles(work: Work, query: RoleQuery) -> list[AccessRole]:
    """Those that are meant, in the order in which they were made."""
    return [role for role in await store.select_roles(work.tx, work.tenant_id) if query.means(role)]


@operation(Grant.ORGANIZATION_READ)
async def get_access_role(work: Work, number: int) -> AccessRole:
    """One role."""
    return await load_access_role(work, number)


@operation(Grant.MEMBERS_WRITE)
async def create_access_role(work: Work, draft: AccessRoleDraft) -> AccessRole:
    """Add a role, without permissions. Raises `Conflict` when its category has one of this name."""
    draft.check()
    role = AccessRole(
        number=0,
        everything=False,
        permissions=[],
        created_at=work.now(),
        updated_at=work.now(),
        **msgspec.structs.asdict(draft),
    )
    number = await store.insert_role(work.tx, work.tenant_id, role)
    if number is None:
        raise Conflict.taken("role", "name", role.name)
    role = msgspec.structs.replace(role, number=number)
    work.record("access_role.create", number, after=role)
    return role


@operation(Grant.MEMBERS_WRITE)
async def change_access_role(work: Work, number: int, change: AccessRoleChange) -> AccessRole:
    """Change what a role is called. Raises `Forbidden` for the one that every project has."""
    before = await _lock(work, number)
    sent = change.sent()
    draft = AccessRoleDraft(
        **{name: sent.get(name, getattr(before, name)) for name in AccessRoleDraft.__struct_fields__}
    )
    draft.check()
    after = msgspec.structs.replace(before, updated_at=work.now(), **msgspec.structs.asdict(draft))
    if await store.is_role_name_taken(work.tx, work.tenant_id, after):
        raise Conflict.taken("role", "name", after.name)
    await store.update_role(work.tx, work.tenant_id, after)
    work.record("access_role.update", number, before=before, after=after)
    return after


@operation(Grant.MEMBERS_WRITE)
async def set_role_permissions(work: Work, number: int, permissions: Sequence[PermissionName]) -> AccessRole:
    """A role has these from now on and no others; those who have it may do more, or less, at once.

    Nobody gives, or takes away, more than they have themselves in the project.
    """
    before = await _lock(work, number)
    wanted = set(permissions)
    moved = {str(one) for one in wanted ^ set(before.permissions)}
    check_may_give(work, moved, everything=False, places=[project_of(work)])
    await store.replace_permissions(work.tx, work.tenant_id, number, sorted(wanted))
    after = msgspec.structs.replace(before, permissions=sorted(wanted), updated_at=work.now())
    await store.update_role(work.tx, work.tenant_id, after)
    work.record("access_role.update", number, before=before, after=after)
    return after


@operation(Grant.MEMBERS_WRITE)
async def delete_access_role(work: Work, number: int) -> None:
    """Delete a role, and take it from those who have it. Raises `Forbidden` for the one that every project has."""
    before = await _lock(work, number)
    await store.delete_role(work.tx, work.tenant_id, number)
    work.record("access_role.delete", number, before=before)


async def load_access_role(work: Work, number: int) -> AccessRole:
    """One role, without asking for rights."""
    role = await store.select_role(work.tx, work.tenant_id, number)
    if role is None:
        raise NotFound("role", number)
    return role


async def _lock(work: Work, number: int) -> AccessRole:
    role = await store.lock_role(work.tx, work.tenant_id, number)
    if role is None:
        raise NotFound("role", number)
    if role.everything:
        raise Forbidden(f"the role {role.name} is one that every project has; it stays as it is")
    check_may_give(work, {str(one) for one in role.permissions}, everything=False, places=[project_of(work)])
    return role
