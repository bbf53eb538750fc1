"""How devices follow their blueprints: an attribute that is added is a sensor that they have."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core import types
from roadstead.core.operation import operation
from roadstead.core.registry.device_types import follow_device_type
from roadstead.core.types import (
    Attribute,
    AttributeChange,
    AttributeDraft,
    AttributeType,
    Blueprint,
    BlueprintChange,
    DeviceTypeChange,
)
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid
from roadstead.kernel.ids import TypeId, new_id, to_base62


@operation(Grant.PROFILES_WRITE)
async def change_blueprint(work: Work, name: str, change: BlueprintChange) -> Blueprint:
    """Change name, alias, description, kind and notes of one that was made as a blueprint."""
    before = await types.lock_blueprint(work, name)
    told = DeviceTypeChange(name=change.name, description=change.description)
    if told.sent():
        await follow_device_type(work, before.id, told)
    after = await types.rewrite_blueprint(work, before, change)
    return await types.load_blueprint(work, to_base62(after.id))


@operation(Grant.PROFILES_WRITE)
async def create_attributes(work: Work, name: str, drafts: Sequence[AttributeDraft]) -> list[Attribute]:
    """Add attributes to a blueprint; its devices get the sensors.

    A relation makes an attribute of the children's blueprint as well. `Conflict` when a path is taken or lies within
    a value, or (`profile-mismatch`) when a device has reported a value of another type there.
    """
    blueprint = await types.lock_blueprint(work, name)
    others = (await types.attributes_of(work, [blueprint.id]))[blueprint.id]
    made: list[Attribute] = []
    for draft in drafts:
        draft.check()
        types.check_room(draft, [*others, *made])
        made.append(await _create(work, blueprint, draft))
    if any(attribute.has_value for attribute in made):
        await _follow(work, blueprint.id)
    return made


@operation(Grant.PROFILES_WRITE)
async def change_attribute(work: Work, attribute_id: UUID, change: AttributeChange) -> Attribute:
    """Change an attribute; path, type and unit stay as they are."""
    attribute = await types.load_attribute(work, attribute_id)
    await types.lock_blueprint(work, to_base62(attribute.blueprint_id))
    attribute = await types.load_attribute(work, attribute_id)
    after = await types.rewrite_attribute(work, attribute, change)
    if after.has_value:
        await _follow(work, after.blueprint_id)
    return after


@operation(Grant.PROFILES_WRITE)
async def delete_attribute(work: Work, attribute_id: UUID) -> None:
    """Delete an attribute; what devices have reported stays. A relation goes from both blueprints, and with it the
    relations between their devices.
    """
    attribute = await types.load_attribute(work, attribute_id)
    await types.lock_blueprint(work, to_base62(attribute.blueprint_id))
    if attribute.inverse_of is not None:
        attribute = await types.load_attribute(work, attribute.inverse_of)
    await types.remove_attribute(work, attribute)
    if attribute.has_value:
        await _follow(work, attribute.blueprint_id)


async def _create(work: Work, blueprint: Blueprint, draft: AttributeDraft) -> Attribute:
    now = work.now()
    fields = {name: getattr(draft, name) for name in AttributeDraft.__struct_fields__}
    attribute = Attribute(
        id=new_id(), blueprint_id=blueprint.id, inverse_of=None, created_at=now, updated_at=now, **fields
    )
    if attribute.target_id is not None:
        await _check_target(work, attribute.target_id)
    await types.store_attribute(work, attribute)
    if attribute.is_relation:
        await _add_inverse(work, blueprint, attribute)
    return attribute


async def _follow(work: Work, blueprint_id: TypeId) -> None:
    attributes = (await types.attributes_of(work, [blueprint_id]))[blueprint_id]
    await follow_device_type(work, blueprint_id, DeviceTypeChange(sections=types.sections_from(attributes)))


async def _check_target(work: Work, target_id: TypeId) -> None:
    target = await types.find_blueprint(work, to_base62(target_id))
    if target is None:
        raise Invalid.field("/targetBlueprintId", "there is no such blueprint")
    if not target.defined:
        raise Invalid.field("/targetBlueprintId", f"'{target.name}' was not made as a blueprint")


async def _add_inverse(work: Work, parent: Blueprint, attribute: Attribute) -> None:
    """The child's end, at the alias of the parents' blueprint, or beside it when something else is there."""
    child_id = attribute.target_id
    if child_id is None:
        return
    taken = {each.path for each in (await types.attributes_of(work, [child_id]))[child_id]}
    alias = parent.alias or "parent"
    beside = alias + "".join(step[:1].upper() + step[1:] for step in attribute.steps)
    path = next((path for path in (alias, beside) if path not in taken), None)
    if path is None:
        raise Conflict(f"path: the blueprint of the children has attributes '{alias}' and '{beside}' already")
    inverse = msgspec.structs.replace(
        attribute,
        id=new_id(),
        blueprint_id=child_id,
        path=path,
        name=parent.name,
        type=AttributeType.PARENT,
        target_id=parent.id,
        inverse_of=attribute.id,
        forward_data=False,
        notes={},
    )
    await types.store_attribute(work, inverse)
