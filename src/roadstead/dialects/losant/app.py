"""The Litestar app of the dialect: routes, dependencies, errors."""

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import ResponseHeader
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ControllerRouterHandler

from roadstead.dialects.losant import (
    api_tokens,
    application_contents,
    application_counts,
    application_keys,
    applications,
    archives,
    auth,
    bundles,
    commands,
    composites,
    connections,
    data,
    device_attributes,
    device_bulk,
    device_data,
    device_names,
    devices,
    events,
    job_logs,
    me,
    messages,
    orgs,
    state_stream,
    states,
    whitelabels,
)
from roadstead.dialects.losant.edge import before_request, provide_application, provide_begin, provide_work
from roadstead.dialects.losant.errors import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.dialects.losant.throttles import Rates, Throttles
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import Edge, provide_entry
from roadstead.web.frame import RequestFrame
from roadstead.web.metrics import MeasuredRequests

ROUTERS: list[ControllerRouterHandler] = [
    *auth.handlers,
    *api_tokens.handlers,
    *applications.handlers,
    *application_contents.handlers,
    *application_counts.handlers,
    *archives.handlers,
    *bundles.handlers,
    *me.handlers,
    *orgs.handlers,
    *whitelabels.handlers,
    *application_keys.handlers,
    *devices.handlers,
    *states.handlers,
    *composites.handlers,
    *state_stream.handlers,
    *device_attributes.handlers,
    *device_bulk.handlers,
    *device_names.handlers,
    *commands.handlers,
    *connections.handlers,
    *events.handlers,
    *data.handlers,
    *device_data.handlers,
    *job_logs.handlers,
    *messages.handlers,
]

_HEADERS = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer (contract section 2)."""


def create_app(edge: Edge, rates: Rates | None = None) -> ASGIApp:
    """The dialect as one ASGI app; paths are those of the original's host."""
    return frame(make_litestar(edge, rates), edge)


def frame(app: ASGIApp, edge: Edge) -> ASGIApp:
    """What is done around every request."""
    return MeasuredRequests(RequestFrame(app), edge.metrics)


def make_litestar(edge: Edge, rates: Rates | None = None) -> Litestar:
    """The app without its frame: what tests look into."""
    app = Litestar(
        route_handlers=ROUTERS,
        dependencies={
            "work": Provide(provide_work),
            "application": Provide(provide_application),
            "device": Provide(devices.provide_device),
            "begin": Provide(provide_begin, sync_to_thread=False),
            "entry": Provide(provide_entry),
        },
        before_request=before_request,
        exception_handlers={
            RoadsteadError: on_failure,
            ValidationException: on_validation,
            HTTPException: on_http,
            ExceptionGroup: on_cleanup,
            Exception: on_surprise,
        },
        response_headers=[ResponseHeader(name=name, value=value) for name, value in _HEADERS.items()],
        cors_config=CORSConfig(allow_origins=["*"], allow_headers=["*"], allow_methods=["*"], expose_headers=["*"]),
        logging_config=None,
        request_max_body_size=edge.max_body_bytes,
        openapi_config=None,
    )
    app.state.edge = edge
    app.state.throttles = Throttles(rates or Rates())
    return app
