"""What the routes of the realm have in common: their errors, forms, and who the clients are."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import msgspec
from litestar import MediaType, Response
from litestar.exceptions import HTTPException, ValidationException

from roadstead.core import applications
from roadstead.core.applications import Client, ClientKind
from roadstead.core.identity import RealmClient
from roadstead.core.work import Entry
from roadstead.dialects.lightelligence.errors import log
from roadstead.dialects.lightelligence.identity import pages
from roadstead.dialects.lightelligence.places import REALM_PATHS, base_url_of
from roadstead.dialects.lightelligence.terms import Terms
from roadstead.kernel import errors
from roadstead.kernel.errors import RoadsteadError, Unauthenticated
from roadstead.web.edge import AnyRequest, Edge

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FORM = "application/x-www-form-urlencoded"
_IN_HEADERS = re.compile(r"[\x21-\x7e]+")
"""A redirect URI becomes a header of ours: nobody shall write further headers with it."""


class OAuthError(Exception):
    """What is told in the words of OAuth: `error` is one of RFC 6749 and its relatives."""

    def __init__(
        self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status
        self.headers = dict(headers or {})


class OAuthFailure(msgspec.Struct, frozen=True):
    """What a failed request is answered on this host."""

    error: str
    error_description: str


class KnownClient(msgspec.Struct, frozen=True):
    """A client, with what only its routes need to know."""

    realm: RealmClient
    name: str
    """For people to read."""
    registered: Client | None = None
    """None: the built-in one."""


# --- places ----------------------------------------------------------------------------------------------------------


def issuer_of(request: AnyRequest) -> str:
    """The name of the realm in tokens: always the same, wherever it was asked."""
    edge: Edge = request.app.state.edge
    terms: Terms = request.app.state.terms
    return (terms.identity_url or f"{edge.ports.public_url}/lightelligence") + REALM_PATHS[0]


def realm_url_of(request: AnyRequest) -> str:
    """The realm as whoever asks has found it."""
    terms: Terms = request.app.state.terms
    base, path = base_url_of(request), request.scope["path"]
    if terms.identity_url and urlsplit(terms.identity_url).netloc == request.headers.get("host"):
        base = terms.identity_url
    return base + next(one for one in REALM_PATHS if path.startswith(one))


def is_secure(request: AnyRequest) -> bool:
    """Whether browsers come by https, as far as we are told."""
    return realm_url_of(request).startswith("https:")


# --- what was sent ---------------------------------------------------------------------------------------------------


def read_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; those without a value count as not sent. Raises `OAuthError` for one that is sent twice."""
    sent: dict[str, str] = {}
    for name, value in pairs:
        if name in sent:
            raise OAuthError("invalid_request", f"{name} is sent twice")
        if value:
            sent[name] = value
    return sent


def read_query(request: AnyRequest) -> dict[str, str]:
    """The parameters of the URL."""
    return read_pairs(request.query_params.multi_items())


async def read_form(request: AnyRequest) -> dict[str, str]:
    """The parameters of the body; the URL is not looked at. Raises `OAuthError` when it is no form."""
    kind = request.content_type[0]
    if kind != _FORM:
        raise OAuthError("invalid_request", f"send a body of type {_FORM}; parameters in the URL are not read")
    try:
        text = (await request.body()).decode()
        return read_pairs(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise OAuthError("invalid_request", "the body is no form") from error


# --- clients ---------------------------------------------------------------------------------------------------------


async def find_client(request: AnyRequest, entry: Entry, client_id: str) -> KnownClient | None:
    """The client of this id: the built-in one, or one of an application."""
    if client_id == applications.PORTAL:
        terms: Terms = request.app.state.terms
        realm = RealmClient(id=client_id, is_public=True, redirect_uris=terms.portal_redirect_uris)
        return KnownClient(realm, "the portal")
    client = await applications.find_client(entry, client_id)
    if client is None:
        return None
    realm = RealmClient(
        id=str(client.id),
        is_public=client.kind is ClientKind.PUBLIC,
        redirect_uris=tuple(uri for uri in client.redirect_uris if _IN_HEADERS.fullmatch(uri)),
        reach=frozenset(await applications.load_reach(entry, client.application_id)),
    )
    return KnownClient(realm, client.name, client)


async def authenticate_client(request: AnyRequest, entry: Entry, form: Mapping[str, str]) -> KnownClient:
    """The client that sends a form, by its id and, if it has one, its secret. Raises `OAuthError`."""
    basic = _read_basic(request)
    client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
    if not client_id:
        raise OAuthError("invalid_request", "client_id is missing")
    if basic and form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_request", "client_id is not the one of the Authorization header")
    client = await find_client(request, entry, client_id)
    try:
        if client is None:
            raise Unauthenticated("no such client")
        if client.registered is None or client.realm.is_public:
            if secret:
                raise Unauthenticated("this client has no secret")
        else:
            applications.check_secret(client.registered, secret or "")
    except Unauthenticated as error:
        challenge = {"WWW-Authenticate": 'Basic realm="olt"'} if basic else {}
        raise OAuthError("invalid_client", str(error), status=401 if basic else 400, headers=challenge) from error
    return client


def _read_basic(request: AnyRequest) -> tuple[str, str] | None:
    """Id and secret of the header (RFC 6749 section 2.3.1)."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuthError("invalid_request", "the Authorization header cannot be read") from error
    return unquote_plus(client_id), unquote_plus(secret)


# --- answers to what went wrong --------------------------------------------------------------------------------------


def on_oauth(request: AnyRequest, error: OAuthError) -> Response[Any]:
    """As JSON; to a browser on its way to sign in, as a page."""
    headers = NO_STORE | error.headers
    if request.route_handler.opt.get("page") and "text/html" in request.headers.get("accept", ""):
        return pages.answer(pages.failure_page(str(error)), status=error.status, headers=headers)
    body = OAuthFailure(error.error, str(error))
    return Response(body, status_code=error.status, headers=headers, media_type=MediaType.JSON)


def on_failure(request: AnyRequest, error: RoadsteadError) -> Response[Any]:
    """A kind of the core in the words of OAuth."""
    return on_oauth(request, spell_error(error, request.route_handler.opt.get("refused", "invalid_request")))


def spell_error(error: RoadsteadError, refused: str) -> OAuthError:
    """`refused`: the word for what is shown and not, or no longer, good."""
    match error:
        case errors.Unauthenticated() if refused == "invalid_token":
            challenge = {"WWW-Authenticate": 'Bearer realm="olt", error="invalid_token"'}
            return OAuthError(refused, str(error), status=401, headers=challenge)
        case errors.Forbidden() if refused == "invalid_token":
            return OAuthError("insufficient_scope", str(error), status=403)
        case errors.Unauthenticated() | errors.Forbidden():
            return OAuthError(refused, str(error))
        case errors.TooMany() | errors.Unavailable():
            status = 429 if isinstance(error, errors.TooMany) else 503
            wait = {"Retry-After": str(max(1, round(error.retry_after_s)))}
            return OAuthError("temporarily_unavailable", str(error), status=status, headers=wait)
        case errors.Invalid() if error.fields and error.fields[0].pointer == "scope":
            return OAuthError("invalid_scope", str(error))
    return OAuthError("invalid_request", str(error), status=413 if isinstance(error, errors.TooLarge) else 400)


def on_validation(request: AnyRequest, error: ValidationException) -> Response[Any]:
    """Litestar found a parameter wrong."""
    return on_oauth(request, OAuthError("invalid_request", error.detail))


def on_http(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """A body that cannot be read."""
    return on_oauth(
        request, OAuthError("invalid_request", error.detail, status=error.status_code, headers=error.headers)
    )


def on_cleanup(request: AnyRequest, group: ExceptionGroup[Exception]) -> Response[Any]:
    """Litestar's wrapping of what a transaction says when a route fails in it."""
    for error in group.exceptions:
        if isinstance(error, OAuthError):
            return on_oauth(request, error)
        if isinstance(error, RoadsteadError):
            return on_failure(request, error)
    return on_surprise(request, group)


def on_surprise(request: AnyRequest, error: Exception) -> Response[Any]:
    """A defect of ours: logged with its trace, told without."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return on_oauth(request, OAuthError("server_error", "something went wrong on our side", status=500))
