"""The SQL of roles of tenants, and of who has them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.identity.model import RoledMember
from roadstead.core.identity.role_model import HeldRole, OwnTenant, TenantRole
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import TenantId, UserId
from roadstead.kernel.page import Page, PageQuery

_ROLE = """
    r.id, r.name, r.description, r.standard, r.permissions, r.custom_permissions, r.created_at, r.updated_at,
    (SELECT count(*) FROM held_role h WHERE h.tenant_id = r.tenant_id AND h.role_id = r.id) AS members
"""
_ROLES = Listing(columns=_ROLE, source="role r", tie="r.id")
_NAMES = """
    jsonb_agg(
        jsonb_build_object('id', r.id, 'name', r.name, 'description', r.description, 'standard', r.standard)
        ORDER BY r.created_at DESC, r.id DESC
    )
"""
_HELD = """
    jsonb_agg(jsonb_build_object(
        'standard', r.standard, 'permissions', r.permissions, 'custom_permissions', r.custom_permissions
    ))
"""
HELD_BY_MEMBER = f"""coalesce((
    SELECT {_HELD} FROM member_role g JOIN role r ON r.tenant_id = g.tenant_id AND r.id = g.role_id
    WHERE g.tenant_id = m.tenant_id AND g.person_id = m.person_id
), CASE WHEN m.confined THEN '[{{}}]'::jsonb END)"""
"""What a member `m` was given, as a list of `HeldRole`; NULL when it was nothing, so that their role on the platform
counts; a role that may do nothing for those who are confined to single resources."""
NAMES_OF_MEMBER = f"""(
    SELECT {_NAMES} FROM held_role h JOIN role r ON r.tenant_id = h.tenant_id AND r.id = h.role_id
    WHERE h.tenant_id = m.tenant_id AND h.person_id = m.person_id
)"""
"""The roles of a member `m`, as a list of `RoleName`."""
NAMES_OF_INVITATION = f"""(
    SELECT coalesce({_NAMES}, '[]') FROM offered_role o JOIN role r ON r.tenant_id = o.tenant_id AND r.id = o.role_id
    WHERE o.tenant_id = i.tenant_id AND o.invitation_id = i.id
)"""
"""The roles that an invitation `i` is for, as a list of `RoleName`."""
_MEMBER = f"m.person_id, p.email, p.name, p.totp_confirmed_at, {NAMES_OF_MEMBER} AS roles"
_MEMBERS = """
    (SELECT tenant_id, person_id, max(assigned_at) AS assigned_at FROM held_role GROUP BY tenant_id, person_id) a
    JOIN membership m USING (tenant_id, person_id) JOIN person p ON p.id = m.person_id
"""
_ROLED_MEMBERS = Listing(columns=_MEMBER, source=_MEMBERS, tie="m.person_id")
_HOLDERS = Listing(
    columns=_MEMBER,
    source="held_role a JOIN membership m USING (tenant_id, person_id) JOIN person p ON p.id = m.person_id",
    tie="m.person_id",
)
_OWN = f"t.public_id AS organization_id, t.name, t.status, {NAMES_OF_MEMBER} AS roles"
_OWN_TENANTS = Listing(columns=_OWN, source="membership m JOIN tenant t USING (tenant_id)", tie="t.public_id")
_LATEST_FIRST = [SortKey("a.assigned_at", descending=True, cast="timestamptz")]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What decides on the rights of a member."""

    person_id: UserId
    role: Role
    held: list[HeldRole] | None


async def lock_roles(tx: Tx, tenant: TenantId) -> None:
    """Until the end of the transaction nobody else changes roles of a tenant, or who has or is offered them."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtext('roadstead/roles'), %s)", tenant)


async def page_roles(tx: Tx, tenant: TenantId, *, held_by: UUID | None, query: PageQuery) -> Page[TenantRole]:
    """Roles, newest first; those of one member, when one is named."""
    where = [Condition("r.tenant_id = %s", (tenant,))]
    if held_by is not None:
        held = (
            "EXISTS (SELECT FROM held_role h WHERE h.tenant_id = r.tenant_id AND h.role_id = r.id AND h.person_id = %s)"
        )
        where.append(Condition(held, (held_by,)))
    newest_first = [SortKey("r.created_at", descending=True, cast="timestamptz")]
    return await _ROLES.page(tx, TenantRole, where, newest_first, query)


async def select_roles(tx: Tx, tenant: TenantId, ids: Sequence[UUID]) -> list[TenantRole]:
    """Those of these that there are."""
    sql = f"SELECT {_ROLE} FROM role r WHERE r.tenant_id = %s AND r.id = ANY (%s)"
    return await tx.all(TenantRole, sql, tenant, list(ids))


async def select_roles_named(tx: Tx, tenant: TenantId, names: Sequence[str]) -> list[TenantRole]:
    """Those of these names that there are, upper and lower case alike."""
    sql = f"SELECT {_ROLE} FROM role r WHERE r.tenant_id = %s AND lower(r.name) = ANY (%s)"
    return await tx.all(TenantRole, sql, tenant, [name.lower() for name in names])


async def insert_role(tx: Tx, tenant: TenantId, role: TenantRole) -> bool:
    """False when there is one of this name."""
    sql = """
        INSERT INTO role (tenant_id, id, name, description, permissions, custom_permissions, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, lower(name)) DO NOTHING
    """
    return await tx.run(sql, tenant, role.id, *_values(role), role.created_at, role.updated_at) == 1


async def is_name_taken(tx: Tx, tenant: TenantId, name: str, *, but: UUID) -> bool:
    """Whether another role has this name."""
    sql = "SELECT EXISTS (SELECT FROM role WHERE tenant_id = %s AND lower(name) = lower(%s) AND id <> %s)"
    return bool(await tx.value(sql, tenant, name, but))


async def update_role(tx: Tx, tenant: TenantId, role: TenantRole) -> None:
    """As it shall be."""
    sql = """
        UPDATE role SET name = %s, description = %s, permissions = %s, custom_permissions = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, *_values(role), role.updated_at, tenant, role.id)


async def delete_role(tx: Tx, tenant: TenantId, role: UUID) -> None:
    """Away with it, and from everybody who has it."""
    await tx.run("DELETE FROM role WHERE tenant_id = %s AND id = %s", tenant, role)


async def is_only_role(tx: Tx, tenant: TenantId, role: UUID, at: datetime) -> bool:
    """Whether somebody would be left without any role if it went: a member, or one who is invited."""
    sql = """
        SELECT EXISTS (
            SELECT FROM member_role g WHERE g.tenant_id = %s AND g.role_id = %s AND NOT EXISTS (
                SELECT FROM member_role o
                WHERE o.tenant_id = g.tenant_id AND o.person_id = g.person_id AND o.role_id <> g.role_id
            )
        ) OR EXISTS (
            SELECT FROM invitation_role g JOIN invitation i ON i.tenant_id = g.tenant_id AND i.id = g.invitation_id
            WHERE g.tenant_id = %s AND g.role_id = %s AND i.accepted_at IS NULL AND i.declined_at IS NULL
              AND i.revoked_at IS NULL AND i.expires_at > %s AND NOT EXISTS (
                SELECT FROM invitation_role o
                WHERE o.tenant_id = g.tenant_id AND o.invitation_id = g.invitation_id AND o.role_id <> g.role_id
            )
        )
    """
    return bool(await tx.value(sql, tenant, role, tenant, role, at))


# --- who has them ----------------------------------------------------------------------------------------------------


async def select_held(tx: Tx, tenant: TenantId, person: UUID) -> Held | None:
    """What decides on the rights of a member; None when they are none."""
    sql = f"""
        SELECT m.person_id, m.role, {HELD_BY_MEMBER} AS held
        FROM membership m WHERE m.tenant_id = %s AND m.person_id = %s
    """
    return await tx.one(Held, sql, tenant, person)


async def select_names_held(tx: Tx, tenant: TenantId, person: UUID) -> list[str]:
    """The names of the roles of a member."""
    sql = """
        SELECT r.name FROM held_role h JOIN role r ON r.tenant_id = h.tenant_id AND r.id = h.role_id
        WHERE h.tenant_id = %s AND h.person_id = %s ORDER BY r.name
    """
    return [name for (name,) in await tx.rows(sql, tenant, person)]


async def select_held_of_role(tx: Tx, tenant: TenantId, role: UUID) -> list[Held]:
    """The same of everybody who was given a role."""
    sql = f"""
        SELECT m.person_id, m.role, {HELD_BY_MEMBER} AS held
        FROM member_role a JOIN membership m USING (tenant_id, person_id) WHERE a.tenant_id = %s AND a.role_id = %s
    """
    return await tx.all(Held, sql, tenant, role)


async def page_members(tx: Tx, tenant: TenantId, query: PageQuery) -> Page[RoledMember]:
    """Members with their roles, the latest assignment first."""
    where = [Condition("m.tenant_id = %s", (tenant,))]
    return await _ROLED_MEMBERS.page(tx, RoledMember, where, _LATEST_FIRST, query)


async def page_holders(tx: Tx, tenant: TenantId, role: UUID, query: PageQuery) -> Page[RoledMember]:
    """Members with a role, the latest assignment first."""
    where = [Condition("m.tenant_id = %s AND a.role_id = %s", (tenant, role))]
    return await _HOLDERS.page(tx, RoledMember, where, _LATEST_FIRST, query)


async def replace_member_roles(
    tx: Tx, tenant: TenantId, person: UUID, roles: Sequence[UUID], assigned_at: datetime
) -> None:
    """A member has these and no others; those they had keep their time."""
    sql = "DELETE FROM member_role WHERE tenant_id = %s AND person_id = %s AND role_id <> ALL (%s)"
    await tx.run(sql, tenant, person, list(roles))
    sql = """
        INSERT INTO member_role (tenant_id, person_id, role_id, assigned_at)
        SELECT %s, %s, role_id, %s FROM unnest(%s::uuid[]) AS wanted (role_id) ON CONFLICT DO NOTHING
    """
    await tx.run(sql, tenant, person, assigned_at, list(roles))


async def update_platform_roles(tx: Tx, tenant: TenantId, roles: Sequence[tuple[UUID, Role]]) -> None:
    """The nearest roles on the platform."""
    sql = "UPDATE membership SET role = %s WHERE tenant_id = %s AND person_id = %s AND role <> %s"
    await tx.many(sql, [(role, tenant, person, role) for person, role in roles])


async def page_own_tenants(tx: Tx, person: UserId, query: PageQuery) -> Page[OwnTenant]:
    """The tenants of somebody, newest first."""
    where = [Condition("m.person_id = %s", (person,))]
    newest_first = [SortKey("t.created_at", descending=True, cast="timestamptz")]
    return await _OWN_TENANTS.page(tx, OwnTenant, where, newest_first, query)


async def select_own_tenant(tx: Tx, person: UserId, tenant: TenantId) -> OwnTenant | None:
    """One of them."""
    sql = f"SELECT {_OWN} FROM {_OWN_TENANTS.source} WHERE m.person_id = %s AND m.tenant_id = %s"
    return await tx.one(OwnTenant, sql, person, tenant)


# --- what is offered -------------------------------------------------------------------------------------------------


async def insert_offered_roles(tx: Tx, tenant: TenantId, invitation: UUID, roles: Sequence[UUID]) -> None:
    """An invitation is for these."""
    sql = "INSERT INTO invitation_role (tenant_id, invitation_id, role_id) VALUES (%s, %s, %s)"
    await tx.many(sql, [(tenant, invitation, role) for role in roles])


async def select_offered_roles(tx: Tx, tenant: TenantId, invitation: UUID) -> list[UUID]:
    """What an invitation is for; none: for its role on the platform."""
    sql = "SELECT role_id FROM invitation_role WHERE tenant_id = %s AND invitation_id = %s"
    return [role for (role,) in await tx.rows(sql, tenant, invitation)]


def _values(role: TenantRole) -> tuple[str, str, list[str], list[UUID]]:
    return role.name, role.description, [str(one) for one in role.permissions], role.custom_permissions
