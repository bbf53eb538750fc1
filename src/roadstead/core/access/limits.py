"""How far somebody may go who hands out rights: to keys, and to people whose accounts they manage."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.access import store
from roadstead.core.access.bindings import load_places
from roadstead.core.access.model import (
    AccessRole,
    BindingQuery,
    HeldRole,
    Resource,
    ResourceType,
    Standing,
)
from roadstead.core.access.roles import load_access_role
from roadstead.core.access.standing import check_may_give, project_of
from roadstead.core.operation import unguarded
from roadstead.core.work import Work
from roadstead.kernel.errors import Invalid


@unguarded("the key was shown, and this only takes away from what it may do")
async def limit_to_roles(work: Work, names: Sequence[str]) -> Work:
    """The same work, as far as these roles permit it in the whole project. Roles that are gone permit nothing."""
    project = project_of(work)
    held = [
        HeldRole(
            resource_type=ResourceType.PROJECT,
            resource_id=project.id,
            everything=role.everything,
            permissions=role.permissions,
        )
        for role in await store.select_roles(work.tx, work.tenant_id)
        if role.name in names
    ]
    standing = Standing(held, frozenset())
    grants = work.actor.grants & standing.grants
    return Work(msgspec.structs.replace(work.actor, grants=grants, standing=standing), work.tx, work.ports)


@unguarded("it only says whether the caller may give so much")
async def check_may_delegate(work: Work, names: Sequence[str] | None) -> None:
    """Nobody makes a key that may do more in the project than they themselves: raises `Forbidden`.

    `names` are roles; None: all there is. Raises `Invalid` for a role that is not there.
    """
    roles = await find_roles(work, names or ())
    permissions = {str(one) for role in roles for one in role.permissions}
    everything = names is None or any(role.everything for role in roles)
    check_may_give(work, permissions, everything=everything, places=[project_of(work)])


@unguarded("it only says whether the caller may do so much")
async def check_may_manage(work: Work, person_id: UUID) -> None:
    """Nobody changes the account of somebody who may do more anywhere than they themselves: raises `Forbidden`."""
    for binding in await store.select_bindings(work.tx, work.tenant_id, BindingQuery(person_ids=[person_id])):
        role = await load_access_role(work, binding.role_number)
        places = await load_places(work, Resource(binding.resource_type, binding.resource_id))
        check_may_give(work, {str(one) for one in role.permissions}, everything=role.everything, places=places)


@unguarded("what roles are called is open to every member")
async def find_roles(work: Work, names: Sequence[str]) -> list[AccessRole]:
    """Roles by name. Raises `Invalid` that names the first that is not there."""
    known = {role.name: role for role in await store.select_roles(work.tx, work.tenant_id)}
    for name in names:
        if name not in known:
            raise Invalid.field("/permissions/role", f"there is no role '{name}'")
    return [known[name] for name in dict.fromkeys(names)]
