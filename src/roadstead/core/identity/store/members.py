"""The SQL of members and invitations."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from roadstead.core.identity.model import Invitation, Member
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import TenantId, UserId
from roadstead.kernel.page import Page, PageQuery

_MEMBER = "m.person_id, p.email, p.name, m.role, m.joined_at, m.last_seen_at"
_MEMBERS = Listing(columns=_MEMBER, source="membership m JOIN person p ON p.id = m.person_id", tie="m.person_id")
_INVITATION = "tenant_id, id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at, declined_at"
_INVITATIONS = Listing(columns=_INVITATION, source="invitation")
_OPEN = "accepted_at IS NULL AND revoked_at IS NULL AND declined_at IS NULL AND expires_at > %s"


async def page_members(
    tx: Tx, tenant: TenantId, *, roles: Sequence[Role], text: str | None, query: PageQuery
) -> Page[Member]:
    """Members by address; `text` is looked for in names and addresses."""
    where = [Condition("m.tenant_id = %s", (tenant,))]
    if roles:
        where.append(Condition("m.role = ANY (%s)", (list(roles),)))
    if text:
        where.append(
            Condition("strpos(lower(p.email), lower(%s)) > 0 OR strpos(lower(p.name), lower(%s)) > 0", (text, text))
        )
    return await _MEMBERS.page(tx, Member, where, [SortKey("lower(p.email)")], query)


async def select_member(tx: Tx, tenant: TenantId, person: UUID) -> Member | None:
    """One member."""
    sql = f"SELECT {_MEMBER} FROM {_MEMBERS.source} WHERE m.tenant_id = %s AND m.person_id = %s"
    return await tx.one(Member, sql, tenant, person)


async def select_emails(tx: Tx, tenant: TenantId, people: Sequence[UUID]) -> dict[UUID, str]:
    """The addresses of those of these people who are members."""
    sql = f"SELECT m.person_id, p.email FROM {_MEMBERS.source} WHERE m.tenant_id = %s AND m.person_id = ANY (%s)"
    return dict(await tx.rows(sql, tenant, list(people)))


async def select_member_named(tx: Tx, tenant: TenantId, email: str) -> Member | None:
    """The member with an address."""
    sql = f"SELECT {_MEMBER} FROM {_MEMBERS.source} WHERE m.tenant_id = %s AND lower(p.email) = lower(%s)"
    return await tx.one(Member, sql, tenant, email)


async def lock_owners(tx: Tx, tenant: TenantId) -> list[UserId]:
    """The owners. Until the end of the transaction nobody else can change or remove one."""
    sql = "SELECT person_id FROM membership WHERE tenant_id = %s AND role = %s ORDER BY person_id FOR UPDATE"
    return [UserId(person) for (person,) in await tx.rows(sql, tenant, Role.OWNER)]


async def insert_member(tx: Tx, tenant: TenantId, person: UserId, role: Role, joined_at: datetime) -> bool:
    """False when they are a member already."""
    sql = """
        INSERT INTO membership (tenant_id, person_id, role, joined_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT DO NOTHING
    """
    return await tx.run(sql, tenant, person, role, joined_at) == 1


async def update_role(tx: Tx, tenant: TenantId, person: UserId, role: Role) -> None:
    """Another role, with all it may do."""
    sql = "UPDATE membership SET role = %s, confined = false WHERE tenant_id = %s AND person_id = %s"
    await tx.run(sql, role, tenant, person)


async def delete_member(tx: Tx, tenant: TenantId, person: UserId) -> None:
    """No member any more."""
    await tx.run("DELETE FROM membership WHERE tenant_id = %s AND person_id = %s", tenant, person)


# --- invitations -----------------------------------------------------------------------------------------------------


async def page_invitations(tx: Tx, tenant: TenantId, at: datetime, query: PageQuery) -> Page[Invitation]:
    """Those that are open, newest first."""
    where = [Condition("tenant_id = %s", (tenant,)), Condition(_OPEN, (at,))]
    newest_first = [SortKey("created_at", descending=True, cast="timestamptz")]
    return await _INVITATIONS.page(tx, Invitation, where, newest_first, query)


async def insert_invitation(tx: Tx, invitation: Invitation, token_hash: bytes) -> None:
    """Add an invitation."""
    sql = """
        INSERT INTO invitation (tenant_id, id, email, role, token_hash, invited_by, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql,
        invitation.tenant_id,
        invitation.id,
        invitation.email,
        invitation.role,
        token_hash,
        invitation.invited_by,
        invitation.created_at,
        invitation.expires_at,
    )


async def select_invitation(tx: Tx, token_hash: bytes) -> Invitation | None:
    """The invitation of a token, locked until the end of the transaction: only one can accept it."""
    return await tx.one(
        Invitation, f"SELECT {_INVITATION} FROM invitation WHERE token_hash = %s FOR UPDATE", token_hash
    )


async def accept_invitation(tx: Tx, invitation: Invitation, at: datetime) -> None:
    """Nobody can accept it again."""
    sql = "UPDATE invitation SET accepted_at = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, at, invitation.tenant_id, invitation.id)


async def revoke_invitation(tx: Tx, tenant: TenantId, invitation: UUID, at: datetime) -> Invitation | None:
    """The one that was open, or None."""
    sql = f"UPDATE invitation SET revoked_at = %s WHERE tenant_id = %s AND id = %s AND {_OPEN} RETURNING {_INVITATION}"
    return await tx.one(Invitation, sql, at, tenant, invitation, at)


async def revoke_invitations_to(tx: Tx, tenant: TenantId, email: str, at: datetime) -> None:
    """Those to an address that are open."""
    sql = f"UPDATE invitation SET revoked_at = %s WHERE tenant_id = %s AND lower(email) = lower(%s) AND {_OPEN}"
    await tx.run(sql, at, tenant, email, at)
