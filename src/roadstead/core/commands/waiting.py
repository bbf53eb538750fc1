"""Waiting for a command to end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from roadstead.core.commands.model import CommandId


class CommandNews:
    """Who waits in this process for the end of which command. Somebody tells it what the facts say.

    News can be missed: whoever waits looks again by itself from time to time.
    """

    def __init__(self) -> None:
        self._waiting: dict[CommandId, set[asyncio.Event]] = {}

    @contextmanager
    def of(self, command_id: CommandId) -> Iterator[asyncio.Event]:
        """An event that is set when the command ends: from now on, so look at the command after this."""
        event = asyncio.Event()
        events = self._waiting.setdefault(command_id, set())
        events.add(event)
        try:
            yield event
        finally:
            events.discard(event)
            if not events:
                self._waiting.pop(command_id, None)

    def tell(self, command_id: CommandId) -> None:
        """The command has ended."""
        for event in self._waiting.get(command_id, ()):
            event.set()
