"""The SQL of events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.events.model import Event, LifecycleStatus, words_of
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, Json, Words, compile_filter
from roadstead.kernel.filter import Filter, Match, MatchKind
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId
from roadstead.kernel.page import Page, PageQuery

_EVENTS = Listing(
    columns="""
        id, type, source, severity, message, device_id, component_id, sensor_id, site_id, occurred_at, data,
        CASE WHEN status IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('status', status,
            'acknowledged_at', acknowledged_at, 'acknowledged_by', acknowledged_by, 'resolved_at', resolved_at,
            'resolved_by', resolved_by))
        END AS lifecycle,
        created_at, created_by,
        CASE WHEN acknowledged_at IS NOT NULL THEN
            jsonb_build_object('at', acknowledged_at, 'by', acknowledged_by, 'data', acknowledged_data)
        END AS acknowledgement
    """,
    source="event",
)
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
    "text": Words("event_word WHERE event_word.tenant_id = event.tenant_id AND event_id = event.id", "word"),
}
_SORT = {
    "occurredAt": SortKey("occurred_at", cast="timestamptz"),
    "type": SortKey("type"),
    "deviceId": SortKey("coalesce(device_id, '00000000-0000-0000-0000-000000000000')", cast="uuid"),
    "acknowledgedAt": SortKey("coalesce(acknowledged_at, 'infinity')", cast="timestamptz"),
}


class Place(msgspec.Struct, frozen=True):
    """What an event is about, as it is at present."""

    device_id: DeviceId | None
    component_id: ComponentId | None
    site_id: SiteId | None


async def select_event(tx: Tx, event_id: UUID, *, lock: bool = False) -> Event | None:
    """One event; with `lock` nobody else changes it until this transaction ends."""
    sql = f"SELECT {_EVENTS.columns} FROM event WHERE tenant_id = %s AND id = %s{' FOR UPDATE' if lock else ''}"
    return await tx.one(Event, sql, tx.tenant, event_id)


async def select_events(tx: Tx, event_ids: Sequence[UUID]) -> list[Event]:
    """Those of these events that are there."""
    sql = f"SELECT {_EVENTS.columns} FROM event WHERE tenant_id = %s AND id = ANY (%s)"
    return await tx.all(Event, sql, tx.tenant, list(event_ids))


async def list_events(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Event]:
    """Events that the filter is true for."""
    conditions = [Condition("tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]
    return await _EVENTS.page(tx, Event, conditions, parse_sort(sort, _SORT, "-occurredAt"), page)


def has_words(text: str) -> Filter:
    """Each word of the text begins a word of the event."""
    return Match(("text",), MatchKind.TEXT, " ".join(words_of(text)))


async def insert_events(tx: Tx, events: Sequence[Event]) -> None:
    """Write events down."""
    sql = """
        INSERT INTO event (tenant_id, id, type, source, severity, message, device_id, component_id, sensor_id, site_id,
                           occurred_at, data, status, created_at, created_by)
        SELECT %s, e.* FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::uuid[],
            %s::uuid[], %s::uuid[], %s::timestamptz[], %s::jsonb[], %s::text[], %s::timestamptz[], %s::uuid[]) e
    """
    rows = [_row(event) for event in events]
    await tx.run(sql, tx.tenant, *(list(column) for column in zip(*rows, strict=True)))


def _row(event: Event) -> tuple[Any, ...]:
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
        event.lifecycle.status.value if event.lifecycle else None,
        event.created_at,
        event.created_by,
    )


async def update_lifecycles(
    tx: Tx, event_ids: Sequence[UUID], status: LifecycleStatus, *, at: datetime, by: UUID | None
) -> None:
    """Take events that need work on to a later status."""
    step = "acknowledged" if status is LifecycleStatus.ACKNOWLEDGED else "resolved"
    sql = f"""
        UPDATE event SET status = %s, {step}_at = %s, {step}_by = %s
        WHERE tenant_id = %s AND id = ANY(%s) AND status IS NOT NULL
    """
    await tx.run(sql, status, at, by, tx.tenant, list(event_ids))


async def update_acknowledgement(
    tx: Tx, event_id: UUID, *, at: datetime, by: UUID | None, data: Mapping[str, Any] | None
) -> None:
    """Somebody has seen it; where it needs work, somebody is at it."""
    sql = """
        UPDATE event SET acknowledged_at = %s, acknowledged_by = %s, acknowledged_data = %s,
                         status = CASE WHEN status = 'ACTIVE' THEN 'ACKNOWLEDGED' ELSE status END
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, at, by, None if data is None else Jsonb(dict(data)), tx.tenant, event_id)


async def select_place(tx: Tx, device_id: DeviceId | None, sensor_id: SensorId | None) -> Place | None:
    """Where the device and the sensor are; None when one of them is not there, or the sensor is on another device."""
    if sensor_id is None:
        sql = "SELECT id AS device_id, NULL AS component_id, site_id FROM device WHERE tenant_id = %s AND id = %s"
        return await tx.one(Place, sql, tx.tenant, device_id)
    sql = """
        SELECT s.device_id, s.component_id, d.site_id
        FROM sensor s JOIN device d ON d.tenant_id = s.tenant_id AND d.id = s.device_id
        WHERE s.tenant_id = %s AND s.id = %s AND s.device_id = coalesce(%s, s.device_id)
    """
    return await tx.one(Place, sql, tx.tenant, sensor_id, device_id)
