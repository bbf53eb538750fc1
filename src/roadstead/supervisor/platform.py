"""`roadstead up`: everything on one machine, in the right order, until it is told to stop."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import structlog

from roadstead.settings import Settings
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.durability import check_durability
from roadstead.supervisor.failures import StartError
from roadstead.supervisor.findings import Finding
from roadstead.supervisor.ports import check_doors, public_doors, remember_access
from roadstead.supervisor.processes import Supervised
from roadstead.supervisor.role import ROADSTEAD_COMMAND, Role
from roadstead.supervisor.servers import Servers
from roadstead.supervisor.wiring import store_url

log = structlog.get_logger()

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A supervisor that was killed takes its roles along; their ports are free a moment later.
_PORT_PATIENCE_S = 1.5


class Owner(msgspec.Struct, frozen=True):
    """Who can sign in on a fresh platform."""

    email: str
    credentials: Path
    """The file, readable by its owner only, with the password and an API key."""
    is_new: bool
    """Whether it was made just now."""


Prepare = Callable[[Settings], Awaitable[Owner]]
"""Brings the database up to date and makes the first owner. The settings have the URLs of running servers."""


class Started(msgspec.Struct, frozen=True):
    """The platform as it runs now."""

    settings: Settings
    """With the URLs of the servers and an absolute data directory."""
    owner: Owner
    took_s: float
    processes: dict[str, int]
    """Process ids by name."""
    warnings: Sequence[Finding] = ()
    """What acknowledged data is in danger from."""


class Platform:
    """PostgreSQL, NATS, the store and the other roles, each a supervised child."""

    def __init__(self, settings: Settings, prepare: Prepare, *, command: Sequence[str] = ROADSTEAD_COMMAND) -> None:
        """`command`: what `run ROLE` is appended to."""
        self._settings = settings
        self._prepare = prepare
        self._command = command
        self._exit = AsyncExitStack()
        self.children: dict[str, Supervised] = {}

    async def start(self) -> Started:
        """Returns when every role is ready. Raises `StartError`; whatever happens, `stop` ends what was started."""
        began = time.monotonic()
        data = DataDir(self._settings.data_dir)
        self._exit.enter_context(data.locked())
        data.check_space()
        await _await_free_ports(self._settings)

        servers = Servers(data, database_url=self._settings.database_url, nats_url=self._settings.nats_url)
        self._exit.push_async_callback(servers.stop)
        log.info("starting the servers", data=str(data.path))
        await servers.start()
        settings = msgspec.structs.replace(
            self._settings, data_dir=data.path, database_url=servers.database_url, nats_url=servers.nats_url
        )
        warnings = await check_durability(settings)
        log.info("preparing the database")
        owner = await self._prepare(settings)
        log.info("starting the roles")
        settings = await self._start_roles(settings, data)

        self.children |= {server.name: server for server in (servers.postgres, servers.nats) if server is not None}
        pids = {name: child.pid or 0 for name, child in self.children.items()}
        return Started(settings, owner, time.monotonic() - began, pids, warnings)

    async def stop(self) -> None:
        """The roles first, then the store, NATS, PostgreSQL: each may still need those after it."""
        await self._exit.aclose()
        self.children.clear()

    async def _start_roles(self, settings: Settings, data: DataDir) -> Settings:
        """All at once, for the store's slow start and the others' do not wait for each other. The settings they got."""
        access = None if settings.clickhouse_url else remember_access(data.store_access, None)
        store = Supervised(Role("store", settings, data, store=access, command=self._command))
        if access is not None:
            settings = msgspec.structs.replace(settings, clickhouse_url=store_url(access))
        others = [
            Supervised(Role(role, settings, data, name=name, command=self._command))
            for name, role in _role_names(settings)
        ]
        self.children = {child.name: child for child in (store, *others)}
        self._exit.push_async_callback(store.stop)
        self._exit.push_async_callback(_stop_all, others)
        await _start_all([store, *others])
        return settings


def _role_names(settings: Settings) -> list[tuple[str, str]]:
    """Names and roles of all but the store."""
    count = settings.mqtt.processes
    gateways = ["gateway"] if count == 1 else [f"gateway-{number}" for number in range(1, count + 1)]
    return [("api", "api"), ("worker", "worker"), *((name, "gateway") for name in gateways)]


async def _start_all(children: Sequence[Supervised]) -> None:
    """The first failure ends the other starts and is raised as it is."""
    starts = [asyncio.create_task(child.start()) for child in children]
    try:
        await asyncio.gather(*starts)
    finally:
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)


async def _stop_all(children: Sequence[Supervised]) -> None:
    await asyncio.gather(*(child.stop() for child in children))


async def _await_free_ports(settings: Settings) -> None:
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while True:
        try:
            return check_doors(public_doors(settings))
        except StartError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


async def up(settings: Settings, prepare: Prepare, *, announce: Callable[[Started], None]) -> None:
    """Run the platform until Ctrl-C, SIGTERM or SIGHUP; `announce` is called when all of it is ready.

    Raises `StartError`. Nothing is left running afterwards.
    """
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    heeded = [number for number in _STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup: not SIGHUP
    for number in heeded:
        loop.add_signal_handler(number, told_to_stop.set)
    platform = Platform(settings, prepare)
    stopping = asyncio.create_task(told_to_stop.wait())
    starting = asyncio.create_task(platform.start())
    try:
        await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            announce(starting.result())
            await stopping
        log.info("stopping")
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await platform.stop()
        stopping.cancel()
        for number in heeded:
            loop.remove_signal_handler(number)
