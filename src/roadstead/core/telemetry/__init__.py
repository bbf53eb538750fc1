"""Telemetry: what devices report, checked on its way in; what they reported, read in many ways."""

from roadstead.core.telemetry.catalog import DeviceCatalog, DeviceKey
from roadstead.core.telemetry.connections import (
    Presences,
    end_sessions_of_the_dead,
    resume_sessions,
    select_living_gateways,
    update_presence,
)
from roadstead.core.telemetry.health import (
    HealthQuery,
    HealthSnapshot,
    get_health,
    list_health,
    load_health,
    report_health,
)
from roadstead.core.telemetry.ingest import MOST_ITEMS, Ingested, RefusedItem, take_readings
from roadstead.core.telemetry.intake import REPLAY, Intake, Taken, spell_item
from roadstead.core.telemetry.latest import get_latest, list_latest
from roadstead.core.telemetry.model import (
    AggregatedBucket,
    AggregatedReadings,
    AggregateQuery,
    ComponentRow,
    ComponentRows,
    Fill,
    ReadingQuery,
    ReadingStatistics,
    Selection,
    SensorReading,
    read_metadata,
    value_of,
)
from roadstead.core.telemetry.reads import (
    list_component_rows,
    list_device_readings,
    list_readings,
    purge_readings,
    thin_readings,
)
from roadstead.core.telemetry.refused import Quarantined, insert_quarantined, quarantine_id
from roadstead.core.telemetry.series import (
    BatchMode,
    BatchQuery,
    BatchSeries,
    aggregate_readings,
    get_statistics,
    read_batch,
)
from roadstead.core.telemetry.snapshots import Means, Snapshot, get_snapshot, list_means
from roadstead.core.telemetry.state import FIRMWARE_PATH, Patch, Patches, copy_line
from roadstead.core.telemetry.state_store import merge_state, select_position, update_firmware, update_position

__all__ = [
    "FIRMWARE_PATH",
    "MOST_ITEMS",
    "REPLAY",
    "AggregateQuery",
    "AggregatedBucket",
    "AggregatedReadings",
    "BatchMode",
    "BatchQuery",
    "BatchSeries",
    "ComponentRow",
    "ComponentRows",
    "DeviceCatalog",
    "DeviceKey",
    "Fill",
    "HealthQuery",
    "HealthSnapshot",
    "Ingested",
    "Intake",
    "Means",
    "Patch",
    "Patches",
    "Presences",
    "Quarantined",
    "ReadingQuery",
    "ReadingStatistics",
    "RefusedItem",
    "Selection",
    "SensorReading",
    "Snapshot",
    "Taken",
    "aggregate_readings",
    "copy_line",
    "end_sessions_of_the_dead",
    "get_health",
    "get_latest",
    "get_snapshot",
    "get_statistics",
    "insert_quarantined",
    "list_component_rows",
    "list_device_readings",
    "list_health",
    "list_latest",
    "list_means",
    "list_readings",
    "load_health",
    "merge_state",
    "purge_readings",
    "quarantine_id",
    "read_batch",
    "read_metadata",
    "report_health",
    "resume_sessions",
    "select_living_gateways",
    "select_position",
    "spell_item",
    "take_readings",
    "thin_readings",
    "update_firmware",
    "update_position",
    "update_presence",
    "value_of",
]
