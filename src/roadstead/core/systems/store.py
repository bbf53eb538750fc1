"""The SQL of systems. For the system duty: rows of all tenants at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.systems.model import Due, Place, Recipe, Said, Target
from roadstead.db import Tx
from roadstead.kernel.time import to_millis

# What they have said goes before their states, which follow a little later.
_NEWEST = """
    CASE WHEN (own.said -> sensor.path ->> 1)::bigint > coalesce((state.body -> sensor.path ->> 1)::bigint, 0)
    THEN own.said -> sensor.path ELSE state.body -> sensor.path END
"""

_AGGREGATE = f"""
    WITH chosen AS (
        SELECT DISTINCT ON (want.place, child.id, want.name)
            want.place, want.function, want.name, child.id AS child_id, entry.newest -> 0 AS value,
            (entry.newest ->> 1)::bigint AS at
        FROM jsonb_to_recordset(%s) AS want (
                 place integer, tenant integer, system uuid, function text, name text, mode text, ids jsonb, tags jsonb
             )
            JOIN device child ON child.tenant_id = want.tenant AND child.parent_id = want.system
            JOIN sensor ON sensor.tenant_id = child.tenant_id AND sensor.device_id = child.id
                AND sensor.attribute_name = want.name AND sensor.active
            LEFT JOIN device_state state ON state.tenant_id = child.tenant_id AND state.device_id = child.id
            LEFT JOIN system_timer own ON own.tenant_id = child.tenant_id AND own.device_id = child.id
            CROSS JOIN LATERAL (SELECT {_NEWEST}) AS entry (newest)
        WHERE entry.newest IS NOT NULL AND (want.mode = 'all' OR (want.mode = 'whitelist') = (
            want.ids ? child.id::text OR EXISTS (
                SELECT FROM jsonb_to_recordset(want.tags) AS tag (key text, value text)
                    JOIN device_tag has ON has.tenant_id = child.tenant_id AND has.device_id = child.id
                        AND (tag.key IS NULL OR has.key = tag.key) AND (tag.value IS NULL OR has.value = tag.value)
            )
        ))
        ORDER BY want.place, child.id, want.name, sensor.path COLLATE "C"
    ), counted AS (
        SELECT *, CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric
            WHEN 'boolean' THEN value::boolean::integer END AS number
        FROM chosen
    )
    SELECT place,
        CASE function
            WHEN 'COUNT' THEN count(*)::text
            WHEN 'MIN' THEN min(number)::text
            WHEN 'MAX' THEN max(number)::text
            WHEN 'SUM' THEN sum(number)::text
            WHEN 'MEAN' THEN avg(number)::text
            WHEN 'STD_DEV' THEN (stddev_samp(number) FILTER (WHERE function = 'STD_DEV'))::text
            WHEN 'MEDIAN' THEN (percentile_cont(0.5) WITHIN GROUP (ORDER BY number::float8)
                FILTER (WHERE function = 'MEDIAN'))::text
        END,
        CASE function
            WHEN 'FIRST' THEN (array_agg(value ORDER BY at, child_id, name) FILTER (WHERE function = 'FIRST'))[1]
            WHEN 'LAST' THEN (array_agg(value ORDER BY at DESC, child_id, name) FILTER (WHERE function = 'LAST'))[1]
        END
    FROM counted GROUP BY place, function
"""


# The planner knows nothing of what is wanted: it would read whole tables for it, or all sensors of a name first.
_PLANNING = """
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
        set_config('join_collapse_limit', '1', true)
"""


async def lock_due(tx: Tx, now: datetime, *, most: int, most_of_tenant: int) -> list[Due]:
    """Systems whose time has come, which nobody else takes until this transaction ends.

    One with systems below it that came due no later waits for them. Tenants that may not work are passed over.
    """
    # Another worker may choose the same rows at the same time: each row is looked at again when it is locked.
    sql = """
        WITH busy AS (
            SELECT DISTINCT tenant_id FROM system_timer WHERE due_at <= %s
        ), chosen AS (
            SELECT waiting.tenant_id, waiting.device_id
            FROM busy JOIN tenant ON tenant.tenant_id = busy.tenant_id AND tenant.status = 'ACTIVE'
                CROSS JOIN LATERAL (
                    SELECT tenant_id, device_id, due_at FROM system_timer timer
                    WHERE timer.tenant_id = busy.tenant_id AND timer.due_at <= %s AND NOT EXISTS (
                        SELECT FROM system_timer below
                        WHERE below.tenant_id = timer.tenant_id AND below.parent_id = timer.device_id
                          AND below.due_at <= timer.due_at
                    )
                    ORDER BY due_at, device_id LIMIT %s
                ) waiting
            ORDER BY waiting.due_at, waiting.device_id LIMIT %s
        )
        SELECT timer.tenant_id, timer.device_id, timer.interval_s, timer.due_at
        FROM system_timer timer JOIN chosen USING (tenant_id, device_id)
        WHERE timer.due_at <= %s FOR NO KEY UPDATE OF timer SKIP LOCKED
    """
    return await tx.all(Due, sql, now, now, most_of_tenant, most, now)


async def select_targets(tx: Tx, due: Sequence[Due]) -> list[Target]:
    """The attributes of these systems that are worked out."""
    sql = """
        SELECT sensor.tenant_id, sensor.device_id, sensor.id AS sensor_id, sensor.path, told.system AS told,
            CASE sensor.value_type WHEN 'BOOLEAN' THEN 'boolean' WHEN 'TEXT' THEN
                CASE WHEN told.data_type IN ('gps', 'blob') THEN told.data_type ELSE 'string' END ELSE 'number' END
                AS data_type
        FROM unnest(%s::integer[], %s::uuid[]) AS due (tenant_id, device_id)
            JOIN sensor USING (tenant_id, device_id)
            JOIN sensor_attribute told ON told.tenant_id = sensor.tenant_id AND told.sensor_id = sensor.id
        WHERE sensor.active AND told.system IS NOT NULL
    """
    return await tx.all(Target, sql, [each.tenant_id for each in due], [each.device_id for each in due])


async def aggregate(tx: Tx, wanted: Sequence[tuple[Target, Recipe]]) -> dict[int, object]:
    """What each of these comes to, by its place; those that no device below has a value for are left out.

    Of an attribute that is named several times each device counts once.
    """
    wants = [
        {
            "place": place,
            "tenant": target.tenant_id,
            "system": target.device_id,
            "function": recipe.aggregation,
            "name": child.name,
            "mode": child.mode,
            "ids": child.named,
            "tags": child.device_tags,
        }
        for place, (target, recipe) in enumerate(wanted)
        for child in recipe.child_attributes
    ]
    if not wants:
        return {}
    await tx.rows(_PLANNING)
    rows = await tx.rows(_AGGREGATE, Jsonb(wants))
    found: dict[int, object] = {place: _read(number, value) for place, number, value in rows}
    return {place: value for place, value in found.items() if value is not None}


def _read(number: str | None, value: object) -> object:
    return value if number is None else float(number)


async def settle(tx: Tx, due: Sequence[Due], said: Mapping[Place, Sequence[Said]], now: datetime) -> None:
    """When these are due again, and what they have said."""
    sql = """
        UPDATE system_timer timer SET due_at = done.due_at, said = done.said
        FROM unnest(%s::integer[], %s::uuid[], %s::timestamptz[], %s::jsonb[])
            AS done (tenant_id, device_id, due_at, said)
        WHERE timer.tenant_id = done.tenant_id AND timer.device_id = done.device_id
    """
    texts = []
    for each in due:
        at = to_millis(each.instant(now))
        entries = {one.path: (one.value, at) for one in said.get(each.place, ())}
        texts.append(msgspec.json.encode(entries).decode())
    await tx.run(
        sql,
        [each.tenant_id for each in due],
        [each.device_id for each in due],
        [each.next(now) for each in due],
        texts,
    )
