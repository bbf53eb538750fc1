"""Trying again what was refused, for instance after a profile has got the field it lacked."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.core.diagnostics import store
from roadstead.core.diagnostics.model import (
    MOST_REPLAYED,
    QuarantineEntry,
    QuarantineQuery,
    Replay,
    ReplayResult,
    Tally,
)
from roadstead.core.messages import SESSION, Uplink
from roadstead.core.operation import operation
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.core.telemetry import REPLAY, Intake
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import to_millis

_ANSWERS = frozenset({RefusalReason.UNKNOWN_COMMAND, RefusalReason.LATE_ANSWER})


@operation(Grant.QUARANTINE_WRITE)
async def replay_entries(
    work: Work, intake: Intake, *, entry_ids: Sequence[UUID] | None = None, query: QuarantineQuery | None = None
) -> Replay:
    """Check entries again, named or meant by a filter; at most 1,000, of a filter those that were tried least.

    What passes as a whole leaves quarantine, and the caller puts it on the log before the commit: in the order of log
    and commit nothing is lost, and what is published twice is stored once. It keeps the time at which it was first
    received, so that it does not replace what was reported since.
    """
    if (entry_ids is None) == (query is None):
        raise Invalid.field("/ids", "either ids or a filter is needed, and not both")
    remaining = 0
    if query is None:
        entries = await store.lock_entries(work.tx, work.tenant_id, entry_ids or ())
    else:
        entries = await store.lock_matching(work.tx, work.tenant_id, query, MOST_REPLAYED)
        if len(entries) == MOST_REPLAYED:
            remaining = await store.count_entries(work.tx, work.tenant_id, query) - MOST_REPLAYED
    uplinks, failed = await _check(work, intake, entries)
    await store.delete_entries(work.tx, work.tenant_id, list(uplinks))
    await store.update_attempts(work.tx, work.tenant_id, list(failed.items()))
    work.record("quarantine.replay", after=Tally(passed=len(uplinks), failed=len(failed)))

    found = {entry.id for entry in entries}
    order = [entry.id for entry in entries] if entry_ids is None else list(entry_ids)
    results = [ReplayResult(id_, id_ in found, failed.get(id_)) for id_ in order]
    return Replay(results, list(uplinks.values()), remaining)


async def _check(
    work: Work, intake: Intake, entries: Sequence[QuarantineEntry]
) -> tuple[dict[UUID, Uplink], dict[UUID, Refusal]]:
    """What passes, and why the others do not."""
    uplinks: dict[UUID, Uplink] = {}
    failed: dict[UUID, Refusal] = {}
    for entry in entries:
        if entry.device_id is None:
            detail = "the message does not say which device it is about"
            failed[entry.id] = Refusal(RefusalReason.UNKNOWN_SENSOR, detail, entry.payload)
        elif entry.dialect == SESSION or entry.reason in _ANSWERS:
            # It never came in, and its topic does not say what it would mean here; or it came too late to mean a thing.
            failed[entry.id] = Refusal(entry.reason, entry.detail, entry.payload)
        else:
            uplinks[entry.id] = Uplink(
                work.tenant_id,
                ids.to_bytes(entry.device_id),
                entry.dialect,
                entry.channel,
                to_millis(entry.received_at),
                entry.payload,
                REPLAY,
            )
    names = list(uplinks)
    taken = await intake.take_in(list(uplinks.values()))
    for index, refusal in taken.refused:
        failed.setdefault(names[index], refusal)
    return {id_: uplink for id_, uplink in uplinks.items() if id_ not in failed}, failed
