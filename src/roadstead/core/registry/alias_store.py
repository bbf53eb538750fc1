"""The SQL of the other names of devices: their own, and those that networks have for them."""

from collections.abc import Mapping, Sequence

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId


async def find_taken_alias(tx: Tx, aliases: Sequence[str], besides: DeviceId | None) -> str | None:
    """One of the names that is another device's."""
    sql = "SELECT alias FROM device_alias WHERE tenant_id = %s AND alias = ANY(%s) AND device_id IS DISTINCT FROM %s"
    taken: str | None = await tx.value(sql, tx.tenant, list(aliases), besides)
    return taken


async def replace_aliases(tx: Tx, device_id: DeviceId, aliases: Sequence[str]) -> bool:
    """False when one of them has just been taken; the others are there then."""
    await tx.run("DELETE FROM device_alias WHERE tenant_id = %s AND device_id = %s", tx.tenant, device_id)
    if not aliases:
        return True
    sql = """
        INSERT INTO device_alias (tenant_id, alias, device_id, position)
        SELECT %s, alias, %s, position FROM unnest(%s::text[]) WITH ORDINALITY AS given (alias, position)
        ON CONFLICT DO NOTHING
    """
    return await tx.run(sql, tx.tenant, device_id, list(aliases)) == len(aliases)


async def find_taken_network_alias(
    tx: Tx, aliases: Mapping[str, Mapping[str, str]], besides: DeviceId | None
) -> str | None:
    """One of the names in networks that is another device's."""
    sql = """
        SELECT name.value FROM device_network_alias name
        JOIN unnest(%s::text[], %s::text[], %s::text[]) AS wanted (network_id, key, value)
            ON (name.network_id, name.key, name.value) = (wanted.network_id, wanted.key, wanted.value)
        WHERE name.tenant_id = %s AND name.device_id IS DISTINCT FROM %s LIMIT 1
    """
    taken: str | None = await tx.value(sql, *_network_columns(aliases), tx.tenant, besides)
    return taken


async def select_named_in_network(tx: Tx, network_id: str, key: str, value: str) -> DeviceId | None:
    """The device that a network calls so."""
    sql = """
        SELECT device_id FROM device_network_alias WHERE tenant_id = %s AND network_id = %s AND key = %s AND value = %s
    """
    found: DeviceId | None = await tx.value(sql, tx.tenant, network_id, key, value)
    return found


async def replace_network_aliases(tx: Tx, device_id: DeviceId, aliases: Mapping[str, Mapping[str, str]]) -> bool:
    """False when one of the names has just been taken; the others are there then."""
    await tx.run("DELETE FROM device_network_alias WHERE tenant_id = %s AND device_id = %s", tx.tenant, device_id)
    networks, keys, values = _network_columns(aliases)
    sql = """
        INSERT INTO device_network_alias (tenant_id, network_id, key, value, device_id)
        SELECT %s, network_id, key, value, %s
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (network_id, key, value)
        ORDER BY network_id, key, value ON CONFLICT DO NOTHING
    """
    return await tx.run(sql, tx.tenant, device_id, networks, keys, values) == len(keys)


def _network_columns(aliases: Mapping[str, Mapping[str, str]]) -> tuple[list[str], list[str], list[str]]:
    names = [(network, key, value) for network, keys in aliases.items() for key, value in keys.items()]
    return [name[0] for name in names], [name[1] for name in names], [name[2] for name in names]
