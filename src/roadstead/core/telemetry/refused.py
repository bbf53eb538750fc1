"""Keeps what was refused, with the reason, until its owner has looked at it or thirty days have passed."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal, Reported
from roadstead.db import Tx, storable
from roadstead.kernel import ids, time

KEPT = timedelta(days=30)
ITEM_DIALECT, ITEM_CHANNEL = "native", "readings"
"""Who reads a single item again: it is spelled as the native contract spells it, whatever dialect it came in."""

_YEAR_9999_MS = 253_402_300_799_999


class Quarantined(msgspec.Struct, frozen=True):
    """Something refused on its way into quarantine. The same `id` is kept once."""

    id: UUID
    uplink: Uplink
    """Its `device` is empty when nobody knows which device this is about."""
    refusal: Refusal


def quarantine_id(uplink: Uplink, *place: int | str) -> UUID:
    """Where it came from makes the id, so that a repeat is recognised: the stream, sequences and indexes."""
    digest = hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()
    seconds = min(max(uplink.received // 1000, 0), 2**32 - 1)
    return ids.from_bytes(seconds.to_bytes(4, "big") + digest)


def spell_item(item: Reported) -> bytes:
    """One value as JSON in the platform's own spelling, `ReadingInput` of the native contract: it can be read again."""
    at: object = item.at
    if 0 <= item.at <= _YEAR_9999_MS:
        at = time.spell_instant(time.from_millis(item.at))
    spelled: dict[str, object] = {"sensorId": item.ref, "timestamp": at, "value": item.value}
    if item.meta:
        spelled["metadata"] = msgspec.Raw(item.meta.encode())
    return msgspec.json.encode(spelled)


async def insert_quarantined(tx: Tx, entries: Sequence[Quarantined]) -> None:
    """Keep these; what is there already, or belongs to a tenant that is gone, is passed over."""
    rows = [_row(entry) for entry in entries]
    if not rows:
        return
    await tx.run(
        """
        INSERT INTO quarantine (tenant_id, id, device_id, component_id, sensor_ref, reason, detail, errors, dialect,
                                channel, payload, source, received_at, expires_at)
        SELECT n.tenant_id, n.id, n.device_id, n.component_id, nullif(n.sensor_ref, ''), n.reason, n.detail, n.errors,
               n.dialect, n.channel, n.payload, n.source, n.received_at, n.expires_at
        FROM unnest(%s::integer[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::jsonb[],
                    %s::text[], %s::text[], %s::bytea[], %s::text[], %s::timestamptz[], %s::timestamptz[])
             AS n (tenant_id, id, device_id, component_id, sensor_ref, reason, detail, errors, dialect, channel,
                   payload, source, received_at, expires_at)
        JOIN tenant t USING (tenant_id)
        ON CONFLICT (tenant_id, id) DO NOTHING
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


def _row(entry: Quarantined) -> tuple[object, ...]:
    uplink, refusal = entry.uplink, entry.refusal
    device = refusal.device or uplink.device
    received_at = time.from_millis(uplink.received)
    return (
        uplink.tenant,
        entry.id,
        ids.from_bytes(device) if device else None,
        refusal.component,
        storable(refusal.sensor_ref),
        refusal.reason.value,
        storable(refusal.detail),
        Jsonb([_storable_problem(problem) for problem in msgspec.to_builtins(refusal.problems)]),
        uplink.dialect if refusal.whole else ITEM_DIALECT,
        uplink.channel if refusal.whole else ITEM_CHANNEL,
        refusal.payload,
        "MQTT" if uplink.source == "MQTT" else "HTTP",
        received_at,
        received_at + KEPT,
    )


def _storable_problem(problem: dict[str, str]) -> dict[str, str]:
    return {name: storable(text) for name, text in problem.items()}
