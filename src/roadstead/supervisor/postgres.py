"""The embedded PostgreSQL, reached through a Unix socket only, never through the network."""

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg

from roadstead.supervisor.account import Account, own_directory, own_file, reachable
from roadstead.supervisor.binaries import PostgresBinaries, packaged_postgres, runnable_postgres
from roadstead.supervisor.datadir import DataDir
from roadstead.supervisor.failures import StartError, explain
from roadstead.supervisor.orphans import end_orphans, processes_in
from roadstead.supervisor.process import Command, Process

DATABASE = "roadstead"
_SUPERUSER = "postgres"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
_STOP_TIMEOUT_S = 30.0
# A crash with much to recover may take minutes; as long as the server lives it is getting there.
_READY_TIMEOUT_S = 600.0
# sun_path of a Unix socket holds 107 bytes, and the socket's own name is part of them.
_LONGEST_SOCKET_DIR = 107 - len("/.s.PGSQL.5432.lock")

DURABLE_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""What "acknowledged means durable" stands on. Given on the command line, so that no file can turn them off."""

_SETTINGS = DURABLE_SETTINGS | {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    # A table that fills in its first minute is planned for as if it were empty until somebody has looked at it.
    "autovacuum_naptime": "5s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u ",
}


def find_url(data: DataDir) -> str | None:
    """How to reach the PostgreSQL that runs in this data directory; None when none does."""
    for pid_file in data.postgres.glob("*/postmaster.pid"):
        try:
            lines = pid_file.read_text().splitlines()
            password = _password_file(data).read_text().strip()
        except OSError:
            continue
        if len(lines) > 7 and lines[7].strip() == "ready" and int(lines[0]) in processes_in(pid_file.parent):
            return _url(Path(lines[4]), password)
    return None


class Postgres:
    """Starts and stops PostgreSQL in a data directory, making the cluster when there is none. Needs the lock."""

    name = "postgres"

    def __init__(self, data: DataDir, *, binaries: Path | None = None) -> None:
        """`binaries`: a directory with `postgres` and `initdb`; None: those that came as a package."""
        self._data = data
        self._binaries = binaries
        self._url = ""
        self._sockets: Path | None = None

    @property
    def url(self) -> str:
        """libpq URL of the superuser. The same after every start."""
        return self._url

    async def start(self) -> Process:
        """Returns when it takes connections. Raises `StartError`."""
        account = self._data.account()
        own_directory(self._data.postgres, account)
        source = self._binaries or packaged_postgres()
        binaries = await asyncio.to_thread(runnable_postgres, source, account)
        self._check_major(binaries)
        password = self._remember_password(account)
        cluster = self._data.postgres / str(binaries.major)
        await end_orphans(cluster, "postgres", gently=signal.SIGINT)
        if not (cluster / "PG_VERSION").exists():
            await self._make_cluster(cluster, binaries, account)
        self._sockets = sockets = _socket_dir(cluster, account)
        _clear_stale_files(cluster, sockets)
        process = await self._run(cluster, sockets, binaries, account)
        self._url = _url(sockets, password)
        try:
            await _ensure_database(_url(sockets, password, database="postgres"))
        except BaseException:
            await self.stop(process)
            raise
        return process

    async def stop(self, process: Process) -> None:
        """The fast shutdown: open transactions are rolled back, then a checkpoint."""
        await process.stop(signal.SIGINT, timeout_s=_STOP_TIMEOUT_S)
        if self._sockets is not None:
            with suppress(OSError):  # not empty: another start is under way
                self._sockets.rmdir()

    def _check_major(self, binaries: PostgresBinaries) -> None:
        there = [int(path.name) for path in self._data.postgres.iterdir() if path.name.isdigit()]
        if there and binaries.major not in there:
            raise StartError(
                f"{self._data.postgres} holds data of PostgreSQL {max(there)}, installed is {binaries.version}: "
                f"install PostgreSQL {max(there)}, or move the data with pg_upgrade"
            )

    def _remember_password(self, account: Account | None) -> str:
        file = _password_file(self._data)
        try:
            password = file.read_text().strip() if file.exists() else ""
        except OSError as error:
            raise explain(error, file) from error
        if not password:
            password = secrets.token_urlsafe(32)
            own_file(file, password + "\n", account)
        return password

    async def _make_cluster(self, cluster: Path, binaries: PostgresBinaries, account: Account | None) -> None:
        """initdb beside the final place, then one rename: killed half-way, it leaves nothing that looks whole."""
        draft = cluster.with_name(f"{cluster.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._data.check_space()
        home, home_fd = reachable(cluster.parent, account)
        try:
            arguments = [
                *(
                    "-D",
                    f"{home}/{draft.name}",
                    "-U",
                    _SUPERUSER,
                    "--pwfile",
                    f"{home}/{_password_file(self._data).name}",
                ),
                *("--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--data-checksums", "--encoding=UTF8"),
                *_locale(binaries),
            ]
            process = self._spawn(binaries, "initdb", arguments, account, home_fd)
        finally:
            os.close(home_fd)
        try:
            if await process.wait() != 0:
                raise process.explain("could not make its data directory")
        except BaseException:
            await process.stop(signal.SIGKILL)
            shutil.rmtree(draft, ignore_errors=True)
            raise
        _take_place(draft, cluster)

    async def _run(self, cluster: Path, sockets: Path, binaries: PostgresBinaries, account: Account | None) -> Process:
        home, home_fd = reachable(cluster, account)
        settings = _SETTINGS | {"unix_socket_directories": str(sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        try:
            process = self._spawn(binaries, "postgres", ["-D", home, *options], account, home_fd)
        finally:
            os.close(home_fd)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while not _is_ready(cluster, process.pid):
                    if not process.is_running:
                        raise process.explain("ended while it started")
                    await asyncio.sleep(0.01)
        except BaseException as error:
            await self.stop(process)
            if isinstance(error, TimeoutError):
                raise process.explain(f"is not ready after {_READY_TIMEOUT_S:.0f} s") from error
            raise
        return process

    def _spawn(
        self, binaries: PostgresBinaries, program: str, arguments: Sequence[str], account: Account | None, home_fd: int
    ) -> Process:
        return Process(
            Command(
                name=self.name,
                arguments=(str(binaries.directory / program), *arguments),
                environment=_ENVIRONMENT,
                log=self._data.logs / "postgres.log",
                descriptors=(home_fd,),
                account=account,
                death_signal=signal.SIGINT,
            )
        )


def _password_file(data: DataDir) -> Path:
    return data.postgres / "password"


def _url(sockets: Path, password: str, *, database: str = DATABASE) -> str:
    return f"postgresql://{_SUPERUSER}:{quote(password)}@/{database}?host={quote(str(sockets), safe='')}"


def _locale(binaries: PostgresBinaries) -> tuple[str, ...]:
    """PostgreSQL's own C.UTF-8 (17 and newer): sorting that a change of the system's C library cannot alter."""
    if binaries.major >= 17:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
    return ("--locale=C.UTF-8",)


def _socket_dir(cluster: Path, account: Account | None) -> Path:
    """A short directory for the socket, the same for the same cluster, in which nobody else can put one."""
    name = "roadstead-" + hashlib.sha256(str(cluster.resolve()).encode()).hexdigest()[:12]
    places = ["/run"] if account else [os.environ.get("XDG_RUNTIME_DIR", "")]
    if not account:
        places.append(tempfile.gettempdir())
    for place in (*places, "/tmp"):  # noqa: S108 - a directory of our own in it, whose owner is checked
        if place and os.access(place, os.W_OK | os.X_OK) and len(f"{place}/{name}".encode()) <= _LONGEST_SOCKET_DIR:
            return own_directory(Path(place) / name, account)
    raise StartError("there is no short directory for PostgreSQL's socket: make /tmp writable")


def _clear_stale_files(cluster: Path, sockets: Path) -> None:
    """Without these a start would fail when a stranger has the process id that they name; nobody of ours is left."""
    for path in (cluster / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
        path.unlink(missing_ok=True)


def _is_ready(cluster: Path, pid: int) -> bool:
    """Whether the pid file says so and is of this very process: an old one says `ready` for ever."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _take_place(draft: Path, cluster: Path) -> None:
    try:
        draft.rename(cluster)
        descriptor = os.open(cluster.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # the rename is as durable as what it names
        finally:
            os.close(descriptor)
    except OSError as error:
        raise explain(error, cluster) from error


async def _ensure_database(url: str) -> None:
    try:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=30) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if await found.fetchone() is None:
                await connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        raise StartError(f"postgres runs and does not let us in: {error}") from error
