"""What can be done with relations: that devices belong to others in the sense of an attribute of their blueprint."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.messages import DeviceChanged
from roadstead.core.operation import operation
from roadstead.core.registry import relation_store
from roadstead.core.registry.devices import add_device, load_device
from roadstead.core.registry.model import Device, DeviceDraft
from roadstead.core.registry.relation_store import OnlyChild
from roadstead.core.types import Attribute, RelationKind
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import Exists, Filter, In
from roadstead.kernel.ids import DeviceId

_ONE_CHILD = (RelationKind.ONE_TO_ONE, RelationKind.MANY_TO_ONE)
_ONE_PARENT = (RelationKind.ONE_TO_ONE, RelationKind.ONE_TO_MANY)


class Relation(msgspec.Struct, frozen=True):
    """That a device is the child of another; for the audit log."""

    attribute_id: UUID
    parent_id: DeviceId
    child_id: DeviceId


def related(attribute: Attribute, parent_ids: Sequence[DeviceId] | None) -> Filter:
    """The children of these devices, or with None of any."""
    field = ("relation", str(attribute.id))
    return Exists(field) if parent_ids is None else In(field, tuple(parent_ids))


@operation(Grant.DEVICES_READ)
async def find_children(work: Work, attribute: Attribute, parent_ids: Sequence[DeviceId]) -> list[DeviceId]:
    """The children of all these devices, each once."""
    return await relation_store.select_children(work.tx, attribute.id, parent_ids)


@operation(Grant.DEVICES_READ)
async def is_child(work: Work, attribute: Attribute, parent_id: DeviceId, child_id: DeviceId) -> bool:
    """Whether a device is the child of another."""
    return await relation_store.has_relation(work.tx, attribute.id, parent_id, child_id)


@operation(Grant.DEVICES_READ)
async def list_only_children(work: Work, parent_ids: Sequence[DeviceId]) -> list[OnlyChild]:
    """What these devices have by one-to-one relations."""
    return await relation_store.select_only_children(work.tx, parent_ids)


@operation(Grant.DEVICES_WRITE)
async def create_child(work: Work, attribute: Attribute, parent_id: DeviceId, draft: DeviceDraft) -> Device:
    """Add a device in the space of another, and make it its child. `Conflict` when that has its only one."""
    parent = await load_device(work, parent_id)
    child = await add_device(
        work, msgspec.structs.replace(draft, type_id=attribute.target_id, space_id=parent.space_id)
    )
    await link_child(work, attribute, parent_id, child.id, force=False)
    return child


@operation(Grant.DEVICES_WRITE)
async def link_child(work: Work, attribute: Attribute, parent_id: DeviceId, child_id: DeviceId, *, force: bool) -> None:
    """Make a device the child of another; nothing happens when it is.

    `Conflict` when it may have no other parent, or the parent no other child; with `force` that relation ends.
    """
    one_child, one_parent = attribute.relationship in _ONE_CHILD, attribute.relationship in _ONE_PARENT
    if parent_id == child_id:
        raise Invalid.field("/id", "a device is not its own child")
    await _check_ends(work, attribute, parent_id, child_id, one_child=one_child, one_parent=one_parent)
    if force:
        for parent, child in await relation_store.delete_in_the_way(work.tx, attribute.id, parent_id, child_id):
            _tell_unlinked(work, Relation(attribute.id, parent, child))
    relation = Relation(attribute.id, parent_id, child_id)
    made = await relation_store.insert_relation(
        work.tx, attribute.id, parent_id, child_id, one_child=one_child, one_parent=one_parent, at=work.now()
    )
    if made:
        work.record("relation.create", child_id, after=relation)
        _tell(work, relation)
    elif not await relation_store.has_relation(work.tx, attribute.id, parent_id, child_id):
        raise Conflict(f"id: '{attribute.path}' is taken: the child has another parent, or the parent another child")


@operation(Grant.DEVICES_WRITE)
async def unlink_child(work: Work, attribute: Attribute, parent_id: DeviceId, child_id: DeviceId) -> None:
    """End a relation; both devices stay. `NotFound` when there is none."""
    if not await relation_store.delete_relation(work.tx, attribute.id, parent_id, child_id):
        raise NotFound("device", child_id)
    _tell_unlinked(work, Relation(attribute.id, parent_id, child_id))


async def _check_ends(
    work: Work, attribute: Attribute, parent_id: DeviceId, child_id: DeviceId, *, one_child: bool, one_parent: bool
) -> None:
    """Whoever may have one relation only is locked: two that are made at once wait for each other."""
    locked = [end for end, alone in ((parent_id, one_child), (child_id, one_parent)) if alone]
    ends = await relation_store.lock_ends(work.tx, locked) if locked else {}
    others = [end for end in (parent_id, child_id) if end not in locked]
    ends |= await relation_store.hold_ends(work.tx, others) if others else {}
    parent, child = ends.get(parent_id), ends.get(child_id)
    if parent is None or parent.kind_id != attribute.blueprint_id:
        raise NotFound("device", parent_id)
    if child is None or child.space_id != parent.space_id:
        raise NotFound("device", child_id)
    if child.kind_id != attribute.target_id:
        raise Invalid.field("/id", f"is no device of the blueprint that '{attribute.path}' leads to")


def _tell_unlinked(work: Work, relation: Relation) -> None:
    work.record("relation.delete", relation.child_id, before=relation)
    _tell(work, relation)


def _tell(work: Work, relation: Relation) -> None:
    work.emit(DeviceChanged(relation.parent_id))
    work.emit(DeviceChanged(relation.child_id))
