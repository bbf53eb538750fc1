"""One command to many devices."""

from collections.abc import Iterable, Sequence

import msgspec

from roadstead.core import registry
from roadstead.core.commands import batch_store, store
from roadstead.core.commands.kinds import check_fit
from roadstead.core.commands.model import (
    FAILURES,
    FINAL,
    MOST_TARGETS,
    Batch,
    BatchDraft,
    BatchId,
    BatchStatus,
    CommandId,
    CommandStatus,
    Progress,
    Queued,
)
from roadstead.core.commands.service import check_target, put
from roadstead.core.messages import CommandChanged, encode_fact
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound, RoadsteadError
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TenantId, new_id

_BATCHES_AT_ONCE = 100


@operation(Grant.COMMANDS_WRITE)
async def send_in_bulk(work: Work, targets: Sequence[DeviceId] | Filter, draft: BatchDraft) -> Queued:
    """Queue a command for these devices, or for those that a filter is true for now.

    `Invalid` when there are none or more than 1,000. Devices that cannot get it are left out, with the code of the
    reason; when that leaves none, the bulk has nothing to do and has ended.
    """
    draft.check()
    device_ids = await _resolve(work, targets)
    known = {target.id: target for target in await store.select_targets(work.tx, device_ids)}
    accepted: list[DeviceId] = []
    rejected: list[tuple[DeviceId, str]] = []
    for device_id in device_ids:
        try:
            if device_id not in known:
                raise NotFound("device", device_id)
            check_target(known[device_id])
            check_fit(draft.command, known[device_id], "/command")
        except RoadsteadError as error:
            rejected.append((device_id, error.code))
        else:
            accepted.append(device_id)

    now = work.now()
    batch = Batch(
        id=BatchId(new_id()),
        type=draft.command.type,
        payload=draft.command.payload,
        total=len(accepted),
        per_minute=draft.per_minute,
        max_failure_percent=draft.max_failure_percent,
        status=BatchStatus.RUNNING if accepted else BatchStatus.COMPLETED,
        requested_by=work.actor.id,
        created_at=now,
        completed_at=None if accepted else now,
    )
    await batch_store.insert_batch(work.tx, batch)
    if accepted:
        commands = [
            draft.command.command(
                CommandId(new_id()),
                device_id,
                requested_by=work.actor.id,
                created_at=now,
                release_at=draft.release_at(index, now),
                batch_id=batch.id,
            )
            for index, device_id in enumerate(accepted)
        ]
        put(work, commands)
    work.record("command.bulk", batch.id, after=batch)
    return Queued(batch, rejected)


@operation(Grant.COMMANDS_READ)
async def get_batch(work: Work, batch_id: BatchId) -> Progress:
    """A bulk and how far it has come."""
    batch = await batch_store.select_batch(work.tx, batch_id)
    if batch is None:
        raise NotFound("bulk", batch_id)
    return Progress(batch, await store.count_statuses(work.tx, batch_id))


@operation(Grant.COMMANDS_WRITE)
async def cancel_batch(work: Work, batch_id: BatchId) -> Progress:
    """Cancel what has not left. `Conflict` when it runs no more."""
    batch = await batch_store.lock_batch(work.tx, batch_id)
    if batch is None:
        raise NotFound("bulk", batch_id)
    if batch.status is not BatchStatus.RUNNING:
        raise Conflict(f"the bulk is {batch.status}: there is nothing to cancel", code="invalid-state")
    await _stop(work.tx, work.tenant_id, batch, BatchStatus.CANCELLED, "the bulk was cancelled")
    after = msgspec.structs.replace(batch, status=BatchStatus.CANCELLED, completed_at=work.now())
    work.record("command.bulk-cancel", batch_id, before=batch, after=after)
    return await get_batch(work, batch_id)


async def _resolve(work: Work, targets: Sequence[DeviceId] | Filter) -> Sequence[DeviceId]:
    if isinstance(targets, Sequence):
        device_ids: Sequence[DeviceId] = list(dict.fromkeys(targets))
    else:
        device_ids = await registry.load_device_ids(work, targets, limit=MOST_TARGETS + 1)
    if not device_ids:
        raise Invalid.field("/target", "means no device")
    if len(device_ids) > MOST_TARGETS:
        detail = f"means more than {MOST_TARGETS} devices: narrow it or send several requests"
        raise Invalid.field("/target", detail, code="too-large")
    return device_ids


# --- for the worker that watches them, with the system duty ----------------------------------------------------------


async def look_after_batches(tx: Tx) -> int:
    """End the bulks of all tenants whose commands have ended, or of which too many have failed; says how many ended.

    May run twice, and side by side.
    """
    ended = 0
    for tenant, batch in await batch_store.lock_running(tx, _BATCHES_AT_ONCE):
        tx.tenant = tenant
        counts = await store.count_statuses(tx, batch.id)
        failed = sum(counts.get(status, 0) for status in FAILURES)
        most = batch.max_failure_percent
        if most is not None and failed * 100 > most * batch.total:
            detail = f"the bulk was aborted: {failed} of {batch.total} had failed"
            await _stop(tx, tenant, batch, BatchStatus.ABORTED, detail)
        elif all(status in FINAL for status in counts):
            await batch_store.end_batch(tx, batch.id, BatchStatus.COMPLETED, time.now())
        else:
            continue
        ended += 1
    return ended


async def _stop(tx: Tx, tenant: TenantId, batch: Batch, status: BatchStatus, reason: str) -> None:
    now = time.now()
    cancelled: Iterable[tuple[CommandId, DeviceId]] = await store.cancel_pending(tx, batch.id, reason, now)
    for command_id, device_id in cancelled:
        tx.emit(tenant, now, encode_fact(CommandChanged(device_id, command_id, CommandStatus.CANCELLED)))
    await batch_store.end_batch(tx, batch.id, status, now)
