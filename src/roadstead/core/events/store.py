"""The SQL of events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.events.model import Event, LifecycleStatus, words_of
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, Json, Rows, Words, compile_filter
from roadstead.kernel.filter import Filter, Match, MatchKind
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId, SpaceId
from roadstead.kernel.page import Page, PageQuery

EVENTS = Listing(
    columns="""
        id, type, source, severity, message, device_id, component_id, sensor_id, site_id, occurred_at, data,
        CASE WHEN status IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('status', status,
            'acknowledged_at', acknowledged_at, 'acknowledged_by', acknowledged_by, 'resolved_at', resolved_at,
            'resolved_by', resolved_by))
        END AS lifecycle,
        created_at, created_by,
        CASE WHEN acknowledged_at IS NOT NULL THEN
            jsonb_build_object('at', acknowledged_at, 'by', acknowledged_by, 'data', acknowledged_data)
        END AS acknowledgement,
        space_id, subject, is_error, created_by_name, updated_at, tracks_tags,
        (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM event_tag
            WHERE event_tag.tenant_id = event.tenant_id AND event_tag.event_id = event.id) AS tags,
        notes
    """,
    source="event",
)
_TAGS = "event_tag WHERE event_tag.tenant_id = event.tenant_id AND event_tag.event_id = event.id"
_FIELDS: Fields = {
    "id": Column("id", ColumnType.ID),
    "type": Column("type"),
    "source": Column("source"),
    "severity": Column("severity"),
    "deviceId": Column("device_id", ColumnType.ID),
    "sensorId": Column("sensor_id", ColumnType.ID),
    "siteId": Column("site_id", ColumnType.ID),
    "occurredAt": Column("occurred_at", ColumnType.INSTANT),
    "message": Column("message"),
    "data": Json("data"),
    "createdBy": Column("created_by", ColumnType.ID),
    "acknowledgedAt": Column("acknowledged_at", ColumnType.INSTANT),
    "acknowledgedBy": Column("acknowledged_by", ColumnType.ID),
    "acknowledgedData": Json("acknowledged_data"),
    "status": Column("status"),
    "spaceId": Column("space_id", ColumnType.ID),
    "isError": Column("is_error", ColumnType.BOOLEAN),
    "subject": Column("coalesce(subject, left(message, 255))"),
    "updatedAt": Column("coalesce(updated_at, created_at)", ColumnType.INSTANT),
    "sourceId": Column(
        "coalesce(created_by, CASE source WHEN 'DEVICE' THEN device_id"
        " WHEN 'ALERT_RULE' THEN (data ->> 'ruleId')::uuid END)",
        ColumnType.ID,
    ),
    "tags": Rows(_TAGS, ("key",), Column("value")),
    "tagKey": Rows(_TAGS, (), Column("key")),
    "tagValue": Rows(_TAGS, (), Column("value")),
    "text": Words("event_word WHERE event_word.tenant_id = event.tenant_id AND event_id = event.id", "word"),
}
RANK = "array_position(ARRAY['INFO', 'WARNING', 'CRITICAL'], severity) * 2 - is_error::integer"
"""How bad an event is, in numbers: an error comes between WARNING and CRITICAL."""
_SORT = {
    "occurredAt": SortKey("occurred_at", cast="timestamptz"),
    "type": SortKey("type"),
    "deviceId": SortKey("coalesce(device_id, '00000000-0000-0000-0000-000000000000')", cast="uuid"),
    "acknowledgedAt": SortKey("coalesce(acknowledged_at, 'infinity')", cast="timestamptz"),
    "id": SortKey("id", cast="uuid"),
    "subject": SortKey("coalesce(subject, left(message, 255))"),
    "updatedAt": SortKey("coalesce(updated_at, created_at)", cast="timestamptz"),
    "level": SortKey(f"({RANK})", cast="integer"),
    "status": SortKey("array_position(ARRAY['ACTIVE', 'ACKNOWLEDGED', 'RESOLVED'], status)", cast="integer"),
}


class Place(msgspec.Struct, frozen=True):
    """What an event is about, as it is at present."""

    device_id: DeviceId | None
    component_id: ComponentId | None
    site_id: SiteId | None
    space_id: SpaceId


async def select_event(tx: Tx, event_id: UUID, *, lock: bool = False) -> Event | None:
    """One event; with `lock` nobody else changes it until this transaction ends."""
    sql = f"SELECT {EVENTS.columns} FROM event WHERE tenant_id = %s AND id = %s{' FOR UPDATE' if lock else ''}"
    return await tx.one(Event, sql, tx.tenant, event_id)


async def select_events(tx: Tx, event_ids: Sequence[UUID]) -> list[Event]:
    """Those of these events that are there."""
    sql = f"SELECT {EVENTS.columns} FROM event WHERE tenant_id = %s AND id = ANY (%s)"
    return await tx.all(Event, sql, tx.tenant, list(event_ids))


async def list_events(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Event]:
    """Events that the filter is true for."""
    return await EVENTS.page(tx, Event, conditions(tx, where), parse_sort(sort, _SORT, "-occurredAt"), page)


def conditions(tx: Tx, where: Filter) -> list[Condition]:
    """The filter in SQL, for events of the organization."""
    return [Condition("tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]


def has_words(text: str) -> Filter:
    """Each word of the text begins a word of the event."""
    return Match(("text",), MatchKind.TEXT, " ".join(words_of(text)))


async def insert_events(tx: Tx, events: Sequence[Event]) -> None:
    """Write events down. Those without a space belong where their device is, or in the default one."""
    types = ", ".join(f"%s::{type_}[]" for type_ in _WRITTEN.values())
    sql = f"""
        INSERT INTO event (tenant_id, {", ".join(_WRITTEN)}, space_id)
        SELECT %s, {", ".join(f"e.{name}" for name in _WRITTEN)}, coalesce(e.space_id, d.space_id, s.id)
        FROM unnest({types}, %s::uuid[]) AS e ({", ".join(_WRITTEN)}, space_id)
        LEFT JOIN device d ON d.tenant_id = %s AND d.id = e.device_id
        LEFT JOIN space s ON s.tenant_id = %s AND s.is_default
    """
    columns = [list(column) for column in zip(*map(_row, events), strict=True)]
    await tx.run(sql, tx.tenant, *columns, [event.space_id for event in events], tx.tenant, tx.tenant)
    tags = [(event.id, key, value) for event in events for key, value in event.tags.items()]
    if tags:
        await insert_tags(tx, tags)


async def insert_tags(tx: Tx, tags: Sequence[tuple[UUID, str, str]]) -> None:
    """Tags of events that have none of these keys."""
    sql = """
        INSERT INTO event_tag (tenant_id, event_id, key, value)
        SELECT %s, t.* FROM unnest(%s::uuid[], %s::text[], %s::text[]) t
    """
    await tx.run(sql, tx.tenant, *(list(column) for column in zip(*tags, strict=True)))


_WRITTEN = {
    "id": "uuid",
    "type": "text",
    "source": "text",
    "severity": "text",
    "message": "text",
    "device_id": "uuid",
    "component_id": "uuid",
    "sensor_id": "uuid",
    "site_id": "uuid",
    "occurred_at": "timestamptz",
    "data": "jsonb",
    "status": "text",
    "acknowledged_at": "timestamptz",
    "acknowledged_by": "uuid",
    "resolved_at": "timestamptz",
    "resolved_by": "uuid",
    "created_at": "timestamptz",
    "created_by": "uuid",
    "created_by_name": "text",
    "subject": "text",
    "is_error": "boolean",
    "tracks_tags": "boolean",
    "notes": "jsonb",
}
"""Columns of a new event, in the order of `_row`."""


def _row(event: Event) -> tuple[Any, ...]:
    life = event.lifecycle
    return (
        event.id,
        event.type,
        event.source.value,
        event.severity.value,
        event.message,
        event.device_id,
        event.component_id,
        event.sensor_id,
        event.site_id,
        event.occurred_at,
        None if event.data is None else Jsonb(event.data),
        life.status.value if life else None,
        life.acknowledged_at if life else None,
        life.acknowledged_by if life else None,
        life.resolved_at if life else None,
        life.resolved_by if life else None,
        event.created_at,
        event.created_by,
        event.created_by_name,
        event.subject,
        event.is_error,
        event.tracks_tags,
        Jsonb(event.notes),
    )


async def update_lifecycles(
    tx: Tx, event_ids: Sequence[UUID], status: LifecycleStatus, *, at: datetime, by: UUID | None
) -> None:
    """Take events that need work on to a later status."""
    step = "acknowledged" if status is LifecycleStatus.ACKNOWLEDGED else "resolved"
    sql = f"""
        UPDATE event SET status = %s, {step}_at = %s, {step}_by = %s, updated_at = %s
        WHERE tenant_id = %s AND id = ANY(%s) AND status IS NOT NULL
    """
    await tx.run(sql, status, at, by, at, tx.tenant, list(event_ids))


async def update_acknowledgement(
    tx: Tx, event_id: UUID, *, at: datetime, by: UUID | None, data: Mapping[str, Any] | None
) -> None:
    """Somebody has seen it; where it needs work, somebody is at it."""
    sql = """
        UPDATE event SET acknowledged_at = %s, acknowledged_by = %s, acknowledged_data = %s, updated_at = %s,
                         status = CASE WHEN status = 'ACTIVE' THEN 'ACKNOWLEDGED' ELSE status END
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, at, by, None if data is None else Jsonb(dict(data)), at, tx.tenant, event_id)


async def select_place(tx: Tx, device_id: DeviceId | None, sensor_id: SensorId | None) -> Place | None:
    """Where the device and the sensor are; None when one of them is not there, or the sensor is on another device."""
    if sensor_id is None:
        sql = """
            SELECT id AS device_id, NULL AS component_id, site_id, space_id FROM device
            WHERE tenant_id = %s AND id = %s
        """
        return await tx.one(Place, sql, tx.tenant, device_id)
    sql = """
        SELECT s.device_id, s.component_id, d.site_id, d.space_id
        FROM sensor s JOIN device d ON d.tenant_id = s.tenant_id AND d.id = s.device_id
        WHERE s.tenant_id = %s AND s.id = %s AND s.device_id = coalesce(%s, s.device_id)
    """
    return await tx.one(Place, sql, tx.tenant, sensor_id, device_id)
