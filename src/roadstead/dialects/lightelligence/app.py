"""The Litestar app of the dialect: routes, dependencies, errors."""

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ControllerRouterHandler

from roadstead.dialects.lightelligence.edge import before_request, provide_bearer, provide_work
from roadstead.dialects.lightelligence.errors import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import Edge, provide_entry
from roadstead.web.frame import RequestFrame
from roadstead.web.metrics import MeasuredRequests

ROUTERS: list[ControllerRouterHandler] = []


def create_app(edge: Edge) -> ASGIApp:
    """The dialect as one ASGI app; paths begin with /v1, those of the realm also with /auth."""
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
            "entry": Provide(provide_entry),
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
    return app
