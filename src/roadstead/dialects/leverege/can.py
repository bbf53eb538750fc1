"""/v1/can: whether somebody may do something (contract section 6)."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import post

from roadstead.core import access
from roadstead.core.access import PermissionName, ResourceType
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check, has
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.user_roles import read_id
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_MOST_QUESTIONS = 1_000
_DEEPEST = 20


class PermissionBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`PermissionRef`."""

    module: str
    name: str
    project_id: str | None = None


class AskedBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One permission on one thing, or on each of some; without a thing on the project."""

    permission: PermissionBody
    resource: str | list[str] | None = None
    resource_id: str | None = None


class ConditionBody(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that must all be true, or one of them."""

    type: str
    conditions: list[Any]


class CanBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `can`: one permission, a list of which any will do, or a tree."""

    user: str
    permission: PermissionBody | None = None
    resource_id: str | None = None
    permissions: list[AskedBody] | None = None
    condition: Any = None


@post("/v1/can", operation_id="can", status_code=200)
async def can(request: AnyRequest, work: Work) -> bool:
    """About oneself always; about others for those who may read users."""
    body = read_as(await read_body(request), CanBody)
    person_id = read_id("user", body.user)
    if person_id != work.actor.id:
        await check(work, "user.read")
    asker = _Asker(work, await access.work_as(work, person_id))
    given = [one for one in (body.permission, body.permissions, body.condition) if one is not None]
    if len(given) != 1:
        raise Invalid("send one of permission, permissions and condition")
    if body.permission is not None:
        return await asker.ask(AskedBody(permission=body.permission, resource_id=body.resource_id))
    if body.permissions is not None:
        return await asker.ask_any(body.permissions)
    return await asker.decide(body.condition)


class _Asker:
    """Asks for somebody, and looks up each thing once."""

    def __init__(self, work: Work, other: Work) -> None:
        self.work = work
        self.other = other
        self.places: dict[UUID, dict[str, UUID]] = {}
        self.asked = 0

    async def ask(self, body: AskedBody) -> bool:
        """The permission, on all that is named."""
        if body.permission.project_id is not None:
            check_project(self.work, body.permission.project_id)
        named = body.resource if isinstance(body.resource, list) else [body.resource or body.resource_id]
        permission = PermissionName(body.permission.module, body.permission.name)
        for text in named:
            self.asked += 1
            if self.asked > _MOST_QUESTIONS:
                raise Invalid(f"these are more than {_MOST_QUESTIONS} questions")
            place = {} if text is None else await self._place(read_id("resource", text))
            if not await has(self.other, str(permission), **place):
                return False
        return True

    async def ask_any(self, bodies: list[AskedBody]) -> bool:
        """One of them."""
        for body in bodies:
            if await self.ask(body):
                return True
        return False

    async def decide(self, node: Any, depth: int = 1) -> bool:
        """A tree of and and or over permissions."""
        if depth > _DEEPEST:
            raise Invalid.field("condition", f"is deeper than {_DEEPEST}")
        if not isinstance(node, dict) or "conditions" not in node:
            return await self.ask(read_as(node, AskedBody))
        body = read_as(node, ConditionBody)
        if body.type not in ("and", "or"):
            raise Invalid.field("condition/type", "is and, or or")
        for part in body.conditions:
            if await self.decide(part, depth + 1) is (body.type == "or"):
                return body.type == "or"
        return body.type == "and"

    async def _place(self, resource_id: UUID) -> dict[str, UUID]:
        if resource_id not in self.places:
            resource = await access.find_resource(self.work, resource_id)
            names = {ResourceType.SYSTEM: "system_id", ResourceType.DEVICE: "device_id"}
            name = names.get(resource.type)
            self.places[resource_id] = {} if name is None else {name: resource_id}
        return self.places[resource_id]


handlers = [can]
