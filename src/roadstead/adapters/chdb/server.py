"""ClickHouse's HTTP interface over the engine of this process, so that other processes use ordinary clients."""

import asyncio
import base64
import contextlib
import hmac
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import structlog
import uvicorn

from roadstead.adapters.chdb.engine import ChdbEngine
from roadstead.adapters.chdb.request import Kind, Request, read_request
from roadstead.adapters.clickhouse.transport import StatementFailed
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_FILES = frozenset({"Parquet", "ORC", "Arrow"})
"""Formats of exports: their results go through a file, for they may be larger than memory."""

_PIECE = 1 << 18
_BUSY = 202  # ClickHouse's number for too many simultaneous queries
_STATUS = {516: 403, 60: 404, 81: 404, 46: 404, 307: 413, _BUSY: 503, 159: 408, 241: 500}
_CALLERS_FAULT = frozenset({6, 26, 27, 36, 41, 42, 43, 47, 48, 53, 62, 115, 164, 354, 386, 456, 457})


class ClickHouseFace:
    """The ASGI application. Takes one user with a password, by header, basic authentication or URL."""

    def __init__(
        self,
        engine: ChdbEngine,
        *,
        user: str,
        password: str,
        scratch: Path,
        most_requests: int = 128,
        most_bytes: int = 256 << 20,
    ) -> None:
        """`scratch`: folder for results on their way. With more requests at once, a caller is told to come back."""
        self._engine = engine
        self._secret = f"{user}:{password}".encode()
        self._scratch = scratch
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self._requests = 0
        self._time_zone = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path == "/ping":
            await _answer(send, 200, b"Ok.\n", [])
        elif path != "/":
            await _answer(send, 404, b"There is no handle " + path.encode(), [])
        elif not self._is_known(scope):
            await self._refuse(send, StatementFailed(516, "Authentication failed: password is incorrect"))
        elif self._requests >= self._most_requests:
            await self._refuse(send, StatementFailed(_BUSY, "Too many simultaneous queries"))
        else:
            self._requests += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                self._requests -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            body = await _read_body(receive, self._most_bytes)
            if body is None:
                return
            if scope["method"] == "GET" and not scope["query_string"]:
                await _answer(send, 200, b"Ok.\n", [])
                return
            request = read_request(scope["query_string"], headers, body, most_bytes=self._most_bytes)
            await self._run(request, send)
        except StatementFailed as error:
            await self._refuse(send, error)
        except Unavailable as error:
            await self._refuse(send, StatementFailed(_BUSY, str(error)))

    async def _run(self, request: Request, send: Send) -> None:
        engine, format_ = self._engine, request.format
        if request.kind is Kind.INSERT:
            count = await engine.insert(request.sql, format_, request.data, request.settings)
            await _answer(send, 200, b"", [*await self._common(format_), _summary(written_rows=count)])
        elif request.kind is Kind.COMMAND:
            done = await engine.command(request.sql, format_, parameters=request.parameters, settings=request.settings)
            await _answer(send, 200, done, [*await self._common(format_), _summary(written_rows=0)])
        elif format_ in _FILES:
            await self._export(request, send)
        else:
            found = await engine.read(request.sql, format_, parameters=request.parameters, settings=request.settings)
            await _answer(send, 200, found, await self._common(format_))

    async def _export(self, request: Request, send: Send) -> None:
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            file = Path(folder) / "export"
            await self._engine.export(
                request.sql, request.format, file, parameters=request.parameters, settings=request.settings
            )
            size = file.stat().st_size
            headers = [*await self._common(request.format), (b"content-length", b"%d" % size)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            with file.open("rb") as content:
                while piece := await asyncio.to_thread(content.read, _PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, send: Send, error: StatementFailed) -> None:
        status = _STATUS.get(error.code, 400 if error.code in _CALLERS_FAULT else 500)
        if status == 500:
            log.warning("the telemetry store could not run a statement", code=error.code, reason=str(error)[:500])
        text = str(error) if str(error).startswith("Code: ") else f"Code: {error.code}. DB::Exception: {error}"
        headers = [(b"x-clickhouse-exception-code", b"%d" % error.code)]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await _answer(send, status, text.encode() + b"\n", headers)

    async def _common(self, format_: str) -> Headers:
        if not self._time_zone:
            # Clients read times without a zone in this one, so it has to be the engine's own.
            name = await self._engine.read("SELECT timezone()", "TabSeparated", parameters={}, settings={})
            self._time_zone = name.strip()
        return [
            (b"x-clickhouse-server-display-name", b"roadstead"),
            (b"x-clickhouse-format", format_.encode()),
            (b"x-clickhouse-timezone", self._time_zone),
        ]

    def _is_known(self, scope: Scope) -> bool:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        given = b""
        if b"x-clickhouse-key" in headers:
            given = headers.get(b"x-clickhouse-user", b"default") + b":" + headers[b"x-clickhouse-key"]
        elif headers.get(b"authorization", b"").startswith(b"Basic "):
            with contextlib.suppress(ValueError):
                given = base64.b64decode(headers[b"authorization"][6:], validate=True)
        else:
            url = parse_qs(scope["query_string"].decode("latin-1"))
            given = f"{url.get('user', [''])[0]}:{url.get('password', [''])[0]}".encode()
        return hmac.compare_digest(given, self._secret)


@contextlib.asynccontextmanager
async def serve(
    engine: ChdbEngine, *, host: str, port: int, user: str, password: str, scratch: Path
) -> AsyncIterator[int]:
    """Answer on a port (0: any that is free) while the context is open. Gives the port; `OSError` when it is in use."""
    app = ClickHouseFace(engine, user=user, password=password, scratch=scratch)
    config = uvicorn.Config(
        app, lifespan="off", http="httptools", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, date_header=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = _Server(config)
    listening = _listen(host, port)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="telemetry store over HTTP")
    await server.is_ready.wait()
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        await serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    # Only of a socket that says it is TCP does asyncio turn off Nagle's algorithm, which costs 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(256)
    except OSError:
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    """Says when it listens, and leaves the signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _read_body(receive: Receive, most_bytes: int) -> bytes | None:
    """None when the caller has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > most_bytes:
            raise StatementFailed(307, f"the body has more than {most_bytes} bytes")
        if not message.get("more_body"):
            return bytes(body)


async def _answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _summary(*, written_rows: int) -> tuple[bytes, bytes]:
    return b"x-clickhouse-summary", msgspec.json.encode({"written_rows": str(written_rows)})
