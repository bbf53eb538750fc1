"""The Litestar app of the dialect: routes, dependencies, errors."""

import re

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from roadstead.core.identity import ANYBODY, Audience
from roadstead.dialects.leverege import (
    accounts,
    api_access,
    attributes,
    blueprints,
    can,
    contacts,
    events,
    groups,
    history,
    inbound,
    interface,
    login,
    members,
    messages,
    modules,
    networks,
    oidc,
    oidc_clients,
    pending_users,
    permissions,
    projects,
    roles,
    rsrc,
    search,
    set_value,
    system_devices,
    systems,
    templates,
    timers,
    user_resources,
    user_roles,
    users,
)
from roadstead.dialects.leverege.edge import before_request, provide_begin, provide_office, provide_work
from roadstead.dialects.leverege.errors import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.dialects.leverege.folding import fold, provide_place
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import Edge, provide_entry
from roadstead.web.frame import RequestFrame
from roadstead.web.metrics import MeasuredRequests

ROUTERS: list[ControllerRouterHandler] = [
    *projects.handlers,
    *systems.handlers,
    *contacts.handlers,
    *blueprints.handlers,
    *attributes.handlers,
    *networks.handlers,
    *templates.handlers,
    *timers.handlers,
    *interface.handlers,
    *groups.handlers,
    *history.handlers,
    *events.handlers,
    *rsrc.handlers,
    *search.handlers,
    *system_devices.handlers,
    *inbound.handlers,
    *messages.handlers,
    *set_value.handlers,
    *login.handlers,
    *users.handlers,
    *accounts.handlers,
    *members.handlers,
    *pending_users.handlers,
    *oidc_clients.handlers,
    *oidc.handlers,
    *api_access.handlers,
    *roles.handlers,
    *permissions.handlers,
    *modules.handlers,
    *user_roles.handlers,
    *user_resources.handlers,
    *can.handlers,
]

_SLASHES = re.compile(r"/{2,}")


def create_app(edge: Edge, audience: Audience = ANYBODY) -> ASGIApp:
    """The dialect as one ASGI app; paths begin with /v1."""
    return frame(make_litestar(edge, audience), edge)


def frame(app: ASGIApp, edge: Edge) -> ASGIApp:
    """What is done around every request."""
    return MeasuredRequests(RequestFrame(_single_slashes(app)), edge.metrics)


def _single_slashes(app: ASGIApp) -> ASGIApp:
    """A double slash counts as one, and one at the end as none (contract, `path_grammar`); see also `folding.py`."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = _SLASHES.sub("/", scope["path"])
        await app(fold({**scope, "path": path.rstrip("/") or "/"}), receive, send)  # type: ignore[arg-type]

    return serve


def make_litestar(edge: Edge, audience: Audience = ANYBODY) -> Litestar:
    """The app without its frame: what tests look into."""
    app = Litestar(
        route_handlers=ROUTERS,
        dependencies={
            "work": Provide(provide_work),
            "office": Provide(provide_office),
            "begin": Provide(provide_begin, sync_to_thread=False),
            "entry": Provide(provide_entry),
            "place": Provide(provide_place, sync_to_thread=False),
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
    app.state.audience = audience
    return app
