"""/v1/project/{projectId}/system, /v1/system: the spaces of a project (contract section 2)."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter

from roadstead.core import access, registry
from roadstead.core.registry import Space, SpaceChange, SpaceDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import allowed_systems, check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

SystemPath = Annotated[str, PathParameter(name="systemId")]


class SystemShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`System`."""

    id: str
    project_id: str
    name: str
    alias: str | None = None
    metadata: dict[str, Any] | None = None
    public_role: str | None = None
    """A member of ours: the role by which anybody reads it without a token."""
    created: int

    @classmethod
    def of(cls, work: Work, space: Space, public_role: str | None) -> "SystemShape":
        return cls(
            id=to_base62(space.id),
            project_id=to_base62(work.actor.organization_id),
            name=space.name,
            alias=space.alias,
            metadata=space.notes.get("leverege", {}).get("metadata"),
            public_role=public_role,
            created=to_millis(space.created_at),
        )


class SystemBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of `system.create`."""

    name: str
    alias: str | None = None
    metadata: dict[str, Any] | None = None
    public_role: str | None = None

    @classmethod
    def of(cls, space: Space, public_role: str | None) -> "SystemBody":
        metadata = space.notes.get("leverege", {}).get("metadata")
        return cls(name=space.name, alias=space.alias, metadata=metadata, public_role=public_role)

    def notes(self) -> dict[str, Any]:
        """Where metadata is kept."""
        return {} if self.metadata is None else {"leverege": {"metadata": self.metadata}}


@get("/v1/project/{projectId:str}/system", operation_id="system.list")
async def list_systems(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[SystemShape]:
    """Those that the caller may read, the default one first."""
    check_project(work, project_id)
    allowed = allowed_systems(work)
    spaces = await registry.list_spaces(work)
    visible = [space for space in spaces if allowed is None or space.id in allowed]
    public = await access.list_public_roles(work)
    return pick(visible, ListQuery.of(request), lambda each: SystemShape.of(work, each, public.get(each.id)))


@post("/v1/project/{projectId:str}/system", operation_id="system.create", status_code=200)
async def create_system(request: AnyRequest, work: Work, project_id: ProjectPath) -> SystemShape:
    """Its alias is its alone in the project."""
    check_project(work, project_id)
    await check(work, "system.create")
    body = read_as(await read_body(request), SystemBody)
    draft = SpaceDraft(name=body.name, alias=body.alias, notes=body.notes())
    space = await registry.create_space(work, draft)
    if body.public_role is not None:
        await access.set_public_role(work, space.id, body.public_role)
    return SystemShape.of(work, space, body.public_role)


@get("/v1/system/{systemId:str}", operation_id="system.get")
async def get_system(work: Work, name: SystemPath) -> SystemShape:
    """By id or alias."""
    space = await find_system(work, name, "system.read")
    return SystemShape.of(work, space, (await access.list_public_roles(work)).get(space.id))


@patch("/v1/system/{systemId:str}", operation_id="system.update")
async def update_system(request: AnyRequest, work: Work, name: SystemPath) -> SystemShape:
    """Name, alias, metadata, and how strangers read it."""
    space = await find_system(work, name, "system.update")
    public_role = (await access.list_public_roles(work)).get(space.id)
    body = patched(SystemBody.of(space, public_role), await read_body(request))
    others = {dialect: notes for dialect, notes in space.notes.items() if dialect != "leverege"}
    change = SpaceChange(name=body.name, alias=body.alias, notes=others | body.notes())
    if body.public_role != public_role:
        await access.set_public_role(work, space.id, body.public_role)
    return SystemShape.of(work, await registry.change_space(work, space.id, change), body.public_role)


@delete("/v1/system/{systemId:str}", operation_id="system.delete", status_code=200)
async def delete_system(work: Work, name: SystemPath) -> Deleted:
    """One without devices that is not the default one."""
    space = await find_system(work, name, "system.delete")
    await registry.delete_space(work, space.id)
    return Deleted.of(space.id)


async def find_system(work: Work, name: str, permission: str) -> Space:
    """The system with this id or alias, for a caller who has this permission on it."""
    space = await registry.get_space(work, name)
    await check(work, permission, system_id=space.id)
    return space


handlers = [list_systems, create_system, get_system, update_system, delete_system]
