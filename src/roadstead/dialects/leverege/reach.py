"""Where an interface path leads in the core: a system, a blueprint, and those of its devices that are meant."""

import msgspec

from roadstead.core import registry, types
from roadstead.core.registry import Device, Space
from roadstead.core.types import Attribute
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check, visible_devices
from roadstead.dialects.leverege.devices import read_device_id
from roadstead.dialects.leverege.paths import ANY, Place
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import And, Filter, equals
from roadstead.kernel.ids import DeviceId, TypeId


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at the end of a path."""

    space: Space
    blueprint_id: TypeId
    """Of the devices at the end."""
    relation: Attribute | None
    """Of the last group; None when the path goes through none."""
    parent_id: DeviceId | None
    """Whose group it is; None: of any, or there is no group."""
    where: Filter
    """The devices at the end, whatever the caller may see of them: `within` says that."""

    async def within(self, work: Work, permission: str = "device.read") -> Filter:
        """Those of the devices at the end that the caller may see."""
        visible = await visible_devices(work, permission)
        return self.where if visible is None else And((self.where, visible))

    def owner(self) -> tuple[Attribute, DeviceId]:
        """The relation and the one parent of a group. Raises `Invalid` when it is not one parent's."""
        if self.relation is None or self.parent_id is None:
            raise Invalid(f"'{ANY}' is for reading: name the parent")
        return self.relation, self.parent_id


async def reach(work: Work, place: Place) -> Reach:
    """Follow a path. Raises `NotFound` where it does not go on: each object must be in the group before it."""
    space = await registry.load_space_called(work, place.system)
    blueprint = await types.load_blueprint(work, place.blueprint)
    found = Reach(
        space=space,
        blueprint_id=blueprint.id,
        relation=None,
        parent_id=None,
        where=And((equals("spaceId", space.id), equals("type", blueprint.id))),
    )
    parents: list[DeviceId] | None = None
    for name, path in place.way:
        relation = await types.relation_of(work, found.blueprint_id, path)
        if relation is None or relation.target_id is None:
            raise NotFound("relationship", path)
        if name != ANY:
            parents = [await _member(work, found, read_device_id(name))]
        elif parents is not None and found.relation is not None:
            parents = await registry.find_children(work, found.relation, parents)
        found = Reach(
            space=space,
            blueprint_id=relation.target_id,
            relation=relation,
            parent_id=None if name == ANY or not parents else parents[0],
            where=And((equals("spaceId", space.id), registry.related(relation, parents))),
        )
    return found


async def reach_device(work: Work, found: Reach, name: str, permission: str = "device.read") -> Device:
    """The device with this id at the end of a path, for a caller who has this permission on it."""
    if name == ANY:
        raise Invalid(f"'{ANY}' is for reading: name the device")
    device = await registry.load_device(work, await _member(work, found, read_device_id(name)))
    await check(
        work,
        permission,
        system_id=device.space_id,
        device_id=device.id,
        blueprint_id=device.shown_type(work.actor.organization_id),
    )
    return device


async def _member(work: Work, found: Reach, device_id: DeviceId) -> DeviceId:
    if device_id not in await registry.pick_devices(work, found.where, [device_id]):
        raise NotFound("device", device_id)
    return device_id
