"""The SQL of values that are searched, kept with the states they come from."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadstead.core.telemetry.store import State
from roadstead.core.telemetry.value_rows import ValueRow, folded, rows_of, words_of
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, TenantId

DeviceKey = tuple[TenantId, DeviceId]

_COLUMNS = "number, flag, text, instant, latitude, longitude"


async def select_searched(tx: Tx) -> list[TenantId]:
    """The tenants whose programs search by values: all, or the one whose duty this is."""
    return [TenantId(row[0]) for row in await tx.rows("SELECT tenant_id FROM searched_tenant")]


async def select_readiness(tx: Tx) -> bool | None:
    """Whether searches of the tenant find all of its devices; None: nobody has searched yet."""
    ready: bool | None = await tx.value("SELECT ready FROM searched_tenant WHERE tenant_id = %s", tx.tenant)
    return ready


async def insert_searched(tx: Tx) -> None:
    """From the commit on values of the tenant are searched."""
    await tx.run("INSERT INTO searched_tenant (tenant_id) VALUES (%s) ON CONFLICT DO NOTHING", tx.tenant)


async def mark_ready(tx: Tx) -> None:
    """Searches find all of the tenant's devices."""
    await tx.run("UPDATE searched_tenant SET ready = true WHERE tenant_id = %s", tx.tenant)


class Step(msgspec.Struct, frozen=True):
    """How far the worker is with a tenant."""

    tenant: TenantId
    begun: bool
    indexed_to: DeviceId | None


async def lock_step(tx: Tx) -> Step | None:
    """A tenant the worker can go on with, which nobody else goes on with until this transaction ends."""
    sql = """
        SELECT tenant_id, after IS NOT NULL, indexed_to FROM searched_tenant
        WHERE NOT settled AND (after IS NULL OR after <= pg_snapshot_xmin(pg_current_snapshot()))
        ORDER BY since LIMIT 1 FOR UPDATE SKIP LOCKED
    """
    row = await tx.row(sql)
    return Step(*row) if row is not None else None


async def begin_indexing(tx: Tx, tenant: TenantId) -> None:
    """The transactions of this moment are waited for."""
    sql = "UPDATE searched_tenant SET after = pg_snapshot_xmax(pg_current_snapshot()) WHERE tenant_id = %s"
    await tx.run(sql, tenant)


async def note_indexed(tx: Tx, tenant: TenantId, indexed_to: DeviceId | None, *, settled: bool) -> None:
    """The values of the tenant's devices up to this one are written; settled: of all."""
    sql = "UPDATE searched_tenant SET indexed_to = %s, settled = %s, ready = ready OR %s WHERE tenant_id = %s"
    await tx.run(sql, indexed_to, settled, settled, tenant)


async def lock_bodies(tx: Tx, tenant: TenantId, after: DeviceId | None, most: int) -> dict[DeviceKey, dict[str, State]]:
    """The states of the tenant's next so many devices, which nobody else changes until this transaction ends."""
    sql = """
        SELECT tenant_id, device_id, body FROM device_state
        WHERE tenant_id = %s AND (%s::uuid IS NULL OR device_id > %s) ORDER BY device_id LIMIT %s FOR NO KEY UPDATE
    """
    rows = await tx.rows(sql, tenant, after, after, most)
    return {(TenantId(tenant), DeviceId(device)): body for tenant, device, body in rows}


async def select_patched(tx: Tx, tenants: Sequence[TenantId]) -> list[DeviceKey]:
    """The devices of these tenants that `state_patch` is about."""
    sql = "SELECT tenant_id, device_id FROM state_patch WHERE tenant_id = ANY (%s)"
    return [(TenantId(tenant), DeviceId(device)) for tenant, device in await tx.rows(sql, list(tenants))]


async def select_bodies_of(tx: Tx, devices: Sequence[DeviceKey]) -> dict[DeviceKey, dict[str, State]]:
    """The states of these devices."""
    sql = """
        SELECT s.tenant_id, s.device_id, s.body FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id)
        JOIN device_state s USING (tenant_id, device_id)
    """
    rows = await tx.rows(sql, *_columns(devices, 2))
    return {(TenantId(tenant), DeviceId(device)): body for tenant, device, body in rows}


async def replace_values(tx: Tx, bodies: Mapping[DeviceKey, Mapping[str, State]]) -> None:
    """The rows of these devices become those of their states; what is the same is not written."""
    if not bodies:
        return
    wanted = {key: rows_of(body) for key, body in bodies.items()}
    await _replace_rows(tx, wanted)
    await _replace_words(tx, wanted)


async def _replace_rows(tx: Tx, wanted: Mapping[DeviceKey, Mapping[tuple[str, int], ValueRow]]) -> None:
    sql = f"""
        SELECT v.tenant_id, v.device_id, v.path, v.item, {_COLUMNS}
        FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id)
        JOIN device_value v USING (tenant_id, device_id)
    """
    known = {tuple(row[:4]): ValueRow(*row[4:]) for row in await tx.rows(sql, *_columns(list(wanted), 2))}
    told = {(*key, *place): row for key, rows in wanted.items() for place, row in rows.items()}
    gone = [key for key in known if key not in told]
    fresh = [(key, row) for key, row in told.items() if known.get(key) != row]
    if gone:
        sql = """
            DELETE FROM device_value v USING unnest(%s::integer[], %s::uuid[], %s::text[], %s::integer[])
                AS w (tenant_id, device_id, path, item)
            WHERE (v.tenant_id, v.device_id, v.path, v.item) = (w.tenant_id, w.device_id, w.path, w.item)
        """
        await tx.run(sql, *_columns(gone, 4))
    if fresh:
        sql = f"""
            INSERT INTO device_value (tenant_id, device_id, path, item, {_COLUMNS}, folded)
            SELECT * FROM unnest(%s::integer[], %s::uuid[], %s::text[], %s::integer[], %s::float8[], %s::boolean[],
                                 %s::text[], %s::timestamptz[], %s::float8[], %s::float8[], %s::text[])
            ON CONFLICT (tenant_id, device_id, path, item) DO UPDATE SET
                ({_COLUMNS}, folded) = (excluded.number, excluded.flag, excluded.text, excluded.instant,
                                        excluded.latitude, excluded.longitude, excluded.folded)
        """
        lines = [
            (*key, row.number, row.flag, row.text, row.instant, row.latitude, row.longitude, folded(row))
            for key, row in fresh
        ]
        await tx.run(sql, *_columns(lines, 11))


async def _replace_words(tx: Tx, wanted: Mapping[DeviceKey, Mapping[tuple[str, int], ValueRow]]) -> None:
    sql = """
        SELECT v.tenant_id, v.device_id, v.word FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id)
        JOIN device_value_word v USING (tenant_id, device_id)
    """
    known = {tuple(row) for row in await tx.rows(sql, *_columns(list(wanted), 2))}
    told = {(*key, word) for key, rows in wanted.items() for word in words_of(rows)}
    if known - told:
        sql = """
            DELETE FROM device_value_word v USING unnest(%s::integer[], %s::uuid[], %s::text[])
                AS w (tenant_id, device_id, word)
            WHERE (v.tenant_id, v.device_id, v.word) = (w.tenant_id, w.device_id, w.word)
        """
        await tx.run(sql, *_columns(list(known - told), 3))
    if told - known:
        sql = """
            INSERT INTO device_value_word (tenant_id, device_id, word)
            SELECT * FROM unnest(%s::integer[], %s::uuid[], %s::text[]) ON CONFLICT DO NOTHING
        """
        await tx.run(sql, *_columns(sorted(told - known), 3))


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows turned into so many columns."""
    return [[row[index] for row in rows] for index in range(width)]
