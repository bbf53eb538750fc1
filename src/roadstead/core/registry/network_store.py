"""The SQL of networks."""

from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.registry.network_model import Network
from roadstead.db import Tx, storable

_COLUMNS = "id, network_id, name, alias_keys, notes, created_at, updated_at"


async def select_networks(tx: Tx) -> list[Network]:
    """All, by name."""
    sql = f"SELECT {_COLUMNS} FROM network WHERE tenant_id = %s ORDER BY name, id"
    return await tx.all(Network, sql, tx.tenant)


async def select_network(tx: Tx, id_: UUID) -> Network | None:
    """The one with this id."""
    return await tx.one(Network, f"SELECT {_COLUMNS} FROM network WHERE tenant_id = %s AND id = %s", tx.tenant, id_)


async def select_network_called(tx: Tx, network_id: str) -> Network | None:
    """The one that messages name so."""
    sql = f"SELECT {_COLUMNS} FROM network WHERE tenant_id = %s AND network_id = %s"
    return await tx.one(Network, sql, tx.tenant, storable(network_id))


async def lock_network(tx: Tx, id_: UUID) -> Network | None:
    """One that nobody else changes until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM network WHERE tenant_id = %s AND id = %s FOR UPDATE"
    return await tx.one(Network, sql, tx.tenant, id_)


async def insert_network(tx: Tx, network: Network) -> bool:
    """False when a network of any tenant has this name."""
    sql = f"""
        INSERT INTO network (tenant_id, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    """
    values = (*_values(network), network.created_at, network.updated_at)
    return bool(await tx.run(sql, tx.tenant, network.id, *values))


async def update_network(tx: Tx, network: Network) -> None:
    """Everything about it that can change; its name in messages stays."""
    sql = """
        UPDATE network SET name = %s, alias_keys = %s, notes = %s, updated_at = %s WHERE tenant_id = %s AND id = %s
    """
    _, *values = _values(network)
    await tx.run(sql, *values, network.updated_at, tx.tenant, network.id)


async def delete_network(tx: Tx, id_: UUID) -> None:
    """Delete one."""
    await tx.run("DELETE FROM network WHERE tenant_id = %s AND id = %s", tx.tenant, id_)


async def is_network_used(tx: Tx, network_id: str) -> bool:
    """Whether a device has a name in it, or is reached through it."""
    sql = """
        SELECT EXISTS (SELECT FROM device_network_alias WHERE tenant_id = %s AND network_id = %s)
            OR EXISTS (SELECT FROM device WHERE tenant_id = %s AND network_id = %s)
    """
    return bool(await tx.value(sql, tx.tenant, network_id, tx.tenant, network_id))


def _values(network: Network) -> tuple[object, ...]:
    return network.network_id, network.name, network.alias_keys, Jsonb(network.notes)
