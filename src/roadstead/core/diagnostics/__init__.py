"""Diagnostics: what devices sent and was not taken, with the reason; to be looked at, replayed, discarded."""

from roadstead.core.diagnostics.model import (
    MOST_REPLAYED,
    Line,
    QuarantineEntry,
    QuarantineQuery,
    QuarantineStatistics,
    Replay,
    ReplayResult,
)
from roadstead.core.diagnostics.replay import replay_entries
from roadstead.core.diagnostics.service import (
    discard_entries,
    discard_entry,
    get_entry,
    get_statistics,
    list_entries,
    list_lines,
)

__all__ = [
    "MOST_REPLAYED",
    "Line",
    "QuarantineEntry",
    "QuarantineQuery",
    "QuarantineStatistics",
    "Replay",
    "ReplayResult",
    "discard_entries",
    "discard_entry",
    "get_entry",
    "get_statistics",
    "list_entries",
    "list_lines",
    "replay_entries",
]
