"""The Litestar app of the dialect: routes, dependencies, errors."""

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send

from roadstead.dialects.lightelligence import (
    actions,
    application_info,
    applications,
    audit,
    certificates,
    clients,
    custom_permissions,
    developer_applications,
    device_timeseries,
    device_types,
    devices,
    diagnostics,
    events,
    firmware_installations,
    firmwares,
    identity,
    ingest,
    invites,
    monitoring,
    notifications,
    roles,
    states,
    streaming,
    tenants,
    timeseries,
    timeseries_dumps,
    timeseries_files,
    users,
)
from roadstead.dialects.lightelligence.edge import before_request, provide_account, provide_bearer, provide_work
from roadstead.dialects.lightelligence.errors import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.dialects.lightelligence.terms import Terms
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import Edge, provide_entry
from roadstead.web.frame import RequestFrame
from roadstead.web.metrics import MeasuredRequests

ROUTERS: list[ControllerRouterHandler] = [
    *identity.ROUTERS,
    users.router,
    tenants.router,
    invites.router,
    roles.router,
    device_types.router,
    devices.router,
    monitoring.type_router,
    monitoring.device_router,
    states.router,
    ingest.router,
    events.router,
    diagnostics.router,
    firmware_installations.type_router,
    firmware_installations.device_router,
    firmwares.router,
    device_timeseries.router,
    timeseries_dumps.router,
    timeseries.router,
    timeseries_files.router,
    actions.router,
    certificates.router,
    developer_applications.router,
    custom_permissions.router,
    applications.router,
    application_info.router,
    clients.router,
    streaming.router,
    notifications.router,
    audit.router,
]


def create_app(edge: Edge, terms: Terms | None = None) -> ASGIApp:
    """The dialect as one ASGI app; paths begin with /v1, those of the realm also with /auth."""
    return frame(make_litestar(edge, terms), edge)


def frame(app: ASGIApp, edge: Edge) -> ASGIApp:
    """What is done around every request."""
    return MeasuredRequests(RequestFrame(_untyped_silence(app)), edge.metrics)


def _untyped_silence(app: ASGIApp) -> ASGIApp:
    """Answers without a body have no media type: the vendor's SDK reads as JSON whatever is said to be."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and (b"content-length", b"0") in message["headers"]:
                kept = [(name, value) for name, value in message["headers"] if name != b"content-type"]
                message = {**message, "headers": kept}
            await send(message)

        await app(scope, receive, send_on)

    return serve


def make_litestar(edge: Edge, terms: Terms | None = None) -> Litestar:
    """The app without its frame: what tests look into."""
    app = Litestar(
        route_handlers=ROUTERS,
        dependencies={
            "work": Provide(provide_work),
            "entry": Provide(provide_entry),
            "account": Provide(provide_account),
            "bearer": Provide(provide_bearer),
        },
        before_request=before_request,
        exception_handlers={
            RoadsteadError: on_failure,
            ValidationException: on_validation,
            HTTPException: on_http,
            ExceptionGroup: on_cleanup,
            Exception: on_surprise,
        },
        cors_config=CORSConfig(allow_origins=["*"], allow_headers=["*"], allow_methods=["*"], expose_headers=["*"]),
        logging_config=None,
        request_max_body_size=edge.max_body_bytes,
        openapi_config=None,
    )
    app.state.edge = edge
    app.state.terms = terms or Terms()
    return app
