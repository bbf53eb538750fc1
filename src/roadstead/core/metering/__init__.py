"""Metering: how many messages there were, of which kind, from whom; by device, space and organization."""

from roadstead.core.metering.model import Counts, Payload
from roadstead.core.metering.service import (
    COUNTED,
    Totals,
    chart_payloads,
    count_facts,
    count_payloads,
    load_totals_of_devices,
)
from roadstead.core.metering.store import add_counts

__all__ = [
    "COUNTED",
    "Counts",
    "Payload",
    "Totals",
    "add_counts",
    "chart_payloads",
    "count_facts",
    "count_payloads",
    "load_totals_of_devices",
]
