"""What devices of the dialect say, taken in as the workers do, without the log between."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import events, telemetry
from roadstead.core.events import ReportedEvent
from roadstead.core.messages import Uplink, decode_accepted, encode_accepted
from roadstead.core.telemetry import Patches, Quarantined
from roadstead.kernel import ids, time
from roadstead.kernel.ids import new_id
from tests.conftest import Tenant


def report(
    tenant: Tenant,
    device: str,
    value: dict[str, Any],
    section: str = "attributes",
    *,
    at: datetime | None = None,
    **more: object,
) -> Uplink:
    """A message on `data-ingest`."""
    timed = {} if at is None else {"time": at}
    return _uplink(tenant, device, "data-ingest", {"type": section, "value": value, **timed, **more})


def event(
    tenant: Tenant, device: str, type_: str, value: dict[str, Any] | None = None, *, at: datetime | None = None
) -> Uplink:
    """A message on `event-ingest`."""
    timed = {} if at is None else {"createdAt": at}
    valued = {} if value is None else {"value": value}
    return _uplink(tenant, device, "event-ingest", {"type": type_, **valued, **timed})


async def take(tenant: Tenant, *uplinks: Uplink) -> None:
    """Afterwards states, events and diagnostics have them."""
    taken = await tenant.edge.intake.take_in(uplinks)
    patches = Patches()
    for message in decode_accepted(encode_accepted([*taken.accepted, *(sender for _, sender in taken.senders)])):
        patches.add(message)
    async with tenant.edge.system_database.tx() as tx:
        await telemetry.merge_state(tx, [telemetry.copy_line(*item, seen=True) for item in patches.items()])
        await telemetry.insert_quarantined(
            tx, [Quarantined(new_id(), uplinks[index], refusal) for index, refusal in taken.refused]
        )
        await events.write_reported(
            tx, [ReportedEvent(new_id(), tenant.tenant_id, device, said) for _, device, said in taken.events]
        )


def _uplink(tenant: Tenant, device: str, channel: str, body: dict[str, Any]) -> Uplink:
    received = time.to_millis(time.now())
    payload = msgspec.json.encode(body)
    return Uplink(tenant.tenant_id, ids.to_bytes(UUID(device)), "lightelligence", channel, received, payload)
