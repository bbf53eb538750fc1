"""The front of the HTTP ports: what is asked for before any dialect, and what people and machines ask a platform."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from prometheus_client.exposition import choose_encoder

from roadstead.app.metrics import PlatformMetrics
from roadstead.console import landing_page
from roadstead.kernel.checks import Check, run_checks
from roadstead.web.addresses import Network, address_in, contains

_JSON = "application/json"
_FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-real-ip"}


class Front:
    """`/`, `/healthz`, `/readyz` and `/metrics` in front of an application, which gets everything else.

    They ask for no credential, so they tell no secret. `/metrics` tells how busy a platform is and on which version:
    only callers from the networks in `readers` may read it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        checks: Mapping[str, Check],
        metrics: PlatformMetrics,
        readers: tuple[Network, ...],
        proxies: tuple[Network, ...],
        unsafe: bool = False,
    ) -> None:
        """`proxies`: whose word about the caller's address is believed. `unsafe`: durability is not insisted on."""
        self._app = app
        self._checks = checks
        self._metrics = metrics
        self._readers = readers
        self._proxies = proxies
        self._unsafe = unsafe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of any kind."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        match scope["path"]:
            case "/":
                await landing_page(dict(scope), receive, send)
            case "/healthz":
                await _answer(send, 200, _JSON, b'{"status":"UP"}')
            case "/readyz":
                found = await run_checks(self._checks)
                states = {name: _spell(found[name]) for name in found}
                shape: dict[str, Any] = {"status": _spell(all(found.values())), "checks": states}
                if self._unsafe:
                    shape["unsafe"] = True
                await _answer_json(send, 200 if all(found.values()) else 503, shape)
            case "/metrics":
                await self._answer_metrics(scope, send)
            case _:
                await self._app(scope, receive, send)

    async def _answer_metrics(self, scope: HTTPScope, send: Send) -> None:
        if not self._may_read(scope):
            detail = "metrics are not for callers at this address; the setting http.metrics_from says for whom they are"
            await _answer_json(send, 403, {"title": "Forbidden", "status": 403, "detail": detail})
            return
        accepted = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        encode, media_type = choose_encoder(accepted)
        collected = await self._metrics.collect()
        # Thousands of lines: meanwhile others shall be served.
        await _answer(send, 200, media_type, await asyncio.to_thread(encode, collected))

    def _may_read(self, scope: HTTPScope) -> bool:
        client = scope["client"]
        if client is None:
            return False
        # A proxy on this machine that nobody told us about brings us callers from anywhere.
        is_forwarded = any(name in _FORWARDED for name, _ in scope["headers"])
        if is_forwarded and not contains(self._proxies, client[0]):
            return False
        return contains(self._readers, address_in(scope, self._proxies))


def _spell(is_there: bool) -> str:
    return "UP" if is_there else "DOWN"


async def _answer_json(send: Send, status: int, shape: Mapping[str, Any]) -> None:
    await _answer(send, status, _JSON, msgspec.json.encode(shape))


async def _answer(send: Send, status: int, media_type: str, body: bytes) -> None:
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
