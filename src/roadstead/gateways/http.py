"""An ASGI application on a port, beside whatever else runs in the event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from roadstead.gateways.sockets import listen


class HttpServer:
    """Serves an ASGI application on one port."""

    def __init__(self, app: Any, *, lifespan: bool = True) -> None:
        """`lifespan`: whether the application is told that it starts and stops, which one of its servers must do."""
        # No log and no headers of uvicorn's own.
        config = uvicorn.Config(
            app, http="httptools", lifespan="on" if lifespan else "off", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        self._server = _QuietServer(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Open the port (0: any free one) and answer which it is. Raises `OSError` when it is in use."""
        listening = listen(host, port)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.is_ready.wait()
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Close the port; requests that are being answered get 5 s."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _QuietServer(uvicorn.Server):
    """Says when it listens, and leaves the signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, and then say so."""
        await super().startup(sockets)
        self.is_ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process decides when to stop."""
        yield
