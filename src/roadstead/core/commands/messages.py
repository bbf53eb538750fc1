"""Messages to devices whose networks know best what they mean: nothing is held against a type."""

from typing import Any

from roadstead.core import registry
from roadstead.core.commands.carriage import take_answers
from roadstead.core.commands.model import LONGEST_TIMEOUT_S, Command, CommandDraft, CommandId
from roadstead.core.commands.service import check_is_active, put
from roadstead.core.downlinks import CommandAnswer
from roadstead.core.messages import Uplink
from roadstead.core.operation import operation
from roadstead.core.ports import Refusal
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId, new_id

MESSAGE = "MESSAGE"
"""The type of such a command."""
_LIFE_S = 86_400


@operation(Grant.COMMANDS_WRITE)
async def send_message(
    work: Work, device_id: DeviceId, payload: dict[str, Any], *, dialect: str, notes: dict[str, Any]
) -> Command:
    """Tell a device something, as soon as it is there, within a day; it has a day to answer.

    Raises `Invalid` for what cannot be told, `Conflict` for a device that is INACTIVE.
    """
    draft = CommandDraft(
        type=MESSAGE, payload=payload, timeout_s=LONGEST_TIMEOUT_S, ttl_s=_LIFE_S, dialect=dialect, notes=notes
    )
    draft.check()
    device = await registry.load_device(work, device_id)
    check_is_active(device.status)
    command = draft.command(CommandId(new_id()), device_id, requested_by=work.actor.id, created_at=work.now())
    put(work, [command])
    work.record("command.create", command.id, after=command)
    return command


@operation(Grant.COMMANDS_WRITE)
async def answer_message(work: Work, uplink: Uplink, answer: CommandAnswer) -> Refusal | None:
    """What a device says about a command of its own, brought by somebody else; why it is not taken, if so."""
    refused = await take_answers(work.tx, [(uplink, answer)])
    return refused[0][1] if refused else None
