"""Keeping documents right: what calls for devices to be worked out, and doing so in batches.

A batch is one transaction. It holds the row of the sweep, so no other worker is at it, and writes down how far it has
come together with what it did: a worker that dies leaves nothing half done and nothing forgotten.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from roadstead.core import registry
from roadstead.core.configuration import binding_store
from roadstead.core.configuration import sweep_store as store
from roadstead.core.configuration.documents import work_out
from roadstead.core.configuration.model import Binding, BindingId, TargetType
from roadstead.core.configuration.sweep_store import Sweep, SweepKind
from roadstead.core.downlinks import CONFIGURATION
from roadstead.core.messages import (
    AnyFact,
    DeviceChanged,
    DeviceCreated,
    DownlinkQueued,
    Fact,
    GroupChanged,
    SensorsChanged,
    SitesChanged,
)
from roadstead.core.ports import Ports
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.ids import DeviceId, GroupId, TenantId, new_id

BATCH = 500
_LONGEST_PAUSE_S = 300.0
_TALLIES_AT_ONCE = 1_000


class Batch(msgspec.Struct, frozen=True):
    """What one batch has done."""

    examined: int
    changed: int


# --- what calls for it -----------------------------------------------------------------------------------------------


async def sweep_targets(work: Work, target_type: TargetType, target_id: UUID) -> None:
    """All devices that a target means are to be worked out."""
    await store.insert_sweep(work.tx, targets_of(work, target_type, target_id), work.now())


async def sweep_holders(work: Work, binding: Binding, *, resend: bool = False) -> None:
    """All devices with an entry of a binding are to be worked out, or sent their documents again."""
    await store.insert_sweep(work.tx, holders_of(work, binding, resend=resend), work.now())


def targets_of(work: Work, target_type: TargetType, target_id: UUID) -> Sweep:
    """A sweep through all devices that a target means."""
    return Sweep(
        tenant_id=work.tenant_id, id=new_id(), kind=SweepKind.TARGETS, target_type=target_type, target_id=target_id
    )


def holders_of(work: Work, binding: Binding, *, resend: bool = False) -> Sweep:
    """A sweep through all devices with an entry of a binding; for `resend` those that have not accepted it."""
    kind = SweepKind.RESEND if resend else SweepKind.HOLDERS
    return Sweep(tenant_id=work.tenant_id, id=new_id(), kind=kind, binding_id=binding.id)


async def walk(work: Work, sweep: Sweep, most: int) -> list[DeviceId]:
    """The next devices of a sweep."""
    return (await _walk(work, sweep, most))[0]


NOTED: tuple[type[Fact], ...] = (DeviceCreated, DeviceChanged, SensorsChanged, GroupChanged, SitesChanged)
"""What `note_facts` looks at."""


async def note_facts(tx: Tx, facts: Iterable[tuple[TenantId, AnyFact]]) -> None:
    """Mark what these facts call for. Told twice, it is worked out twice and comes out the same."""
    devices: dict[TenantId, set[DeviceId]] = {}
    groups: dict[TenantId, set[GroupId]] = {}
    sited: set[TenantId] = set()
    for tenant, fact in facts:
        match fact:
            case DeviceCreated(device_id) | DeviceChanged(device_id) | SensorsChanged(device_id):
                devices.setdefault(tenant, set()).add(device_id)
            case GroupChanged(group_id):
                groups.setdefault(tenant, set()).add(group_id)
            case SitesChanged():
                sited.add(tenant)
    concerned = devices.keys() | groups.keys() | sited
    if not concerned:
        return
    for tenant in await store.select_tenants_bound(tx, list(concerned)):
        if tenant in devices:
            await store.insert_due(tx, tenant, devices[tenant])
        if tenant in groups:
            await _sweep_groups(tx, tenant, await store.select_group_bindings(tx, tenant, list(groups[tenant])))
        if tenant in sited:
            await _sweep_groups(tx, tenant, await store.select_group_bindings(tx, tenant, None))


async def _sweep_groups(tx: Tx, tenant: TenantId, bindings: Sequence[tuple[GroupId, BindingId]]) -> None:
    """Those who have left a group hold its entries, those who have come do not."""
    sweeps = [
        Sweep(tenant_id=tenant, id=new_id(), kind=SweepKind.HOLDERS, binding_id=binding_id)
        for _, binding_id in bindings
    ]
    sweeps += [
        Sweep(
            tenant_id=tenant,
            id=new_id(),
            kind=SweepKind.TARGETS,
            target_type=TargetType.DEVICE_GROUP,
            target_id=group_id,
        )
        for group_id in dict.fromkeys(group_id for group_id, _ in bindings)
    ]
    for sweep in sweeps:
        await store.insert_sweep(tx, sweep, time.now())


async def sweep_everything(tx: Tx) -> None:
    """Facts were lost: whatever may have changed is worked out anew."""
    for tenant in await store.select_tenants_bound(tx):
        everybody = Sweep(tenant_id=tenant, id=new_id(), kind=SweepKind.EVERYBODY)
        await store.insert_sweep(tx, everybody, time.now())
        for target_type, target_id in await store.select_class_targets(tx, tenant):
            sweep = Sweep(
                tenant_id=tenant, id=new_id(), kind=SweepKind.TARGETS, target_type=target_type, target_id=target_id
            )
            await store.insert_sweep(tx, sweep, time.now())


# --- doing it --------------------------------------------------------------------------------------------------------


async def work_marks(tx: Tx, ports: Ports, *, after: int, most: int = BATCH) -> tuple[TenantId, Batch] | None:
    """Work out a batch of devices that were marked one by one, of the next tenant after another; None: none is."""
    tenant = await store.next_tenant_due(tx, after)
    if tenant is None:
        return None
    work = await _as_system(tx, ports, tenant)
    device_ids = await store.take_due(tx, tenant, most)
    if work is None or not device_ids:
        return tenant, Batch(0, 0)
    outcomes = await work_out(work, device_ids)
    return tenant, Batch(len(device_ids), sum(outcome.is_changed for outcome in outcomes))


async def lock_sweep(tx: Tx) -> Sweep | None:
    """The sweep whose turn it is, held until the transaction ends."""
    return await store.lock_due_sweep(tx)


async def work_sweep(tx: Tx, ports: Ports, sweep: Sweep, *, most: int = BATCH) -> Batch:
    """Do the next batch of a sweep that is held; at its end the sweep goes."""
    work = await _as_system(tx, ports, sweep.tenant_id)
    if work is None:
        return Batch(0, 0)
    if sweep.position is None:
        await store.drop_alike(tx, sweep)
    device_ids, position = await _walk(work, sweep, most)
    changed = 0
    if sweep.kind is SweepKind.RESEND:
        device_ids = await store.forget_sent(tx, sorted(set(device_ids)))
        if device_ids:
            work.emit(DownlinkQueued(CONFIGURATION, device_ids))
    else:
        outcomes = await work_out(work, list(dict.fromkeys(device_ids)))
        changed = sum(outcome.is_changed for outcome in outcomes)
    if position is None:
        await store.delete_sweep(tx, sweep)
    else:
        await store.advance_sweep(tx, sweep, position)
    return Batch(len(device_ids), changed)


async def postpone(tx: Tx, sweep: Sweep) -> None:
    """A batch of it failed: it is tried again later, ever later."""
    pause_s = min(2.0**sweep.attempts, _LONGEST_PAUSE_S)
    await store.postpone_sweep(tx, sweep, timedelta(seconds=pause_s))


async def tidy_tallies(tx: Tx) -> int:
    """Fold what whoever changed entries left to be folded; says how many bindings were looked at."""
    bindings = await binding_store.select_tallied(tx, _TALLIES_AT_ONCE)
    if bindings:
        await binding_store.fold_tallies(tx, bindings)
        await binding_store.clear_tallies(tx, bindings)
    return len(bindings)


async def _as_system(tx: Tx, ports: Ports, tenant: TenantId) -> Work | None:
    organizations = await store.select_organizations(tx, [tenant])
    if tenant not in organizations:
        return None
    tx.tenant = tenant
    return Work(system_actor(tenant, organizations[tenant], name="configuration"), tx, ports)


async def _walk(work: Work, sweep: Sweep, most: int) -> tuple[list[DeviceId], list[str] | None]:
    """The next devices, and how far that is; None: it was the last of them."""
    position = sweep.position
    last = UUID(position[-1]) if position else None
    match sweep.kind, sweep.target_type:
        case SweepKind.HOLDERS | SweepKind.RESEND, _:
            unaccepted = sweep.kind is SweepKind.RESEND
            binding_id = sweep.binding_id or BindingId(UUID(int=0))
            entries = await store.walk_holders(work.tx, binding_id, last, most, unaccepted=unaccepted)
            return [device for _, device in entries], [str(entries[-1][0])] if len(entries) == most else None
        case SweepKind.EVERYBODY, _:
            found = await store.walk_documents(work.tx, last, most)
        case _, TargetType.SENSOR_PROFILE if sweep.target_id is not None:
            found = await store.walk_sensor_profile(work.tx, sweep.target_id, last, most)
        case _ if sweep.target_id is not None:
            after = (position[0], DeviceId(UUID(position[1]))) if position else None
            named = await _walk_named(work, sweep, sweep.target_id, after, most)
            end = [named[-1][0], str(named[-1][1])] if len(named) == most else None
            return [device for _, device in named], end
        case _:
            found = []
    return found, [str(found[-1])] if len(found) == most else None


async def _walk_named(
    work: Work, sweep: Sweep, target_id: UUID, after: tuple[str, DeviceId] | None, most: int
) -> list[tuple[str, DeviceId]]:
    if sweep.target_type is TargetType.DEVICE_GROUP:
        return await registry.walk_members(work, GroupId(target_id), after=after, most=most)
    return await store.walk_profile(work.tx, target_id, after, most)
