"""Who calls the native API, and the versions of what they see."""

from typing import Annotated, TypeVar
from uuid import UUID

from litestar import Response
from litestar.params import HeaderParameter

from roadstead.core import identity, provisioning, tenancy
from roadstead.core.work import Entry, Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Malformed, NotFound, PreconditionFailed, Unauthenticated
from roadstead.web.edge import (
    AnyRequest,
    Edge,
    address_of,
    admit_stranger,
    certificate_of,
    charge,
    credential_of,
    request_id_of,
)
from roadstead.web.limits import Limits

T = TypeVar("T")


async def authenticate(request: AnyRequest) -> Actor:
    """Who calls. Asked before anything else of the request is looked at.

    On routes with `opt={"devices": True}` a device may show its certificate instead of a bearer credential: those let
    it speak for itself only. Raises `Unauthenticated` without a good credential.
    """
    edge: Edge = request.app.state.edge
    credential: str | bytes | None = credential_of(request)
    if credential is None and request.route_handler.opt.get("devices"):
        credential = certificate_of(request)
    if credential is None:
        raise Unauthenticated("send 'Authorization: Bearer' with an API key (sk_...) or a session token")
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        if isinstance(credential, bytes):
            return await provisioning.authenticate_certificate(entry, credential)
        return await identity.authenticate(entry, credential)


async def admit(request: AnyRequest) -> Actor:
    """Who calls, if they have not called too often. Raises `Unauthenticated`, `Forbidden` or `TooMany`."""
    limits: Limits = request.app.state.edge.limits
    try:
        actor = await authenticate(request)
    except Unauthenticated:
        admit_stranger(request, limits.strangers)
        raise
    charge(request, limits.callers, str(actor.id))
    return actor


# --- versions: ETag, If-Match, If-None-Match -------------------------------------------------------------------------


def read_etag(header: str) -> int:
    """The version inside a strong ETag. Raises `Malformed` when it is none of ours."""
    text = header.strip().strip('"')
    if not text.isdigit():
        raise Malformed('If-Match takes the ETag of an earlier answer, for instance "3"')
    return int(text)


async def provide_expected(
    work: Work, if_match: Annotated[str | None, HeaderParameter(name="If-Match", required=False)] = None
) -> int | None:
    """The version the caller has seen. An organization can make it obligatory (428)."""
    if if_match is not None and if_match.strip() != "*":
        return read_etag(if_match)
    if if_match is None and (await tenancy.load_organization(work)).settings.require_preconditions:
        raise PreconditionFailed("this organization requires If-Match", code="precondition-required")
    return None


def versioned(request: AnyRequest, shape: T, version: int, *, location: str | None = None) -> Response[T | None]:
    """The answer with its ETag; 304 without a body when the caller has it already (RFC 9110 section 13.1.2)."""
    etag = f'"{version}"'
    known = request.headers.get("if-none-match", "")
    if request.method == "GET" and (known.strip() == "*" or etag in {tag.strip() for tag in known.split(",")}):
        return Response(None, status_code=304, headers={"ETag": etag})
    headers = {"ETag": etag} | ({"Location": location} if location else {})
    return Response(shape, status_code=201 if location else 200, headers=headers)


# --- ids -------------------------------------------------------------------------------------------------------------


def read_id(text: str, what: str) -> UUID:
    """The id in a path. What cannot be an id of ours does not exist."""
    value = ids.parse_uuid(text)
    if value is None:
        raise NotFound(what, text)
    return value
