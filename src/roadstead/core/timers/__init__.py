"""Timers: once, again and again, by cron, with the sun; they ask servers, or report in the name of devices."""

from roadstead.core.timers.firing import MOST_TRIES, send_query, settle, take_report
from roadstead.core.timers.model import (
    METHODS,
    MOST_RUNNING,
    MOST_TIMERS,
    Action,
    Claim,
    Outcome,
    Query,
    Report,
    Timer,
    TimerChange,
    TimerDraft,
)
from roadstead.core.timers.schedules import Once, Repeating, Schedule, Scheduled, Solar
from roadstead.core.timers.service import (
    change_timer,
    create_timer,
    delete_timer,
    get_timer,
    list_timers,
    open_action,
    start_timer,
    stop_timer,
    unseal,
)
from roadstead.core.timers.store import claim_due

__all__ = [
    "METHODS",
    "MOST_RUNNING",
    "MOST_TIMERS",
    "MOST_TRIES",
    "Action",
    "Claim",
    "Once",
    "Outcome",
    "Query",
    "Repeating",
    "Report",
    "Schedule",
    "Scheduled",
    "Solar",
    "Timer",
    "TimerChange",
    "TimerDraft",
    "change_timer",
    "claim_due",
    "create_timer",
    "delete_timer",
    "get_timer",
    "list_timers",
    "open_action",
    "send_query",
    "settle",
    "start_timer",
    "stop_timer",
    "take_report",
    "unseal",
]
