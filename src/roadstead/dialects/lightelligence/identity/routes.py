"""Where the realm is found, and what it tells everybody about itself."""

from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from roadstead.core import identity
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.identity import authorize, pages, sessions, tokens, wishes
from roadstead.dialects.lightelligence.identity.oauth import (
    OAuthError,
    issuer_of,
    on_cleanup,
    on_failure,
    on_http,
    on_oauth,
    on_surprise,
    on_validation,
    realm_url_of,
)
from roadstead.dialects.lightelligence.places import REALM_PATHS
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import AnyRequest

_KEPT = {"Cache-Control": "public, max-age=300"}


class RealmShape(msgspec.Struct, frozen=True):
    """What is answered at the root of the realm."""

    public_key: str


@get("/", operation_id="oauthRealmInfo")
async def get_realm(entry: Entry) -> RealmShape:
    """The key that tokens are signed with, as bare base64."""
    return RealmShape(await identity.get_realm_key(entry))


@get("/.well-known/openid-configuration", operation_id="oidcDiscovery")
async def get_configuration(request: AnyRequest) -> Response[dict[str, Any]]:
    """What a client library has to know; URLs are where it has asked us, the issuer is always the same."""
    connect = realm_url_of(request) + "/protocol/openid-connect"
    by_secret = ["client_secret_basic", "client_secret_post"]
    told = {
        "issuer": issuer_of(request),
        "authorization_endpoint": f"{connect}/auth",
        "token_endpoint": f"{connect}/token",
        "token_introspection_endpoint": f"{connect}/token/introspect",
        "introspection_endpoint": f"{connect}/token/introspect",
        "userinfo_endpoint": f"{connect}/userinfo",
        "end_session_endpoint": f"{connect}/logout",
        "jwks_uri": f"{connect}/certs",
        "check_session_iframe": f"{connect}/login-status-iframe.html",
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": list(wishes.MODES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": [*by_secret, "none"],
        "introspection_endpoint_auth_methods_supported": by_secret,
        "code_challenge_methods_supported": list(wishes.CHALLENGE_METHODS),
        "scopes_supported": list(wishes.SCOPES),
        "claims_supported": [
            "sub", "iss", "auth_time", "name", "given_name", "family_name", "preferred_username", "email", "tenant",
        ],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }  # fmt: skip
    return Response(told, headers={"Cache-Control": "no-cache", "Vary": "Host"})


@get("/protocol/openid-connect/certs", operation_id="oidcCerts")
async def get_keys(entry: Entry) -> Response[dict[str, Any]]:
    """The keys that tokens can be checked with (RFC 7517)."""
    return Response({"keys": await identity.list_realm_keys(entry)}, headers=_KEPT)


@get("/resources/{name:str}")
async def get_resource(name: Annotated[str, PathParameter()]) -> Response[bytes]:
    """Style and script of our pages."""
    found = pages.read_file(name)
    if found is None:
        raise NotFoundException("there is no such file")
    return Response(found[0], media_type=found[1], headers=_KEPT | {"X-Content-Type-Options": "nosniff"})


_HANDLERS: list[ControllerRouterHandler] = [
    get_realm,
    get_configuration,
    get_keys,
    get_resource,
    authorize.router,
    Router(
        "/protocol/openid-connect",
        route_handlers=[
            tokens.give_tokens,
            tokens.introspect,
            tokens.get_user_info,
            tokens.post_user_info,
            sessions.get_logout,
            sessions.post_logout,
            sessions.get_status_page,
            sessions.get_status,
        ],
    ),
]
ROUTERS = [
    Router(
        path,
        route_handlers=_HANDLERS,
        opt={"token": "none", "service": Service.IDENTITY},
        exception_handlers={
            OAuthError: on_oauth,
            wishes.SentBack: wishes.on_sent_back,
            RoadsteadError: on_failure,
            ValidationException: on_validation,
            HTTPException: on_http,
            ExceptionGroup: on_cleanup,
            Exception: on_surprise,
        },
    )
    for path in REALM_PATHS
]
