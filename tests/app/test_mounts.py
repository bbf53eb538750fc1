"""Several dialects on one port."""

import httpx
import pytest
from litestar import Litestar, get
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from roadstead.app.mounts import Mount, Mounts, read_hosts


def app_called(name: str) -> ASGIApp:
    """Answers its name and the path it was asked for."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] is not ScopeType.WEBSOCKET
        body = f"{name} {scope['path']} {scope['raw_path'].decode()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("http://localhost:8080/api/v1/devices", "native /api/v1/devices /api/v1/devices"),
        ("http://localhost/leaf/v1/a%2Fb", "leaf /v1/a/b /v1/a%2Fb"),
        ("http://localhost/leaf", "native /leaf /leaf"),
        ("http://localhost/leaflet/v1", "native /leaflet/v1 /leaflet/v1"),
        ("http://API.leaf.example/v1/devices", "leaf /v1/devices /v1/devices"),
        ("http://api.leaf.example:8080/v1/devices", "leaf /v1/devices /v1/devices"),
        ("http://api.leaf.example/api/v1/devices", "leaf /api/v1/devices /api/v1/devices"),
        ("http://[::1]:8080/v1", "leaf /v1 /v1"),
        ("http://other.example/v1", "native /v1 /v1"),
    ],
)
async def test_a_dialect_is_found_by_host_or_by_path(url: str, answer: str) -> None:
    mount = Mount("/leaf", read_hosts(" api.Leaf.example, [::1],"), app_called("leaf"))
    transport = httpx.ASGITransport(Mounts(app_called("native"), [mount]))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(url)).text == answer


async def test_a_prefix_that_comes_again_within_a_path_stays_there() -> None:
    @get("/v1/leaf/{name:str}")
    async def tell(name: str) -> str:
        return name

    mount = Mount("/leaf", frozenset(), Litestar([tell]))
    transport = httpx.ASGITransport(Mounts(app_called("native"), [mount]))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/leaf/v1/leaf/green")).text == "green"
