"""Archives: what a space has gathered on a day, as files that are kept."""

from roadstead.core.archives.service import (
    BACKFILL,
    DAY,
    DUE,
    EVENTS,
    archive_root,
    chosen_devices,
    claim_due_days,
    forget_archives,
    load_event_days,
    note_archived,
    queue_due_archives,
    request_archive,
    request_backfill,
    request_events_archive,
)

__all__ = [
    "BACKFILL",
    "DAY",
    "DUE",
    "EVENTS",
    "archive_root",
    "chosen_devices",
    "claim_due_days",
    "forget_archives",
    "load_event_days",
    "note_archived",
    "queue_due_archives",
    "request_archive",
    "request_backfill",
    "request_events_archive",
]
