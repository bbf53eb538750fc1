"""Who has which role on what."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.core.access import store
from roadstead.core.access.model import Binding, BindingQuery, Resource, ResourceType
from roadstead.core.access.roles import load_access_role
from roadstead.core.access.standing import check_may_give, project_of
from roadstead.core.operation import check_grant, operation, unguarded
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import UserId


@unguarded("oneself may know what roles one has; for those of others it asks for organization:read")
async def list_bindings(work: Work, query: BindingQuery) -> list[Binding]:
    """Those that are meant, oldest first."""
    if query.person_ids is None or set(query.person_ids) != {work.actor.id}:
        check_grant(work.actor, Grant.ORGANIZATION_READ)
    return await store.select_bindings(work.tx, work.tenant_id, query)


@operation(Grant.MEMBERS_WRITE)
async def create_binding(work: Work, person_id: UUID, role_number: int, resource: Resource) -> Binding:
    """Give a member a role on something, at once; it is no mistake to do so twice.

    Nobody gives more than they have there themselves.
    """
    places = await load_places(work, resource)
    if not await store.is_member(work.tx, work.tenant_id, person_id):
        raise NotFound("user", person_id)
    role = await load_access_role(work, role_number)
    check_may_give(work, {str(one) for one in role.permissions}, everything=role.everything, places=places)
    binding = Binding(
        person_id=UserId(person_id),
        role_number=role_number,
        resource_type=resource.type,
        resource_id=resource.id,
        created_at=work.now(),
    )
    if await store.insert_binding(work.tx, work.tenant_id, binding):
        work.record("access_binding.create", person_id, after=binding)
        return binding
    query = BindingQuery(person_ids=[person_id], role_numbers=[role_number], resource_ids=[resource.id])
    (known,) = await store.select_bindings(work.tx, work.tenant_id, query)
    return known


@operation(Grant.MEMBERS_WRITE)
async def delete_bindings(work: Work, query: BindingQuery) -> int:
    """Take roles away, at once; how many. Nobody takes away more than they have there themselves."""
    found = await store.select_bindings(work.tx, work.tenant_id, query)
    for number, resource in {(one.role_number, Resource(one.resource_type, one.resource_id)) for one in found}:
        role = await load_access_role(work, number)
        places = await load_places(work, resource)
        check_may_give(work, {str(one) for one in role.permissions}, everything=role.everything, places=places)
    await store.delete_bindings(work.tx, work.tenant_id, query)
    for binding in found:
        work.record("access_binding.delete", binding.person_id, before=binding)
    return len(found)


async def find_resource(work: Work, resource_id: UUID) -> Resource:
    """What this is the id of, without asking for rights. Raises `NotFound`."""
    if resource_id == work.actor.organization_id:
        return project_of(work)
    if await store.is_system(work.tx, work.tenant_id, resource_id):
        return Resource(ResourceType.SYSTEM, resource_id)
    if await store.select_system_of(work.tx, work.tenant_id, resource_id) is not None:
        return Resource(ResourceType.DEVICE, resource_id)
    raise NotFound("resource", resource_id)


async def load_places(work: Work, resource: Resource) -> Sequence[Resource]:
    """A thing and what it lies in, without asking for rights. Raises `NotFound` when it is not there."""
    project = project_of(work)
    match resource.type:
        case ResourceType.PROJECT if resource == project:
            return [project]
        case ResourceType.SYSTEM if await store.is_system(work.tx, work.tenant_id, resource.id):
            return [project, resource]
        case ResourceType.DEVICE:
            system_id = await store.select_system_of(work.tx, work.tenant_id, resource.id)
            if system_id is not None:
                return [project, Resource(ResourceType.SYSTEM, system_id), resource]
    raise NotFound(resource.type, resource.id)
