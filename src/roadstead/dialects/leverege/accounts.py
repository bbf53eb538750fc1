"""/v1/project/{p}/account: the people of a project (contract section 6)."""

from uuid import UUID

import msgspec
from litestar import delete, get, patch, post

from roadstead.core import access, identity
from roadstead.core.access import BindingQuery, RoleQuery
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.users import (
    ProjectPath,
    UserBody,
    UserPath,
    UserShape,
    change_account,
    delete_account,
    find_account,
    list_accounts,
)
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest


class RoleParameter(msgspec.Struct, rename="camel"):
    """Parameter `role` of `account.list`."""

    name: str
    project_id: str | None = None


@get("/v1/project/{projectId:str}/account", operation_id="account.list")
async def list_project_accounts(request: AnyRequest, office: Work, project_id: ProjectPath) -> Listed[UserShape]:
    """All of them, or those who have a role on something."""
    check_project(office, project_id)
    await check(office, "user.list")
    role = _read_role(request)
    if role is not None and role.project_id is not None:
        check_project(office, role.project_id)
    return await list_accounts(request, office, None if role is None else await _holders(office, role.name))


@post("/v1/project/{projectId:str}/account", operation_id="account.create", status_code=200)
async def create_account(request: AnyRequest, office: Work, project_id: ProjectPath) -> UserShape:
    """It sees nothing until it is given a role."""
    check_project(office, project_id)
    await check(office, "user.create")
    body = read_as(await read_body(request), UserBody)
    return UserShape.of(await identity.create_account(office, body.draft()), office)


@get("/v1/project/{projectId:str}/account/{userId:str}", operation_id="account.get")
async def get_account(office: Work, project_id: ProjectPath, user_id: UserPath) -> UserShape:
    """One of them."""
    check_project(office, project_id)
    return UserShape.of(await find_account(office, user_id, "user.read"), office)


@patch("/v1/project/{projectId:str}/account/{userId:str}", operation_id="account.update")
async def update_account(request: AnyRequest, office: Work, project_id: ProjectPath, user_id: UserPath) -> UserShape:
    """By a list of patch operations or a partial object: e-mail, name, phone, metadata, password."""
    check_project(office, project_id)
    return await change_account(request, office, user_id)


@delete("/v1/project/{projectId:str}/account/{userId:str}", operation_id="account.delete", status_code=200)
async def delete_project_account(office: Work, project_id: ProjectPath, user_id: UserPath) -> Deleted:
    """Out of the project, at once."""
    check_project(office, project_id)
    return await delete_account(office, user_id)


async def _holders(work: Work, role: str) -> list[UUID]:
    roles = await access.list_access_roles(work, RoleQuery(names=[role]))
    numbers = [each.number for each in roles]
    bindings = await access.list_bindings(work, BindingQuery(role_numbers=numbers)) if numbers else []
    return list({binding.person_id for binding in bindings})


def _read_role(request: AnyRequest) -> RoleParameter | None:
    asked = request.query_params
    name = asked.get("role[name]") or asked.get("role.name")
    if name is not None:
        return RoleParameter(name, asked.get("role[projectId]") or asked.get("role.projectId"))
    text = asked.get("role")
    if not text:
        return None
    if not text.startswith("{"):
        return RoleParameter(text)
    try:
        return msgspec.json.decode(text, type=RoleParameter)
    except msgspec.DecodeError as error:
        raise Invalid.field("role", "is {name, projectId}", place="query") from error


handlers = [list_project_accounts, create_account, get_account, update_account, delete_project_account]
