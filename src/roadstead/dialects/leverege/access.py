"""Who may do what where: what every route asks before it does anything (contract section 6).

How to ask. `work` comes from `edge.py` and knows what the caller may do (`core/access`); that is looked up once per
request.

- About one thing: `await check(work, "device.readData", device_id=device.id)`. Say `system_id` and `blueprint_id` too
  when they are at hand, it saves a query. About a system: `check(work, "timer.create", system_id=space.id)`; about the
  project: `check(work, "blueprint.create")`. Permissions are `module.name`, all of them in `access.PERMISSIONS`.
- Before a list of devices, a search or a count: `await visible_devices(work)`, a filter to be and-ed to the caller's
  own, or None when they may see all. Without a binding it is `NOTHING`: answer an empty list.
- Before a list of systems: `allowed_systems(work)`, ids of systems, or None for all.
- Before data is written: `await check_data(work, device, paths)`, paths as `foo/bar`.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from roadstead.core import access, registry, types
from roadstead.core.access import HeldRole, Resource, ResourceType, Standing
from roadstead.core.registry import Device
from roadstead.core.work import Work
from roadstead.kernel.errors import Forbidden, NotFound
from roadstead.kernel.filter import EVERYTHING, NOTHING, And, Filter, In, Or, equals
from roadstead.kernel.ids import DeviceId, TypeId, parse_base62, to_base62

_READS = "device.read"


async def check(
    work: Work,
    permission: str,
    *,
    system_id: UUID | None = None,
    device_id: UUID | None = None,
    blueprint_id: UUID | None = None,
) -> None:
    """Raises `Forbidden`, or `NotFound` for a system or device that the caller may not even read."""
    if await may(work, permission, system_id=system_id, device_id=device_id, blueprint_id=blueprint_id):
        return
    if device_id is not None and not await may(
        work, _READS, system_id=system_id, device_id=device_id, blueprint_id=blueprint_id
    ):
        raise NotFound("device", device_id)
    seen = allowed_systems(work)
    if device_id is None and system_id is not None and seen is not None and system_id not in seen:
        raise NotFound("system", system_id)
    raise Forbidden(f"this needs the permission '{permission}'", code="scope-missing")


async def may(
    work: Work,
    permission: str,
    *,
    system_id: UUID | None = None,
    device_id: UUID | None = None,
    blueprint_id: UUID | None = None,
) -> bool:
    """Whether the caller has a permission on a device, in a system or, when neither is named, in the project.

    One on devices may also be held for a blueprint, or for the children in a relation. Raises `NotFound` for a device
    that is not there.
    """
    if permission not in access.PERMISSIONS:
        raise ValueError(f"there is no permission '{permission}'")
    return await has(work, permission, system_id=system_id, device_id=device_id, blueprint_id=blueprint_id)


async def has(
    work: Work,
    permission: str,
    *,
    system_id: UUID | None = None,
    device_id: UUID | None = None,
    blueprint_id: UUID | None = None,
) -> bool:
    """`may` for permissions that are not the program's as well."""
    places = [access.project_of(work)]
    if access.is_held(work, {permission}, places):
        return True
    standing = access.standing_of(work)
    if standing is None or not standing.held:
        return False
    if device_id is not None and (system_id is None or blueprint_id is None):
        device = await registry.load_device(work, DeviceId(device_id))
        system_id, blueprint_id = device.space_id, device.shown_type(work.actor.organization_id)
    if system_id is not None:
        places.append(Resource(ResourceType.SYSTEM, system_id))
    if device_id is not None:
        places.append(Resource(ResourceType.DEVICE, device_id))
    if access.is_held(work, _spellings(permission, blueprint_id), places):
        return True
    return device_id is not None and await _may_by_relation(work, standing, permission, DeviceId(device_id))


async def check_at(work: Work, permission: str, resource: Resource) -> None:
    """`check` for whatever it is that roles are held on."""
    match resource.type:
        case ResourceType.PROJECT:
            await check(work, permission)
        case ResourceType.SYSTEM:
            await check(work, permission, system_id=resource.id)
        case ResourceType.DEVICE:
            await check(work, permission, device_id=resource.id)


async def check_data(work: Work, device: Device, paths: Iterable[str]) -> None:
    """That the caller may write at these paths: anywhere with updateAnyData, what attributes there are with updateData.

    Raises like `check`, and `Forbidden` that names the first path that no attribute of the blueprint has.
    """
    blueprint_id = device.shown_type(work.actor.organization_id)
    where = {"system_id": device.space_id, "device_id": device.id, "blueprint_id": blueprint_id}
    if await may(work, "device.updateAnyData", **where):
        return
    await check(work, "device.updateData", **where)
    attributes = (await types.attributes_of(work, [blueprint_id]))[blueprint_id]
    known = {attribute.path for attribute in attributes if attribute.has_value}
    for path in paths:
        steps = path.split("/")
        if known.isdisjoint("/".join(steps[:length]) for length in range(1, len(steps) + 1)):
            message = f"'{path}' is no attribute of the blueprint; this needs the permission 'device.updateAnyData'"
            raise Forbidden(message, code="scope-missing")


def allowed_systems(work: Work, permission: str = "system.read") -> Collection[UUID] | None:
    """The systems on which the caller has a permission, or None for all."""
    if access.is_permitted(work, permission):
        return None
    standing = access.standing_of(work)
    if standing is None:
        return ()
    places = standing.places({permission})
    if access.project_of(work) in places:
        return None
    return {place.id for place in places if place.type is ResourceType.SYSTEM}


async def visible_devices(work: Work, permission: str = _READS) -> Filter | None:
    """What the caller may see of the devices, in terms of `registry.list_devices`; None: all of them."""
    if access.is_permitted(work, permission):
        return None
    standing = access.standing_of(work)
    if standing is None:
        return NOTHING
    parts: list[Filter] = []
    for held in standing.held:
        place = _within(held)
        if held.permits({permission}):
            parts.append(place)
            continue
        blueprints = _blueprints_with(held, permission)
        if blueprints:
            parts.append(And((place, In(("type",), tuple(blueprints)))))
    parts += await _children(work, standing, permission)
    return None if EVERYTHING in parts else Or(tuple(parts))


async def _may_by_relation(work: Work, standing: Standing, permission: str, device_id: DeviceId) -> bool:
    children = await _children(work, standing, permission)
    return bool(children) and bool(await registry.pick_devices(work, Or(tuple(children)), [device_id]))


async def _children(work: Work, standing: Standing, permission: str) -> list[Filter]:
    """The devices on which it is held because of what they are to another: `read/rooms` of a blueprint."""
    module, _, verb = permission.partition(".")
    if module != access.DEVICE:
        return []
    found: list[Filter] = []
    for held in standing.held:
        for one in held.permissions:
            name, _, path = one.name.partition("/")
            blueprint_id = parse_base62(one.module)
            if name != verb or not path or blueprint_id is None:
                continue
            attribute = await types.relation_of(work, TypeId(blueprint_id), path)
            if attribute is None:
                continue
            if held.resource_type is ResourceType.DEVICE:
                found.append(registry.related(attribute, [DeviceId(held.resource_id)]))
            else:
                found.append(And((_within(held), registry.related(attribute, None))))
    return found


def _within(held: HeldRole) -> Filter:
    match held.resource_type:
        case ResourceType.PROJECT:
            return EVERYTHING
        case ResourceType.SYSTEM:
            return equals("spaceId", held.resource_id)
        case ResourceType.DEVICE:
            return equals("id", held.resource_id)


def _blueprints_with(held: HeldRole, permission: str) -> list[UUID]:
    module, _, name = permission.partition(".")
    if module != access.DEVICE:
        return []
    found = (parse_base62(one.module) for one in held.permissions if one.name == name)
    return [blueprint_id for blueprint_id in found if blueprint_id is not None]


def _spellings(permission: str, blueprint_id: UUID | None) -> set[str]:
    """A permission on devices and the same for the blueprint of one, or that of a blueprint and the same for all."""
    module, _, name = permission.partition(".")
    if module == access.DEVICE and blueprint_id is not None:
        return {permission, f"{to_base62(blueprint_id)}.{name}"}
    if blueprint_id is not None and module == to_base62(blueprint_id):
        return {permission, f"{access.DEVICE}.{name}"}
    return {permission}
