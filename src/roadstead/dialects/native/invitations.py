"""/organizations/current/invitations and /invitations/{token}/accept: asking people to join."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Router, delete, get, post
from litestar.di import Provide
from msgspec import Meta

from roadstead.core import identity
from roadstead.core.work import Entry, Work
from roadstead.dialects.native.auth import SessionShape
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest, credential_of, provide_sign_in


class InvitationShape(Shape):
    """Contract schema `Invitation`."""

    id: str
    email: str
    role: str
    status: str
    expires_at: datetime
    invited_by: str
    created_at: datetime

    @classmethod
    def of(cls, invitation: identity.Invitation) -> "InvitationShape":
        return cls(
            id=str(invitation.id),
            email=invitation.email,
            role=invitation.role,
            status=invitation.status(time.now()),
            expires_at=invitation.expires_at,
            invited_by=str(invitation.invited_by),
            created_at=invitation.created_at,
        )


class InvitationBody(Body):
    """Body of `invitation.create`."""

    email: str
    role: Literal["ADMIN", "MEMBER"] = "MEMBER"


class AcceptBody(Body):
    """Body of `invitation.accept`."""

    name: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    password: Annotated[str, Meta(min_length=12, max_length=200)] | None = None


@get("/organizations/current/invitations", operation_id="invitation.list")
async def list_invitations(work: Work, page: PageQuery) -> PageShape[InvitationShape]:
    """Open invitations."""
    return page_shape(await identity.list_invitations(work, page), page, InvitationShape.of)


@post("/organizations/current/invitations", operation_id="invitation.create", status_code=201)
@idempotent
async def create_invitation(work: Work, data: InvitationBody) -> InvitationShape:
    """Invites by e-mail; valid 7 days; a second one for the same address replaces the first."""
    return InvitationShape.of(await identity.create_invitation(work, email=data.email, role=Role(data.role)))


@delete("/organizations/current/invitations/{id:str}", operation_id="invitation.delete")
async def withdraw_invitation(work: Work, id: str) -> None:
    """Withdraws it."""
    await identity.withdraw_invitation(work, read_id(id, "invitation"))


@post(
    "/invitations/{token:str}/accept",
    operation_id="invitation.accept",
    status_code=200,
    dependencies={"entry": Provide(provide_sign_in)},
    opt={"sign_in": True},
)
async def accept_invitation(request: AnyRequest, entry: Entry, token: str, data: AcceptBody) -> SessionShape:
    """Joins the organization, as the person whose session token is sent along, else as a new one."""
    credential = credential_of(request)
    actor = None if credential is None else await identity.authenticate(entry, credential)
    return SessionShape.of(
        await identity.accept_invitation(entry, token, actor=actor, name=data.name, password=data.password)
    )


router = Router(
    "/v1",
    route_handlers=[list_invitations, create_invitation, withdraw_invitation, accept_invitation],
    tags=["access"],
)
