"""What a session asks of the connection it lives on."""

from collections.abc import Coroutine
from enum import Enum
from typing import Any, Protocol

from roadstead.gateways.mqtt.door import Listener


class Pause(Enum):
    """Why a connection is not read at the moment."""

    ADMITTING = "the doorkeeper thinks"
    ASKING = "what becomes of its last packet has to be found out"
    HELD = "the log cannot keep up"
    SLOWED = "it has sent something while the store is behind"
    SHARE = "its organization has as much on the way to the log as it may"
    CROWDED = "too many of its messages wait for the log"
    CONGESTED = "it does not read itself"


class Line(Protocol):
    """One connection."""

    listener: Listener
    is_busy: bool
    """Whether something has to be found out before the next packet is looked at."""
    heard_at: float
    """Loop time of the last bytes, or of the moment from which we listened again."""

    @property
    def address(self) -> str:
        """Host and port of the caller."""

    @property
    def is_congested(self) -> bool:
        """Whether the device does not read fast enough."""

    @property
    def is_deaf(self) -> bool:
        """Whether we do not read, and the device cannot help it."""

    def write(self, data: bytes) -> None:
        """Send, or buffer."""

    def pause(self, why: Pause) -> None:
        """Stop reading: TCP slows the device down."""

    def resume(self, why: Pause) -> None:
        """Go on when there is no other reason not to."""

    def wait_for(self, deed: Coroutine[Any, Any, None]) -> None:
        """Read nothing until this is done. `MalformedPacket` and `Unavailable` end the connection."""

    def end(self, text: str) -> None:
        """Close it; what was written still goes out."""
