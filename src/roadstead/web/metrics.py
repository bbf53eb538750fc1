"""What the HTTP doors count."""

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Histogram

from roadstead.core.telemetry import Ingested

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)
_EVENTS = b"text/event-stream"
_UNSERVED = "(none)"
"""The template of paths that no route serves: they are anything, so they are counted together."""


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics:
    """Counters of one API process, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Histogram(
            "roadstead_http_request_seconds",
            "From a request to the last byte of its answer; streams count until their headers",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.readings = Counter(
            "roadstead_ingest_readings", "Readings that came by HTTP", ["outcome"], registry=registry
        )
        self.refused = Counter(
            "roadstead_ingest_refused", "Readings refused at the HTTP door", ["reason"], registry=registry
        )

    def count_ingest(self, done: Ingested) -> None:
        """One request with readings was worked off."""
        self.readings.labels("accepted").inc(done.accepted)
        self.readings.labels("duplicate").inc(done.duplicates)
        self.readings.labels("quarantined").inc(len(done.refused))
        for item in done.refused:
            self.refused.labels(item.refusal.reason.value).inc()


class MeasuredRequests:
    """Measures every request by method, route template and class of status."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other kinds of connection pass through."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        seconds: float | None = None

        async def send_measured(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
                if any(name == b"content-type" and value.startswith(_EVENTS) for name, value in message["headers"]):
                    seconds = time.perf_counter() - started
            await send(message)

        try:
            await self._app(scope, receive, send_measured)
        finally:
            route = scope.get("path_template") or _UNSERVED
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            labels = self._metrics.requests.labels(method, route, f"{status // 100}xx")
            labels.observe(time.perf_counter() - started if seconds is None else seconds)
