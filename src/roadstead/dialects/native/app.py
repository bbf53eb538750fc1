"""The Litestar app of the native API: routes, dependencies, errors, OpenAPI."""

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from roadstead.dialects.native import (
    alert_rules,
    alerts,
    api_keys,
    audit_log,
    auth,
    bindings,
    channels,
    commands,
    components,
    config_artefacts,
    credentials,
    device_bulk,
    device_groups,
    device_profiles,
    devices,
    events,
    exports,
    firmware,
    firmware_content,
    health,
    ingest,
    invitations,
    members,
    meta,
    organizations,
    provisioning,
    quarantine,
    readings,
    rollouts,
    schemas,
    sensor_profiles,
    sensors,
    sites,
    storage,
    stream,
)
from roadstead.dialects.native.edge import provide_expected
from roadstead.dialects.native.openapi import Documents, make_config
from roadstead.dialects.native.pages import provide_page
from roadstead.dialects.native.problems import on_cleanup, on_failure, on_http, on_surprise, on_validation
from roadstead.dialects.native.requests import before_request, learn_routes
from roadstead.kernel.errors import RoadsteadError
from roadstead.web.edge import Edge, provide_account, provide_begin, provide_entry, provide_work
from roadstead.web.frame import RequestFrame
from roadstead.web.limits import RateLimitHeaders
from roadstead.web.metrics import MeasuredRequests

ROUTERS: list[Router] = [
    auth.router,
    auth.key_router,
    organizations.router,
    members.router,
    invitations.router,
    api_keys.router,
    audit_log.router,
    devices.router,
    devices.site_router,
    bindings.device_router,
    health.router,
    device_bulk.router,
    components.router,
    sensors.router,
    device_groups.router,
    sites.router,
    provisioning.router,
    credentials.router,
    commands.router,
    commands.device_router,
    commands.type_router,
    config_artefacts.router,
    bindings.router,
    sensor_profiles.router,
    device_profiles.router,
    schemas.router,
    readings.router,
    ingest.router,
    stream.router,
    quarantine.router,
    exports.router,
    alert_rules.router,
    alerts.router,
    channels.router,
    events.router,
    events.device_router,
    firmware.router,
    firmware_content.router,
    rollouts.router,
    meta.router,
]


def create_app(edge: Edge) -> ASGIApp:
    """The whole native API as one ASGI app; paths begin with /api, those of files with /storage."""
    return frame(make_litestar(edge), edge)


def frame(app: ASGIApp, edge: Edge) -> ASGIApp:
    """What is done around every request."""
    limited = RateLimitHeaders(app, edge.limits.strangers, edge.trusted_proxies)
    return MeasuredRequests(RequestFrame(limited), edge.metrics)


def make_litestar(edge: Edge, *, openapi_config: OpenAPIConfig | None = None) -> Litestar:
    """The app without its frame: what tests look into; with a config, what the OpenAPI document is made from."""
    app = Litestar(
        route_handlers=[Router("/api", route_handlers=ROUTERS), storage.router],
        dependencies={
            "work": Provide(provide_work),
            "begin": Provide(provide_begin, sync_to_thread=False),
            "account": Provide(provide_account),
            "entry": Provide(provide_entry),
            "expected": Provide(provide_expected),
            "page": Provide(provide_page, sync_to_thread=False),
        },
        before_request=before_request,
        exception_handlers={
            RoadsteadError: on_failure,
            ValidationException: on_validation,
            HTTPException: on_http,
            ExceptionGroup: on_cleanup,
            Exception: on_surprise,
        },
        logging_config=None,
        request_max_body_size=edge.max_body_bytes,
        openapi_config=openapi_config,
    )
    app.state.edge = edge
    app.state.documents = Documents(
        lambda: make_litestar(edge, openapi_config=make_config()), public_url=edge.ports.public_url
    )
    learn_routes(app)
    return app
