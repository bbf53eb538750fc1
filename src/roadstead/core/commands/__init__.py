"""Commands: what devices are told to do once, how it reaches them, and what they answer."""

from roadstead.core.commands.actions import Action, command_device, command_devices, trigger_action, trigger_actions
from roadstead.core.commands.batches import cancel_batch, get_batch, look_after_batches, send_in_bulk
from roadstead.core.commands.carriage import CommandSource, expire_due, release_due, take_answers
from roadstead.core.commands.kinds import BUILT_IN, CommandType
from roadstead.core.commands.messages import answer_message, send_message
from roadstead.core.commands.model import (
    FINAL,
    Batch,
    BatchDraft,
    BatchId,
    BatchStatus,
    Command,
    CommandDraft,
    CommandId,
    CommandQuery,
    CommandStatus,
    Progress,
    Queued,
    Verdict,
    judge,
)
from roadstead.core.commands.service import (
    cancel_command,
    create_command,
    forget_commands,
    get_command,
    list_command_types,
    list_commands,
    list_device_commands,
    load_commands,
    queue_command,
)
from roadstead.core.commands.waiting import CommandNews

__all__ = [
    "BUILT_IN",
    "FINAL",
    "Action",
    "Batch",
    "BatchDraft",
    "BatchId",
    "BatchStatus",
    "Command",
    "CommandDraft",
    "CommandId",
    "CommandNews",
    "CommandQuery",
    "CommandSource",
    "CommandStatus",
    "CommandType",
    "Progress",
    "Queued",
    "Verdict",
    "answer_message",
    "cancel_batch",
    "cancel_command",
    "command_device",
    "command_devices",
    "create_command",
    "expire_due",
    "forget_commands",
    "get_batch",
    "get_command",
    "judge",
    "list_command_types",
    "list_commands",
    "list_device_commands",
    "load_commands",
    "look_after_batches",
    "queue_command",
    "release_due",
    "send_in_bulk",
    "send_message",
    "take_answers",
    "trigger_action",
    "trigger_actions",
]
