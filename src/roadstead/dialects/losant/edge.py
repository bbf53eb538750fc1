"""Who calls, and about which application: where a request becomes work (contract section 3)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from litestar.params import PathParameter

from roadstead.core import identity, provisioning, registry
from roadstead.core.identity import Person, Subtype
from roadstead.core.provisioning import DeviceHolder
from roadstead.core.registry import Space
from roadstead.core.work import Entry, Work
from roadstead.dialects.losant.scopes import check_scopes
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Forbidden, NotFound, Unauthenticated
from roadstead.kernel.ids import DeviceId, SpaceId, TenantId, parse_hex24
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
_WRONG = "Invalid access token"
_REPORTS = "device.sendState"
"""What a device may do for others that it connects."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who shows a credential."""

    actors: Sequence[Actor]
    """In each organization where they may work, the one used last first; never empty."""
    scopes: frozenset[str] | None = None
    """None: a credential of the platform itself, which may do what its rights say."""
    space_id: SpaceId | None = None
    """The only application that it opens."""
    device: DeviceHolder | None = None
    is_limited: bool = False
    """Whether it is for less than the person behind it may do, other than by scopes."""


async def before_request(request: AnyRequest) -> None:
    """First who calls and how often, then whether they may; routes with `opt={"token": "none"}` are for anybody."""
    limits: Limits = request.app.state.edge.limits
    opt = request.route_handler.opt
    if opt.get("token") == "none":
        admit_stranger(request, limits.sign_ins if opt.get("password") else limits.strangers)
        return
    try:
        caller = await _authenticate(request)
    except Unauthenticated as error:
        admit_stranger(request, limits.strangers)
        raise Unauthenticated(_WRONG) from error
    charge(request, limits.callers, str(caller.actors[0].id))
    operation = str(request.route_handler.operation_id)
    check_scopes(operation, caller.scopes)
    request.scope.setdefault("state", {})["caller"] = caller
    request.scope["auth"] = await _place(request, caller, operation)


async def admit(request: AnyRequest) -> Actor:
    """Who calls, asked once more: for what rests on a credential for long. Raises as `before_request` does."""
    caller = await _authenticate(request)
    operation = str(request.route_handler.operation_id)
    check_scopes(operation, caller.scopes)
    return await _place(request, caller, operation)


def caller_of(request: AnyRequest) -> Caller:
    """Who calls."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


async def provide_work(request: AnyRequest) -> AsyncIterator[Work]:
    """The caller's work in the tenant of the request, in one transaction, committed before the reply leaves."""
    edge: Edge = request.app.state.edge
    actor = _actor_in_organization(request)
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.tenant_database.tx(actor.tenant_id))
        yield Work(actor, tx, edge.ports)


async def provide_office(request: AnyRequest) -> AsyncIterator[Work]:
    """The same in a transaction that sees all tenants, because keys that sign are nobody's rows."""
    edge: Edge = request.app.state.edge
    actor = _actor_in_organization(request)
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.system_database.tx(actor.tenant_id))
        yield Work(actor, tx, edge.ports)


def provide_begin(request: AnyRequest) -> BeginWork:
    """For routes that do something when their transaction is over: each call begins the caller's work in another."""
    edge: Edge = request.app.state.edge
    actor = _actor_in_organization(request)

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


def _actor_in_organization(request: AnyRequest) -> Actor:
    actor: Actor = request.scope["auth"]
    if not actor.tenant_id:
        raise Forbidden("you are in no organization")
    return actor


# --- who -------------------------------------------------------------------------------------------------------------


async def _authenticate(request: AnyRequest) -> Caller:
    token = credential_of(request)
    if token is None:
        raise Unauthenticated(_WRONG)
    async with _door(request) as entry:
        return await _identify(entry, token)


async def _identify(entry: Entry, token: str) -> Caller:
    match identity.find_subtype(token):
        case None:
            return Caller(actors=[await identity.authenticate(entry, token)])
        case Subtype.DEVICE:
            try:
                device = await provisioning.authenticate_device_token(entry, token)
            except Forbidden as error:
                # What may not come in any more has no good token any more.
                raise Unauthenticated(_WRONG) from error
            return Caller(actors=[device.actor], scopes=device.scopes, space_id=device.key.space_id, device=device)
        case Subtype.USER | Subtype.PROGRAM:
            holder = await identity.authenticate_token(entry, token)
            actors = holder.actors or [_in_no_organization(entry, person) for person in [holder.person] if person]
            return Caller(actors=actors, scopes=holder.scopes, space_id=holder.space_id, is_limited=holder.is_limited)


def _in_no_organization(entry: Entry, person: Person) -> Actor:
    return Actor(
        kind=ActorKind.USER,
        id=person.id,
        name=person.display_name,
        tenant_id=TenantId(0),
        organization_id=person.id,
        grants=frozenset(),
        request_id=entry.request_id,
        address=entry.address,
    )


# --- where -----------------------------------------------------------------------------------------------------------


async def _place(request: AnyRequest, caller: Caller, operation: str) -> Actor:
    """The caller in the organization that the request is about. Raises `NotFound` for what is not theirs."""
    named = request.path_params.get("applicationId")
    if named is None:
        return _in_organization(caller, request.path_params.get("orgId"))
    id_ = parse_hex24(named)
    if id_ is None or caller.space_id not in (None, id_) or not caller.actors[0].tenant_id:
        raise NotFound("Application")
    if caller.device is not None:
        return await _as_device(request, caller.device, operation)
    if len(caller.actors) == 1:
        return caller.actors[0]
    homes = {actor.tenant_id: actor for actor in caller.actors}
    async with _door(request) as entry:
        home = await registry.find_home_of_space(entry, SpaceId(id_), list(homes))
    if home is None:
        raise NotFound("Application")
    return homes[home]


def _in_organization(caller: Caller, named: str | None) -> Actor:
    if named is None:
        return caller.actors[0]
    for actor in caller.actors:
        if actor.organization_id == parse_hex24(named):
            return actor
    raise NotFound("Organization")


async def _as_device(request: AnyRequest, holder: DeviceHolder, operation: str) -> Actor:
    """A device as it may touch the device of the path: as itself, for one that it connects, or for one of its key."""
    named = request.path_params.get("deviceId")
    id_ = parse_hex24(named) if named is not None else holder.device_id
    if id_ == holder.device_id:
        return holder.actor
    async with _door(request) as entry:
        if id_ is None or not await _may_touch(entry, holder, DeviceId(id_), operation):
            raise NotFound("Device")
    carries = frozenset({id_}) if operation == _REPORTS else frozenset()
    return msgspec.structs.replace(holder.actor, carries=carries)


async def _may_touch(entry: Entry, holder: DeviceHolder, device_id: DeviceId, operation: str) -> bool:
    if operation == _REPORTS:
        return await provisioning.may_report_for(entry, holder, device_id)
    if operation == "device.setConnectionStatus":
        return False
    return await provisioning.may_see(entry, holder, device_id)


@asynccontextmanager
async def _door(request: AnyRequest) -> AsyncIterator[Entry]:
    edge: Edge = request.app.state.edge
    async with edge.system_database.tx() as tx:
        yield Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
