"""Who calls: bearer tokens of the realm, and the permissions that routes ask for (contract sections 3 and 4).

What a route needs stands in its `opt`: `permissions` (aliases, all of them), `token` (`tenant`, the default; `user`;
`user_self`, then the path's `userId` must be the caller; `client`; `none`), `service` (whose error codes it has).
"""

from collections.abc import AsyncIterator, Iterable

import msgspec
from litestar.types import Scope

from roadstead.core import applications, identity
from roadstead.core.identity import Bearer, Permission
from roadstead.core.work import Account, Entry, Work
from roadstead.kernel.actor import NOBODY, Actor, ActorKind
from roadstead.kernel.errors import Forbidden, Unauthenticated
from roadstead.kernel.ids import TenantId
from roadstead.web.edge import (
    AnyRequest,
    Edge,
    address_of,
    admit_stranger,
    charge,
    credential_of,
    hold,
    request_id_of,
)
from roadstead.web.limits import Limits


async def before_request(request: AnyRequest) -> None:
    """First who calls and how often, then whether they may."""
    limits: Limits = request.app.state.edge.limits
    needs = request.route_handler.opt
    kind = needs.get("token", "tenant")
    if kind == "none":
        admit_stranger(request, limits.strangers)
        return
    try:
        bearer = await _authenticate(request)
    except Unauthenticated:
        admit_stranger(request, limits.strangers)
        raise
    charge(request, limits.callers, str(bearer.subject))
    _check_kind(request, kind, bearer)
    if bearer.actor is not None:
        request.scope["auth"] = bearer.actor
    check_permissions(bearer, needs.get("permissions", ()))


def bearer_of(scope: Scope) -> Bearer:
    """Who calls."""
    bearer: Bearer = scope["state"]["bearer"]
    return bearer


def check_permissions(bearer: Bearer, wanted: Iterable[Permission]) -> None:
    """Raises `Forbidden` when one is missing."""
    missing = [one for one in wanted if one not in bearer.permissions]
    if missing:
        raise Forbidden(f"this needs the permission {', '.join(missing)}")


async def provide_work(request: AnyRequest) -> AsyncIterator[Work]:
    """The caller's work in the tenant of the token, in one transaction that is committed before the reply leaves."""
    edge: Edge = request.app.state.edge
    actor: Actor = bearer_of(request.scope).within_tenant()
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.tenant_database.tx(actor.tenant_id))
        yield Work(actor, tx, edge.ports)


async def provide_account(request: AnyRequest) -> AsyncIterator[Account]:
    """What is the caller's own in every tenant, whether or not the token is for one. For people only."""
    edge: Edge = request.app.state.edge
    bearer = bearer_of(request.scope)
    actor = bearer.actor or Actor(
        kind=ActorKind.USER,
        id=bearer.subject,
        name="",
        tenant_id=TenantId(0),
        organization_id=NOBODY,
        grants=frozenset(),
        request_id=request_id_of(request),
        address=address_of(request),
    )
    async with hold(request) as held:
        tx = await held.enter_async_context(edge.system_database.tx())
        account = Account(actor, tx, edge.ports)
        if not actor.name:
            person = await identity.get_self(account)
            account = Account(msgspec.structs.replace(actor, name=person.display_name), tx, edge.ports)
        yield account


async def provide_bearer(request: AnyRequest) -> Bearer:
    """Who calls, for routes that look at more than the tenant."""
    return bearer_of(request.scope)


def _check_kind(request: AnyRequest, kind: str, bearer: Bearer) -> None:
    if kind == "client" and not bearer.is_application:
        raise Forbidden("this is for applications, with a token of the client_credentials grant")
    if kind in ("user", "user_self") and bearer.is_application:
        raise Forbidden("this is for people, not for applications")
    if kind == "user_self" and request.path_params.get("userId", "") != str(bearer.subject):
        raise Forbidden("this is somebody else's")
    if kind == "tenant":
        bearer.within_tenant()


async def authenticate(edge: Edge, token: str, *, address: str, request_id: str) -> Bearer:
    """Who shows this access token. Raises `Unauthenticated` or `Forbidden` when it is not, or no longer, good."""
    async with edge.system_database.tx() as tx:
        return await identify(Entry(tx, edge.ports, address=address, request_id=request_id), token)


async def identify(entry: Entry, token: str) -> Bearer:
    """The same within a transaction."""
    claims = await identity.read_access_token(entry, token)
    if claims.client_id is not None:
        return await applications.authenticate_application(entry, claims)
    return await applications.restrict(entry, await identity.authenticate_bearer(entry, claims))


async def _authenticate(request: AnyRequest) -> Bearer:
    token = credential_of(request)
    if token is None:
        raise Unauthenticated("send 'Authorization: Bearer' with an access token of the realm")
    edge: Edge = request.app.state.edge
    bearer = await authenticate(edge, token, address=address_of(request), request_id=request_id_of(request))
    request.scope.setdefault("state", {})["bearer"] = bearer
    return bearer
