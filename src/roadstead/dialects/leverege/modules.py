"""/v1/project/{projectId}/module: what permissions are sorted by (contract section 6)."""

from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import access, types
from roadstead.core.access import Module, ModuleChange, ModuleDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.authz import AuthzListed, part_of, values_of
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.kernel.errors import Forbidden, NotFound
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import spell_instant
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ModulePath = Annotated[str, PathParameter(name="moduleName")]

_ALL = "/v1/project/{projectId:str}/module"
_ONE = "/v1/project/{projectId:str}/module/{moduleName:str}"


class ModuleShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Module`. The program's and those of blueprints, whose name is the id of the blueprint, have no times."""

    project_id: str
    name: str
    display_name: str | None = None
    description: str | None = None
    created_at: str | None = None
    updated_at: str | None = None

    @classmethod
    def of(cls, work: Work, module: Module) -> "ModuleShape":
        return cls(
            project_id=to_base62(work.actor.organization_id),
            name=module.name,
            display_name=module.display_name,
            description=module.description,
            created_at=spell_instant(module.created_at),
            updated_at=spell_instant(module.updated_at),
        )


class ModuleBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `project-module.create`."""

    name: str
    display_name: str | None = None
    description: str | None = None


class ModulePatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `project-module.update`."""

    name: str | UnsetType = UNSET
    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class ModuleDeleted(msgspec.Struct, frozen=True):
    """What `project-module.delete` answers."""

    name: str
    status: int = 200
    deleted: bool = True


@get(_ALL, operation_id="project-module.list")
async def list_modules(request: AnyRequest, work: Work, project_id: ProjectPath) -> AuthzListed[ModuleShape]:
    """The program's first, then those of blueprints, then those of the project's own making."""
    check_project(work, project_id)
    await check(work, "role.read")
    names = values_of(request, "name") or values_of(request, "module")
    found = [shape for shape in await _known(work) if names is None or shape.name in names]
    return part_of(request, found, lambda shape: shape)


@post(_ALL, operation_id="project-module.create", status_code=200)
async def create_module(request: AnyRequest, work: Work, project_id: ProjectPath) -> ModuleShape:
    """One of the project's own making."""
    check_project(work, project_id)
    await check(work, "role.create")
    body = read_as(await read_body(request), ModuleBody)
    return ModuleShape.of(work, await access.create_module(work, ModuleDraft(**msgspec.structs.asdict(body))))


@get(_ONE, operation_id="project-module.get")
async def get_module(work: Work, project_id: ProjectPath, name: ModulePath) -> ModuleShape:
    """One by its name."""
    check_project(work, project_id)
    await check(work, "role.read")
    return await _load(work, name)


async def _update_module(request: AnyRequest, work: Work, project_id: ProjectPath, name: ModulePath) -> ModuleShape:
    """One of the project's own making; its permissions stay with it."""
    check_project(work, project_id)
    await check(work, "role.update")
    await _check_own(work, name)
    body = read_as(await read_body(request), ModulePatch)
    return ModuleShape.of(work, await access.change_module(work, name, ModuleChange(**msgspec.structs.asdict(body))))


# The contract says POST; PATCH is accepted too.
update_module = post(_ONE, operation_id="project-module.update", status_code=200)(_update_module)
patch_module = patch(_ONE)(_update_module)


@delete(_ONE, operation_id="project-module.delete", status_code=200)
async def delete_module(work: Work, project_id: ProjectPath, name: ModulePath) -> ModuleDeleted:
    """One of the project's own making, with its permissions."""
    check_project(work, project_id)
    await check(work, "role.delete")
    await _check_own(work, name)
    await access.delete_module(work, name)
    return ModuleDeleted(name)


async def _known(work: Work) -> list[ModuleShape]:
    project_id = to_base62(work.actor.organization_id)
    shapes = [ModuleShape(project_id=project_id, name=name) for name in access.PERMISSIONS_OF_MODULE]
    for blueprint in await types.list_blueprints(work):
        name = to_base62(blueprint.id)
        shapes.append(ModuleShape(project_id=project_id, name=name, display_name=blueprint.name))
    return shapes + [ModuleShape.of(work, module) for module in await access.list_modules(work)]


async def _load(work: Work, name: str) -> ModuleShape:
    for shape in await _known(work):
        if shape.name == name:
            return shape
    raise NotFound("module", name)


async def _check_own(work: Work, name: str) -> None:
    if (await _load(work, name)).created_at is None:
        raise Forbidden(f"the module {name} stays as it is")


handlers = [list_modules, create_module, get_module, update_module, patch_module, delete_module]
