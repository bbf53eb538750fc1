"""Lets acceptance follow the store: doors slow down while more waits on the log than may wait there."""

import asyncio
from typing import Protocol

import structlog

from roadstead.bus.connection import Bus
from roadstead.bus.streams import UPLINK, stream_state
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

_OFTEN_S, _SELDOM_S = 0.05, 0.5
_NEAR = 0.5
"""From this share of the bound on the log is looked at often."""
_ROOM = 0.95
"""Doors go on when this share of the bound is left: close to it, so that nobody waits for long at a time."""


class Door(Protocol):
    """Whoever lets something onto the log."""

    def slow_down(self) -> None:
        """Let less in."""

    def go_on(self) -> None:
        """Let all in again."""


class BacklogWatch:
    """Looks at how much of what devices sent the store has not worked off, and tells the doors of this process.

    The log is truncated as it is worked off, so its size is what waits. It bounds itself in the end and refuses; long
    before that, senders are only slowed down to what the store can take.
    """

    def __init__(self, bus: Bus, doors: list[Door], *, most_bytes: int) -> None:
        """`most_bytes`: what may wait before doors slow down; 0: as much as the log holds."""
        self._bus = bus
        self._doors = doors
        self._most_bytes = most_bytes
        self._is_behind = False

    async def run(self) -> None:
        """Until cancelled. While NATS is away everything stays as it was."""
        if not self._most_bytes:
            await asyncio.Event().wait()
        while True:
            pause_s = _OFTEN_S if self._is_behind else _SELDOM_S
            try:
                size = (await stream_state(self._bus, UPLINK)).size_bytes
            except Unavailable as error:
                log.debug("backlog is not measured", reason=str(error))
            else:
                self._judge(size)
                pause_s = _OFTEN_S if size >= self._most_bytes * _NEAR else _SELDOM_S
            await asyncio.sleep(pause_s)

    def _judge(self, size: int) -> None:
        is_behind = size > self._most_bytes * (_ROOM if self._is_behind else 1)
        if is_behind == self._is_behind:
            return
        self._is_behind = is_behind
        for door in self._doors:
            if is_behind:
                door.slow_down()
            else:
                door.go_on()
