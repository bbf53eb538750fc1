"""The two embedded servers together: what a test run or a command needs below itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from roadstead.settings import Settings
from roadstead.supervisor import nats, postgres
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.nats import Nats
from roadstead.supervisor.nats_watch import NatsWatch
from roadstead.supervisor.postgres import Postgres
from roadstead.supervisor.processes import Supervised


class Servers:
    """PostgreSQL and NATS of a data directory, kept running. Those that are elsewhere (a URL is given) are left alone.

    Whoever starts them holds the lock of the data directory.
    """

    def __init__(self, data: DataDir, *, database_url: str = "", nats_url: str = "") -> None:
        self._database_url = database_url
        self._nats_url = nats_url
        self._postgres = Postgres(data)
        self._nats = Nats(data)
        self.postgres = None if database_url else Supervised(self._postgres)
        self.nats = None if nats_url else Supervised(self._nats)
        self._watch = None if self.nats is None else NatsWatch(self._nats, self.nats, data)
        self._watching: asyncio.Task[None] | None = None

    @property
    def database_url(self) -> str:
        """Once started: how to reach PostgreSQL, as its superuser when it is the embedded one."""
        return self._database_url or self._postgres.url

    @property
    def nats_url(self) -> str:
        """Once started: how to reach NATS."""
        return self._nats_url or self._nats.url

    async def start(self) -> None:
        """Both at once. Raises `StartError`; what did start is for `stop` to end."""
        starts = [server.start() for server in (self.postgres, self.nats) if server is not None]
        for outcome in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        if self._watch is not None:
            self._watching = asyncio.create_task(self._watch.run(), name="watch NATS")

    async def stop(self) -> None:
        """NATS first, PostgreSQL last."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for server in (self.nats, self.postgres):
            if server is not None:
                await server.stop()


class EmbeddedServers:
    """`async with EmbeddedServers(directory) as servers:` PostgreSQL and NATS, for as long as that lasts.

    They are as durable as in production (fsync stays on) and are up within a second or so.
    """

    def __init__(self, directory: Path, *, database_url: str = "", nats_url: str = "") -> None:
        self._directory = directory
        self._given = {"database_url": database_url, "nats_url": nats_url}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Servers:
        """Raises `StartError`, also when somebody else works in the directory."""
        async with AsyncExitStack() as exits:
            data = DataDir(self._directory)
            exits.enter_context(data.locked())
            servers = Servers(data, **self._given)
            exits.push_async_callback(servers.stop)
            await servers.start()
            self._exit = exits.pop_all()
        return servers

    async def __aexit__(self, *_: object) -> None:
        """Both are stopped cleanly."""
        await self._exit.aclose()


def find_running(settings: Settings) -> Settings:
    """These settings with the URLs of the embedded servers that run in their data directory filled in.

    For commands beside a running platform. Raises `StartError` when it is not running or is another account's.
    """
    if settings.database_url and settings.nats_url:
        return settings
    if not settings.data_dir.is_dir():
        raise StartError(
            f"nothing runs in {settings.data_dir}: start it with 'roadstead up', or set ROADSTEAD_DATA_DIR"
        )
    data = DataDir(settings.data_dir)
    database_url = settings.database_url or postgres.find_url(data)
    nats_url = settings.nats_url or nats.find_url(data)
    if not data.is_locked() or not database_url or not nats_url:
        raise StartError(f"nothing runs in {data.path}: start it with 'roadstead up', or set ROADSTEAD_DATA_DIR")
    return msgspec.structs.replace(settings, data_dir=data.path, database_url=database_url, nats_url=nats_url)


@asynccontextmanager
async def at_hand(settings: Settings) -> AsyncIterator[Settings]:
    """Settings with a database behind them: the one they name, else that of their data directory.

    When that does not run it is started for as long as this lasts. Raises `StartError` when there is nothing to start:
    a command on the wrong directory does not make a platform in it.
    """
    if settings.database_url:
        yield settings
        return
    try:
        running = find_running(settings)
    except StartError:
        if not any(settings.data_dir.glob("postgres/*/PG_VERSION")):
            raise
        async with EmbeddedServers(settings.data_dir, nats_url=settings.nats_url) as servers:
            yield msgspec.structs.replace(
                settings,
                data_dir=settings.data_dir.absolute(),
                database_url=servers.database_url,
                nats_url=servers.nats_url,
            )
        return
    yield running
