"""Tokens: how programs get them, what they say, and whose they are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from msgspec import UNSET, UnsetType

from roadstead.core import identity
from roadstead.core.identity import ACCESS_LIFE, REFRESH_LIFE, Bearer, Tokens
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.edge import identify
from roadstead.dialects.lightelligence.identity.oauth import (
    NO_STORE,
    KnownClient,
    OAuthError,
    authenticate_client,
    issuer_of,
    read_form,
)
from roadstead.kernel import ids
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.web.edge import AnyRequest


class TokenShape(msgspec.Struct, frozen=True, kw_only=True):
    """Contract shape `PostTokenResponse`."""

    access_token: str
    expires_at: datetime
    # After `expires_at`, which programs in browsers compute themselves from the one that comes last.
    expires_in: int
    refresh_expires_in: int
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    id_token: str | UnsetType = UNSET
    not_before_policy: int = msgspec.field(default=0, name="not-before-policy")
    session_state: UUID
    scope: str

    @classmethod
    def of(cls, tokens: Tokens) -> "TokenShape":
        return cls(
            access_token=tokens.access_token,
            expires_at=tokens.issued_at + ACCESS_LIFE,
            expires_in=int(ACCESS_LIFE.total_seconds()),
            refresh_expires_in=int(REFRESH_LIFE.total_seconds()),
            refresh_token=tokens.refresh_token,
            id_token=tokens.id_token or UNSET,
            session_state=tokens.session_id,
            scope=tokens.scope,
        )


@post("/token", operation_id="oauthToken", status_code=200, opt={"refused": "invalid_grant"})
async def give_tokens(request: AnyRequest, entry: Entry) -> Response[TokenShape]:
    """Tokens for a code, for a refresh token, or for the secret of an application."""
    form = await read_form(request)
    grant = form.get("grant_type")
    if grant is None:
        raise OAuthError("invalid_request", "grant_type is missing")
    client = await authenticate_client(request, entry, form)
    match grant:
        case "authorization_code":
            tokens = await _exchange(request, entry, client, form)
        case "refresh_token":
            tokens = await _renew(request, entry, client, form)
        case "client_credentials":
            if client.realm.is_public:
                raise OAuthError("unauthorized_client", "a client without a secret cannot act by itself")
            tokens = await identity.grant_to_application(
                entry, client.realm, issuer=issuer_of(request), organization_id=_read_tenant(request)
            )
        case _:
            raise OAuthError("unsupported_grant_type", f"there is no grant of type {grant}")
    return Response(TokenShape.of(tokens), headers=NO_STORE)


@post("/token/introspect", operation_id="oidcIntrospect", status_code=200)
async def introspect(request: AnyRequest, entry: Entry) -> Response[dict[str, Any]]:
    """Whether a token is good, and what it says, for clients that have a secret (RFC 7662)."""
    form = await read_form(request)
    client = await authenticate_client(request, entry, form)
    if client.realm.is_public:
        raise OAuthError("unauthorized_client", "this is for clients that have a secret")
    if "token" not in form:
        raise OAuthError("invalid_request", "token is missing")
    claims = await identity.introspect_token(entry, form["token"])
    if claims is None or not await _is_behind(entry, form["token"], claims):
        return Response({"active": False}, headers=NO_STORE)
    told = {"active": True, "client_id": claims["azp"], "token_type": "bearer"}
    return Response(told | dict(claims), headers=NO_STORE)


@get("/userinfo", operation_id="oauthUserInfo", opt={"token": "user", "refused": "invalid_token"})
async def get_user_info(entry: Entry, bearer: Bearer) -> Response[dict[str, Any]]:
    """Who is signed in, and in which tenant."""
    tenant = bearer.actor.organization_id if bearer.actor else None
    return Response(await identity.describe_person(entry, bearer.subject, tenant), headers=NO_STORE)


@post("/userinfo", status_code=200, opt={"token": "user", "refused": "invalid_token"})
async def post_user_info(entry: Entry, bearer: Bearer) -> Response[dict[str, Any]]:
    """The same (OpenID Connect Core section 5.3.1)."""
    tenant = bearer.actor.organization_id if bearer.actor else None
    return Response(await identity.describe_person(entry, bearer.subject, tenant), headers=NO_STORE)


async def _exchange(request: AnyRequest, entry: Entry, client: KnownClient, form: Mapping[str, str]) -> Tokens:
    for name in ("code", "redirect_uri"):
        if name not in form:
            raise OAuthError("invalid_request", f"{name} is missing")
    return await identity.exchange_code(
        entry,
        client.realm,
        issuer=issuer_of(request),
        code=form["code"],
        redirect_uri=form["redirect_uri"],
        verifier=form.get("code_verifier"),
    )


async def _renew(request: AnyRequest, entry: Entry, client: KnownClient, form: Mapping[str, str]) -> Tokens:
    if "refresh_token" not in form:
        raise OAuthError("invalid_request", "refresh_token is missing")
    # Programs in browsers name the tenant in a header that usually has another use, and then is no tenant's id.
    alias = ids.parse_uuid(request.headers.get("x-requested-with", ""))
    return await identity.renew_tokens(
        entry,
        client.realm,
        issuer=issuer_of(request),
        refresh_token=form["refresh_token"],
        organization_id=_read_tenant(request) or alias,
        scope=form.get("scope"),
    )


def _read_tenant(request: AnyRequest) -> UUID | None:
    text = request.headers.get("tenant", "").strip()
    if not text:
        return None
    tenant = ids.parse_uuid(text)
    if tenant is None:
        raise OAuthError("invalid_request", "the header tenant is not the id of a tenant")
    return tenant


async def _is_behind(entry: Entry, token: str, claims: Mapping[str, Any]) -> bool:
    """Whether whoever the token was given to may still use it."""
    if claims["typ"] != "Bearer":
        return True
    try:
        bearer = await identify(entry, token)
    except (Unauthenticated, Forbidden):
        return False
    return bearer.actor is not None or claims.get("tenant") is None
