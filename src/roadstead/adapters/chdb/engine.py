"""ClickHouse inside this process: one chDB database, used from a few threads.

One process owns the directory, and a process can own only one. Others come in through `server`.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import structlog

from roadstead.adapters.clickhouse.transport import StatementFailed
from roadstead.kernel.errors import Unavailable

T = TypeVar("T")
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)
_MEBIBYTE = 1 << 20
log = structlog.get_logger()


def _open_session(connection: str) -> Any:
    with _stderr_as_log():
        # Not at the head of this module: on a machine without cgroups the engine complains as soon as it is loaded.
        from chdb.session import Session

    session: Callable[[str], Any] = Session
    return session(connection)


@contextlib.contextmanager
def _stderr_as_log() -> Iterator[None]:
    """Meanwhile, what anybody prints past Python becomes one line of the log: a log of JSON lines stays one."""
    with tempfile.TemporaryFile() as said:
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            text = said.read(4_000).decode(errors="replace").strip()
            if text:
                log.warning("the engine complains", text=text)


class EngineLimits(msgspec.Struct, frozen=True):
    """What the engine may use of its machine."""

    readers: int = 3
    """Queries that run at the same time, each on one core."""
    waiting: int = 64
    """Queries that may wait for a reader; more are refused."""
    inserts_waiting: int = 16
    memory_bytes: int = 1024 * _MEBIBYTE
    """All queries, merges and caches together."""
    query_memory_bytes: int = 512 * _MEBIBYTE
    query_s: float = 30


class ChdbEngine:
    """The database of one directory. Inserts have a thread of their own, other changes another; reads share a few."""

    def __init__(self, path: Path, limits: EngineLimits | None = None) -> None:
        limits = limits or EngineLimits()
        path.mkdir(parents=True, exist_ok=True)
        server_settings = {
            "max_server_memory_usage": limits.memory_bytes,
            "mark_cache_size": 64 * _MEBIBYTE,
            "primary_index_cache_size": 64 * _MEBIBYTE,
            "query_condition_cache_size": 8 * _MEBIBYTE,
            "compiled_expression_cache_size": 8 * _MEBIBYTE,
            # A delete has to visit every part of the table, at least one a month of history. They all queue at once for
            # the same two threads: with the usual four places each part waits about 0.1 s for one.
            "background_pool_size": 2,
            "background_merges_mutations_concurrency_ratio": 32,
        }
        connection = f"{path.resolve()}?{urlencode(server_settings)}"
        common = {"max_memory_usage": str(limits.query_memory_bytes)}
        # One thread a query: under a steady stream of inserts, queries that spread over all cores make everybody wait.
        reading = common | {"max_threads": "1", "max_execution_time": str(limits.query_s), "readonly": "2"}
        self._inserts = _Lane("inserts", connection, common, threads=1, waiting=limits.inserts_waiting)
        self._commands = _Lane("commands", connection, common, threads=1, waiting=limits.waiting)
        self._reads = _Lane("reads", connection, reading, threads=limits.readers, waiting=limits.waiting)

    async def read(
        self, sql: str, format_: str, *, parameters: Mapping[str, str], settings: Mapping[str, str]
    ) -> bytes:
        """The result of a statement that changes nothing."""
        return await self._reads.run(lambda session: session.query(sql, format_, parameters), settings)

    async def export(
        self, sql: str, format_: str, file: Path, *, parameters: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        """The same into a file: results larger than memory."""
        quoted = str(file).replace("\\", "\\\\").replace("'", "\\'")
        into = f"{sql} INTO OUTFILE '{quoted}' TRUNCATE FORMAT {format_}"
        await self._reads.run(lambda session: session.query(into, format_, parameters), settings)

    async def command(
        self, sql: str, format_: str, *, parameters: Mapping[str, str], settings: Mapping[str, str]
    ) -> bytes:
        """The result of any statement."""
        return await self._commands.run(lambda session: session.query(sql, format_, parameters), settings)

    async def insert(self, statement: str, format_: str, body: bytes, settings: Mapping[str, str]) -> int:
        """Append what `body` holds in a format to the table of `INSERT INTO table (columns)`; says how many rows."""
        return await self._inserts.run(lambda session: session.insert(statement, format_, body), settings)

    async def insert_and_read(
        self,
        statement: str,
        format_: str,
        body: bytes,
        sql: str,
        result_format: str,
        *,
        parameters: Mapping[str, str],
        settings: Mapping[str, str],
    ) -> bytes:
        """The same, then the result of a query, in one go on the thread of the inserts."""

        def job(session: _Session) -> bytes:
            session.insert(statement, format_, body)
            return session.query(sql, result_format, parameters)

        return await self._inserts.run(job, settings)

    async def close(self) -> None:
        """Wait for what runs, then let go of the directory."""
        for lane in (self._reads, self._commands, self._inserts):
            await asyncio.to_thread(lane.close)


class _Lane:
    """A few threads, each with a session of its own, and a bounded queue before them."""

    def __init__(self, name: str, connection: str, baseline: Mapping[str, str], *, threads: int, waiting: int) -> None:
        self._name = name
        self._places = threading.BoundedSemaphore(threads + waiting)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"chdb-{name}")
        self._idle = [_Session(connection, baseline) for _ in range(threads)]

    async def run(self, job: Callable[["_Session"], T], settings: Mapping[str, str]) -> T:
        """Raises `Unavailable` when the queue is full."""
        if not self._places.acquire(blocking=False):
            raise Unavailable(f"the telemetry store has too many {self._name} waiting")
        future = self._threads.submit(self._run, job, settings)
        # Not in a `finally` here: a caller that goes away leaves its place taken until the work is done.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def _run(self, job: Callable[["_Session"], T], settings: Mapping[str, str]) -> T:
        session = self._idle.pop()  # as many as there are threads
        try:
            session.configure(settings)
            return job(session)
        finally:
            self._idle.append(session)

    def close(self) -> None:
        self._threads.shutdown()
        while self._idle:
            self._idle.pop().close()


class _Session:
    """One connection to the engine, with the settings that are in force on it."""

    def __init__(self, connection: str, baseline: Mapping[str, str]) -> None:
        self._session: Any = _open_session(connection)
        self._baseline = dict(baseline)
        self._settings: dict[str, str] = {}
        for name, value in baseline.items():
            self._set(name, value)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Exactly these settings on top of the baseline. Callers mostly repeat themselves: mostly nothing happens."""
        if settings == self._settings:
            return
        for name in self._settings.keys() - settings.keys():
            self._set(name, self._baseline.get(name))
            del self._settings[name]
        for name, value in settings.items():
            if self._settings.get(name) != value:
                self._set(name, value)
                self._settings[name] = value

    def query(self, sql: str, format_: str, parameters: Mapping[str, str]) -> bytes:
        with _failures():
            result = self._session.query(sql, format_, params=dict(parameters))
            return bytes(result.bytes() or b"")

    def insert(self, statement: str, format_: str, body: bytes) -> int:
        # Not by `send_insert`: on a full disk that reports rows as written which are not there. This raises.
        with _in_memory(body) as path, _failures():
            result = self._session.query(f"{statement} SELECT * FROM file('{path}', '{format_}')", "Null")
            return int(result.rows_written())

    def close(self) -> None:
        self._session.close()

    def _set(self, name: str, value: str | None) -> None:
        if not re.fullmatch(r"\w+", name):
            raise StatementFailed(115, f"{name!r} is no setting")
        spelled = "DEFAULT" if value is None else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        with _failures():
            self._session.query(f"SET {name} = {spelled}")


@contextlib.contextmanager
def _in_memory(body: bytes) -> Iterator[str]:
    """A path under which this process finds these bytes; they are on no disk."""
    descriptor = os.memfd_create("batch", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """chDB tells a failure as text; the number in it is what callers need."""
    try:
        yield
    except RuntimeError as error:
        match = _CODE.search(str(error))
        if match is None:
            raise
        raise StatementFailed(int(match[1]), f"Code: {match[1]}. DB::Exception: {match[2]}") from error
