"""The SQL of roles of a project, of who has them, and of permissions and modules of its own making."""

from collections.abc import Sequence
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.access.model import (
    AccessRole,
    Binding,
    BindingQuery,
    CustomPermission,
    HeldRole,
    Module,
    PermissionName,
)
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId

_FIRST_NUMBER = 1_000
"""Of what projects make; those below are the program's."""
_PERMISSIONS = """
    coalesce((
        SELECT jsonb_agg(jsonb_build_object('module', p.module, 'name', p.name) ORDER BY p.module, p.name)
        FROM access_role_permission p WHERE p.tenant_id = r.tenant_id AND p.role_number = r.number
    ), '[]') AS permissions
"""
_ROLE = f"""
    r.number, r.name, r.display_name, r.category, r.description, r.metadata, r.everything, r.created_at, r.updated_at,
    {_PERMISSIONS}
"""
_PERMISSION = "number, module, name, display_name, description, created_at, updated_at"
_MODULE = "name, display_name, description, created_at, updated_at"
_OF_MODULES = ("access_permission", "access_role_permission")
_BINDING = "person_id, role_number, resource_type, resource_id, created_at"


async def select_held(tx: Tx, tenant: TenantId, person: UUID) -> list[HeldRole]:
    """What somebody has on what."""
    sql = f"""
        SELECT b.resource_type, b.resource_id, r.everything, {_PERMISSIONS}
        FROM access_binding b JOIN access_role r ON r.tenant_id = b.tenant_id AND r.number = b.role_number
        WHERE b.tenant_id = %s AND b.person_id = %s
    """
    return await tx.all(HeldRole, sql, tenant, person)


# --- roles -----------------------------------------------------------------------------------------------------------


async def select_roles(tx: Tx, tenant: TenantId) -> list[AccessRole]:
    """All of them, in the order in which they were made."""
    sql = f"SELECT {_ROLE} FROM access_role r WHERE r.tenant_id = %s ORDER BY r.number"
    return await tx.all(AccessRole, sql, tenant)


async def select_role(tx: Tx, tenant: TenantId, number: int) -> AccessRole | None:
    """One of them."""
    sql = f"SELECT {_ROLE} FROM access_role r WHERE r.tenant_id = %s AND r.number = %s"
    return await tx.one(AccessRole, sql, tenant, number)


async def lock_role(tx: Tx, tenant: TenantId, number: int) -> AccessRole | None:
    """One of them; nobody else changes it until the end of the transaction."""
    await tx.run("SELECT FROM access_role WHERE tenant_id = %s AND number = %s FOR UPDATE", tenant, number)
    return await select_role(tx, tenant, number)


async def insert_role(tx: Tx, tenant: TenantId, role: AccessRole) -> int | None:
    """Its number, or None when its category has one of this name. The number of `role` is not looked at."""
    number = await _next_number(tx, tenant, "access_role")
    sql = """
        INSERT INTO access_role (tenant_id, number, name, display_name, category, description, metadata,
                                 created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, category, name) DO NOTHING
    """
    values = (role.name, role.display_name, role.category, role.description, Jsonb(role.metadata))
    made = await tx.run(sql, tenant, number, *values, role.created_at, role.updated_at)
    return number if made else None


async def is_role_name_taken(tx: Tx, tenant: TenantId, role: AccessRole) -> bool:
    """Whether another role of its category has its name."""
    sql = """
        SELECT EXISTS (SELECT FROM access_role WHERE tenant_id = %s AND category = %s AND name = %s AND number <> %s)
    """
    return bool(await tx.value(sql, tenant, role.category, role.name, role.number))


async def update_role(tx: Tx, tenant: TenantId, role: AccessRole) -> None:
    """As it shall be, but for its permissions."""
    sql = """
        UPDATE access_role
        SET name = %s, display_name = %s, category = %s, description = %s, metadata = %s, updated_at = %s
        WHERE tenant_id = %s AND number = %s
    """
    values = (role.name, role.display_name, role.category, role.description, Jsonb(role.metadata))
    await tx.run(sql, *values, role.updated_at, tenant, role.number)


async def replace_permissions(tx: Tx, tenant: TenantId, number: int, permissions: Sequence[PermissionName]) -> None:
    """A role has these and no others."""
    await tx.run("DELETE FROM access_role_permission WHERE tenant_id = %s AND role_number = %s", tenant, number)
    sql = "INSERT INTO access_role_permission (tenant_id, role_number, module, name) VALUES (%s, %s, %s, %s)"
    await tx.many(sql, [(tenant, number, one.module, one.name) for one in permissions])


async def delete_role(tx: Tx, tenant: TenantId, number: int) -> None:
    """Away with it, and from everybody who has it."""
    await tx.run("DELETE FROM access_role WHERE tenant_id = %s AND number = %s", tenant, number)


# --- permissions and modules of a project's own making ---------------------------------------------------------------


async def select_permissions(tx: Tx, tenant: TenantId) -> list[CustomPermission]:
    """All of them, in the order in which they were made."""
    sql = f"SELECT {_PERMISSION} FROM access_permission WHERE tenant_id = %s ORDER BY number"
    return await tx.all(CustomPermission, sql, tenant)


async def insert_permission(tx: Tx, tenant: TenantId, permission: CustomPermission) -> int | None:
    """Its number, or None when its module has one of this name. The number of `permission` is not looked at."""
    number = await _next_number(tx, tenant, "access_permission")
    sql = f"""
        INSERT INTO access_permission (tenant_id, {_PERMISSION}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, module, name) DO NOTHING
    """
    values = (permission.module, permission.name, permission.display_name, permission.description)
    made = await tx.run(sql, tenant, number, *values, permission.created_at, permission.updated_at)
    return number if made else None


async def update_permission(tx: Tx, tenant: TenantId, before: CustomPermission, after: CustomPermission) -> None:
    """As it shall be; roles that have it go on having it under its name."""
    sql = """
        UPDATE access_permission SET module = %s, name = %s, display_name = %s, description = %s, updated_at = %s
        WHERE tenant_id = %s AND number = %s
    """
    values = (after.module, after.name, after.display_name, after.description, after.updated_at)
    await tx.run(sql, *values, tenant, after.number)
    sql = """
        UPDATE access_role_permission SET module = %s, name = %s WHERE tenant_id = %s AND module = %s AND name = %s
    """
    await tx.run(sql, after.module, after.name, tenant, before.module, before.name)


async def delete_permission(tx: Tx, tenant: TenantId, permission: CustomPermission) -> None:
    """Away with it, and from all roles."""
    await tx.run("DELETE FROM access_permission WHERE tenant_id = %s AND number = %s", tenant, permission.number)
    sql = "DELETE FROM access_role_permission WHERE tenant_id = %s AND module = %s AND name = %s"
    await tx.run(sql, tenant, permission.module, permission.name)


async def select_modules(tx: Tx, tenant: TenantId) -> list[Module]:
    """All of them, by name."""
    return await tx.all(Module, f"SELECT {_MODULE} FROM access_module WHERE tenant_id = %s ORDER BY name", tenant)


async def insert_module(tx: Tx, tenant: TenantId, module: Module) -> bool:
    """False when there is one of this name."""
    sql = f"""
        INSERT INTO access_module (tenant_id, {_MODULE}) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, name) DO NOTHING
    """
    values = (module.name, module.display_name, module.description, module.created_at, module.updated_at)
    return await tx.run(sql, tenant, *values) == 1


async def update_module(tx: Tx, tenant: TenantId, name: str, after: Module) -> None:
    """As it shall be, with its permissions."""
    sql = """
        UPDATE access_module SET name = %s, display_name = %s, description = %s, updated_at = %s
        WHERE tenant_id = %s AND name = %s
    """
    await tx.run(sql, after.name, after.display_name, after.description, after.updated_at, tenant, name)
    for table in _OF_MODULES:
        sql = f"UPDATE {table} SET module = %s WHERE tenant_id = %s AND module = %s"
        await tx.run(sql, after.name, tenant, name)


async def delete_module(tx: Tx, tenant: TenantId, name: str) -> None:
    """Away with it and its permissions, and with these from all roles."""
    await tx.run("DELETE FROM access_module WHERE tenant_id = %s AND name = %s", tenant, name)
    for table in _OF_MODULES:
        await tx.run(f"DELETE FROM {table} WHERE tenant_id = %s AND module = %s", tenant, name)


# --- who has which role on what --------------------------------------------------------------------------------------


async def is_member(tx: Tx, tenant: TenantId, person: UUID) -> bool:
    """Whether somebody belongs to the tenant."""
    sql = "SELECT EXISTS (SELECT FROM membership WHERE tenant_id = %s AND person_id = %s)"
    return bool(await tx.value(sql, tenant, person))


async def is_system(tx: Tx, tenant: TenantId, system: UUID) -> bool:
    """Whether there is a system of this id."""
    return bool(await tx.value("SELECT EXISTS (SELECT FROM space WHERE tenant_id = %s AND id = %s)", tenant, system))


async def select_system_of(tx: Tx, tenant: TenantId, device: UUID) -> UUID | None:
    """The system of a device; None when there is no such device."""
    system: UUID | None = await tx.value("SELECT space_id FROM device WHERE tenant_id = %s AND id = %s", tenant, device)
    return system


async def insert_binding(tx: Tx, tenant: TenantId, binding: Binding) -> bool:
    """False when it is there already."""
    sql = f"INSERT INTO access_binding (tenant_id, {_BINDING}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
    values = (binding.person_id, binding.role_number, binding.resource_type, binding.resource_id, binding.created_at)
    return await tx.run(sql, tenant, *values) == 1


async def select_bindings(tx: Tx, tenant: TenantId, query: BindingQuery) -> list[Binding]:
    """Those that are meant, oldest first."""
    where, params = _conditions(tenant, query)
    sql = (
        f"SELECT {_BINDING} FROM access_binding WHERE {where} ORDER BY created_at, person_id, role_number, resource_id"
    )
    return await tx.all(Binding, sql, *params)


async def delete_bindings(tx: Tx, tenant: TenantId, query: BindingQuery) -> int:
    """How many those were that are meant."""
    where, params = _conditions(tenant, query)
    return await tx.run(f"DELETE FROM access_binding WHERE {where}", *params)


def _conditions(tenant: TenantId, query: BindingQuery) -> tuple[str, list[object]]:
    parts: dict[str, object] = {"tenant_id = %s": tenant}
    if query.person_ids is not None:
        parts["person_id = ANY (%s)"] = list(query.person_ids)
    if query.role_numbers is not None:
        parts["role_number = ANY (%s)"] = list(query.role_numbers)
    if query.resource_ids is not None:
        parts["resource_id = ANY (%s)"] = list(query.resource_ids)
    if query.resource_type is not None:
        parts["resource_type = %s"] = str(query.resource_type)
    return " AND ".join(parts), list(parts.values())


async def _next_number(tx: Tx, tenant: TenantId, noun: str) -> int:
    sql = """
        INSERT INTO ordinal (tenant_id, noun, last) VALUES (%s, %s, %s)
        ON CONFLICT (tenant_id, noun) DO UPDATE SET last = ordinal.last + 1 RETURNING last
    """
    return int(await tx.value(sql, tenant, noun, _FIRST_NUMBER))
