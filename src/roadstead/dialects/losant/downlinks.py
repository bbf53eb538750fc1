"""What devices of this dialect are told: commands (contract sections 10 and 28). Pure."""

from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.commands import Command
from roadstead.core.downlinks import COMMAND, Downlink, Manners, Spelled
from roadstead.dialects.losant import topics
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.kernel.ids import DeviceId

TIME = "time"
"""In the notes of a command: when it was given, as whoever gave it has said."""


class LosantSpeller:
    """The speller of this dialect. A command of any API is one: its type the name, its parameters the payload."""

    manners = Manners(answers=False, carries=True, apart=True)

    def topic(self, kind: str, organization: UUID, device: DeviceId) -> str | None:
        """See `Speller.topic`."""
        return topics.topic_of(device, topics.COMMAND) if kind == COMMAND else None

    def spell(self, downlink: Downlink) -> Spelled | None:
        """See `Speller.spell`."""
        if not isinstance(downlink.body, Command):
            raise TypeError(f"devices of this dialect are not told of {downlink.kind}")
        command = downlink.body
        # Always with a payload and a fraction of a second: programs look for the one, the client in Python for both.
        time = {"$date": _time_of(command)}
        return Spelled(msgspec.json.encode({"name": command.type, "payload": command.payload, "time": time}))


def spell_command(command: Command) -> dict[str, Any]:
    """A command as it is shown. One without a payload has none."""
    payload = {} if command.payload is None else {"payload": command.payload}
    return {"name": command.type, **payload, "time": _time_of(command)}


def _time_of(command: Command) -> str:
    told: str = command.notes.get(TIME) or spell_time(command.created_at)
    return told
