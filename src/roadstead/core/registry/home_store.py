"""The SQL of finding out whose a thing is."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.db import Tx
from roadstead.kernel.ids import TenantId

_TABLES = {
    "system": "space",
    "device": "device",
    "blueprint": "device_type",
    "attribute": "blueprint_attribute",
    "network": "network",
    "timer": "timer",
    "apiAccess": "api_access",
    "oidcClient": "oidc_client",
}


async def select_home(tx: Tx, kind: str, id_: UUID, among: Sequence[TenantId]) -> TenantId | None:
    """The tenant that has a thing of a kind; None when none has, or there are no things of this kind."""
    if kind not in _TABLES:
        return None
    sql = f"SELECT tenant_id FROM {_TABLES[kind]} WHERE id = %s AND tenant_id = ANY (%s) LIMIT 1"
    tenant: TenantId | None = await tx.value(sql, id_, list(among))
    return tenant


async def select_home_of_alias(tx: Tx, alias: str, among: Sequence[TenantId]) -> TenantId | None:
    """The first of the tenants that has a space with this alias."""
    sql = "SELECT tenant_id FROM space WHERE alias = %s AND tenant_id = ANY (%s) ORDER BY array_position(%s, tenant_id)"
    tenant: TenantId | None = await tx.value(sql, alias, list(among), list(among))
    return tenant
