"""/auth: signing in, the own account, and the keys that session tokens are checked with."""

from typing import Annotated, Any

import structlog
from litestar import MediaType, Response, Router, delete, get, patch, post
from litestar.background_tasks import BackgroundTask
from litestar.di import Provide
from litestar.params import Body as BodyParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import identity
from roadstead.core.identity import PersonChange
from roadstead.core.work import Account, Entry, Work
from roadstead.dialects.native.organizations import OrganizationShape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel import ids
from roadstead.kernel.errors import Forbidden, RoadsteadError
from roadstead.web.edge import AnyRequest, Edge, address_of, provide_sign_in, request_id_of

log = structlog.get_logger()

Password = Annotated[str, Meta(min_length=12, max_length=200)]


class UserShape(Shape):
    """A person, within contract schema `Session`."""

    id: str
    email: str
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None

    @classmethod
    def of(cls, person: identity.Person) -> "UserShape":
        return cls(
            id=str(person.id),
            email=person.email,
            name=person.name or None,
            locale=person.locale,
            time_zone=person.time_zone,
        )


class SessionShape(Shape):
    """Contract schema `Session`."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    user: UserShape
    organization: OrganizationShape

    @classmethod
    def of(cls, signed_in: identity.SignedIn) -> "SessionShape":
        return cls(
            access_token=signed_in.access_token,
            token_type="Bearer",  # noqa: S106
            expires_in=signed_in.expires_in_s,
            refresh_token=signed_in.refresh_token,
            user=UserShape.of(signed_in.person),
            organization=OrganizationShape.of(signed_in.organization),
        )


class MeShape(Shape, kw_only=True):
    """Contract schema `Me`."""

    kind: str
    id: str
    name: str | None = None
    email: str | None = None
    organization_id: str
    role: str | None = None
    scopes: list[str]
    locale: str | None = None
    time_zone: str | None = None
    preferences: dict[str, Any] | None = None
    second_factor: bool | None = None

    @classmethod
    def of(cls, work: Work, person: identity.Person | None) -> "MeShape":
        actor = work.actor
        return cls(
            kind=actor.kind,
            id=str(actor.id),
            name=(person.name if person else actor.name) or None,
            email=person.email if person else None,
            organization_id=str(actor.organization_id),
            role=actor.role,
            scopes=sorted(actor.grants),
            locale=person.locale if person else None,
            time_zone=person.time_zone if person else None,
            preferences=person.preferences if person else None,
            second_factor=person.totp_confirmed_at is not None if person else None,
        )


class SecondFactorShape(Shape):
    """What an authenticator app is set up with."""

    secret: str
    uri: str


class RecoveryCodesShape(Shape):
    """Codes that each stand in once for a code of the app."""

    recovery_codes: list[str]


class LoginBody(Body):
    """Body of `auth.login`."""

    email: str
    password: str
    organization_id: str | None = None
    otp: str | None = None


class RefreshBody(Body):
    """Body of `auth.refresh` and `auth.logout`."""

    refresh_token: str


class MePatch(Body):
    """Body of `auth.me-update`; null clears locale and time zone, and a key of the preferences."""

    name: Annotated[str, Meta(min_length=1, max_length=120)] | UnsetType = UNSET
    locale: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    preferences: dict[str, Any] | UnsetType = UNSET


class SwitchBody(Body):
    """Body of `auth.switch-organization`."""

    organization_id: str


class PasswordBody(Body):
    """Body of `auth.password-change`."""

    current_password: str
    new_password: Password


class ForgotBody(Body):
    """Body of `auth.password-forgot`."""

    email: str


class ResetBody(Body):
    """Body of `auth.password-reset`."""

    token: str
    new_password: Password


class BeginSecondFactorBody(Body):
    """Body of `auth.totp-begin`."""

    password: str


class CodeBody(Body):
    """Body of `auth.totp-confirm`."""

    otp: str


class RemoveSecondFactorBody(Body):
    """Body of `auth.totp-remove`."""

    password: str
    otp: str


@post("/login", operation_id="auth.login", status_code=200, opt={"sign_in": True})
async def sign_in(entry: Entry, data: LoginBody) -> SessionShape:
    """Password login; 401 is the same for unknown user and wrong password, 429 after 10 failures in 15 min."""
    organization_id = None
    if data.organization_id is not None:
        organization_id = ids.parse_uuid(data.organization_id)
        if organization_id is None:
            raise Forbidden("you are not a member of this organization")
    signed_in = await identity.sign_in(
        entry, email=data.email, password=data.password, organization_id=organization_id, otp=data.otp
    )
    return SessionShape.of(signed_in)


@post("/refresh", operation_id="auth.refresh", status_code=200, opt={"sign_in": True})
async def refresh(entry: Entry, data: RefreshBody) -> SessionShape:
    """Rotates the refresh token; reuse of an old one revokes the whole family."""
    return SessionShape.of(await identity.refresh_session(entry, data.refresh_token))


@post("/logout", operation_id="auth.logout", status_code=204, opt={"sign_in": True})
async def sign_out(entry: Entry, data: RefreshBody) -> None:
    """Revokes the refresh token family, and with it the session, at once."""
    await identity.sign_out(entry, data.refresh_token)


@get("/me", operation_id="auth.me")
async def get_me(work: Work) -> MeShape:
    """Who is calling: user or API key, organization, role, scopes."""
    return MeShape.of(work, await identity.find_self(work))


@patch("/me", operation_id="auth.me-update")
async def change_me(account: Account, data: MePatch) -> MeShape:
    """Changes name, locale, time zone, notification preferences."""
    change = PersonChange(name=data.name, locale=data.locale, time_zone=data.time_zone, preferences=data.preferences)
    return MeShape.of(account.as_work(), await identity.change_self(account, change))


@post("/switch-organization", operation_id="auth.switch-organization", status_code=200)
async def switch_organization(account: Account, data: SwitchBody) -> SessionShape:
    """New session for another organization of the user."""
    organization_id = ids.parse_uuid(data.organization_id)
    if organization_id is None:
        raise Forbidden("you are not a member of this organization")
    return SessionShape.of(await identity.switch_organization(account, organization_id))


@post("/password", operation_id="auth.password-change", status_code=204)
async def change_password(account: Account, data: PasswordBody) -> None:
    """Changes the own password and revokes other sessions."""
    await identity.change_password(account, current=data.current_password, new=data.new_password)


@post(
    "/password/forgot",
    operation_id="auth.password-forgot",
    status_code=202,
    media_type=MediaType.TEXT,
    opt={"sign_in": True},
)
async def forgot_password(request: AnyRequest, data: ForgotBody) -> Response[None]:
    """Mails a token that sets a new password; always 202."""
    # Everything happens after the answer, so that its time tells nobody who has an account.
    task = BackgroundTask(
        _mail_reset, request.app.state.edge, data.email, address=address_of(request), request_id=request_id_of(request)
    )
    return Response(None, status_code=202, media_type=MediaType.TEXT, background=task)


@post("/password/reset", operation_id="auth.password-reset", status_code=204, opt={"sign_in": True})
async def reset_password(entry: Entry, data: ResetBody) -> None:
    """Sets a password with the mailed token (one use, 1 h) and revokes all sessions."""
    await identity.reset_password(entry, token=data.token, new=data.new_password)


@post("/totp", operation_id="auth.totp-begin", status_code=200)
async def begin_second_factor(account: Account, data: BeginSecondFactorBody) -> SecondFactorShape:
    """A fresh secret for an authenticator app; not asked for before it was confirmed."""
    factor = await identity.begin_second_factor(account, password=data.password)
    return SecondFactorShape(secret=factor.secret, uri=factor.uri)


@post("/totp/confirm", operation_id="auth.totp-confirm", status_code=200)
async def confirm_second_factor(account: Account, data: CodeBody) -> RecoveryCodesShape:
    """With a code of the app, turns the second factor on; ten recovery codes are in this answer only."""
    return RecoveryCodesShape(recovery_codes=await identity.confirm_second_factor(account, data.otp))


@delete("/totp", operation_id="auth.totp-remove")
async def remove_second_factor(
    account: Account, data: Annotated[RemoveSecondFactorBody, BodyParameter(description="password and code")]
) -> None:
    """Turns the second factor off; needs the password and a code."""
    await identity.remove_second_factor(account, password=data.password, code=data.otp)


@get("/.well-known/jwks.json", operation_id="auth.jwks")
async def get_public_keys(entry: Entry) -> Response[dict[str, list[dict[str, Any]]]]:
    """Public keys of session tokens (RFC 7517)."""
    keys = await identity.list_public_keys(entry)
    return Response({"keys": keys}, headers={"Cache-Control": "public, max-age=300"})


async def _mail_reset(edge: Edge, email: str, *, address: str, request_id: str) -> None:
    try:
        async with edge.system_database.tx() as tx:
            mail = await identity.request_reset(Entry(tx, edge.ports, address=address, request_id=request_id), email)
        if mail is not None:
            await edge.ports.mailer.send(mail)
    except RoadsteadError as error:
        log.error("password reset mail was not sent", request_id=request_id, reason=str(error))


router = Router(
    "/v1/auth",
    route_handlers=[
        refresh,
        sign_out,
        get_me,
        change_me,
        switch_organization,
        change_password,
        forgot_password,
        begin_second_factor,
        confirm_second_factor,
        remove_second_factor,
        Router("/", route_handlers=[sign_in, reset_password], dependencies={"entry": Provide(provide_sign_in)}),
    ],
    tags=["access"],
)
key_router = Router("/", route_handlers=[get_public_keys], tags=["access"])
