"""/v1/blueprint/{blueprintId}/attribute, /v1/attribute: what devices of a blueprint have (contract section 2)."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter

from roadstead.core import registry, types
from roadstead.core.types import Attribute, AttributeChange, AttributeDraft, AttributeType, RelationKind
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import TypeId, parse_base62, to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

BlueprintPath = Annotated[str, PathParameter(name="blueprintId")]
AttributePath = Annotated[str, PathParameter(name="attributeId")]

_KINDS = {
    "oneToOne": RelationKind.ONE_TO_ONE,
    "oneToMany": RelationKind.ONE_TO_MANY,
    "manyToOne": RelationKind.MANY_TO_ONE,
    "manyToMany": RelationKind.MANY_TO_MANY,
}
_WORDS = {kind: word for word, kind in _KINDS.items()}
_FIXED = {
    "path": "path",
    "type": "type",
    "units": "units",
    "relationship_type": "relationshipType",
    "target_blueprint_id": "targetBlueprintId",
}
_VALUES = "values"
"""The member of `metadata` that says what an `enum` takes."""


class AttributeShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Attribute`."""

    id: str
    blueprint_id: str
    name: str | None = None
    path: str
    parent_path: str | None = None
    type: str
    units: str | None = None
    source: str | None = None
    forward_data: bool | None = None
    is_collection: bool | None = None
    target_blueprint_id: str | None = None
    source_blueprint_id: str | None = None
    relationship_type: str | None = None
    owned: bool | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, attribute: Attribute) -> "AttributeShape":
        notes = attribute.notes.get("leverege", {})
        other = to_base62(attribute.target_id) if attribute.target_id is not None else None
        metadata = notes.get("metadata")
        if attribute.choices is not None:
            metadata = {**(metadata or {}), _VALUES: attribute.choices}
        kind = attribute.relationship
        return cls(
            id=to_base62(attribute.id),
            blueprint_id=to_base62(attribute.blueprint_id),
            name=attribute.name,
            path=attribute.path,
            parent_path=attribute.path.rpartition("/")[0] or None,
            type=attribute.type,
            units=attribute.units,
            source=notes.get("source"),
            forward_data=attribute.forward_data if attribute.is_relation else None,
            is_collection=kind.is_group if attribute.is_relation and kind is not None else None,
            target_blueprint_id=other if attribute.is_relation else None,
            source_blueprint_id=other if attribute.type == AttributeType.PARENT else None,
            relationship_type=_WORDS[kind] if kind is not None else None,
            owned=notes.get("owned"),
            tags=notes.get("tags"),
            metadata=metadata,
        )


class AttributeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`AttributeInput`, with the two members of `Attribute` beside it that programs may set."""

    path: str
    type: str
    name: str | None = None
    units: str | None = None
    relationship_type: str | None = None
    target_blueprint_id: str | None = None
    forward_data: bool = False
    source: str | None = None
    owned: bool | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, attribute: Attribute) -> "AttributeBody":
        """What would make it again."""
        shape = AttributeShape.of(attribute)
        fields = {name: getattr(shape, name) for name in cls.__struct_fields__}
        return cls(**fields | {"forward_data": attribute.forward_data})

    async def draft(self, work: Work) -> AttributeDraft:
        """In words of the core."""
        choices, notes = self._choices_and_notes()
        return AttributeDraft(
            path=self.path.strip("/"),
            type=self.type,
            name=self.name,
            units=self.units,
            relationship=_read_kind(self.relationship_type),
            target_id=await _read_target(work, self.target_blueprint_id),
            forward_data=self.forward_data,
            choices=choices,
            notes=notes,
        )

    def change(self, before: "AttributeBody") -> AttributeChange:
        """In words of the core. Raises `Invalid` for what is fixed."""
        for name, word in _FIXED.items():
            if getattr(self, name) != getattr(before, name):
                raise Invalid.field(word, "stays as it was made")
        choices, notes = self._choices_and_notes()
        return AttributeChange(name=self.name, forward_data=self.forward_data, choices=choices, notes=notes)

    def _choices_and_notes(self) -> tuple[list[Any] | None, dict[str, Any]]:
        metadata = dict(self.metadata) if self.metadata is not None else None
        choices = None
        if metadata is not None and self.type in ("enum", "resourceEnum"):
            choices = metadata.pop(_VALUES, None)
            if choices is not None and not isinstance(choices, list):
                raise Invalid.field(f"metadata/{_VALUES}", "is a list")
        notes = {"metadata": metadata, "tags": self.tags, "source": self.source, "owned": self.owned}
        return choices, {"leverege": {name: value for name, value in notes.items() if value is not None}}


@get("/v1/blueprint/{blueprintId:str}/attribute", operation_id="attribute.list")
async def list_attributes(request: AnyRequest, work: Work, name: BlueprintPath) -> Listed[AttributeShape]:
    """Oldest first."""
    blueprint = await types.get_blueprint(work, name)
    await check(work, "blueprint.read")
    found = (await types.attributes_of(work, [blueprint.id]))[blueprint.id]
    return pick(found, ListQuery.of(request), AttributeShape.of)


@post("/v1/blueprint/{blueprintId:str}/attribute", operation_id="attribute.create", status_code=200)
async def create_attribute(request: AnyRequest, work: Work, name: BlueprintPath) -> AttributeShape:
    """A relationship makes the `parentRelationship` of the other blueprint as well."""
    await check(work, "blueprint.update")
    body = read_as(await read_body(request), AttributeBody)
    [attribute] = await registry.create_attributes(work, name, [await body.draft(work)])
    return AttributeShape.of(attribute)


@get("/v1/attribute/{attributeId:str}", operation_id="attribute.get")
async def get_attribute(work: Work, attribute_id: AttributePath) -> AttributeShape:
    """One attribute."""
    await check(work, "blueprint.read")
    return AttributeShape.of(await _find(work, attribute_id))


@patch("/v1/attribute/{attributeId:str}", operation_id="attribute.update")
async def update_attribute(request: AnyRequest, work: Work, attribute_id: AttributePath) -> AttributeShape:
    """Everything but path, type, units and the ends of a relation."""
    await check(work, "blueprint.update")
    attribute = await _find(work, attribute_id)
    before = AttributeBody.of(attribute)
    change = patched(before, await read_body(request)).change(before)
    return AttributeShape.of(await registry.change_attribute(work, attribute.id, change))


@delete("/v1/attribute/{attributeId:str}", operation_id="attribute.delete", status_code=200)
async def delete_attribute(work: Work, attribute_id: AttributePath) -> Deleted:
    """What devices have reported stays stored."""
    await check(work, "blueprint.update")
    attribute = await _find(work, attribute_id)
    await registry.delete_attribute(work, attribute.id)
    return Deleted.of(attribute.id)


async def _find(work: Work, attribute_id: str) -> Attribute:
    id_ = parse_base62(attribute_id)
    if id_ is None:
        raise NotFound("attribute", attribute_id)
    return await types.get_attribute(work, id_)


def _read_kind(word: str | None) -> RelationKind | None:
    if word is None:
        return None
    if word not in _KINDS:
        raise Invalid.field("relationshipType", f"is one of {', '.join(_KINDS)}")
    return _KINDS[word]


async def _read_target(work: Work, name: str | None) -> TypeId | None:
    if name is None:
        return None
    blueprint = await types.find_blueprint(work, name)
    if blueprint is None:
        raise Invalid.field("targetBlueprintId", "there is no such blueprint")
    return blueprint.id


handlers = [list_attributes, create_attribute, get_attribute, update_attribute, delete_attribute]
