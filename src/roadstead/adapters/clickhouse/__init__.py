"""The telemetry store on ClickHouse SQL: embedded, a server, or a cluster."""

from roadstead.adapters.clickhouse.columns import NativeColumns
from roadstead.adapters.clickhouse.store import ClickHouseStore, StoreSizes, open_clickhouse
from roadstead.adapters.clickhouse.transport import Address, HttpTransport, Transport

__all__ = ["Address", "ClickHouseStore", "HttpTransport", "NativeColumns", "StoreSizes", "Transport", "open_clickhouse"]
