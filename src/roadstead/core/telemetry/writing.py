"""Values that programs give devices: checked as all that devices say, and known at once to whoever wrote them."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from roadstead.core.messages import Removal, Uplink
from roadstead.core.operation import operation
from roadstead.core.ports import Document, Refusal
from roadstead.core.telemetry import descriptions, store
from roadstead.core.telemetry.documents import MOST_AHEAD_MS, Checked, Sent, check_document
from roadstead.core.telemetry.ingest import RefusedItem, quarantine
from roadstead.core.telemetry.intake import accept_document
from roadstead.core.telemetry.rules import Described
from roadstead.core.telemetry.state import Patches
from roadstead.core.telemetry.values import DeviceValues, values_of
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.time import to_millis

_SOURCE = "HTTP"


class Spelled(NamedTuple):
    """A message as it is put on the log, and what its codec will read there."""

    payload: bytes
    document: Document


class ValuesDraft(msgspec.Struct, frozen=True, kw_only=True):
    """Values to be written."""

    device_id: DeviceId
    dialect: str
    channel: str
    spell: Callable[[int], Spelled]
    """Told when they are written, in ms since 1970."""


class WrittenValues(msgspec.Struct, frozen=True):
    """Values that will be taken."""

    uplink: Uplink
    """To be put on the log, when what they rest upon is committed."""
    values: DeviceValues
    """What the device has with them."""


@operation(Grant.READINGS_WRITE, changes=False)
async def check_values(work: Work, draft: ValuesDraft) -> WrittenValues:
    """Check values by the rules of every door. Raises `Invalid` with all that is wrong, `NotFound` without the device.

    They are newer than all that is known of the device, even where its clock is ahead.
    """
    now = to_millis(work.now())
    newest_at = await store.select_newest_at(work.tx, work.tenant_id, draft.device_id)
    spelled = draft.spell(min(max(now, newest_at), now + MOST_AHEAD_MS))
    sent, described, checked = await _check(work, draft, spelled, received=now)
    if checked.refused:
        refusal = checked.refused[0]
        raise Invalid("; ".join(problem.detail for problem in refusal.problems) or refusal.detail)
    bodies = await store.select_bodies(work.tx, work.tenant_id, [draft.device_id])
    accepted = accept_document(sent, checked)
    patches = Patches()
    if checked.removed:
        patches.remove(accepted, Removal(spelled.document.at, checked.removed))
    else:
        patches.add(accepted)
    before = bodies.get(draft.device_id, {})
    after = {path: state for path, state in before.items() if path not in checked.removed}
    ((_, patch),) = patches.items()
    after |= {path: list(state) for path, state in patch.body.items()}
    return WrittenValues(sent.uplink, values_of(after, described.type.schema if described.type else None))


@operation(Grant.READINGS_WRITE, changes=False)
async def report_document(work: Work, draft: ValuesDraft, *, at: int) -> tuple[Uplink, list[RefusedItem]]:
    """Check what a device has reported at some time; what is refused is kept, and nothing of it may be put on the log.

    Raises `NotFound` without the device.
    """
    spelled = draft.spell(at)
    sent, _, checked = await _check(work, draft, spelled, received=to_millis(work.now()))
    return sent.uplink, await quarantine(work, [sent.uplink], [(0, refusal) for refusal in checked.refused])


@operation(Grant.READINGS_WRITE, changes=False)
async def refuse_message(work: Work, uplink: Uplink, refusal: Refusal) -> None:
    """Keep a message that nobody here takes."""
    await quarantine(work, [uplink], [(0, refusal)])


async def _check(work: Work, draft: ValuesDraft, spelled: Spelled, *, received: int) -> tuple[Sent, Described, Checked]:
    # Not from the cache of the intake: the device may have been made in this very transaction.
    device = ids.to_bytes(draft.device_id)
    described = (await descriptions.select_described(work.tx, {device: work.tenant_id})).get(device)
    if described is None:
        raise NotFound("device", draft.device_id)
    uplink = Uplink(work.tenant_id, device, draft.dialect, draft.channel, received, spelled.payload, _SOURCE)
    sent = Sent(0, uplink, spelled.document)
    return sent, described, check_document(sent, (device, described))
