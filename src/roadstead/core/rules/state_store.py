"""The SQL of what the evaluation remembers, and of whose turn it is. Rows of all organizations: for the system duty."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, TenantId

TURN = "rules-turn"
"""Its place in the table of projections: who evaluates (upper bits), and how often it has committed (lower bits)."""

_EPOCH = 1 << 40


class KeptState(msgspec.Struct, frozen=True):
    """What is remembered of the sensors of one device."""

    position: int
    """Everything on the ACCEPTED stream up to here is in it."""
    body: bytes


class StateRow(msgspec.Struct, frozen=True):
    """The same, to be written."""

    tenant: TenantId
    device_id: UUID
    ticks: bool
    body: bytes


async def begin_epoch(tx: Tx) -> int:
    """Become the one who evaluates; whoever was is not any more. Answers the first turn."""
    sql = """
        INSERT INTO projection (name, position, at) VALUES (%s, %s, now())
        ON CONFLICT (name) DO UPDATE SET position = (projection.position / %s + 1) * %s, at = now() RETURNING position
    """
    return int(await tx.value(sql, TURN, _EPOCH, _EPOCH, _EPOCH))


async def take_turn(tx: Tx, turn: int) -> bool:
    """Whether it is this turn; the next commit has the next. Holds others off until the transaction ends."""
    sql = "UPDATE projection SET position = position + 1, at = now() WHERE name = %s AND position = %s"
    return bool(await tx.run(sql, TURN, turn))


async def select_turn(tx: Tx) -> int:
    """Whose turn it is."""
    return int(await tx.value("SELECT position FROM projection WHERE name = %s", TURN) or 0)


async def is_vacant(tx: Tx, patience: timedelta) -> bool:
    """Whether nobody has taken a turn for so long."""
    sql = "SELECT EXISTS (SELECT FROM projection WHERE name = %s AND at > now() - %s)"
    return not await tx.value(sql, TURN, patience)


async def select_clock(tx: Tx, projection: str) -> datetime | None:
    """Up to when the last evaluation knew what devices had said."""
    at: datetime | None = await tx.value("SELECT at FROM projection WHERE name = %s", projection)
    return at


async def update_clock(tx: Tx, projection: str, position: int, clock: datetime) -> None:
    """Remember how far the evaluation is: on the log, and in time."""
    sql = """
        INSERT INTO projection (name, position, at) VALUES (%s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET position = excluded.position, at = excluded.at
    """
    await tx.run(sql, projection, position, clock)


async def select_kept(tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId]) -> dict[DeviceId, KeptState]:
    """What is remembered of these devices."""
    sql = "SELECT device_id, position, body FROM rule_state WHERE tenant_id = %s AND device_id = ANY(%s)"
    rows = await tx.rows(sql, tenant, list(device_ids))
    return {DeviceId(device_id): KeptState(position, bytes(body)) for device_id, position, body in rows}


async def select_ticking(tx: Tx) -> list[tuple[TenantId, DeviceId]]:
    """The devices that time alone can change something for."""
    rows = await tx.rows("SELECT tenant_id, device_id FROM rule_state WHERE ticks")
    return [(TenantId(tenant), DeviceId(device_id)) for tenant, device_id in rows]


async def forget_positions(tx: Tx) -> None:
    """The log is another one: of what is on it nothing has been seen."""
    await tx.run("UPDATE rule_state SET position = 0 WHERE position > 0")
    await tx.run("UPDATE projection SET position = 0 WHERE name IN ('rules', 'rules-checkpoint')")


async def upsert_kept(tx: Tx, rows: Sequence[StateRow], position: int) -> None:
    """Remember; devices that are gone are passed over."""
    sql = """
        INSERT INTO rule_state (tenant_id, device_id, position, ticks, body)
        SELECT n.tenant_id, n.device_id, %s, n.ticks, n.body
        FROM unnest(%s::integer[], %s::uuid[], %s::boolean[], %s::bytea[]) AS n (tenant_id, device_id, ticks, body)
        JOIN device d ON d.tenant_id = n.tenant_id AND d.id = n.device_id
        FOR KEY SHARE OF d
        ON CONFLICT (tenant_id, device_id) DO UPDATE
            SET position = excluded.position, ticks = excluded.ticks, body = excluded.body
    """
    columns = zip(*((row.tenant, row.device_id, row.ticks, row.body) for row in rows), strict=True)
    await tx.run(sql, position, *(list(column) for column in columns))


async def select_organizations(tx: Tx, tenants: Sequence[TenantId]) -> dict[TenantId, UUID]:
    """The public ids of organizations."""
    rows = await tx.rows("SELECT tenant_id, public_id FROM tenant WHERE tenant_id = ANY(%s)", list(tenants))
    return {TenantId(tenant): public_id for tenant, public_id in rows}
