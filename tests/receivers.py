"""Servers that receive what the platform sends: an HTTP server that remembers, with or without TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec


class Heard(msgspec.Struct, frozen=True):
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str


class Receiver:
    """Answers every request as it is told to, and remembers it."""

    def __init__(self) -> None:
        self.requests: list[Heard] = []
        self.status = 200
        self.body = b""
        self.port = 0
        self.open = asyncio.Event()
        """Answers only when this is set."""
        self.open.set()
        self._redirects: dict[str, tuple[int, str]] = {}

    def redirect(self, path: str, status: int, place: str) -> None:
        """Answer requests for a path with a redirect."""
        self._redirects[path] = status, place

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            line = (await reader.readline()).decode().split(" ")
            headers = {}
            while text := (await reader.readline()).decode().strip():
                name, _, value = text.partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append(Heard(line[1], headers, body, line[0]))
            await self.open.wait()
            status, place = self._redirects.get(line[1], (self.status, ""))
            location = f"Location: {place}\r\n" if place else ""
            head = f"HTTP/1.1 {status} X\r\n{location}Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + self.body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, IndexError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A server on this machine."""
    made = Receiver()
    async with await asyncio.start_server(made.talk, "127.0.0.1", 0, ssl=tls) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made
        made.open.set()
