"""The SQL of events that need work, and of their time lines."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.events import store
from roadstead.core.events.incident_model import MOST_UPDATES, EventUpdate
from roadstead.core.events.model import Event
from roadstead.db import Tx
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, new_id


async def count_events(tx: Tx, where: Filter) -> int:
    """How many the filter is true for."""
    return await store.EVENTS.count(tx, store.conditions(tx, where))


async def select_worst(tx: Tx, where: Filter) -> Event | None:
    """Of those that the filter is true for the worst, the newest of several."""
    text, params = _spell(tx, where)
    sql = f"""
        SELECT {store.EVENTS.columns} FROM event WHERE {text}
        ORDER BY {store.RANK} DESC, occurred_at DESC, id DESC LIMIT 1
    """
    return await tx.one(Event, sql, *params)


async def select_ids(tx: Tx, where: Filter, *, after: UUID | None, limit: int) -> list[UUID]:
    """The first so many after one, by id."""
    text, params = _spell(tx, where)
    sql = f"SELECT id FROM event WHERE {text} AND (%s::uuid IS NULL OR id > %s) ORDER BY id LIMIT %s"
    return [id_ for (id_,) in await tx.rows(sql, *params, after, after, limit)]


def _spell(tx: Tx, where: Filter) -> tuple[str, list[object]]:
    found = store.conditions(tx, where)
    return " AND ".join(f"({each.sql})" for each in found), [param for each in found for param in each.params]


async def update_incident(tx: Tx, event: Event) -> None:
    """Everything about it that can change, but its tags."""
    life = event.lifecycle
    sql = """
        UPDATE event SET severity = %s, is_error = %s, subject = %s, device_id = %s, component_id = %s, sensor_id = %s,
                         site_id = %s, status = %s, acknowledged_at = %s, acknowledged_by = %s, resolved_at = %s,
                         resolved_by = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(
        sql,
        event.severity,
        event.is_error,
        event.subject,
        event.device_id,
        event.component_id,
        event.sensor_id,
        event.site_id,
        life.status if life else None,
        life.acknowledged_at if life else None,
        life.acknowledged_by if life else None,
        life.resolved_at if life else None,
        life.resolved_by if life else None,
        event.updated_at,
        tx.tenant,
        event.id,
    )


async def replace_tags(tx: Tx, event_id: UUID, tags: Mapping[str, str]) -> None:
    """These are all that it has."""
    await tx.run("DELETE FROM event_tag WHERE tenant_id = %s AND event_id = %s", tx.tenant, event_id)
    if tags:
        await store.insert_tags(tx, [(event_id, key, value) for key, value in tags.items()])


async def delete_events(tx: Tx, event_ids: Sequence[UUID]) -> int:
    """Says how many there were."""
    return await tx.run("DELETE FROM event WHERE tenant_id = %s AND id = ANY (%s)", tx.tenant, list(event_ids))


# --- time lines ------------------------------------------------------------------------------------------------------


async def insert_updates(tx: Tx, updates: Sequence[tuple[UUID, EventUpdate]]) -> None:
    """Add to the time lines of those of the events that are there; what becomes too old there is forgotten."""
    event_ids = [event_id for event_id, _ in updates]
    rows = [_row(event_id, update) for event_id, update in updates]
    await tx.run(
        """
        INSERT INTO event_update (tenant_id, event_id, at, id, source, actor_id, actor_name, comment, data, changed)
        SELECT e.tenant_id, n.* FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[], %s::text[], %s::uuid[],
            %s::text[], %s::text[], %s::jsonb[], %s::jsonb[])
            AS n (event_id, at, id, source, actor_id, actor_name, comment, data, changed)
        JOIN event e ON e.tenant_id = %s AND e.id = n.event_id
        """,
        *(list(column) for column in zip(*rows, strict=True)),
        tx.tenant,
    )
    await tx.run(
        """
        DELETE FROM event_update u WHERE tenant_id = %s AND event_id = ANY (%s) AND (at, id) <= (
            SELECT k.at, k.id FROM event_update k WHERE k.tenant_id = u.tenant_id AND k.event_id = u.event_id
            ORDER BY k.at DESC, k.id DESC OFFSET %s LIMIT 1
        )
        """,
        tx.tenant,
        event_ids,
        MOST_UPDATES,
    )


def _row(event_id: UUID, update: EventUpdate) -> tuple[object, ...]:
    return (
        event_id,
        update.at,
        new_id(),
        update.source.value,
        update.actor_id,
        update.actor_name,
        update.comment,
        None if update.data is None else Jsonb(update.data),
        Jsonb(msgspec.to_builtins(update.changed)),
    )


async def select_updates(tx: Tx, event_ids: Sequence[UUID]) -> dict[UUID, list[EventUpdate]]:
    """The time lines of these, oldest entry first; those without one are left out."""
    sql = """
        SELECT event_id, at, source, actor_id, actor_name, comment, data, changed FROM event_update
        WHERE tenant_id = %s AND event_id = ANY (%s) ORDER BY event_id, at, id
    """
    keys, updates = await tx.keyed(EventUpdate, sql, tx.tenant, list(event_ids))
    lines: dict[UUID, list[EventUpdate]] = {}
    for event_id, update in zip(keys, updates, strict=True):
        lines.setdefault(event_id, []).append(update)
    return lines


async def select_device_names(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, str]:
    """What these devices are called, as far as they are there."""
    sql = "SELECT id, coalesce(title, name) FROM device WHERE tenant_id = %s AND id = ANY (%s)"
    return {DeviceId(id_): name for id_, name in await tx.rows(sql, tx.tenant, list(device_ids))}
