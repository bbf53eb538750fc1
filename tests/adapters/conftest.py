"""The telemetry store twice: in this process, and over HTTP in another."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from roadstead.adapters.chdb import ChdbEngine, EngineTransport
from roadstead.adapters.clickhouse import Address, ClickHouseStore, HttpTransport, Transport
from roadstead.core.messages import Reading, Value
from roadstead.core.ports import Series, Span
from roadstead.kernel.ids import DeviceId, TenantId, new_id, to_bytes
from roadstead.kernel.time import to_millis
from tests.adapters import store_process


class StoreProcess:
    """A store process of a test, and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://{store_process.USER}:{quote(store_process.PASSWORD)}@127.0.0.1:{port}"

    @classmethod
    async def start(cls, path: Path, port: int = 0) -> "StoreProcess":
        """Ready to be asked."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, store_process.__file__, str(path), str(port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        return cls(process, int(await process.stdout.readline()))

    async def stop(self) -> None:
        """Ask it to go."""
        if self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
        await self.process.wait()

    async def kill(self) -> None:
        """Be done with it: nobody will read what it has."""
        self.process.kill()
        await self.process.wait()

    def transport(self) -> HttpTransport:
        """A way to it."""
        return HttpTransport(Address.parse(self.url))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChdbEngine]:
    """The one engine that this process can have."""
    opened = ChdbEngine(tmp_path_factory.mktemp("chdb"))
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreProcess]:
    """A store process."""
    started = await StoreProcess.start(tmp_path_factory.mktemp("store"))
    yield started
    await started.kill()


@pytest_asyncio.fixture(scope="package", loop_scope="session", params=["engine", "http"])
async def transport(
    request: pytest.FixtureRequest, engine: ChdbEngine, process: StoreProcess
) -> AsyncIterator[Transport]:
    """Both ways to ClickHouse."""
    way: Transport = EngineTransport(engine) if request.param == "engine" else process.transport()
    await ClickHouseStore(way).prepare()
    yield way
    await way.close()


@pytest.fixture
def store(transport: Transport) -> ClickHouseStore:
    """The store over either."""
    return ClickHouseStore(transport)


class Owner:
    """A tenant with one device, and short words to write and read its points."""

    def __init__(self, store: ClickHouseStore) -> None:
        self.store = store
        self.id = TenantId(secrets.randbits(31))
        self.device = DeviceId(new_id())

    def series(self, path: str) -> Series:
        """One channel of its device."""
        return Series(self.device, path)

    async def write(
        self, path: str, *points: tuple[int | str, Value], received: int | str | None = None, meta: str = ""
    ) -> None:
        """Points by time (ms, or text such as `2026-03-29 01:30`, UTC) and value, as one message."""
        readings = [Reading(path, millis(at), value, meta) for at, value in points]
        columns = self.store.columns()
        columns.add(self.id, to_bytes(self.device), millis("2020-01-01" if received is None else received), readings)
        await self.store.insert(columns)

    async def read(self, path: str, span: Span) -> list[Value | None]:
        """Values: numbers, or texts where there is no number."""
        points = await self.store.points(self.id, [self.series(path)], span, limit=1000)
        return [point.text if point.number is None else point.number for point in points]


def millis(at: int | str) -> int:
    """Milliseconds since 1970."""
    return at if isinstance(at, int) else to_millis(instant(at))


def instant(text: str) -> datetime:
    """An instant in UTC from ISO text without an offset."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(start: str, end: str) -> Span:
    """From the one to before the other, UTC."""
    return Span(instant(start), instant(end))


@pytest.fixture
def acme(store: ClickHouseStore) -> Owner:
    """A tenant that no other test knows."""
    return Owner(store)


@pytest.fixture
def globex(store: ClickHouseStore, acme: Owner) -> Owner:
    """Another one, with the same device: only the tenant keeps their points apart."""
    other = Owner(store)
    other.device = acme.device
    return other


@contextlib.asynccontextmanager
async def started(path: Path) -> AsyncIterator[StoreProcess]:
    """A store process of one's own."""
    one = await StoreProcess.start(path)
    try:
        yield one
    finally:
        await one.stop()
