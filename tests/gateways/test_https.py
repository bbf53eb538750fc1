"""The API over TLS: the application sees who calls."""

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from roadstead.gateways.https import HttpsServer
from roadstead.gateways.sockets import listen
from roadstead.gateways.tls import HTTP_ALPN, TlsServer
from tests.gateways.certificates import make

SERVER, CLIENT = make("server"), make("client", days=(-30, -3))


class Application:
    """Echoes bodies and keeps scopes."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def application() -> Application:
    """What is served."""
    return Application()


@pytest_asyncio.fixture
async def url(application: Application) -> AsyncIterator[str]:
    """Where it is served."""
    server = HttpsServer(application, TlsServer(SERVER.identity, alpn=HTTP_ALPN))
    port = await server.start("127.0.0.1", 0)
    yield f"https://localhost:{port}"
    await server.stop()


def client(tmp_path: Path, *, has_certificate: bool) -> httpx.AsyncClient:
    """Somebody who calls."""
    context = ssl.create_default_context(cadata=SERVER.pem.decode())
    if has_certificate:
        context.load_cert_chain(*CLIENT.save(tmp_path, "client"))
    return httpx.AsyncClient(verify=context)


async def test_the_application_finds_the_certificate_in_each_request(
    application: Application, url: str, tmp_path: Path
) -> None:
    async with client(tmp_path, has_certificate=True) as caller:
        for body in (b"", b"x" * 3_000_000):
            answer = await caller.post(f"{url}/api", content=body)
            assert answer.content == body

    assert [scope["extensions"]["tls"]["client_cert_der"] for scope in application.scopes] == [CLIENT.der] * 2
    assert {scope["scheme"] for scope in application.scopes} == {"https"}
    assert application.scopes[0]["client"] == application.scopes[1]["client"]  # one connection


async def test_a_caller_without_certificate_has_none(application: Application, url: str, tmp_path: Path) -> None:
    async with client(tmp_path, has_certificate=False) as caller:
        assert (await caller.get(url)).status_code == 200
    assert application.scopes[0]["extensions"]["tls"]["client_cert_der"] is None


async def test_a_port_in_use_is_an_os_error(application: Application, url: str) -> None:
    server = HttpsServer(application, TlsServer(SERVER.identity, alpn=HTTP_ALPN))
    with pytest.raises(OSError, match="in use"):
        await server.start("127.0.0.1", int(url.rsplit(":", 1)[1]))


async def test_connections_do_not_wait_to_fill_packets() -> None:
    """Nagle's algorithm would make a small answer wait for the acknowledgement of the one before."""
    listening = listen("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
