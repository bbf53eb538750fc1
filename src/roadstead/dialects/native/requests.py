"""What happens around every request: its id, its log line, its time, and no parameter ignored."""

import re
import time

import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from roadstead.dialects.native.edge import AnyRequest, admit, admit_stranger, let_go
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import new_id

log = structlog.get_logger()

_SECRET = re.compile(r"[\w.~-]{40,}")
"""What is longer than an id may be a secret: the token of an invitation, a key in the wrong place."""
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class RequestFrame:
    """Gives each request an id (the caller's X-Request-Id, or a new one), echoes it, and logs how it went.

    Wraps the whole app, so that answers to paths nobody serves have an id too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other kinds of connection pass through."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                await let_go(scope)
            log.info(
                "request",
                method=scope["method"],
                path=_SECRET.sub("(hidden)", scope["path"]),
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 2),
            )


def learn_routes(app: Litestar) -> None:
    """Remember for each route which parameters it and its dependencies take, and whether it asks who calls."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                handler.opt["parameters"] = frozenset(param.field_alias for param in model.expected_query_params)
                parameters = {*model.expected_query_params, *model.expected_header_params}
                handler.opt["spellings"] = {param.field_name: param.field_alias for param in parameters}
                dependencies = {dependency.key for batch in model.dependency_batches for dependency in batch}
                handler.opt["needs_actor"] = bool(dependencies & {"work", "account"})


async def before_request(request: AnyRequest) -> None:
    """First who calls and how often, then whether the route knows every query parameter: none is ignored in silence."""
    known = request.route_handler.opt
    limits = request.app.state.edge.limits
    if known.get("needs_actor"):
        request.scope["auth"] = await admit(request)
    else:
        admit_stranger(request, limits.sign_ins if known.get("sign_in") else limits.strangers)
    for name in request.query_params:
        if name not in known.get("parameters", ()):
            raise Invalid.field(name, "is not a parameter of this operation", code="unknown-parameter", place="query")
