"""The rows: what is measured, by name."""

from collections.abc import Callable, Coroutine
from typing import Any

from bench.context import Context
from bench.result import Result
from bench.rows.alternatives import run_alternatives
from bench.rows.background import run_configuration, run_export
from bench.rows.commands import run_commands
from bench.rows.connects import run_connects, run_idle_connections, run_storm
from bench.rows.footprint import run_disk, run_idle_memory, run_startup
from bench.rows.ingest import run_ingest, run_ingest_full, run_ingest_structured
from bench.rows.latency import run_crowd, run_live, run_puback
from bench.rows.leapcraft import run_leapcraft
from bench.rows.losant import run_losant
from bench.rows.overload import run_fairness, run_overload
from bench.rows.reads import run_get_device, run_reads
from bench.rows.registry import run_registry
from bench.rows.rules import run_rules
from bench.rows.search import run_search
from bench.rows.state import run_state

ROWS: dict[str, Callable[[Context], Coroutine[Any, Any, Result]]] = {
    "ingest": run_ingest,
    "ingest-structured": run_ingest_structured,
    "ingest-full": run_ingest_full,
    "overload": run_overload,
    "fairness": run_fairness,
    "puback": run_puback,
    "live": run_live,
    "crowd": run_crowd,
    "commands": run_commands,
    "connects": run_connects,
    "storm": run_storm,
    "idle-connections": run_idle_connections,
    "state": run_state,
    "rules": run_rules,
    "disk": run_disk,
    "get-device": run_get_device,
    "reads": run_reads,
    "registry": run_registry,
    "search": run_search,
    "export": run_export,
    "configuration": run_configuration,
    "leapcraft": run_leapcraft,
    "losant": run_losant,
    "startup": run_startup,
    "idle-memory": run_idle_memory,
    "alternatives": run_alternatives,
}
"""In the order of the design's table."""

DESIGNED = (
    "ingest",
    "ingest-full",
    "overload",
    "puback",
    "live",
    "commands",
    "connects",
    "idle-connections",
    "state",
    "disk",
    "get-device",
    "reads",
    "startup",
    "idle-memory",
)
"""Those that the design has goals for: a quarter of an hour."""
