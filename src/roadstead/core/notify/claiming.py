"""Whose turn it is: leases on what waits, and what becomes of it after an attempt."""

from datetime import datetime, timedelta

from roadstead.core.notify import sending_store
from roadstead.core.notify.model import RETRY_AFTER, DeliveryStatus, Kind, Outcome, Parcel, Waiting
from roadstead.db import Tx
from roadstead.kernel.ids import new_id

LEASE = timedelta(seconds=120)
"""How long nobody else touches what is being sent; longer than any attempt takes."""


async def list_waiting(tx: Tx) -> list[Waiting]:
    """Channels of all tenants that have something to send now, those that wait longest first."""
    return await sending_store.select_waiting(tx)


async def claim_parcel(tx: Tx, waiting: Waiting, now: datetime) -> Parcel | None:
    """The next message of a channel, leased with the commit; None when there is none after all.

    Quiet hours are looked at here and nowhere else: what they hold back is put off until they end. A lease that is
    over is given to the next who asks; it has counted as an attempt.
    """
    tenant, channel_id = waiting.tenant_id, waiting.channel_id
    known = await sending_store.lock_channel(tx, tenant, channel_id)
    if known is None:
        return None
    channel, sealed = known
    quiet = channel.quiet_hours
    quiet_until = quiet.end_at(now) if quiet is not None else None
    spare_critical = quiet is not None and quiet.allow_critical
    if quiet_until is not None:
        await sending_store.hold_due(tx, tenant, channel_id, quiet_until, spare_critical=spare_critical)
    due = await sending_store.lock_due(tx, tenant, channel_id)
    if due is None:
        return None

    picked = [due]
    digest_id = due.digest_id
    if digest_id is not None:
        picked = await sending_store.lock_digest(tx, tenant, channel_id, digest_id)
        if quiet_until is not None and not (spare_critical and any(one.severity == "CRITICAL" for one in picked)):
            await sending_store.hold_deliveries(tx, tenant, [one.id for one in picked], quiet_until)
            return None
    elif due.in_digest:
        digest_id = new_id()
        picked = await sending_store.lock_collected(tx, tenant, channel_id, with_held=quiet_until is None)
    ids = [one.id for one in picked]
    if due.attempts >= _most_attempts(due.kind):
        reason = "given up: whoever was sending it did not come back"
        await sending_store.fail_deliveries(tx, tenant, ids, reason)
        return None
    lease = new_id()
    await sending_store.lease_deliveries(tx, tenant, ids, lease=lease, digest_id=digest_id, until=now + LEASE)
    return await sending_store.select_parcel(
        tx, tenant, channel, sealed, lease, digest_id or due.id, is_digest=due.in_digest
    )


async def settle_parcel(tx: Tx, parcel: Parcel, outcome: Outcome, now: datetime) -> DeliveryStatus:
    """Write down what came of an attempt, and say it: sent, failed for good, or pending until the next one."""
    kinds = {item.announcement.kind for item in parcel.items}
    due_at, status = now, DeliveryStatus.SENT
    if not outcome.sent:
        status = DeliveryStatus.FAILED
        if not outcome.final and parcel.attempts < min(_most_attempts(kind) for kind in kinds):
            due_at, status = now + RETRY_AFTER[parcel.attempts - 1], DeliveryStatus.PENDING
    await sending_store.update_outcome(tx, parcel, outcome, status, at=now, due_at=due_at)
    return status


def _most_attempts(kind: Kind) -> int:
    # Whoever sends a test waits for its outcome.
    return 1 if kind is Kind.TEST else len(RETRY_AFTER) + 1
