"""/v1/project/{projectId}/blueprint, /v1/blueprint: the types of things and of groups of them (contract section 2)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import delete, get, patch, post

from roadstead.core import registry, telemetry, types
from roadstead.core.types import Attribute, Blueprint, BlueprintChange, BlueprintDraft, BlueprintKind
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.attributes import AttributeBody, AttributeShape, BlueprintPath
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.paths import Form, Place
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.systems import find_system
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_CHILDREN = "attribute"


class BlueprintShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Blueprint`."""

    id: str
    project_id: str
    name: str
    alias: str | None = None
    desc: str | None = None
    type: str
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    attributes: list[AttributeShape] | None = None

    @classmethod
    def of(cls, work: Work, blueprint: Blueprint, attributes: Sequence[Attribute] | None = None) -> "BlueprintShape":
        notes = blueprint.notes.get("leverege", {})
        return cls(
            id=to_base62(blueprint.id),
            project_id=to_base62(work.actor.organization_id),
            name=blueprint.name,
            alias=blueprint.alias,
            desc=blueprint.description,
            type=blueprint.kind.lower(),
            metadata=notes.get("metadata"),
            tags=notes.get("tags"),
            attributes=None if attributes is None else [AttributeShape.of(each) for each in attributes],
        )


class BlueprintBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`BlueprintInput`, with the tags of `Blueprint` beside it."""

    name: str
    alias: str | None = None
    desc: str | None = None
    type: str = "device"
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    message_route_id: str | None = None
    attributes: list[AttributeBody] | None = None

    @classmethod
    def of(cls, work: Work, blueprint: Blueprint) -> "BlueprintBody":
        """What would make its header again."""
        shape = BlueprintShape.of(work, blueprint)
        names = ("name", "alias", "desc", "type", "metadata", "tags")
        return cls(**{name: getattr(shape, name) for name in names})

    def draft(self) -> BlueprintDraft:
        """In words of the core, without the attributes."""
        self._check()
        return BlueprintDraft(
            name=self.name, alias=self.alias, description=self.desc, kind=self._kind(), notes=self._notes()
        )

    def change(self) -> BlueprintChange:
        """In words of the core."""
        self._check()
        if self.attributes is not None:
            raise Invalid.field("attributes", "are changed one by one, at /v1/attribute")
        if self.alias is None:
            raise Invalid.field("alias", "cannot be taken away")
        return BlueprintChange(
            name=self.name, alias=self.alias, description=self.desc, kind=self._kind(), notes=self._notes()
        )

    def _check(self) -> None:
        if self.message_route_id is not None:
            raise Invalid.field("messageRouteId", "there are no message routes here: data goes to the writer")

    def _kind(self) -> BlueprintKind:
        try:
            return BlueprintKind(self.type.upper())
        except ValueError as error:
            raise Invalid.field("type", "is device or group") from error

    def _notes(self) -> dict[str, Any]:
        notes = {"metadata": self.metadata, "tags": self.tags}
        return {"leverege": {name: value for name, value in notes.items() if value is not None}}


@get("/v1/project/{projectId:str}/blueprint", operation_id="blueprint.list")
async def list_blueprints(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[BlueprintShape]:
    """Oldest first; device types and profiles that were made otherwise are among them, to be read only."""
    check_project(work, project_id)
    await check(work, "blueprint.list")
    blueprints = await types.list_blueprints(work)
    if request.query_params.get("children") == _CHILDREN:
        attributes = await types.attributes_of(work, [each.id for each in blueprints])
        return pick(blueprints, ListQuery.of(request), lambda each: BlueprintShape.of(work, each, attributes[each.id]))
    return pick(blueprints, ListQuery.of(request), lambda each: BlueprintShape.of(work, each))


@post("/v1/project/{projectId:str}/blueprint", operation_id="blueprint.create", status_code=200)
async def create_blueprint(request: AnyRequest, work: Work, project_id: ProjectPath) -> BlueprintShape:
    """With its attributes, or without."""
    check_project(work, project_id)
    await check(work, "blueprint.create")
    body = read_as(await read_body(request), BlueprintBody)
    blueprint = await types.create_blueprint(work, body.draft())
    # Now, while little has been reported: whoever makes blueprints searches what their devices say.
    await telemetry.make_searchable(work)
    if body.attributes:
        drafts = [await each.draft(work) for each in body.attributes]
        await registry.create_attributes(work, to_base62(blueprint.id), drafts)
    return await spell_blueprint(work, to_base62(blueprint.id))


@get("/v1/blueprint/{blueprintId:str}", operation_id="blueprint.get")
async def get_blueprint(work: Work, name: BlueprintPath) -> BlueprintShape:
    """By id or alias, attributes included."""
    await check(work, "blueprint.read")
    return await spell_blueprint(work, name)


@patch("/v1/blueprint/{blueprintId:str}", operation_id="blueprint.update")
async def update_blueprint(request: AnyRequest, work: Work, name: BlueprintPath) -> BlueprintShape:
    """The header; attributes are changed one by one."""
    await check(work, "blueprint.update")
    blueprint = await types.get_blueprint(work, name)
    body = patched(BlueprintBody.of(work, blueprint), await read_body(request))
    await registry.change_blueprint(work, to_base62(blueprint.id), body.change())
    return await spell_blueprint(work, to_base62(blueprint.id))


@delete("/v1/blueprint/{blueprintId:str}", operation_id="blueprint.delete", status_code=200)
async def delete_blueprint(work: Work, name: BlueprintPath) -> Deleted:
    """One that no device has."""
    await check(work, "blueprint.delete")
    return Deleted.of((await types.delete_blueprint(work, name)).id)


@get(Form.MODEL, operation_id="interface.model")
async def get_model(work: Work, place: Place) -> BlueprintShape:
    """The blueprint behind a name in an interface path."""
    await find_system(work, place.system, "system.read")
    await check(work, "blueprint.read")
    return await spell_blueprint(work, place.blueprint)


async def spell_blueprint(work: Work, name: str) -> BlueprintShape:
    """A blueprint by id or alias, attributes included."""
    blueprint = await types.get_blueprint(work, name)
    attributes = await types.attributes_of(work, [blueprint.id])
    return BlueprintShape.of(work, blueprint, attributes[blueprint.id])


handlers = [list_blueprints, create_blueprint, get_blueprint, update_blueprint, delete_blueprint, get_model]
