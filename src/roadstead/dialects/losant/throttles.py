"""How often one thing may be said: for each device, for each application (contract section 7).

Each process counts for itself, as all limits do (`web/limits.py`).
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from roadstead.web.edge import AnyRequest
from roadstead.web.limits import RateLimiter


class Throttle(StrEnum):
    """What is counted, each by itself."""

    DEVICE_STATE = "device state"
    DEVICE_COMMAND = "device command"
    CONNECTION_STATUS = "connection status"
    PUBLISHED_MESSAGE = "published message"
    EVENT = "event"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """How much there may be of it within how many seconds. 0: no limit."""

    device_messages: int = 30
    """Of each kind, for each device."""
    device_messages_s: float = 15.0
    events: int = 15
    """For each application."""
    events_s: float = 15.0


class Throttles:
    """The counts of one process."""

    def __init__(self, rates: Rates) -> None:
        self._limiters = {
            kind: RateLimiter(rates.device_messages, window_s=rates.device_messages_s) for kind in Throttle
        }
        self._limiters[Throttle.EVENT] = RateLimiter(rates.events, window_s=rates.events_s)

    def take(self, kind: Throttle, id_: UUID) -> None:
        """Count one for a device or an application. Raises `TooMany`."""
        self._limiters[kind].take(str(id_))


def throttle(request: AnyRequest, kind: Throttle, id_: UUID) -> None:
    """Count one for a device, or for events an application. Raises `TooMany`."""
    throttles: Throttles = request.app.state.throttles
    throttles.take(kind, id_)
