"""/v1/project/{p}/apiAccess: keys and secrets of servers (contract section 1.1)."""

from typing import Annotated, Self

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import access, identity
from roadstead.core.identity import AccessLimits, ApiAccess, ApiAccessChange
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.users import ProjectPath
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

MaybeProject = Annotated[str | None, PathParameter(name="projectId")]
AccessPath = Annotated[str, PathParameter(name="apiAccessId")]

_ONE = ["/v1/project/{projectId:str}/apiAccess/{apiAccessId:str}", "/v1/apiAccess/{apiAccessId:str}"]


class ApiAccessShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`ApiAccess`."""

    id: str
    name: str
    secret: str | UnsetType = UNSET
    """Only in the answer to its making."""
    project_id: str
    permissions: AccessLimits
    enabled: bool
    created: int
    last_modified: int
    last_used: int | UnsetType

    @classmethod
    def of(cls, found: ApiAccess, work: Work, *, secret: str | UnsetType = UNSET) -> Self:
        return cls(
            id=to_base62(found.id),
            name=found.name,
            secret=secret,
            project_id=to_base62(work.actor.organization_id),
            permissions=found.permissions,
            enabled=found.enabled,
            created=to_millis(found.created_at),
            last_modified=to_millis(found.updated_at),
            last_used=UNSET if found.last_used_at is None else to_millis(found.last_used_at),
        )


class ApiAccessBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `api-access.create`, and what a patch is about."""

    name: str
    permissions: AccessLimits = AccessLimits()
    enabled: bool = True


@get("/v1/project/{projectId:str}/apiAccess", operation_id="api-access.list")
async def list_api_accesses(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[ApiAccessShape]:
    """All of the project, without their secrets."""
    check_project(work, project_id)
    await check(work, "apiAccess.list")
    found = await identity.list_api_accesses(work)
    return pick(found, ListQuery.of(request), lambda each: ApiAccessShape.of(each, work))


@post("/v1/project/{projectId:str}/apiAccess", operation_id="api-access.create", status_code=200)
async def create_api_access(request: AnyRequest, work: Work, project_id: ProjectPath) -> ApiAccessShape:
    """A fresh one: this answer is the only one with its secret."""
    check_project(work, project_id)
    await check(work, "apiAccess.create")
    body = read_as(await read_body(request), ApiAccessBody)
    await access.check_may_delegate(work, body.permissions.role_names)
    made = await identity.create_api_access(work, name=body.name, permissions=body.permissions, enabled=body.enabled)
    return ApiAccessShape.of(made.access, work, secret=made.secret)


@get(_ONE, operation_id="api-access.get")
async def get_api_access(work: Work, access_id: AccessPath, project_id: MaybeProject = None) -> ApiAccessShape:
    """One of them."""
    return ApiAccessShape.of(await _find(work, project_id, access_id, "apiAccess.read"), work)


@patch(_ONE, operation_id="api-access.update")
async def update_api_access(
    request: AnyRequest, work: Work, access_id: AccessPath, project_id: MaybeProject = None
) -> ApiAccessShape:
    """By a list of patch operations or a partial object."""
    before = await _find(work, project_id, access_id, "apiAccess.update")
    body = ApiAccessBody(name=before.name, permissions=before.permissions, enabled=before.enabled)
    return await _change(work, before, patched(body, await read_body(request)))


@put(_ONE)
async def replace_api_access(
    request: AnyRequest, work: Work, access_id: AccessPath, project_id: MaybeProject = None
) -> ApiAccessShape:
    """By a whole object."""
    before = await _find(work, project_id, access_id, "apiAccess.update")
    return await _change(work, before, read_as(await read_body(request), ApiAccessBody))


@delete(_ONE, operation_id="api-access.delete", status_code=200)
async def delete_api_access(work: Work, access_id: AccessPath, project_id: MaybeProject = None) -> Deleted:
    """Its tokens are no good any more, at once."""
    found = await _find(work, project_id, access_id, "apiAccess.delete")
    await identity.delete_api_access(work, found.id)
    return Deleted.of(found.id)


async def _find(work: Work, project_id: str | None, access_id: str, permission: str) -> ApiAccess:
    if project_id is not None:
        check_project(work, project_id)
    await check(work, permission)
    id_ = parse_base62(access_id)
    if id_ is None:
        raise NotFound("API access", access_id)
    return await identity.get_api_access(work, id_)


async def _change(work: Work, before: ApiAccess, body: ApiAccessBody) -> ApiAccessShape:
    await access.check_may_delegate(work, body.permissions.role_names)
    change = ApiAccessChange(**msgspec.structs.asdict(body))
    return ApiAccessShape.of(await identity.change_api_access(work, before.id, change), work)


handlers = [
    list_api_accesses,
    create_api_access,
    get_api_access,
    update_api_access,
    replace_api_access,
    delete_api_access,
]
