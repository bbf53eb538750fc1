"""/v1/project/{p}/pendingUser: roles for people who have never signed in with their provider (contract section 1.3)."""

from typing import Self

import msgspec
from litestar import delete, get, post

from roadstead.core import access
from roadstead.core.access import PendingRole, ResourceType
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.statuses import Status
from roadstead.dialects.leverege.users import ProjectPath
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest


class PendingUserShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`PendingUser`, as it is sent and as it is answered."""

    issuer: str
    email_or_name: str
    perm: str
    perm_value: str
    context_type: ResourceType
    context_id: str

    @classmethod
    def of(cls, pending: PendingRole) -> Self:
        return cls(**{**msgspec.structs.asdict(pending), "context_id": to_base62(pending.context_id)})

    def pending(self) -> PendingRole:
        """What waits. Raises `NotFound` for what cannot be there."""
        context_id = parse_base62(self.context_id)
        if context_id is None:
            raise NotFound(self.context_type, self.context_id)
        return PendingRole(**{**msgspec.structs.asdict(self), "context_id": context_id})


@get("/v1/project/{projectId:str}/pendingUser", operation_id="pending-user.list")
async def list_pending_users(request: AnyRequest, work: Work, project_id: ProjectPath) -> Listed[PendingUserShape]:
    """What waits for whom."""
    check_project(work, project_id)
    await check(work, "user.list")
    return pick(await access.list_pending_roles(work), ListQuery.of(request), PendingUserShape.of)


@post("/v1/project/{projectId:str}/pendingUser", operation_id="pending-user.add", status_code=200)
async def add_pending_user(request: AnyRequest, work: Work, project_id: ProjectPath) -> PendingUserShape:
    """Somebody will get a role when they sign in for the first time."""
    check_project(work, project_id)
    await check(work, "user.assignRoles")
    body = read_as(await read_body(request), PendingUserShape)
    return PendingUserShape.of(await access.add_pending_role(work, body.pending()))


@delete("/v1/project/{projectId:str}/pendingUser", operation_id="pending-user.delete", status_code=200)
async def delete_pending_user(request: AnyRequest, work: Work, project_id: ProjectPath) -> Status:
    """The one that is equal in all members of the body."""
    check_project(work, project_id)
    await check(work, "user.assignRoles")
    body = read_as(await read_body(request), PendingUserShape)
    await access.delete_pending_role(work, body.pending())
    return Status()


handlers = [list_pending_users, add_pending_user, delete_pending_user]
