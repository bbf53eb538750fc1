"""The SQL of device state and of how far projections are. For the system duty: rows of all tenants at once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import DeviceFirmwareChanged, DeviceStatusChanged, encode_fact
from roadstead.core.telemetry.searching import follow_patches, follow_states
from roadstead.core.telemetry.state import CONFIGURATION_PATHS
from roadstead.core.types import Section, from_stored, nest
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId, TenantId

_STAGE = """
    CREATE TEMP TABLE IF NOT EXISTS state_patch (
        tenant_id integer, device_id uuid, seen boolean, received bigint, first_at bigint, newest_at bigint, body jsonb
    ) ON COMMIT DELETE ROWS
"""

# Only a patch with something older than the row's newest value has to be compared path by path.
_MERGE = """
    UPDATE device_state s SET
        body = CASE
            WHEN p.first_at >= s.newest_at THEN s.body || p.body
            ELSE s.body || coalesce((
                SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(p.body) n
                WHERE (NOT s.body ? n.key OR (s.body -> n.key ->> 1)::bigint <= (n.value ->> 1)::bigint)
                  AND coalesce((s.removed ->> n.key)::bigint, 0) <= (n.value ->> 1)::bigint
            ), '{}')
        END,
        newest_at = greatest(s.newest_at, p.newest_at),
        last_at = greatest(s.last_at, to_timestamp(p.received / 1000.0))
    FROM state_patch p
    WHERE s.tenant_id = p.tenant_id AND s.device_id = p.device_id
"""

_REMOVE = """
    UPDATE device_state s SET
        body = s.body - ARRAY(
            SELECT r.key FROM jsonb_each_text(p.removed) r WHERE (s.body -> r.key ->> 1)::bigint <= r.value::bigint
        ),
        removed = coalesce(s.removed, '{}') || coalesce((
            SELECT jsonb_object_agg(r.key, r.value) FROM jsonb_each(p.removed) r
            WHERE coalesce((s.removed ->> r.key)::bigint, 0) < r.value::bigint
        ), '{}')
    FROM unnest(%s::integer[], %s::uuid[], %s::jsonb[]) AS p (tenant_id, device_id, removed)
    WHERE s.tenant_id = p.tenant_id AND s.device_id = p.device_id
"""

_ADD = """
    INSERT INTO device_state (tenant_id, device_id, last_at, newest_at, body)
    SELECT p.tenant_id, p.device_id, to_timestamp(p.received / 1000.0), p.newest_at, p.body
    FROM state_patch p JOIN device d ON d.tenant_id = p.tenant_id AND d.id = p.device_id
    WHERE NOT EXISTS (SELECT FROM device_state s WHERE s.tenant_id = p.tenant_id AND s.device_id = p.device_id)
    ON CONFLICT (tenant_id, device_id) DO NOTHING
"""

# A first message is the device's first check-in, through whichever door it came.
_SEE = """
    UPDATE device d SET
        last_seen_at = greatest(d.last_seen_at, date_trunc('minute', to_timestamp(p.received / 1000.0))),
        status = CASE d.status WHEN 'PENDING' THEN 'ACTIVE' ELSE d.status END,
        activated_at = CASE d.status
            WHEN 'PENDING' THEN to_timestamp(p.received / 1000.0) ELSE d.activated_at END
    FROM state_patch p
    WHERE p.seen AND d.tenant_id = p.tenant_id AND d.id = p.device_id
      AND (d.status = 'PENDING' OR d.last_seen_at < date_trunc('minute', to_timestamp(p.received / 1000.0)))
    RETURNING d.tenant_id, d.id, d.status, d.online,
        d.activated_at IS NOT DISTINCT FROM to_timestamp(p.received / 1000.0)
"""

_FIRMWARE = """
    UPDATE device d SET firmware_version = n.version
    FROM unnest(%s::integer[], %s::uuid[], %s::text[]) AS n (tenant_id, id, version)
    WHERE d.tenant_id = n.tenant_id AND d.id = n.id AND d.firmware_version IS DISTINCT FROM n.version
    RETURNING d.tenant_id, d.id, d.firmware_version
"""


async def merge_state(tx: Tx, lines: Sequence[bytes]) -> None:
    """Merge patches (lines of `state.copy_line`) into the rows of their devices; devices that are gone are passed over.

    May run twice: a value never replaces a newer one.
    """
    await tx.run(_STAGE)
    # The planner knows nothing of the staged rows and would read the whole table for them.
    await tx.run("SET LOCAL enable_hashjoin = off")
    await tx.run("SET LOCAL enable_mergejoin = off")
    async with tx.connection.cursor() as cursor, cursor.copy("COPY state_patch FROM STDIN") as copy:
        await copy.write(b"".join(lines))
    if await tx.run(_MERGE) < len(lines):
        await tx.run(_ADD)
    await follow_patches(tx)
    for tenant, device, status, online, activated in await tx.rows(_SEE):
        if activated:
            fact = DeviceStatusChanged(DeviceId(device), status, online)
            tx.emit(TenantId(tenant), time.now(), encode_fact(fact))


async def remove_values(tx: Tx, removed: Sequence[tuple[TenantId, UUID, dict[str, int]]]) -> None:
    """Take values out of the states of devices, after what was measured before was merged: {path: removed at}.

    May run twice: what was measured later stays, and what is older does not come back.
    """
    tenants, devices, paths = zip(*removed, strict=True)
    await tx.run(_REMOVE, list(tenants), list(devices), [msgspec.json.encode(one).decode() for one in paths])
    await follow_states(tx, [(tenant, DeviceId(device)) for tenant, device, _ in removed])


async def update_firmware(tx: Tx, versions: Sequence[tuple[TenantId, UUID, str]]) -> None:
    """What devices say they run."""
    for tenant, device, version in await tx.rows(_FIRMWARE, *(list(column) for column in zip(*versions, strict=True))):
        tx.emit(TenantId(tenant), time.now(), encode_fact(DeviceFirmwareChanged(DeviceId(device), version)))


async def select_configurations(
    tx: Tx, devices: Sequence[tuple[TenantId, DeviceId]]
) -> dict[tuple[TenantId, DeviceId], dict[str, Any]]:
    """What these devices say they are set to, value by value: those that say nothing are left out."""
    sql = """
        SELECT s.tenant_id, s.device_id, jsonb_object_agg(v.key, v.value -> 0)
        FROM unnest(%s::integer[], %s::uuid[]) AS w (tenant_id, device_id)
        JOIN device_state s USING (tenant_id, device_id), jsonb_each(s.body) v
        WHERE starts_with(v.key, %s) GROUP BY s.tenant_id, s.device_id
    """
    rows = await tx.rows(sql, [tenant for tenant, _ in devices], [device for _, device in devices], CONFIGURATION_PATHS)
    found = {}
    for tenant, device, values in rows:
        told = nest((path, from_stored(None, value)) for path, value in values.items())
        found[TenantId(tenant), DeviceId(device)] = told[Section.CONFIGURATION]
    return found


async def select_position(tx: Tx, projection: str) -> int:
    """The last stream sequence whose effect is committed; 0 before the first."""
    return int(await tx.value("SELECT position FROM projection WHERE name = %s", projection) or 0)


async def lock_position(tx: Tx, projection: str) -> int:
    """How far a projection is; nobody else moves it before this transaction ends."""
    sql = "INSERT INTO projection (name, position, at) VALUES (%s, 0, now()) ON CONFLICT (name) DO NOTHING"
    await tx.run(sql, projection)
    return int(await tx.value("SELECT position FROM projection WHERE name = %s FOR UPDATE", projection))


async def update_position(tx: Tx, projection: str, position: int) -> None:
    """Remember how far a projection is."""
    sql = """
        INSERT INTO projection (name, position, at) VALUES (%s, %s, now())
        ON CONFLICT (name) DO UPDATE SET position = excluded.position, at = excluded.at
    """
    await tx.run(sql, projection, position)
