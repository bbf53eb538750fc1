"""Working out what devices shall have, and writing down what has become different."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import registry
from roadstead.core.configuration import binding_store, sweep_store
from roadstead.core.configuration import document_store as store
from roadstead.core.configuration.document_store import Document
from roadstead.core.configuration.model import DesiredState, Entry, ReportedEntry, TargetType, settle
from roadstead.core.configuration.precedence import Unit, Wanted, assemble, digest
from roadstead.core.downlinks import CONFIGURATION
from roadstead.core.messages import DesiredStateChanged, DownlinkQueued
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId, new_id


@operation(Grant.CONFIG_READ)
async def get_desired_state(work: Work, device_id: DeviceId) -> DesiredState:
    """What a device shall have, after precedence, beside what it says it has."""
    await registry.load_device(work, device_id)
    document = await store.select_document(work.tx, device_id)
    entries = [entry for _, entry in await store.select_entries(work.tx, [(work.tenant_id, device_id)])]
    rows = await store.select_contents(work.tx, [(work.tenant_id, entry.artefact_id) for entry in entries])
    wanted = {entry.key for entry in entries}
    return DesiredState(
        device_id=device_id,
        document_version=document.document_version if document else 0,
        changed_at=document.changed_at if document else None,
        entries=entries,
        contents={row.id: row.content for row in rows if row.content is not None},
        strays=[said for said in document.reported if said.key not in wanted] if document else [],
        reported_version=document.reported_version if document else None,
        reported_at=document.reported_at if document else None,
        sent_at=document.sent_at if document else None,
        arrived_version=document.arrived_version if document else None,
        arrived_at=document.arrived_at if document else None,
    )


class Outcome(msgspec.Struct, frozen=True):
    """What became of the document of a device."""

    device_id: DeviceId
    version: int
    """Of the document, before."""
    is_changed: bool
    """It says something else now."""
    before: list[Entry]
    after: list[Entry]


async def work_out(work: Work, device_ids: Sequence[DeviceId]) -> list[Outcome]:
    """Make the documents of these devices what bindings, groups, profiles and components say now.

    A repeat does no harm: a document that says the same keeps its version. The documents are locked before anything is
    read, so that of two who work out one device the later one has seen what the earlier one has. A device that is just
    being deleted is looked at again later, for it may stay.
    """
    devices = [(work.tenant_id, device_id) for device_id in device_ids]
    documents = await store.lock_documents(work.tx, devices)
    locked = [document.device_id for document in documents]
    if len(locked) < len(set(device_ids)):
        await sweep_store.insert_due(work.tx, work.tenant_id, set(device_ids) - set(locked))
    if not locked:
        return []
    wanted = await _assemble(work, locked)
    entries: dict[DeviceId, list[Entry]] = {device_id: [] for device_id in locked}
    for _, entry in await store.select_entries(work.tx, [(work.tenant_id, device_id) for device_id in locked]):
        entries[entry.device_id].append(entry)
    outcomes = []
    digests: list[tuple[DeviceId, bytes]] = []
    for document in documents:
        asked, before = wanted.get(document.device_id, []), entries[document.device_id]
        after, mark = _renew(work, document, before, asked), digest(asked)
        is_changed = mark != document.digest
        if is_changed:
            digests.append((document.device_id, mark))
        outcomes.append(Outcome(document.device_id, document.document_version, is_changed, before, after))
    await _write(work, outcomes)
    await store.update_digests(work.tx, digests, work.now())
    for device_id, _ in digests:
        work.emit(DesiredStateChanged(device_id))
    if digests:
        work.emit(DownlinkQueued(CONFIGURATION, [device_id for device_id, _ in digests]))
    return outcomes


async def _assemble(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, list[Wanted]]:
    units = await store.select_units(work.tx, device_ids)
    groups = await store.select_bound_groups(work.tx)
    members = await registry.find_memberships(work, groups, device_ids)
    units = [
        msgspec.structs.replace(unit, groups=frozenset(group for group in groups if unit.id in members[group]))
        for unit in units
    ]
    bindings = await store.select_bound(work.tx, sorted(_targets(units)))
    by_target: dict[tuple[TargetType, UUID], list[Any]] = {}
    for bound in bindings:
        by_target.setdefault((bound.target_type, bound.target_id), []).append(bound)
    return {
        unit.id: assemble(unit, [bound for target in _targets([unit]) for bound in by_target.get(target, ())])
        for unit in units
    }


def _targets(units: Sequence[Unit]) -> set[tuple[TargetType, UUID]]:
    """All that can be bound to so that it means one of these."""
    found: set[tuple[TargetType, UUID]] = set()
    for unit in units:
        found.add((TargetType.DEVICE, unit.id))
        found.update((TargetType.DEVICE_GROUP, group) for group in unit.groups)
        if unit.profile_id is not None:
            found.add((TargetType.DEVICE_PROFILE, unit.profile_id))
        for part in unit.parts:
            found.add((TargetType.COMPONENT, part.id))
            found.add((TargetType.SENSOR_PROFILE, part.profile_id))
    return found


def _renew(work: Work, document: Document, before: Sequence[Entry], wanted: Sequence[Wanted]) -> list[Entry]:
    """The entries as they shall be; what stays as it is is the same object."""
    known = {entry.key: entry for entry in before}
    said = {report.key: report for report in document.reported}
    return [_entry(work, document.device_id, each, known.get(each.key), said.get(each.key)) for each in wanted]


def _entry(work: Work, device_id: DeviceId, each: Wanted, old: Entry | None, said: ReportedEntry | None) -> Entry:
    bound = each.bound
    new = Entry(
        id=old.id if old else new_id(),
        device_id=device_id,
        component_id=each.part.id if each.part else None,
        component_key=each.key[0],
        artefact_name=bound.artefact_name,
        binding_id=bound.binding_id,
        target_type=bound.target_type,
        target_id=bound.target_id,
        artefact_id=bound.artefact_id,
        desired_version=bound.desired_version,
        hash=bound.hash,
        status=settle(bound.hash, bound.desired_version, said),
        reported_version=said.version if said else None,
        reported_hash=said.hash if said else None,
        reported_at=said.at if said else None,
        message=said.message if said else None,
        updated_at=old.updated_at if old else work.now(),
    )
    return old if old == new else msgspec.structs.replace(new, updated_at=work.now())


async def _write(work: Work, outcomes: Sequence[Outcome]) -> None:
    added: list[Entry] = []
    changed: list[Entry] = []
    removed: list[Entry] = []
    touched = set()
    for outcome in outcomes:
        old = {entry.id: entry for entry in outcome.before}
        new = {entry.id: entry for entry in outcome.after}
        for id_ in old.keys() | new.keys():
            before, after = old.get(id_), new.get(id_)
            if before is after:
                continue
            touched |= {entry.binding_id for entry in (before, after) if entry is not None}
            if after is None:
                removed.append(old[id_])
            else:
                (added if before is None else changed).append(after)
    await store.delete_entries(work.tx, [entry.id for entry in removed])
    await store.update_entries(work.tx, [(work.tenant_id, entry) for entry in changed])
    await store.insert_entries(work.tx, added)
    await binding_store.fold_tallies(work.tx, [(work.tenant_id, binding_id) for binding_id in touched])
