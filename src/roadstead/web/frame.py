"""What happens around every request: its id, its log line, its time."""

import re
import time

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from roadstead.kernel.ids import new_id
from roadstead.web.edge import let_go

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
