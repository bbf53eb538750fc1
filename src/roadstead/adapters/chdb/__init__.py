"""The embedded telemetry store: ClickHouse in a process of its own."""

from roadstead.adapters.chdb.engine import ChdbEngine, EngineLimits
from roadstead.adapters.chdb.server import serve
from roadstead.adapters.chdb.transport import EngineTransport

__all__ = ["ChdbEngine", "EngineLimits", "EngineTransport", "serve"]
