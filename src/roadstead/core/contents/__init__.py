"""Contents: what is in a space as a whole. How much it is, what is called how, and that it goes with its space."""

from collections.abc import Mapping

from roadstead.core.contents.counting import chart_devices
from roadstead.core.contents.deleting import clear_space, delete_space_with_contents
from roadstead.core.contents.model import Amounts, DeviceDay, Found, FoundKind
from roadstead.core.contents.service import count_contents, search_contents
from roadstead.core.jobs import Handler

HANDLERS: Mapping[str, Handler] = {"space-clearing": clear_space}
"""Of background jobs, by kind."""

__all__ = [
    "HANDLERS",
    "Amounts",
    "DeviceDay",
    "Found",
    "FoundKind",
    "chart_devices",
    "count_contents",
    "delete_space_with_contents",
    "search_contents",
]
