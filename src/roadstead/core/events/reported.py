"""Events that devices report, on their way from the log into the rows."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.events.model import EventSource
from roadstead.core.messages import EventRaised, Severity, encode_fact
from roadstead.core.ports import Document
from roadstead.db import Tx
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, TenantId


class ReportedEvent(msgspec.Struct, frozen=True):
    """What a device has said; the same `id` is kept once."""

    id: UUID
    tenant: TenantId
    device: bytes
    """The 12 free bytes of the id of the device it is about."""
    said: Document


async def write_reported(tx: Tx, reported: Sequence[ReportedEvent]) -> None:
    """Write these down and tell listeners. What is there already, or is about a device that is gone, is passed over.

    For the system duty: events of all tenants at once. May run twice.
    """
    if not reported:
        return
    now = time.now()
    rows = [
        (
            event.tenant,
            event.id,
            event.said.event,
            ids.from_bytes(event.device),
            time.from_millis(event.said.at),
            None if event.said.value is None else Jsonb(event.said.value),
        )
        for event in reported
    ]
    written = await tx.rows(
        """
        INSERT INTO event (tenant_id, id, type, source, severity, message, device_id, site_id, occurred_at, data,
                           created_at, space_id)
        SELECT n.tenant_id, n.id, n.type, %s, %s, n.type, d.id, d.site_id, n.at, n.data, %s, d.space_id
        FROM unnest(%s::integer[], %s::uuid[], %s::text[], %s::uuid[], %s::timestamptz[], %s::jsonb[])
             AS n (tenant_id, id, type, device_id, at, data)
        JOIN device d ON d.tenant_id = n.tenant_id AND d.id = n.device_id
        ON CONFLICT (tenant_id, id) DO NOTHING
        RETURNING tenant_id, id, device_id, type
        """,
        EventSource.DEVICE.value,
        Severity.INFO.value,
        now,
        *(list(column) for column in zip(*rows, strict=True)),
    )
    for tenant, id_, device, type_ in written:
        tx.emit(TenantId(tenant), now, encode_fact(EventRaised(id_, DeviceId(device), type_)))
