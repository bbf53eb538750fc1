"""How statements get to ClickHouse: one small protocol, and its way over HTTP."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.exceptions import DatabaseError, ProgrammingError
from clickhouse_connect.driver.httputil import get_pool_manager

from roadstead.kernel.errors import Unavailable

T = TypeVar("T")
Parameters = Mapping[str, str | int | Sequence[Any]]
"""Values for the `{name:Type}` of a statement. They travel beside it, never inside."""

ROWS = "JSONCompactEachRow"
"""The format that rows are read in: one JSON array a line."""
NUMBERS = "RowBinary"
"""The format of rows that all have the same length: many numbers, which are faster copied than spelled and read."""
ARROW = "ArrowStream"
"""The format of results that go into files."""

READ_SETTINGS = {
    "readonly": "2",
    "max_execution_time": "30",
    "max_memory_usage": "1000000000",
    "output_format_json_quote_64bit_integers": "0",
}
"""A read changes nothing and ends, one way or the other."""

INSERT_SETTINGS = {"max_partitions_per_insert_block": "0", "async_insert": "0"}
"""A batch may hold points of any number of months (a history that is imported), and is durable when it is answered."""

DISTINCT_SETTINGS = INSERT_SETTINGS | {"optimize_on_insert": "0"}
"""No key is twice in the batch, so it need not be looked for: that is half the work of an insert."""

_DELETE_TIMEOUT_S = 600
_PATIENCE_S = 5.0
"""A query may take longer than this, but only of a server that says meanwhile that it lives."""
_PING_TIMEOUT_S = 3.0


class StatementFailed(Exception):
    """ClickHouse refused a statement; `code` is its number for why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Transport(Protocol):
    """Carries statements to one ClickHouse database. Raises `StatementFailed`, or `Unavailable` when none is there."""

    async def insert(self, table: str, block: bytes, *, is_distinct: bool, then: str, parameters: Parameters) -> bytes:
        """Append a block in the Native format, durably; then the rows of a query that sees it.

        `is_distinct`: no key is in it twice. It does not wait behind readers.
        """

    async def query(self, sql: str, parameters: Parameters, format_: str = ROWS) -> bytes:
        """Rows in a format; the statement can change nothing."""

    async def command(self, sql: str, parameters: Parameters) -> None:
        """Run a statement that changes something."""

    async def close(self) -> None:
        """Let go of connections."""


class Address(msgspec.Struct, frozen=True):
    """Where a ClickHouse server is."""

    host: str
    port: int
    secure: bool
    user: str
    password: str
    database: str
    cluster: str
    """Name of the cluster that tables are made on; empty: on the one server that answers."""
    replicated: bool

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From `http[s]://user:password@host:port/database?cluster=name&replicated=1`.

        Raises ValueError that says what is wrong and does not repeat the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a ClickHouse URL looks like http://user:password@host:8123/database")
        options = dict(parse_qsl(parts.query))
        if unknown := options.keys() - {"cluster", "replicated"}:
            raise ValueError(f"unknown option in the ClickHouse URL: {', '.join(sorted(unknown))}")
        secure = parts.scheme == "https"
        return cls(
            host=parts.hostname,
            port=parts.port or (8443 if secure else 8123),
            secure=secure,
            user=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or "default",
            cluster=options.get("cluster", ""),
            replicated=options.get("replicated", "") in {"1", "true", "yes"},
        )


class HttpTransport:
    """Over the ClickHouse HTTP interface: the store process on this machine, a server, a cluster.

    Connects at the first statement, so it may be made before its server is up, and outlives restarts of it.
    """

    def __init__(self, address: Address, *, connections: int = 8) -> None:
        self._address = address
        self._connections = connections
        # The client is synchronous: its asynchronous twin would bring a second HTTP stack, and threads cost nothing
        # beside a query of milliseconds.
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="clickhouse")
        # Apart, for the others may all be waiting for a server that hangs.
        self._pings = ThreadPoolExecutor(1, thread_name_prefix="clickhouse-ping")
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def insert(self, table: str, block: bytes, *, is_distinct: bool, then: str, parameters: Parameters) -> bytes:
        """Append a block in the Native format, durably; then the rows of a query that sees it."""
        settings = DISTINCT_SETTINGS if is_distinct else INSERT_SETTINGS
        await self._run(lambda client: client.raw_insert(table, insert_block=block, fmt="Native", settings=settings))
        return await self.query(then, parameters)

    async def query(self, sql: str, parameters: Parameters, format_: str = ROWS) -> bytes:
        """Rows in a format; the statement can change nothing."""
        asking = asyncio.ensure_future(
            self._run(
                lambda client: bytes(client.raw_query(sql, dict(parameters), settings=READ_SETTINGS, fmt=format_))
            )
        )
        try:
            while not (await asyncio.wait([asking], timeout=_PATIENCE_S))[0]:
                await self._check_alive()
            return await asking
        finally:
            asking.cancel()

    async def command(self, sql: str, parameters: Parameters) -> None:
        """Run a statement that changes something."""
        await self._run(lambda client: client.raw_query(sql, dict(parameters)))

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, client.close)
        self._threads.shutdown(wait=False)
        self._pings.shutdown(wait=False)

    async def _run(self, call: Callable[[Any], T]) -> T:
        client = self._client or await self._connect()
        return await asyncio.get_running_loop().run_in_executor(self._threads, _translated, call, client)

    async def _check_alive(self) -> None:
        """Raises `Unavailable` when the server takes connections, perhaps, and answers nothing."""
        client = self._client
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S):
                alive = client is not None and await asyncio.get_running_loop().run_in_executor(
                    self._pings, client.ping, _PING_TIMEOUT_S
                )
        except (TimeoutError, OSError):
            alive = False
        if not alive:
            raise Unavailable("the telemetry store does not answer")

    async def _connect(self) -> Any:
        async with self._connecting:
            if self._client is None:
                loop = asyncio.get_running_loop()
                self._client = await loop.run_in_executor(self._threads, _translated, _open_client, self._address)
            return self._client


def _open_client(address: Address) -> Any:
    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        secure=address.secure,
        username=address.user,
        password=address.password,
        database=address.database,
        compress=False,
        query_retries=0,
        connect_timeout=5,
        send_receive_timeout=_DELETE_TIMEOUT_S,
        autogenerate_session_id=False,  # queries of one session have to wait for each other
        pool_mgr=get_pool_manager(maxsize=8, num_pools=1),
    )


X = TypeVar("X")


def _translated(call: Callable[[X], T], argument: X) -> T:
    """What a call of the driver returns, its failures in our words."""
    try:
        return call(argument)
    except ProgrammingError:
        raise
    except DatabaseError as error:
        if error.code is None:
            raise Unavailable("the telemetry store cannot be reached") from error
        raise StatementFailed(error.code, str(error)) from error
    except OSError as error:
        raise Unavailable("the telemetry store cannot be reached") from error
