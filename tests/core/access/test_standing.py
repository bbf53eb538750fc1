"""What somebody may do where."""

import pytest

from roadstead.core import access, registry
from roadstead.core.access import (
    AccessRoleDraft,
    BindingQuery,
    PermissionName,
    Resource,
    ResourceType,
)
from roadstead.core.access.catalogue import grants_of
from roadstead.core.work import Work
from roadstead.kernel.actor import GRANTS_OF_ROLE, Grant, Role
from roadstead.kernel.errors import Forbidden, NotFound
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant
from tests.core.access.people import add_access_role, add_confined, work_of_person


async def test_bindings_are_all_that_a_confined_member_may_do(acme: Tenant) -> None:
    person_id = await add_confined(acme)
    async with acme.work() as work:
        space = await registry.load_default_space(work)
        system = Resource(ResourceType.SYSTEM, space.id)
        number = await add_access_role(work, "device.read")

    async with work_of_person(acme, person_id) as work:
        assert work.actor.grants == frozenset()
        assert not access.is_held(work, {"device.read"}, [access.project_of(work), system])
        with pytest.raises(Forbidden):
            await registry.list_spaces(work)
        with pytest.raises(Forbidden):
            await access.list_bindings(work, BindingQuery())
        assert await access.list_bindings(work, BindingQuery(person_ids=[person_id])) == []

    async with acme.work() as work:
        await access.create_binding(work, person_id, number, system)
    async with work_of_person(acme, person_id) as work:
        assert access.is_held(work, {"device.read"}, [access.project_of(work), system])
        assert not access.is_held(work, {"device.update"}, [access.project_of(work), system])
        assert not access.is_held(work, {"device.read"}, [access.project_of(work)])
        assert not access.is_permitted(work, "device.read")
        assert [one.id for one in await registry.list_spaces(work)] == [space.id]
        with pytest.raises(Forbidden):
            await access.create_access_role(work, AccessRoleDraft(name="x"))


async def test_what_somebody_may_do_everywhere_needs_no_binding(acme: Tenant) -> None:
    async with acme.work() as work:
        assert await access.with_standing(work) is work
        assert access.is_permitted(work, "role.delete")
    async with acme.work(Role.MEMBER) as work:
        bound = await access.with_standing(work)
        assert bound.actor.grants == GRANTS_OF_ROLE[Role.MEMBER]
        assert access.is_permitted(bound, "device.update")
        assert not access.is_permitted(bound, "blueprint.create")


async def test_the_role_with_everything_opens_the_core_as_far_as_it_is_held(acme: Tenant) -> None:
    on_system, on_project = await add_confined(acme), await add_confined(acme)
    async with acme.work() as work:
        space = await registry.load_default_space(work)
        await access.create_binding(work, on_system, 1, Resource(ResourceType.SYSTEM, space.id))
        await access.create_binding(work, on_project, 1, access.project_of(work))
    async with work_of_person(acme, on_system) as work:
        assert Grant.DEVICES_WRITE in work.actor.grants
        assert Grant.MEMBERS_WRITE not in work.actor.grants
    async with work_of_person(acme, on_project) as work:
        assert work.actor.grants == GRANTS_OF_ROLE[Role.ADMIN]


async def test_the_standing_of_another_can_be_asked_about(acme: Tenant, globex: Tenant) -> None:
    person_id = await add_confined(acme)
    async with acme.work() as work:
        number = await add_access_role(work, "device.read")
        await access.create_binding(work, person_id, number, access.project_of(work))
        other = await access.work_as(work, person_id)
        assert access.is_held(other, {"device.read"}, [access.project_of(work)])
        assert not access.is_held(other, {"device.update"}, [access.project_of(work)])
        with pytest.raises(NotFound):
            await access.work_as(work, new_id())
    async with globex.work() as work:
        with pytest.raises(NotFound):
            await access.work_as(work, person_id)
        with pytest.raises(NotFound):
            await access.create_binding(work, person_id, 1, access.project_of(work))


async def test_nobody_gives_a_role_that_may_do_more_than_they_may_there(acme: Tenant) -> None:
    manager, helper = await add_confined(acme), await add_confined(acme)
    async with acme.work() as work:
        space = await registry.load_default_space(work)
        system = Resource(ResourceType.SYSTEM, space.id)
        boss = await add_access_role(work, "user.assignRoles", "device.read")
        weak, strong = await add_access_role(work, "device.read"), await add_access_role(work, "device.delete")
        of_blueprint = await add_access_role(work)
        name = PermissionName("3Fv2kS3Chu4tm2TnfK6HqX", "read")
        await access.set_role_permissions(work, of_blueprint, [name])
        await access.create_binding(work, manager, boss, system)
    async with work_of_person(acme, manager) as work:
        await access.create_binding(work, helper, weak, system)
        for number in (strong, 1):
            with pytest.raises(Forbidden):
                await access.create_binding(work, helper, number, system)
        with pytest.raises(Forbidden):
            await access.create_binding(work, helper, weak, access.project_of(work))
        with pytest.raises(Forbidden):
            await access.set_role_permissions(work, weak, [])


async def test_roles_of_two_projects_do_not_meet(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        number = await add_access_role(work, "device.read")
    async with globex.work() as work:
        assert await add_access_role(work, "device.update") == number
        await access.delete_access_role(work, number)
        with pytest.raises(NotFound):
            await access.get_access_role(work, number)
    async with acme.work() as work:
        role = await access.get_access_role(work, number)
        assert [str(one) for one in role.permissions] == ["device.read"]
    # Where all tenants are seen, as the office of a dialect does, it is the actor's that count.
    async with acme.edge.system_database.tx(globex.tenant_id) as tx:
        office = Work(globex.actor(), tx, acme.edge.ports)
        assert [role.number for role in await access.list_access_roles(office, access.RoleQuery())] == [1]
        with pytest.raises(NotFound):
            await access.get_access_role(office, number)


async def test_numbers_of_roles_are_not_used_twice(acme: Tenant) -> None:
    async with acme.work() as work:
        first = await add_access_role(work)
        await access.delete_access_role(work, first)
        assert await add_access_role(work) > first > 1


def test_every_permission_of_the_program_opens_something_in_the_core() -> None:
    assert [one for one in sorted(access.PERMISSIONS) if not grants_of(one)] == []
    assert grants_of("reports.read") == frozenset()
