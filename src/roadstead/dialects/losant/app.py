"""The Litestar app of the dialect: routes, dependencies, errors."""

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import ResponseHeader
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ControllerRouterHandler

from roadstead.dialects.losant import applications
from roadstead.dialects.losant.edge import before_request, provide_application, provide_begin, provide_work
from roadstead.dialects.losant.errors import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import Edge, provide_entry
from roadstead.web.frame import RequestFrame
from roadstead.web.metrics import MeasuredRequests

ROUTERS: list[ControllerRouterHandler] = [
    *applications.handlers,
]

_HEADERS = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer (contract section 2)."""


def create_app(edge: Edge) -> ASGIApp:
    """The dialect as one ASGI app; paths are those of the original's host."""
    return frame(make_litestar(edge), edge)


def frame(app: ASGIApp, edge: Edge) -> ASGIApp:
    """What is done around every request."""
    return MeasuredRequests(RequestFrame(app), edge.metrics)


def make_litestar(edge: Edge) -> Litestar:
    """The app without its frame: what tests look into."""
    app = Litestar(
        route_handlers=ROUTERS,
        dependencies={
            "work": Provide(provide_work),
            "application": Provide(provide_application),
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
    return app
