"""/organizations/current/members: people with access."""

from datetime import datetime
from typing import Annotated

from litestar import Router, delete, get, patch
from litestar.params import QueryParameter

from roadstead.core import identity
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.actor import Role
from roadstead.kernel.page import PageQuery


class MemberShape(Shape, kw_only=True):
    """Contract schema `Member`."""

    user_id: str
    email: str
    name: str | None = None
    role: str
    joined_at: datetime
    last_seen_at: datetime | None = None

    @classmethod
    def of(cls, member: identity.Member) -> "MemberShape":
        return cls(
            user_id=str(member.person_id),
            email=member.email,
            name=member.name or None,
            role=member.role,
            joined_at=member.joined_at,
            last_seen_at=member.last_seen_at,
        )


class MemberPatch(Body):
    """Body of `member.update`."""

    role: Role


@get("/", operation_id="member.list")
async def list_members(
    work: Work,
    page: PageQuery,
    role: Annotated[list[Role] | None, QueryParameter(description="repeat it to or")] = None,
    q: Annotated[str | None, QueryParameter(description="part of name or e-mail address")] = None,
) -> PageShape[MemberShape]:
    """People with access and their role."""
    return page_shape(await identity.list_members(work, roles=role or [], text=q, query=page), page, MemberShape.of)


@patch("/{userId:str}", operation_id="member.update")
async def change_member(work: Work, userId: str, data: MemberPatch) -> MemberShape:
    """Changes the role; the last owner cannot be changed. Only who may do all that a role may can give or take it."""
    return MemberShape.of(await identity.change_member(work, read_id(userId, "member"), data.role))


@delete("/{userId:str}", operation_id="member.remove")
async def remove_member(work: Work, userId: str) -> None:
    """Removes a person; oneself may always leave."""
    await identity.remove_member(work, read_id(userId, "member"))


router = Router(
    "/v1/organizations/current/members", route_handlers=[list_members, change_member, remove_member], tags=["access"]
)
