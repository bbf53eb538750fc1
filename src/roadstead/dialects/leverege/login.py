"""/v1/login, /v1/verify, /v1/logout, and passwords that were forgotten (contract section 1.2)."""

from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import Provide
from msgspec import UNSET, UnsetType

from roadstead.core import identity
from roadstead.core.identity import MemberAccount, NewIdToken, Person
from roadstead.core.work import Entry
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.edge import is_for_all_projects
from roadstead.dialects.leverege.statuses import Status
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Gone, Invalid, Unavailable
from roadstead.kernel.ids import UserId, parse_base62, to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, Edge, address_of, credential_of, provide_sign_in, request_id_of

log = structlog.get_logger()

_SIGN_IN = {"entry": Provide(provide_sign_in)}
_NO_PROJECT = UUID(int=0)
"""For an id that cannot be one: nobody is known there."""


class LoginBody(msgspec.Struct, rename="camel"):
    """Body of `login`."""

    username: str
    password: str
    project_id: str | None = None
    otp: str | None = None
    """A code of the second factor, for those who have one (ours)."""


class ForgotBody(msgspec.Struct, rename="camel"):
    """Body of `user.forgot-password`."""

    username: str
    project_id: str | None = None


class ResetBody(msgspec.Struct, rename="camel"):
    """Body of `user.reset-password`."""

    username: str
    password: str
    confirm: str
    token: str
    project_id: str | None = None


class ProfileShape(msgspec.Struct, rename="camel", kw_only=True):
    """`Profile`."""

    id: str
    username: str
    name: str
    email: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    expires: int | UnsetType = UNSET
    """When the token is no longer good."""

    @classmethod
    def of_account(cls, account: MemberAccount, project_id: UUID) -> "ProfileShape":
        """Somebody in a project."""
        return cls(
            id=to_base62(account.person_id),
            username=account.username,
            name=account.name,
            email=account.email or UNSET,
            project_id=to_base62(project_id),
            metadata=account.metadata,
        )

    @classmethod
    def of_person(cls, person: Person) -> "ProfileShape":
        """Somebody by themselves."""
        return cls(id=to_base62(person.id), username=person.email, name=person.name, email=person.email)

    @classmethod
    def of_key(cls, actor: Actor) -> "ProfileShape":
        """An API access."""
        project_id = to_base62(actor.organization_id)
        return cls(id=to_base62(actor.id), username=to_base62(actor.id), name=actor.name, project_id=project_id)


class LoginShape(msgspec.Struct, rename="camel"):
    """`LoginResult`."""

    id_token: str
    profile: ProfileShape


@post("/v1/login", operation_id="login", status_code=200, opt={"token": "none"}, dependencies=_SIGN_IN)
async def log_in(request: AnyRequest, entry: Entry) -> LoginShape:
    """A bearer token of 24 hours, for a project or for the person alone."""
    body = read_as(await read_body(request), LoginBody)
    token = await identity.log_in(
        entry,
        username=body.username,
        password=body.password,
        project_id=_project(body.project_id),
        otp=body.otp,
    )
    return await _spell(entry, token)


@get("/v1/verify", operation_id="verify")
async def verify(request: AnyRequest, entry: Entry) -> ProfileShape:
    """Whose token it is, and until when."""
    actor: Actor = request.scope["auth"]
    expires = to_millis(actor.expires_at) if actor.expires_at else UNSET
    if actor.kind is not ActorKind.USER:
        profile = ProfileShape.of_key(actor)
    else:
        project_id = None if is_for_all_projects(request) else actor.organization_id
        profile = await _profile(entry, UserId(actor.id), project_id)
    return msgspec.structs.replace(profile, expires=expires)


@post("/v1/logout", operation_id="logout", status_code=200)
async def log_out(request: AnyRequest, entry: Entry) -> Status:
    """The token is good no more. Those that are no id tokens end by themselves."""
    await identity.log_out(entry, credential_of(request) or "")
    return Status()


@post("/v1/user/forgotPassword", operation_id="user.forgot-password", status_code=200, opt={"token": "none"})
async def forgot_password(request: AnyRequest) -> Response[Status]:
    """Mails a token that sets a new password; always 200."""
    body = read_as(await read_body(request), ForgotBody)
    # Everything happens after the answer, so that its time tells nobody who has an account.
    task = BackgroundTask(
        _mail_reset, request.app.state.edge, body, address=address_of(request), request_id=request_id_of(request)
    )
    return Response(Status(), background=task)


@post(
    "/v1/user/resetPassword",
    operation_id="user.reset-password",
    status_code=200,
    opt={"token": "none"},
    dependencies=_SIGN_IN,
)
async def reset_password(request: AnyRequest, entry: Entry) -> Status:
    """Sets a new password with the token of the mail."""
    body = read_as(await read_body(request), ResetBody)
    if body.password != body.confirm:
        raise Invalid.field("confirm", "is not the same as the password")
    try:
        await identity.reset_account_password(
            entry, username=body.username, project_id=_project(body.project_id), token=body.token, new=body.password
        )
    except Gone as error:
        raise Invalid.field("token", str(error)) from error
    return Status()


async def _mail_reset(edge: Edge, body: ForgotBody, *, address: str, request_id: str) -> None:
    try:
        async with edge.system_database.tx() as tx:
            entry = Entry(tx, edge.ports, address=address, request_id=request_id)
            mail = await identity.request_account_reset(
                entry, username=body.username, project_id=_project(body.project_id)
            )
        if mail is not None:
            await edge.ports.mailer.send(mail)
    except Unavailable as error:
        log.warning("the mail for a forgotten password could not be sent", reason=str(error))


async def _spell(entry: Entry, token: NewIdToken) -> LoginShape:
    return LoginShape(token.token, await _profile(entry, token.person_id, token.project_id))


async def _profile(entry: Entry, person_id: UserId, project_id: UUID | None) -> ProfileShape:
    if project_id is None:
        return ProfileShape.of_person(await identity.load_person_of(entry, person_id))
    return ProfileShape.of_account(await identity.load_account_in(entry, project_id, person_id), project_id)


def _project(text: str | None) -> UUID | None:
    return None if not text else parse_base62(text) or _NO_PROJECT


handlers = [log_in, verify, log_out, forgot_password, reset_password]
