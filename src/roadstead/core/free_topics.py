"""Free topics: what the devices and programs of one space say to each other. Nothing of it is kept."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import SpaceId, TenantId

Place = tuple[TenantId, SpaceId]
"""The space within which something is said. Nobody outside of it can hear that."""

MOST_PAYLOAD_BYTES = 262_144

Done = Callable[[bool], None]
"""Told once whether the bus has taken a message. Must not raise."""


@operation(Grant.COMMANDS_WRITE, changes=False)
async def place_to_speak(work: Work, space_id: SpaceId) -> Place:
    """Where somebody may say something who has the right to."""
    return (work.tenant_id, space_id)


@operation(Grant.READINGS_READ)
async def place_to_listen(work: Work, space_id: SpaceId) -> Place:
    """Where somebody may listen who has the right to."""
    return (work.tenant_id, space_id)


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message on a free topic."""

    topic: str
    payload: bytes
    qos: int = 0
    speaker: bytes = b""
    """The 12 free bytes of the id of the device that has said it; empty for programs."""


class Ear(Protocol):
    """Somebody listens."""

    async def close(self) -> None:
        """They hear nothing more."""


class FreeTopics(Protocol):
    """Carries what is said to everybody who listens in any process at this moment."""

    @property
    def full(self) -> bool:
        """Whether as much waits for the bus as may wait. Who reads from a device stops then."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, as soon as it is no longer full."""

    def say(self, place: Place, said: Said, done: Done | None = None) -> None:
        """Pass it on, in the order in which it is said here. Also when full; returns at once."""

    async def listen(self, place: Place, hear: Callable[[Said], None]) -> Ear:
        """From the return on `hear` is called with everything that is said in a space."""
