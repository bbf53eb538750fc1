"""What can be done with blueprints; how their attributes change is for the registry, where the devices are.

Every device type and every version of a device profile that was made otherwise is shown as one, and the devices that
have neither as one more; these have no attributes of their own, and are read only.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import DeviceTypeChanged
from roadstead.core.operation import operation
from roadstead.core.types import blueprint_store, device_type_store
from roadstead.core.types.blueprint_model import (
    Attribute,
    AttributeChange,
    Blueprint,
    BlueprintChange,
    BlueprintDraft,
    alias_from,
    check_alias,
    check_choices,
    check_name,
    check_notes,
    sections_from,
)
from roadstead.core.types.derived_attributes import derived_attributes
from roadstead.core.types.device_type_model import DeviceTypeDraft, TypeOrigin
from roadstead.core.types.device_types import create_device_type, delete_device_type, load_device_types
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.ids import TypeId, parse_base62


@operation(Grant.PROFILES_READ)
async def list_blueprints(work: Work) -> list[Blueprint]:
    """All, oldest first; those that show something else too."""
    return await blueprint_store.select_blueprints(work.tx)


@operation(Grant.PROFILES_READ)
async def get_blueprint(work: Work, name: str) -> Blueprint:
    """The one with this id or alias."""
    return await load_blueprint(work, name)


@operation(Grant.PROFILES_READ)
async def get_attribute(work: Work, attribute_id: UUID) -> Attribute:
    """One attribute of a blueprint that was made as such."""
    return await load_attribute(work, attribute_id)


@operation(Grant.PROFILES_WRITE)
async def create_blueprint(work: Work, draft: BlueprintDraft) -> Blueprint:
    """Add a blueprint without attributes; `Conflict` when the alias is taken. One made from the name never is."""
    alias = draft.alias if draft.alias is not None else await _free_alias(work, alias_from(draft.name))
    check_alias(alias)
    check_notes(draft.notes)
    described = DeviceTypeDraft(name=draft.name, description=draft.description, sections=sections_from(()))
    type_ = await create_device_type(work, described)
    blueprint = Blueprint(
        id=type_.id,
        origin=TypeOrigin.DEFINED,
        defined=True,
        name=type_.name,
        description=type_.description,
        alias=alias,
        kind=draft.kind,
        notes=draft.notes,
        created_at=type_.created_at,
        updated_at=type_.updated_at,
    )
    if not await blueprint_store.insert_blueprint(work.tx, blueprint):
        raise Conflict.taken("blueprint", "alias", alias)
    work.record("blueprint.create", blueprint.id, after=blueprint)
    return blueprint


@operation(Grant.PROFILES_WRITE)
async def delete_blueprint(work: Work, name: str) -> Blueprint:
    """Delete one that no device has, with its relations; `Conflict` (`in-use`) for another."""
    blueprint = await lock_blueprint(work, name)
    if await device_type_store.is_type_used(work.tx, blueprint.id):
        raise Conflict(f"blueprint '{blueprint.name}' is in use: there are devices of it", code="in-use")
    for attribute in await blueprint_store.select_targeting(work.tx, blueprint.id):
        await blueprint_store.delete_attribute(work.tx, attribute.id)
        work.record("attribute.delete", attribute.id, before=attribute)
    for attribute in await blueprint_store.select_attributes(work.tx, [blueprint.id]):
        await blueprint_store.delete_attribute(work.tx, attribute.id)
    await delete_device_type(work, blueprint.id)
    work.record("blueprint.delete", blueprint.id, before=blueprint)
    return blueprint


# --- for the rooms above ---------------------------------------------------------------------------------------------


async def find_blueprint(work: Work, name: str) -> Blueprint | None:
    """The one with this id or alias, without asking for rights."""
    id_ = parse_base62(name)
    if id_ is not None:
        found = await blueprint_store.select_blueprint(work.tx, TypeId(id_))
        if found is not None:
            return found
    return await blueprint_store.select_blueprint_called(work.tx, name)


async def load_blueprint(work: Work, name: str) -> Blueprint:
    """The one with this id or alias, without asking for rights."""
    found = await find_blueprint(work, name)
    if found is None:
        raise NotFound("blueprint", name)
    return found


async def lock_blueprint(work: Work, name: str) -> Blueprint:
    """One that may change, and that nobody else changes until this transaction ends. Without asking for rights."""
    found = await load_blueprint(work, name)
    if not found.defined:
        raise Forbidden(f"blueprint '{found.name}' was not made as one and cannot be changed here")
    await device_type_store.lock_type(work.tx, found.id)
    return await load_blueprint(work, name)


async def made_as_blueprints(work: Work, type_ids: Sequence[TypeId]) -> set[TypeId]:
    """Those of these types that were made as blueprints, without asking for rights."""
    return await blueprint_store.select_defined(work.tx, list(type_ids))


async def attributes_of(work: Work, blueprint_ids: Sequence[TypeId]) -> dict[TypeId, list[Attribute]]:
    """The attributes of blueprints, oldest first, without asking for rights; those of one that shows a type by path."""
    found: dict[TypeId, list[Attribute]] = {blueprint_id: [] for blueprint_id in blueprint_ids}
    for attribute in await blueprint_store.select_attributes(work.tx, list(blueprint_ids)):
        found[attribute.blueprint_id].append(attribute)
    bare = [blueprint_id for blueprint_id, attributes in found.items() if not attributes]
    shown = set(bare) - await blueprint_store.select_defined(work.tx, bare) if bare else ()
    if shown:
        for type_ in (await load_device_types(work, list(shown))).values():
            found[type_.id] = derived_attributes(type_)
    return found


async def check_sections_are_free(work: Work, type_id: TypeId, sections: Mapping[str, Any]) -> None:
    """Raises `Conflict` when a device type was made as a blueprint whose attributes say otherwise."""
    blueprint = await blueprint_store.select_blueprint(work.tx, type_id)
    if blueprint is None or not blueprint.defined:
        return
    if sections != sections_from(await blueprint_store.select_attributes(work.tx, [type_id])):
        detail = f"the schema of '{blueprint.name}' follows from the attributes of its blueprint"
        raise Conflict(detail, code="profile-mismatch")


async def find_inverse(work: Work, attribute: Attribute) -> Attribute | None:
    """The attribute of the children's blueprint that belongs to a relation, without asking for rights."""
    return await blueprint_store.select_inverse(work.tx, attribute.id)


async def load_attribute(work: Work, attribute_id: UUID) -> Attribute:
    """One attribute, without asking for rights."""
    found = await blueprint_store.select_attribute(work.tx, attribute_id)
    if found is None:
        raise NotFound("attribute", attribute_id)
    return found


async def relation_of(work: Work, blueprint_id: TypeId, path: str) -> Attribute | None:
    """The relation with this path that the blueprint has with its children; None when it has none."""
    found = await blueprint_store.select_attributes(work.tx, [blueprint_id])
    return next((each for each in found if each.is_relation and each.path == path), None)


# --- for the registry, which has changed the devices ------------------------------------------------------------------


async def store_attribute(work: Work, attribute: Attribute) -> None:
    """Add one. `Conflict` when the path is taken."""
    if not await blueprint_store.insert_attribute(work.tx, attribute):
        raise Conflict.taken("attribute", "path", attribute.path)
    work.record("attribute.create", attribute.id, after=attribute)


async def rewrite_attribute(work: Work, before: Attribute, change: AttributeChange) -> Attribute:
    """Change what can change about one."""
    after = msgspec.structs.replace(before, **change.sent(), updated_at=work.now())
    check_name(after.name)
    check_choices(after.type, after.choices)
    check_notes(after.notes)
    if after.forward_data and not after.is_relation:
        raise Invalid.field("/forwardData", "only a relationship has data to forward")
    await blueprint_store.update_attribute(work.tx, after)
    if after.forward_data != before.forward_data:
        work.emit(DeviceTypeChanged(after.blueprint_id))
    work.record("attribute.update", after.id, before=before, after=after)
    return after


async def remove_attribute(work: Work, attribute: Attribute) -> None:
    """Delete one, with the attribute on its other end and the relations between devices."""
    await blueprint_store.delete_attribute(work.tx, attribute.id)
    if attribute.forward_data:
        work.emit(DeviceTypeChanged(attribute.blueprint_id))
    work.record("attribute.delete", attribute.id, before=attribute)


async def rewrite_blueprint(work: Work, before: Blueprint, change: BlueprintChange) -> Blueprint:
    """Change what its device type does not hold. `Conflict` when the alias is taken."""
    sent = {name: value for name, value in change.sent().items() if name in ("alias", "kind", "notes")}
    after = msgspec.structs.replace(before, **sent)
    check_alias(after.alias or "")
    check_notes(after.notes)
    if not await blueprint_store.update_blueprint(work.tx, after):
        raise Conflict.taken("blueprint", "alias", after.alias)
    work.record("blueprint.update", after.id, before=before, after=after)
    return after


async def _free_alias(work: Work, wanted: str) -> str:
    taken = await blueprint_store.select_aliases(work.tx)
    if wanted not in taken:
        return wanted
    return next(name for number in range(2, len(taken) + 3) if (name := f"{wanted}{number}") not in taken)
