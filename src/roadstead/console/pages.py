"""The landing page: no script, no other host, readable by everything that reads HTML."""

from importlib import resources
from typing import Any

Scope = dict[str, Any]

_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


async def landing_page(scope: Scope, _receive: Any, send: Any) -> None:
    """An ASGI application for GET and HEAD of one page."""
    body = (resources.files("roadstead.console") / "index.html").read_bytes()
    allowed = scope["method"] in {"GET", "HEAD"}
    headers = [*_HEADERS, (b"content-length", str(len(body)).encode())] if allowed else [(b"allow", b"GET, HEAD")]
    await send({"type": "http.response.start", "status": 200 if allowed else 405, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})
