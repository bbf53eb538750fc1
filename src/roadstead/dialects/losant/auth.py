"""/auth, /me/refreshToken, /me/changePassword: where tokens come from (contract section 3)."""

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Response, get, patch, post
from litestar.di import Provide

from roadstead.core import identity, provisioning, registry
from roadstead.core.identity import Issued
from roadstead.core.provisioning import NewDeviceToken
from roadstead.core.registry import DeviceClass
from roadstead.core.work import Account, Entry, Work
from roadstead.dialects.losant.edge import caller_of
from roadstead.dialects.losant.errors import ACCOUNT_LOCKED
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.scopes import ALL_OF_DEVICE, ALL_OF_USER
from roadstead.kernel.errors import Forbidden, Invalid, TooMany, Unauthenticated
from roadstead.kernel.ids import DeviceId, parse_hex24, to_hex24
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, credential_of, provide_account, provide_sign_in

_LIFE_S = 24 * 3600
_LONGEST_LIFE_S = 100 * 365 * 24 * 3600
_LOCKED = "Too many failed attempts; this account is locked for a while"
_WRONG = "Invalid email or password"
_WRONG_DEVICE = "Invalid device credentials"


class Terms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a token is to be good for."""

    requested_scopes: list[str] | None = None
    life_s: int = msgspec.field(default=_LIFE_S, name="tokenTTL")

    def scopes(self, otherwise: str) -> list[str]:
        """What was asked for, or all there is."""
        return self.requested_scopes or [otherwise]

    def life(self) -> timedelta | None:
        """None: it has no end."""
        if self.life_s > _LONGEST_LIFE_S:
            raise Invalid.field("tokenTTL", f"takes 0 to {_LONGEST_LIFE_S} seconds")
        return timedelta(seconds=self.life_s) if self.life_s else None


class UserBody(Terms, frozen=True, kw_only=True):
    """Who a person says they are."""

    email: str
    password: str
    two_factor_code: str | None = None


class DeviceBody(Terms, frozen=True, kw_only=True):
    """Who a device says it is."""

    device_id: str
    key: str | None = None
    secret: str | None = None


class PasswordBody(Terms, frozen=True, kw_only=True):
    """A new password."""

    password: str
    new_password: str
    two_factor_code: str | None = None
    invalidate_existing_tokens: bool = False


@post(
    "/auth/user",
    operation_id="auth.authenticateUser",
    status_code=200,
    opt={"token": "none", "password": True},
    dependencies={"entry": Provide(provide_sign_in)},
)
async def authenticate_user(request: AnyRequest, entry: Entry) -> dict[str, Any]:
    """A token of a person, for all their organizations."""
    body = read_as(await read_body(request, "userCredentials"), UserBody)
    try:
        issued = await identity.sign_in_for_token(
            entry,
            email=body.email,
            password=body.password,
            otp=body.two_factor_code,
            scopes=body.scopes(ALL_OF_USER),
            life=body.life(),
        )
    except TooMany as error:
        raise Unauthenticated(_LOCKED, code=ACCOUNT_LOCKED) from error
    return _authed(issued)


@post("/auth/device", operation_id="auth.authenticateDevice", status_code=200, opt={"token": "none"})
async def authenticate_device(request: AnyRequest, entry: Entry) -> dict[str, Any]:
    """A token of a device that shows an access key."""
    body = read_as(await read_body(request, "deviceCredentials"), DeviceBody)
    life = body.life()
    device_id = parse_hex24(body.device_id)
    if device_id is None or body.key is None or body.secret is None:
        raise Unauthenticated(_WRONG_DEVICE)
    try:
        admitted = await provisioning.admit_access_key(entry, DeviceId(device_id), body.key, body.secret)
    except (Unauthenticated, Forbidden) as error:
        raise Unauthenticated(_WRONG_DEVICE) from error
    made = await provisioning.create_device_token(entry, admitted, scopes=body.scopes(ALL_OF_DEVICE), life=life)
    return _authed_device(made, await _class_of(entry.as_actor(made.holder.actor)))


@get("/auth/ssoDomain", operation_id="auth.ssoDomain", status_code=200, opt={"token": "none"})
async def find_sso_domain(request: AnyRequest) -> Response[None]:
    """Where people of a domain sign in: here, for all there are."""
    if not request.query_params.get("email"):
        raise Invalid.field("email", "is required", place="query")
    return Response(None, status_code=204)


@get("/me/refreshToken", operation_id="me.refreshToken")
async def refresh_token(request: AnyRequest, entry: Entry) -> dict[str, Any]:
    """Another token like the one that is shown."""
    return _authed(await identity.renew_token(entry, credential_of(request) or ""))


@patch("/me/changePassword", operation_id="me.changePassword", dependencies={"account": Provide(provide_account)})
async def change_password(request: AnyRequest, account: Account) -> dict[str, Any]:
    """Sets another password; answers a fresh token."""
    body = read_as(await read_body(request, "changePassword"), PasswordBody)
    try:
        issued = await identity.change_password_for_token(
            account,
            current=body.password,
            new=body.new_password,
            otp=body.two_factor_code,
            ends_others=body.invalidate_existing_tokens,
            scopes=sorted(caller_of(request).scopes or [ALL_OF_USER]),
            life=body.life(),
        )
    except TooMany as error:
        raise Unauthenticated(_LOCKED, code=ACCOUNT_LOCKED) from error
    return _authed(issued)


def _authed(issued: Issued) -> dict[str, Any]:
    return {"userId": to_hex24(issued.person_id), "token": issued.text}


async def _class_of(work: Work) -> DeviceClass:
    device = await registry.get_device(work, DeviceId(work.actor.id))
    return (await registry.load_surroundings(work, [device])).class_of(device)


def _authed_device(made: NewDeviceToken, device_class: DeviceClass) -> dict[str, Any]:
    key = made.holder.key
    return {
        "applicationId": to_hex24(key.space_id),
        "deviceId": to_hex24(made.holder.device_id),
        "deviceClass": device_class,
        "token": made.text,
        "ownerType": "organization",
        "filterType": key.topic_filter,
        "pubTopics": list(key.publish_topics),
        "subTopics": list(key.hear_topics),
        "restricted": key.is_restricted,
    }


handlers = [authenticate_user, authenticate_device, find_sso_domain, refresh_token, change_password]
