"""Events: the log of what has happened, from rules, people, programs and devices."""

from roadstead.core.events.model import (
    Acknowledgement,
    Event,
    EventDraft,
    EventOutcome,
    EventQuery,
    EventSource,
    Lifecycle,
    LifecycleStatus,
)
from roadstead.core.events.reported import ReportedEvent, write_reported
from roadstead.core.events.service import (
    MAX_EVENTS,
    acknowledge_event,
    create_event,
    create_events,
    follow_alert,
    get_event,
    list_device_events,
    list_events,
    load_events,
    note_acknowledgement,
    resolve_event,
    search_events,
    write_events,
)

__all__ = [
    "MAX_EVENTS",
    "Acknowledgement",
    "Event",
    "EventDraft",
    "EventOutcome",
    "EventQuery",
    "EventSource",
    "Lifecycle",
    "LifecycleStatus",
    "ReportedEvent",
    "acknowledge_event",
    "create_event",
    "create_events",
    "follow_alert",
    "get_event",
    "list_device_events",
    "list_events",
    "load_events",
    "note_acknowledgement",
    "resolve_event",
    "search_events",
    "write_events",
    "write_reported",
]
