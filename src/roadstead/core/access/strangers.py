"""Systems that anybody may read, without a token, as far as one role says (contract leverege, section 1.4)."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from roadstead.core.access import stranger_store as store
from roadstead.core.access.bindings import load_places
from roadstead.core.access.limits import find_roles
from roadstead.core.access.model import AccessRole, PermissionName, Resource, ResourceType, Standing
from roadstead.core.access.standing import check_may_give
from roadstead.core.operation import operation, unguarded
from roadstead.core.tenancy import OrganizationStatus
from roadstead.core.work import Entry, Work
from roadstead.kernel.actor import NOBODY, Actor, ActorKind, Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import parse_base62

_READING = frozenset({"read", "list", "readData", "readHistory", "readEvents", "readByNetworkAlias"})


@operation(Grant.MEMBERS_WRITE)
async def set_public_role(work: Work, system_id: UUID, name: str | None) -> None:
    """Let everybody read a system as far as this role says, or nobody. Roles that let do more are `Invalid`."""
    resource = Resource(ResourceType.SYSTEM, system_id)
    places = await load_places(work, resource)
    role = None
    if name is not None:
        (role,) = await find_roles(work, [name])
        _check_reads(role)
        check_may_give(work, {str(one) for one in role.permissions}, everything=False, places=places)
    number = role.number if role is not None else None
    await store.replace_public_role(work.tx, work.tenant_id, system_id, number, work.now())
    work.record("system.publish", system_id, after=role)


@unguarded("what anybody may do, anybody may know")
async def list_public_roles(work: Work) -> Mapping[UUID, str]:
    """The names of the roles, by system; those that nobody may read without a token are left out."""
    return await store.select_public_roles(work.tx, work.tenant_id)


@unguarded("whoever shows no token may do what was set for everybody")
async def find_stranger(entry: Entry, system: str) -> Actor | None:
    """Whoever shows no token, in the system of this id or alias; None where they may do nothing.

    An alias of which there are several on the platform means none of them.
    """
    found = await store.select_public_systems(entry.tx, parse_base62(system), system)
    if len(found) != 1:
        return None
    (opened,) = found
    OrganizationStatus(opened.status).check_working()
    # The role may have been given more since.
    held = msgspec.structs.replace(opened.held, permissions=list(filter(_is_reading, opened.held.permissions)))
    standing = Standing([held], frozenset())
    return Actor(
        kind=ActorKind.API_KEY,
        id=NOBODY,
        name="anybody",
        tenant_id=opened.tenant_id,
        organization_id=opened.organization_id,
        grants=standing.grants,
        standing=standing,
        request_id=entry.request_id,
        address=entry.address,
    )


def _is_reading(permission: PermissionName) -> bool:
    return permission.name.partition("/")[0] in _READING


def _check_reads(role: AccessRole) -> None:
    beyond = [str(one) for one in role.permissions if not _is_reading(one)]
    if role.everything or beyond:
        told = "everything" if role.everything else ", ".join(beyond)
        raise Invalid.field("/publicRole", f"strangers may only read, and '{role.name}' permits {told}")
