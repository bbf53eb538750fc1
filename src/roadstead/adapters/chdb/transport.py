"""The short way to ClickHouse, for the process that owns it."""

from clickhouse_connect.driver.binding import bind_query

from roadstead.adapters.chdb.engine import ChdbEngine
from roadstead.adapters.clickhouse.transport import DISTINCT_SETTINGS, INSERT_SETTINGS, ROWS, Parameters

# The engine's own limits stand for those that a server is told with each query.
_READ_SETTINGS = {"output_format_json_quote_64bit_integers": "0"}
_INSERT_SETTINGS = INSERT_SETTINGS | _READ_SETTINGS
_DISTINCT_SETTINGS = DISTINCT_SETTINGS | _READ_SETTINGS


class EngineTransport:
    """`Transport` straight into the engine of this process. Closing it leaves the engine open."""

    def __init__(self, engine: ChdbEngine) -> None:
        self._engine = engine

    async def insert(self, table: str, block: bytes, *, is_distinct: bool, then: str, parameters: Parameters) -> bytes:
        """Append a block in the Native format, durably; then the rows of a query that sees it."""
        bound, values = _bind(then, parameters)
        settings = _DISTINCT_SETTINGS if is_distinct else _INSERT_SETTINGS
        return await self._engine.insert_and_read(
            f"INSERT INTO {table}", "Native", block, bound, ROWS, parameters=values, settings=settings
        )

    async def query(self, sql: str, parameters: Parameters, format_: str = ROWS) -> bytes:
        """Rows in a format; the statement can change nothing."""
        bound, values = _bind(sql, parameters)
        return await self._engine.read(bound, format_, parameters=values, settings=_READ_SETTINGS)

    async def command(self, sql: str, parameters: Parameters) -> None:
        """Run a statement that changes something."""
        bound, values = _bind(sql, parameters)
        await self._engine.command(bound, "Null", parameters=values, settings={})

    async def close(self) -> None:
        """Nothing to let go of: the engine belongs to whoever opened it."""


def _bind(sql: str, parameters: Parameters) -> tuple[str, dict[str, str]]:
    """Values spelled as they would travel in a URL, by the same code that spells them for HTTP."""
    bound, values = bind_query(sql, dict(parameters))
    return str(bound), {name.removeprefix("param_"): value for name, value in values.items()}
