"""Who calls: tokens of people, JWTs of API access, for one project or for none (contract section 1)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from roadstead.core import access, identity, registry
from roadstead.core.identity import Audience
from roadstead.core.work import Entry, Work
from roadstead.dialects.leverege.paths import Place
from roadstead.kernel.actor import Actor, ActorKind
from roadstead.kernel.errors import Forbidden, NotFound, Unauthenticated
from roadstead.kernel.ids import TenantId, UserId, parse_base62
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


class Caller(msgspec.Struct, frozen=True):
    """Who shows a credential."""

    actor: Actor
    """In the project that the request is about."""
    role_names: Sequence[str] | None = None
    """The roles that a key is limited to."""


async def before_request(request: AnyRequest) -> None:
    """First who calls and how often; routes with `opt={"token": "none"}` are for anybody."""
    limits: Limits = request.app.state.edge.limits
    if request.route_handler.opt.get("token") == "none":
        admit_stranger(request, limits.sign_ins)
        return
    try:
        caller = await _stranger(request) or await _authenticate(request)
    except Unauthenticated:
        admit_stranger(request, limits.strangers)
        raise
    charge(request, limits.callers, str(caller.actor.id))
    request.scope["auth"] = caller.actor
    request.scope.setdefault("state", {})["caller"] = caller


async def provide_work(request: AnyRequest) -> AsyncIterator[Work]:
    """The caller's work in the project of the request, in one transaction, committed before the reply leaves."""
    edge: Edge = request.app.state.edge
    caller = _caller_in_project(request)
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.tenant_database.tx(caller.actor.tenant_id))
        yield await _with_rights(Work(caller.actor, tx, edge.ports), caller)


def provide_begin(request: AnyRequest) -> BeginWork:
    """For routes that do something when their transaction is over: each call begins the caller's work in another."""
    edge: Edge = request.app.state.edge
    caller = _caller_in_project(request)

    @asynccontextmanager
    async def begin() -> AsyncIterator[Work]:
        async with edge.tenant_database.tx(caller.actor.tenant_id) as tx:
            yield await _with_rights(Work(caller.actor, tx, edge.ports), caller)

    return begin


async def provide_office(request: AnyRequest) -> AsyncIterator[Work]:
    """The same in a transaction that sees all tenants, because people are nobody's rows."""
    edge: Edge = request.app.state.edge
    caller = _caller_in_project(request)
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.system_database.tx(caller.actor.tenant_id))
        yield await _with_rights(Work(caller.actor, tx, edge.ports), caller)


def is_for_all_projects(request: AnyRequest) -> bool:
    """Whether the token of the request is one of a person for no project, which opens all of theirs."""
    return bool(request.scope.setdefault("state", {}).get("all_projects"))


def _caller_in_project(request: AnyRequest) -> Caller:
    caller: Caller = request.scope.setdefault("state", {})["caller"]
    if not caller.actor.tenant_id:
        raise Forbidden("this token is for no project, and you are in none")
    return caller


async def _with_rights(work: Work, caller: Caller) -> Work:
    if caller.role_names is not None:
        return await access.limit_to_roles(work, caller.role_names)
    return await access.with_standing(work)


async def _stranger(request: AnyRequest) -> Caller | None:
    """Whoever shows no token, where reading takes none (`opt={"token": "optional"}`)."""
    place: Place | None = request.scope.setdefault("state", {}).get("place")
    if place is None or request.route_handler.opt.get("token") != "optional" or "authorization" in request.headers:
        return None
    edge: Edge = request.app.state.edge
    admit_stranger(request, edge.limits.strangers)
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        actor = await access.find_stranger(entry, place.system)
    return Caller(actor) if actor is not None else None


async def _authenticate(request: AnyRequest) -> Caller:
    token = credential_of(request)
    if token is None:
        raise Unauthenticated("send 'Authorization: Bearer' with an idToken or the JWT of an API access")
    edge: Edge = request.app.state.edge
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        if identity.is_id_token(token):
            return Caller(await _holder(request, entry, token))
        claims = identity.find_access_token(token)
        if claims is None:
            return Caller(await identity.authenticate(entry, token))
        audience: Audience = request.app.state.audience
        holder = await identity.authenticate_access_token(entry, token, claims, audience)
        return Caller(holder.actor, holder.role_names)


async def _holder(request: AnyRequest, entry: Entry, token: str) -> Actor:
    """The person behind a token, in its project; or with one for none, in the one of theirs that the request names."""
    holder = await identity.authenticate_id_token(entry, token)
    if holder.actor is not None:
        return holder.actor
    request.scope.setdefault("state", {})["all_projects"] = True
    everywhere = await identity.list_projects_of(entry, holder)
    if not everywhere:
        return _in_no_project(request, entry, holder)
    return await _in_named_project(request, entry, everywhere)


async def _in_named_project(request: AnyRequest, entry: Entry, everywhere: Sequence[Actor]) -> Actor:
    kind, name = _named(request)
    if kind == "project" and name:
        project_id = parse_base62(name)
        for actor in everywhere:
            if actor.organization_id == project_id:
                return actor
        raise NotFound("project", name)
    asked = await _asked_project(request)
    homes = {actor.tenant_id: actor for actor in everywhere}
    home = await registry.find_home(entry, kind, name, list(homes)) if name else None
    if home is not None:
        return homes[home]
    return next((actor for actor in everywhere if actor.organization_id == asked), everywhere[0])


def _named(request: AnyRequest) -> tuple[str, str]:
    """The first two words of the path behind the version: `device` and its id."""
    place: Place | None = request.scope.setdefault("state", {}).get("place")
    if place is not None:
        return "system", place.system
    words = [word for word in request.scope["path"].split("/") if word][1:3]
    kind, name = [*words, "", ""][:2]
    return kind, name


async def _asked_project(request: AnyRequest) -> Any:
    """`projectId` of the query or the body, which paths of the authorization service use."""
    asked = request.query_params.get("projectId")
    if asked is None:
        try:
            body = msgspec.json.decode(await request.body() or b"null")
        except msgspec.DecodeError:
            return None
        asked = body.get("projectId") if isinstance(body, dict) else None
    return parse_base62(asked) if isinstance(asked, str) else None


def _in_no_project(request: AnyRequest, entry: Entry, holder: identity.IdTokenHolder) -> Actor:
    return Actor(
        kind=ActorKind.USER,
        id=UserId(holder.person_id),
        name="",
        tenant_id=TenantId(0),
        organization_id=holder.person_id,
        grants=frozenset(),
        session_id=holder.session_id,
        request_id=entry.request_id,
        address=entry.address,
        expires_at=holder.expires_at,
    )
