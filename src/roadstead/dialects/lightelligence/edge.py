"""Who calls: bearer tokens of the realm, and the permissions that routes ask for (contract sections 3 and 4).

What a route needs stands in its `opt`: `permissions` (aliases, all of them), `token` (`tenant`, the default; `user`;
`user_self`, then the path's `userId` must be the caller; `client`; `none`), `service` (whose error codes it has).
"""

from collections.abc import AsyncIterator, Iterable

from litestar.types import Scope

from roadstead.core import identity
from roadstead.core.identity import Bearer, Permission
from roadstead.core.work import Entry, Work
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Forbidden, Unauthenticated
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


async def _authenticate(request: AnyRequest) -> Bearer:
    edge: Edge = request.app.state.edge
    token = credential_of(request)
    if token is None:
        raise Unauthenticated("send 'Authorization: Bearer' with an access token of the realm")
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        bearer = await identity.authenticate_bearer(entry, token)
    request.scope.setdefault("state", {})["bearer"] = bearer
    return bearer
