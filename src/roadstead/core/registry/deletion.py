"""How devices go, and come back while they are kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from roadstead.core import files
from roadstead.core.messages import DeviceChanged, DeviceCreated, DeviceDeleted, SessionsRevoked
from roadstead.core.operation import operation
from roadstead.core.ports import Blobs, TelemetryStore
from roadstead.core.registry import deleted_store, device_store
from roadstead.core.registry.attributes import find_attributes
from roadstead.core.registry.classes import load_surroundings
from roadstead.core.registry.deleted_model import DeletedDevice, Shown, Snapshot
from roadstead.core.registry.devices import load_device, mark_name
from roadstead.core.registry.model import Device, DeviceStatus
from roadstead.core.registry.search import within_reach
from roadstead.core.work import Work, check_version
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.DEVICES_READ)
async def list_deleted_devices(
    work: Work, where: Filter, *, sort: str | None = None, page: PageQuery
) -> Page[DeletedDevice]:
    """Devices that were deleted and may come back, sorted by called, id, createdAt, updatedAt, deletedAt."""
    return await deleted_store.list_deleted(work.tx, within_reach(work, where), sort, page)


@operation(Grant.DEVICES_READ)
async def pick_deleted_devices(work: Work, where: Filter, *, limit: int) -> list[DeviceId]:
    """The first so many, by id, of the deleted devices that a filter is true for."""
    return await deleted_store.select_deleted_ids(work.tx, where, limit=limit)


@operation(Grant.DEVICES_WRITE)
async def delete_device(work: Work, device_id: DeviceId, *, purge: bool, expected: int | None) -> None:
    """Delete a device and cut its sessions; its certificates are revoked. With `purge` its readings go as well.

    Without, it may be restored for a while. `Conflict` (`in-use`) while it speaks for others.
    """
    device = await _lock(work, device_id)
    check_version(device.version, expected)
    if await device_store.has_children(work.tx, device_id):
        raise Conflict("other devices are connected by this one", code="in-use")
    if not purge:
        await _keep(work, device, [], purges=False)
    await _delete(work, device, purge=purge)


@operation(Grant.DEVICES_WRITE)
async def discard_device(work: Work, device_id: DeviceId) -> None:
    """Delete a device, which may be restored for a while; its readings go when that is over.

    Devices below it and those it speaks for stay, and have neither parent nor gateway.
    """
    device = await _lock(work, device_id)
    now = work.now()
    peripherals = await deleted_store.release_peripherals(work.tx, device_id, now)
    await _keep(work, device, peripherals, purges=True)
    await _delete(work, device, purge=False)
    for peripheral_id in peripherals:
        work.emit(DeviceChanged(peripheral_id))


@operation(Grant.DEVICES_WRITE)
async def restore_device(work: Work, device_id: DeviceId) -> Device:
    """Bring a deleted device back: with its id, its tags, attributes and readings. Its sessions begin anew.

    What is not there any more is left out: its parent, its gateway, its site, its profile. Names that others have taken
    by now stay with them.
    """
    snapshot = await deleted_store.lock_snapshot(work.tx, device_id)
    if snapshot is None:
        raise NotFound("device", device_id)
    rows = dict(snapshot.rows)
    rows["device"] = [await _revived(work, snapshot.deleted.device, rows["device"][0])]
    profiles = [component["sensor_profile_id"] for component in rows.get("component", ())]
    there = {str(id_) for id_ in await deleted_store.select_ids_there(work.tx, "sensor_profile", profiles)}
    rows["component"] = [each for each in rows.get("component", ()) if each["sensor_profile_id"] in there]
    components = {component["id"] for component in rows["component"]}
    rows["sensor"] = [
        sensor | {"component_id": sensor["component_id"] if sensor["component_id"] in components else None}
        for sensor in rows.get("sensor", ())
    ]
    await device_store.lock_tree(work.tx, "device")
    await device_store.lock_tree(work.tx, "gateway")
    await deleted_store.insert_rows(work.tx, rows)
    changed = await deleted_store.take_back(work.tx, device_id, snapshot, work.now())
    await deleted_store.delete_snapshot(work.tx, device_id)
    device = await load_device(work, device_id)
    work.record("device.restore", device_id, after=device)
    work.emit(DeviceCreated(device_id))
    for other_id in changed:
        work.emit(DeviceChanged(other_id))
    return device


async def forget_deleted(database: Database, telemetry: TelemetryStore, blobs: Blobs, *, days: int, most: int) -> int:
    """Devices that were deleted longer ago cannot be restored any more; says how many of them went, at most so many.

    For the system duty. What was discarded loses its readings now. Doing it twice does no harm.
    """
    before = time.now() - timedelta(days=days)
    async with database.tx() as tx:
        due = await deleted_store.lock_due(tx, before, most=most)
        for tenant, device_id, purges in due:
            if purges:
                await telemetry.delete(TenantId(tenant), device_id, None, None)
                await files.delete_values(tx, blobs, TenantId(tenant), device_id)
        await deleted_store.delete_due(tx, [(tenant, device_id) for tenant, device_id, _ in due])
    return len(due)


async def _lock(work: Work, device_id: DeviceId) -> Device:
    await device_store.lock_states(work.tx, [device_id])
    device = await device_store.lock_device(work.tx, device_id)
    if device is None:
        raise NotFound("device", device_id)
    return device


async def _keep(work: Work, device: Device, peripherals: list[DeviceId], *, purges: bool) -> None:
    surroundings = await load_surroundings(work, [device])
    deleted = DeletedDevice(
        id=device.id,
        shown=Shown(device=device, attributes=(await find_attributes(work, [device.id]))[device.id]),
        device_class=surroundings.class_of(device),
        ancestor_ids=surroundings.ancestors(device),
        deleted_at=work.now(),
    )
    snapshot = Snapshot(
        deleted=deleted,
        rows=await deleted_store.select_rows(work.tx, device.id),
        child_ids=await deleted_store.select_children(work.tx, device.id),
        peripheral_ids=peripherals,
        purges=purges,
    )
    await deleted_store.insert_deleted(work.tx, snapshot)


async def _delete(work: Work, device: Device, *, purge: bool) -> None:
    await device_store.delete_device(work.tx, device.id, work.now())
    work.record("device.delete", device.id, before=device)
    work.emit(SessionsRevoked(device.id, None, "the device was deleted"))
    work.emit(DeviceDeleted(device.id, purge))


async def _revived(work: Work, device: Device, row: Mapping[str, Any]) -> dict[str, Any]:
    """Its row, without what is not there any more or somebody else's by now."""
    fields: dict[str, Any] = {
        "online": False,
        "online_gateway": None,
        "online_session": None,
        "status": DeviceStatus.OFFLINE if device.online and device.status is DeviceStatus.ACTIVE else device.status,
        "updated_at": work.now().isoformat(),
        "version": device.version + 1,
    }
    if device.online:
        fields["disconnected_at"] = fields["updated_at"]
    for column, table in _NEIGHBOURS.items():
        id_ = getattr(device, column)
        if id_ is not None and not await deleted_store.select_ids_there(work.tx, table, [id_]):
            fields[column] = None
    if await device_store.is_name_taken(work.tx, device.space_id, device.name, None):
        called = device.title or device.name
        fields |= {"name": mark_name(called), "title": called}
    if device.external_id and await device_store.is_external_id_taken(work.tx, device.external_id, None):
        fields["external_id"] = None
    return {**row, **fields}


_NEIGHBOURS = {
    "profile_id": "device_profile",
    "type_id": "device_type",
    "site_id": "site",
    "parent_id": "device",
    "gateway_id": "device",
}
