"""Real servers for the whole run, and two tenants for every test that wants them."""

import asyncio
import copy
import hashlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, cast

import httpx
import hypothesis
import msgspec
import pytest
import pytest_asyncio
import structlog
from litestar import Litestar
from litestar.datastructures import State
from prometheus_client import CollectorRegistry

from roadstead.adapters.blobs import FolderBlobs
from roadstead.adapters.chat import AppriseChat
from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.adapters.outgoing import Guard, GuardedClient
from roadstead.adapters.vault import vault_from_file
from roadstead.app.codecs import CODECS
from roadstead.bus import Bus, Packer, connect, ensure_streams, plan_streams
from roadstead.core.messages import Uplink, size_of_uplink
from roadstead.core.ports import Mail, PasswordCost, Ports, TelemetryStore
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.core.work import Work
from roadstead.db import Database, Duty, migrate
from roadstead.dialects.native.app import frame, make_litestar
from roadstead.kernel.actor import GRANTS_OF_ROLE, Actor, ActorKind, Grant, Role
from roadstead.kernel.ids import TenantId, new_id
from roadstead.supervisor.servers import EmbeddedServers, Servers
from roadstead.web.edge import Edge
from roadstead.web.metrics import HttpMetrics
from roadstead.workers.free_topics import BusFreeTopics
from roadstead.workers.live import LiveHub, LiveMetrics
from roadstead.workers.passage import LogPassage
from tests.platform import platform

__all__ = ["platform"]


# What goes wrong is worth reading beside a failed test; each request that went well is not.
def _drop_good_news(_: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if method in {"debug", "info"}:
        raise structlog.DropEvent
    return event


# A shell in the background hands down that SIGINT is ignored; platforms and commands of tests are ended by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Tests start some hundred programs: where this is set, each of them would compile all of its modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# How long an example takes says something about the machine and what else it does.
hypothesis.settings.register_profile("here", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("here")

structlog.configure(processors=[_drop_good_news, *structlog.get_config()["processors"]])


@pytest_asyncio.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """PostgreSQL and NATS, empty."""
    async with EmbeddedServers(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def database_url(servers: Servers) -> str:
    """The migrated database."""
    migrate(servers.database_url)
    return servers.database_url


@pytest_asyncio.fixture(scope="session")
async def tenant_database(database_url: str) -> AsyncIterator[Database]:
    """Connections that see one tenant's rows."""
    database = await Database(database_url, Duty.TENANT).open()
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session")
async def system_database(database_url: str) -> AsyncIterator[Database]:
    """Connections that see all rows."""
    database = await Database(database_url, Duty.SYSTEM).open()
    yield database
    await database.close()


LOOPBACK = Guard([ip_network("127.0.0.0/8")], plain_http=True)
"""Lets requests reach the servers of a test."""


class Postbox:
    """Keeps the mail of a test run, newest last."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> Sequence[str]:
        """Into the box."""
        self.mails.append(mail)
        return []

    def newest(self, to: str) -> Mail:
        """The last mail to somebody."""
        return next(mail for mail in reversed(self.mails) if mail.to == to)


@pytest_asyncio.fixture(scope="session")
async def postbox() -> Postbox:
    """Where mail ends up."""
    return Postbox()


@pytest_asyncio.fixture(scope="session")
async def ports(tmp_path_factory: pytest.TempPathFactory, postbox: Postbox) -> Ports:
    """What operations have at hand."""
    vault = vault_from_file(tmp_path_factory.mktemp("vault") / "master.key")
    return Ports(
        telemetry=cast(TelemetryStore, None),
        blobs=FolderBlobs(tmp_path_factory.mktemp("blobs")),
        vault=vault,
        public_url="http://api.test",
        mailer=postbox,
        outgoing=GuardedClient(LOOPBACK),
        chat=AppriseChat(LOOPBACK, "json,slack"),
        password_cost=PasswordCost(rounds=1, memory_kib=64),
    )


def app_of(edge: Edge) -> Any:
    """The native API over a platform. Its routes are read once for all tests, because that takes half a second."""
    if not _pattern:
        _pattern.append(make_litestar(edge))
    app = copy.copy(_pattern[0])
    app.state = State({**app.state.dict(), "edge": edge})
    return frame(app, edge)


_pattern: list[Litestar] = []


class Tenant:
    """One organization of a test, and ways to act in it."""

    def __init__(self, tenant_id: TenantId, slug: str, edge: Edge) -> None:
        self.tenant_id = tenant_id
        self.organization_id = new_id()
        self.slug = slug
        self.edge = edge
        self.key = ""
        self.api = httpx.AsyncClient()

    def actor(self, role: Role = Role.OWNER) -> Actor:
        """Somebody with a role."""
        return Actor(
            kind=ActorKind.USER,
            id=new_id(),
            name=f"{role.lower()}@{self.slug}",
            tenant_id=self.tenant_id,
            organization_id=self.organization_id,
            grants=GRANTS_OF_ROLE[role],
            role=role,
        )

    @asynccontextmanager
    async def work(self, role: Role = Role.OWNER) -> AsyncIterator[Work]:
        """Work of somebody with this role; commits at the end."""
        async with self.edge.tenant_database.tx(self.tenant_id) as tx:
            yield Work(self.actor(role), tx, self.edge.ports)

    async def add_key(self, scopes: Sequence[Grant]) -> str:
        """A fresh API key with exactly these scopes."""
        key = f"sk_live_{secrets.token_hex(22)}"[:51]
        async with self.edge.system_database.tx() as tx:
            await tx.run(
                """
                INSERT INTO api_key (tenant_id, id, name, prefix, environment, secret_hash, scopes, created_by,
                                     created_at, updated_at)
                VALUES (%s, %s, 'test', %s, 'LIVE', %s, %s, %s, now(), now())
                """,
                self.tenant_id,
                new_id(),
                key[:12],
                hashlib.sha256(key.encode()).digest(),
                [str(scope) for scope in scopes],
                new_id(),
            )
        return key

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """A client of the API with this key, or without a credential."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(app_of(self.edge))
        return httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers)


async def found(edge: Edge, name: str) -> Tenant:
    """A fresh organization with a default space and a key for everything."""
    slug = f"{name}-{secrets.token_hex(4)}"
    async with edge.system_database.tx() as tx:
        tenant = Tenant(TenantId(0), slug, edge)
        tenant.tenant_id = TenantId(
            await tx.value(
                """
                INSERT INTO tenant (public_id, name, slug, created_at, updated_at)
                VALUES (%s, %s, %s, now(), now()) RETURNING tenant_id
                """,
                tenant.organization_id,
                name.title(),
                slug,
            )
        )
        await tx.run(
            "INSERT INTO space (tenant_id, id, name, is_default, created_at) VALUES (%s, %s, 'Default', true, now())",
            tenant.tenant_id,
            new_id(),
        )
    tenant.key = await tenant.add_key(list(Grant))
    tenant.api = tenant.client(tenant.key)
    return tenant


async def leave(tenant: Tenant) -> None:
    """What has happened to an organization is nothing that the relays of later tests should carry."""
    await tenant.api.aclose()
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM outbox WHERE tenant_id = %s", tenant.tenant_id)


@pytest_asyncio.fixture(scope="session")
async def bus(servers: Servers) -> AsyncIterator[Bus]:
    """A connection to NATS, with the platform's streams."""
    connected = await connect(servers.nats_url, name="tests")
    await ensure_streams(connected, plan_streams())
    yield connected
    await connected.close()


@pytest_asyncio.fixture(scope="session")
async def uplinks(bus: Bus) -> AsyncIterator[Packer[Uplink]]:
    """The way into the log."""
    packer = Packer(bus, encode=msgspec.msgpack.encode, size_of=size_of_uplink)
    await packer.start()
    yield packer
    await packer.close()


@pytest_asyncio.fixture(scope="session")
async def live(bus: Bus, tenant_database: Database, ports: Ports) -> AsyncIterator[LiveHub]:
    """Live streams."""
    hub = LiveHub(bus, tenant_database, ports, metrics=LiveMetrics(CollectorRegistry()))
    running = asyncio.create_task(hub.run())
    yield hub
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(scope="session")
async def free_topics(bus: Bus) -> AsyncIterator[BusFreeTopics]:
    """What is said on free topics."""
    carrier = BusFreeTopics(bus)
    running = asyncio.create_task(carrier.run())
    yield carrier
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(scope="session")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseStore]:
    """The telemetry store, in a process of its own: only for tests that ask for it."""
    # Not above: it loads the embedded store, which most tests do without.
    from tests.adapters.conftest import StoreProcess

    process = await StoreProcess.start(tmp_path_factory.mktemp("points"))
    opened = ClickHouseStore(process.transport())
    await opened.prepare()
    yield opened
    await opened.close()
    await process.kill()


@pytest_asyncio.fixture
async def edge(
    tenant_database: Database,
    system_database: Database,
    ports: Ports,
    bus: Bus,
    uplinks: Packer[Uplink],
    live: LiveHub,
    free_topics: BusFreeTopics,
) -> Edge:
    """What the routes of the native API work with."""
    return Edge(
        tenant_database,
        system_database,
        ports,
        Intake(DeviceCatalog(system_database), CODECS),
        uplinks,
        live,
        HttpMetrics(CollectorRegistry()),
        {"database": system_database.ready, "bus": bus.ready},
        LogPassage(bus, system_database),
        free_topics,
    )


@pytest_asyncio.fixture
async def acme(edge: Edge) -> AsyncIterator[Tenant]:
    """One organization."""
    tenant = await found(edge, "acme")
    yield tenant
    await leave(tenant)


@pytest_asyncio.fixture
async def globex(edge: Edge) -> AsyncIterator[Tenant]:
    """Another organization."""
    tenant = await found(edge, "globex")
    yield tenant
    await leave(tenant)
