"""The SQL of roles that wait for somebody."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from roadstead.core.access.pending_model import PendingRole
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId

_COLUMNS = "issuer, email_or_name, perm, perm_value, context_type, context_id"
_SAME = """
    tenant_id = %s AND issuer = %s AND email_or_name = %s AND perm = %s AND perm_value = %s AND context_type = %s
    AND context_id = %s
"""


async def select_pending(tx: Tx, tenant: TenantId) -> list[PendingRole]:
    """All of a tenant, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM pending_user WHERE tenant_id = %s ORDER BY created_at, id"
    return await tx.all(PendingRole, sql, tenant)


async def insert_pending(tx: Tx, tenant: TenantId, id_: UUID, pending: PendingRole, at: datetime) -> bool:
    """False when it is there already."""
    sql = f"""
        INSERT INTO pending_user (tenant_id, id, {_COLUMNS}, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    """
    return await tx.run(sql, tenant, id_, *_values(pending), at) == 1


async def delete_pending(tx: Tx, tenant: TenantId, pending: PendingRole) -> bool:
    """False when there is none like it."""
    return await tx.run(f"DELETE FROM pending_user WHERE {_SAME}", tenant, *_values(pending)) == 1


async def lock_pending_of(tx: Tx, tenant: TenantId, issuers: Sequence[str], names: Sequence[str]) -> list[PendingRole]:
    """What waits for somebody, until the end of the transaction for nobody else."""
    sql = f"""
        SELECT {_COLUMNS} FROM pending_user
        WHERE tenant_id = %s AND issuer = ANY (%s) AND lower(email_or_name) = ANY (%s)
        ORDER BY created_at, id FOR UPDATE
    """
    return await tx.all(PendingRole, sql, tenant, list(issuers), [name.lower() for name in names])


def _values(pending: PendingRole) -> tuple[object, ...]:
    return (
        pending.issuer,
        pending.email_or_name,
        pending.perm,
        pending.perm_value,
        pending.context_type,
        pending.context_id,
    )
