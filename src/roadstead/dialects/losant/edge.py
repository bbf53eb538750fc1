"""Who calls, and about which application: where a request becomes work (contract section 3)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from litestar.params import PathParameter

from roadstead.core import identity, registry
from roadstead.core.registry import Space
from roadstead.core.work import Entry, Work
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import NotFound, Unauthenticated
from roadstead.kernel.ids import SpaceId, parse_hex24
from roadstead.web.edge import (
    AnyRequest,
    BeginWork,
    Edge,
    address_of,
    admit_stranger,
    charge,
    credential_of,
    hold,
    request_id_of,
)
from roadstead.web.limits import Limits

ApplicationPath = Annotated[str, PathParameter(name="applicationId")]


async def before_request(request: AnyRequest) -> None:
    """First who calls and how often; routes with `opt={"token": "none"}` are for anybody."""
    limits: Limits = request.app.state.edge.limits
    if request.route_handler.opt.get("token") == "none":
        admit_stranger(request, limits.sign_ins)
        return
    try:
        actor = await _authenticate(request)
    except Unauthenticated:
        admit_stranger(request, limits.strangers)
        raise
    charge(request, limits.callers, str(actor.id))
    request.scope["auth"] = actor


async def provide_work(request: AnyRequest) -> AsyncIterator[Work]:
    """The caller's work in the tenant of the request, in one transaction, committed before the reply leaves."""
    edge: Edge = request.app.state.edge
    actor: Actor = request.scope["auth"]
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.tenant_database.tx(actor.tenant_id))
        yield Work(actor, tx, edge.ports)


def provide_begin(request: AnyRequest) -> BeginWork:
    """For routes that do something when their transaction is over: each call begins the caller's work in another."""
    edge: Edge = request.app.state.edge
    actor: Actor = request.scope["auth"]

    @asynccontextmanager
    async def begin() -> AsyncIterator[Work]:
        async with edge.tenant_database.tx(actor.tenant_id) as tx:
            yield Work(actor, tx, edge.ports)

    return begin


async def provide_application(work: Work, application_id: ApplicationPath) -> Space:
    """The application of the path. Raises `NotFound` for one that is not there, or another's."""
    id_ = parse_hex24(application_id)
    if id_ is None:
        raise NotFound("Application")
    try:
        return await registry.load_space(work, SpaceId(id_))
    except NotFound as error:
        raise NotFound("Application") from error


async def _authenticate(request: AnyRequest) -> Actor:
    token = credential_of(request)
    if token is None:
        raise Unauthenticated("Invalid access token")
    edge: Edge = request.app.state.edge
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        return await identity.authenticate(entry, token)
