"""Permissions and modules of a project's own making: they mean something to its programs, which ask with `can`."""

import msgspec

from roadstead.core.access import store
from roadstead.core.access.catalogue import ON_DEVICES, PERMISSIONS_OF_MODULE
from roadstead.core.access.model import (
    CustomPermission,
    Module,
    ModuleChange,
    ModuleDraft,
    PermissionChange,
    PermissionDraft,
    PermissionName,
)
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound


@operation(Grant.ORGANIZATION_READ)
async def list_custom_permissions(work: Work) -> list[CustomPermission]:
    """All of them, in the order in which they were made."""
    return await store.select_permissions(work.tx, work.tenant_id)


@operation(Grant.MEMBERS_WRITE)
async def create_custom_permission(work: Work, draft: PermissionDraft) -> CustomPermission:
    """Add a permission. Raises `Conflict` when its module has one of this name."""
    PermissionName(draft.module, draft.name).check()
    permission = CustomPermission(
        number=0, created_at=work.now(), updated_at=work.now(), **msgspec.structs.asdict(draft)
    )
    _check_not_ours(permission)
    number = await store.insert_permission(work.tx, work.tenant_id, permission)
    if number is None:
        raise Conflict.taken("permission", "name", str(permission.full_name))
    permission = msgspec.structs.replace(permission, number=number)
    work.record("access_permission.create", number, after=permission)
    return permission


@operation(Grant.MEMBERS_WRITE)
async def change_custom_permission(work: Work, number: int, change: PermissionChange) -> CustomPermission:
    """Change a permission; roles that have it go on having it. Raises `Conflict` when its name is taken."""
    everything = await store.select_permissions(work.tx, work.tenant_id)
    before = _find(everything, number)
    after = msgspec.structs.replace(before, updated_at=work.now(), **change.sent())
    after.full_name.check()
    _check_not_ours(after)
    if any(one.full_name == after.full_name and one.number != number for one in everything):
        raise Conflict.taken("permission", "name", str(after.full_name))
    await store.update_permission(work.tx, work.tenant_id, before, after)
    work.record("access_permission.update", number, before=before, after=after)
    return after


@operation(Grant.MEMBERS_WRITE)
async def delete_custom_permission(work: Work, number: int) -> None:
    """Delete a permission, and take it from all roles."""
    before = _find(await store.select_permissions(work.tx, work.tenant_id), number)
    await store.delete_permission(work.tx, work.tenant_id, before)
    work.record("access_permission.delete", number, before=before)


@operation(Grant.ORGANIZATION_READ)
async def list_modules(work: Work) -> list[Module]:
    """Those of the project's own making, by name."""
    return await store.select_modules(work.tx, work.tenant_id)


@operation(Grant.MEMBERS_WRITE)
async def create_module(work: Work, draft: ModuleDraft) -> Module:
    """Add a module. Raises `Conflict` when its name is taken."""
    module = Module(created_at=work.now(), updated_at=work.now(), **msgspec.structs.asdict(draft))
    _check_module(module)
    if not await store.insert_module(work.tx, work.tenant_id, module):
        raise Conflict.taken("module", "name", module.name)
    work.record("access_module.create", module.name, after=module)
    return module


@operation(Grant.MEMBERS_WRITE)
async def change_module(work: Work, name: str, change: ModuleChange) -> Module:
    """Change a module; its permissions stay with it. Raises `Conflict` when its name is taken."""
    everything = {module.name: module for module in await store.select_modules(work.tx, work.tenant_id)}
    if name not in everything:
        raise NotFound("module", name)
    before = everything[name]
    after = msgspec.structs.replace(before, updated_at=work.now(), **change.sent())
    _check_module(after)
    if after.name != name and after.name in everything:
        raise Conflict.taken("module", "name", after.name)
    await store.update_module(work.tx, work.tenant_id, name, after)
    work.record("access_module.update", name, before=before, after=after)
    return after


@operation(Grant.MEMBERS_WRITE)
async def delete_module(work: Work, name: str) -> None:
    """Delete a module with its permissions, and take these from all roles."""
    before = {module.name: module for module in await store.select_modules(work.tx, work.tenant_id)}.get(name)
    if before is None:
        raise NotFound("module", name)
    await store.delete_module(work.tx, work.tenant_id, name)
    work.record("access_module.delete", name, before=before)


def _find(permissions: list[CustomPermission], number: int) -> CustomPermission:
    found = next((one for one in permissions if one.number == number), None)
    if found is None:
        raise NotFound("permission", number)
    return found


def _check_not_ours(permission: CustomPermission) -> None:
    of_blueprint = ids.parse_base62(permission.module) is not None
    if permission.name in PERMISSIONS_OF_MODULE.get(permission.module, ()) or (
        of_blueprint and permission.name.partition("/")[0] in ON_DEVICES
    ):
        raise Conflict.taken("permission", "name", str(permission.full_name))


def _check_module(module: Module) -> None:
    PermissionName(module.name, "any").check()
    if module.name in PERMISSIONS_OF_MODULE or ids.parse_base62(module.name) is not None:
        raise Conflict.taken("module", "name", module.name)
