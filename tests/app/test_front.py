"""What a platform says of itself at the front of its HTTP ports."""

import httpx
import pytest
from litestar.types import Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter

from roadstead.app.front import Front
from roadstead.app.metrics import PlatformMetrics
from roadstead.bus import Bus
from roadstead.kernel.errors import Unavailable
from roadstead.web.addresses import read_networks


async def application(_: Scope, __: Receive, send: Send) -> None:
    """What stands behind."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"the application", "more_body": False})


async def is_well() -> None:
    """A check that passes."""


async def is_ill() -> None:
    """A check that does not."""
    raise Unavailable("gone")


def front(
    bus: Bus,
    *,
    readers: str = "127.0.0.1,::1",
    proxies: str = "",
    is_ready: bool = True,
    unsafe: bool = False,
) -> Front:
    """A front of its own."""
    registry = CollectorRegistry()
    Counter("roadstead_things", "Things", registry=registry).inc(7)
    return Front(
        application,
        checks={"database": is_well, "bus": is_well if is_ready else is_ill},
        metrics=PlatformMetrics(bus, "api", registry),
        readers=read_networks(readers),
        proxies=read_networks(proxies),
        unsafe=unsafe,
    )


def client(front: Front, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """Somebody at an address."""
    transport = httpx.ASGITransport(front, client=(address, 1234))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://api.test")


async def test_the_root_shows_where_everything_is_and_the_rest_is_for_the_application(bus: Bus) -> None:
    async with client(front(bus)) as anybody:
        page = await anybody.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "Roadstead" in page.text
        assert (await anybody.head("/")).content == b""
        assert (await anybody.post("/")).status_code == 405
        assert (await anybody.get("/api/v1/devices")).text == "the application"


async def test_a_process_is_well_when_it_lives_and_ready_when_all_it_needs_is_there(bus: Bus) -> None:
    async with client(front(bus)) as anybody:
        assert (await anybody.get("/healthz")).json() == {"status": "UP"}
        assert (await anybody.get("/readyz")).json() == {"status": "UP", "checks": {"database": "UP", "bus": "UP"}}
    async with client(front(bus, is_ready=False)) as anybody:
        assert (await anybody.get("/healthz")).status_code == 200
        answer = await anybody.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]) == (503, {"database": "UP", "bus": "DOWN"})
    async with client(front(bus, unsafe=True)) as anybody:
        assert (await anybody.get("/readyz")).json()["unsafe"] is True


@pytest.mark.parametrize(
    ("address", "readers", "proxies", "forwarded_for", "may_read"),
    [
        ("127.0.0.1", "127.0.0.1,::1", "", None, True),
        ("::1", "127.0.0.1,::1", "", None, True),
        ("::ffff:127.0.0.1", "127.0.0.1,::1", "", None, True),
        ("10.1.2.3", "127.0.0.1,::1", "", None, False),
        ("10.1.2.3", "10.0.0.0/8", "", None, True),
        ("10.1.2.3", "0.0.0.0/0,::/0", "", None, True),
        ("127.0.0.1", "", "", None, False),
        # Behind a proxy on this machine: one that we were told about says who calls, another one may bring anybody.
        ("127.0.0.1", "127.0.0.1", "", "8.8.8.8", False),
        ("127.0.0.1", "127.0.0.1", "", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", "8.8.8.8", False),
        ("10.0.0.1", "192.168.0.0/16", "10.0.0.1", "192.168.0.7", True),
    ],
)
async def test_metrics_are_for_callers_of_the_networks_in_the_setting(
    bus: Bus, address: str, readers: str, proxies: str, forwarded_for: str | None, may_read: bool
) -> None:
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    async with client(front(bus, readers=readers, proxies=proxies), address) as caller:
        answer = await caller.get("/metrics", headers=headers)
    assert answer.status_code == (200 if may_read else 403)
    assert ("roadstead_things_total" in answer.text) is may_read
    assert may_read or "http.metrics_from" in answer.json()["detail"]


async def test_prometheus_gets_the_format_it_asks_for(bus: Bus) -> None:
    async with client(front(bus)) as prometheus:
        plain = await prometheus.get("/metrics")
        modern = await prometheus.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")
