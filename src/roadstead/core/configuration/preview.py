"""Trying a binding without leaving a trace: which devices would change, and how."""

from collections.abc import Awaitable, Callable

import msgspec

from roadstead.core.configuration.bindings import Bound, bind, unbind
from roadstead.core.configuration.documents import Outcome, work_out
from roadstead.core.configuration.model import SINGLE, Binding, BindingDraft, BindingId, Entry
from roadstead.core.configuration.sweeps import holders_of, targets_of, walk
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId

MAX_EXAMINED = 1_000
"""Devices that a preview works out."""
MAX_SHOWN = 100


class EntryChange(msgspec.Struct, frozen=True):
    """What would become of one place in a document; `before` or `after` is None when nothing is there."""

    before: Entry | None
    after: Entry | None

    @property
    def is_news(self) -> bool:
        """Whether the device would be told."""
        before, after = self.before, self.after
        return before is None or after is None or _told(before) != _told(after)


class DeviceChange(msgspec.Struct, frozen=True):
    """What would become of the document of a device."""

    device_id: DeviceId
    version: int
    """Of its document now."""
    changes: list[EntryChange]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of bindings would do."""

    examined: int
    """Devices that were worked out: all it may touch, or the first 1,000 of them."""
    is_complete: bool
    changed: int
    """How many of these would be told something new."""
    devices: list[DeviceChange]
    """The first 100 of them."""


def _told(entry: Entry) -> tuple[int, str]:
    return entry.desired_version, entry.hash


class _Undo(Exception):
    """Takes everything back."""


@operation(Grant.CONFIG_WRITE, changes=False)
async def preview_put(work: Work, draft: BindingDraft, *, expected: int | None) -> Preview:
    """What `put_binding` would do; raises what it would raise."""
    return await _try(work, lambda: bind(work, draft, expected=expected), with_targets=True)


@operation(Grant.CONFIG_WRITE, changes=False)
async def preview_delete(work: Work, binding_id: BindingId, *, expected: int | None) -> Preview:
    """What `delete_binding` would do; raises what it would raise."""
    return await _try(work, lambda: unbind(work, binding_id, expected=expected), with_targets=False)


async def _try(work: Work, attempt: Callable[[], Awaitable[Bound]], *, with_targets: bool) -> Preview:
    """Do it for real, look, and take it back."""
    outcomes: list[Outcome] = []
    is_complete = True
    try:
        async with work.tx.savepoint():
            bound = await attempt()
            outcomes = bound.outcomes
            if bound.binding.target_type not in SINGLE:
                device_ids, is_complete = await _touched(work, bound.binding, with_targets)
                outcomes = await work_out(work, device_ids)
            raise _Undo
    except _Undo:
        pass
    changed = [outcome for outcome in outcomes if outcome.is_changed]
    return Preview(
        examined=len(outcomes),
        is_complete=is_complete,
        changed=len(changed),
        devices=[_spell(outcome) for outcome in changed[:MAX_SHOWN]],
    )


async def _touched(work: Work, binding: Binding, with_targets: bool) -> tuple[list[DeviceId], bool]:
    """The first devices it may touch, and whether these are all."""
    most = MAX_EXAMINED + 1
    holding = await walk(work, holders_of(work, binding), most)
    meant = await walk(work, targets_of(work, binding.target_type, binding.target_id), most) if with_targets else []
    found = list(dict.fromkeys(holding + meant))
    return found[:MAX_EXAMINED], len(found) <= MAX_EXAMINED


def _spell(outcome: Outcome) -> DeviceChange:
    before = {entry.key: entry for entry in outcome.before}
    after = {entry.key: entry for entry in outcome.after}
    changes = [EntryChange(before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())]
    return DeviceChange(outcome.device_id, outcome.version, [change for change in changes if change.is_news])
