"""The Litestar app of the Leapcraft dialect: routes, who calls, errors."""

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp

from roadstead.core import identity
from roadstead.core.work import Entry
from roadstead.dialects.leapcraft import auth, devices, notifications, telemetry, things, topologies
from roadstead.dialects.leapcraft.errors import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.dialects.leapcraft.terms import Terms
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import RoadsteadError, Unauthenticated
from roadstead.web.edge import (
    AnyRequest,
    Edge,
    address_of,
    admit_stranger,
    charge,
    credential_of,
    provide_entry,
    provide_work,
    request_id_of,
)
from roadstead.web.frame import RequestFrame
from roadstead.web.limits import Limits
from roadstead.web.metrics import MeasuredRequests


def create_app(edge: Edge, terms: Terms | None = None) -> ASGIApp:
    """The dialect as one ASGI app; paths begin with /v1."""
    return MeasuredRequests(RequestFrame(make_litestar(edge, terms or Terms())), edge.metrics)


def make_litestar(edge: Edge, terms: Terms) -> Litestar:
    """The app without its frame: what tests look into."""
    app = Litestar(
        route_handlers=[
            auth.exchange,
            devices.list_devices,
            devices.get_device,
            telemetry.get_telemetry,
            topologies.list_topologies,
            topologies.get_topology,
            notifications.list_notifications,
            Router(terms.things_path, route_handlers=[things.list_things]),
        ],
        dependencies={"work": Provide(provide_work), "entry": Provide(provide_entry)},
        before_request=_before_request,
        exception_handlers={
            RoadsteadError: on_failure,
            ValidationException: on_validation,
            HTTPException: on_http,
            ExceptionGroup: on_cleanup,
            Exception: on_surprise,
        },
        logging_config=None,
        request_max_body_size=edge.max_body_bytes,
        openapi_config=None,
    )
    app.state.edge = edge
    app.state.terms = terms
    return app


async def _before_request(request: AnyRequest) -> None:
    limits: Limits = request.app.state.edge.limits
    if request.route_handler.opt.get("exchange"):
        admit_stranger(request, limits.sign_ins)
        return
    try:
        actor = await _authenticate(request)
    except Unauthenticated:
        admit_stranger(request, limits.strangers)
        raise
    charge(request, limits.callers, str(actor.id))
    request.scope["auth"] = actor


async def _authenticate(request: AnyRequest) -> Actor:
    edge: Edge = request.app.state.edge
    token = credential_of(request)
    if token is None:
        raise Unauthenticated("send 'Authorization: Bearer' with a token of /v1/auth/client/token")
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address_of(request), request_id=request_id_of(request))
        return await identity.authenticate_client_token(entry, token)
