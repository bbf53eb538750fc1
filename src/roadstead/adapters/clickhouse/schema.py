"""The tables of the telemetry store. Every statement may be run again, and is at every start.

A new version appends statements of that kind (`ALTER TABLE point ADD COLUMN IF NOT EXISTS ...`) and replaces the view,
so that it makes of any older version what a fresh start would.

On a server of one's own the same statements make the same tables: `cluster` adds ON CLUSTER, `replicated` takes the
Replicated twins of the engines (paths and names from the server's `default_replica_path` macros). Sharding by a
Distributed table is for whoever runs several shards: give it the names used here and the tables beneath others.
"""

import hashlib

TABLE = "point"
ERASURES = "erasure"
VIEW = "point_of"

_POINT = """
CREATE TABLE IF NOT EXISTS point{on_cluster} (
    tenant UInt32 CODEC(ZSTD(1)),
    device FixedString(12) CODEC(ZSTD(1)),
    path LowCardinality(String) CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    number Nullable(Float64) CODEC(ZSTD(1)),
    text String CODEC(ZSTD(1)),
    meta String CODEC(ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = {engine}ReplacingMergeTree(received)
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, device, path, at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
# Plain ZSTD on numbers scans a quarter faster than Gorilla and is smaller on everything but full-precision floats.
# Without the two fsyncs a power cut after the log's acknowledgement would lose rows; at our batch size they are free.

_ERASURE = """
CREATE TABLE IF NOT EXISTS erasure{on_cluster} (
    erased_at DateTime64(3, 'UTC'),
    tenant UInt32,
    device FixedString(12),
    path Nullable(String),
    start DateTime64(3, 'UTC'),
    end DateTime64(3, 'UTC')
)
ENGINE = {engine}MergeTree
ORDER BY erased_at
TTL toDateTime(erased_at) + INTERVAL 30 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
# What was deleted stays deleted: a point received before the erasure may still come out of the log, and goes again.
# Thirty days are far more than the log keeps.

_POINT_OF = """
CREATE OR REPLACE VIEW point_of{on_cluster} AS
SELECT device, path, at, number, text, meta, received FROM point WHERE tenant = {{tenant:UInt32}}
COMMENT '{version}'
"""
# The wall between tenants: a query that does not say its tenant does not run.

VIEW_VERSION = hashlib.sha256(_POINT_OF.encode()).hexdigest()[:16]
"""Which view is there, as its comment says. The same one is not made again: a replacement that finds the disk full
leaves half a definition behind, and ClickHouse does not start over that."""

SELECT_VIEW_VERSION = f"SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = '{VIEW}'"

SELECT_WEAK_TABLES = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND name IN ('point', 'erasure')
    AND NOT (engine_full LIKE '%fsync_after_insert = 1%' AND engine_full LIKE '%fsync_part_directory = 1%')
ORDER BY name
"""
"""Tables that somebody has made or altered so that a power cut loses what an insert has answered for."""


def table_statements(*, cluster: str = "", replicated: bool = False) -> list[str]:
    """What makes the tables, in order."""
    engine = "Replicated" if replicated else ""
    return [
        statement.format(on_cluster=_on_cluster(cluster), engine=engine).strip() for statement in (_POINT, _ERASURE)
    ]


def view_statement(*, cluster: str = "") -> str:
    """What makes the view of `VIEW_VERSION`, in place of whatever is there."""
    return _POINT_OF.format(on_cluster=_on_cluster(cluster), version=VIEW_VERSION).strip()


def _on_cluster(cluster: str) -> str:
    return f" ON CLUSTER `{cluster}`" if cluster else ""
