"""What can be done with commands."""

from collections.abc import Sequence

from roadstead.core.commands import store
from roadstead.core.commands.kinds import BUILT_IN, CommandType, check_fit
from roadstead.core.commands.model import Command, CommandDraft, CommandId, CommandQuery, CommandStatus, Target
from roadstead.core.downlinks import COMMAND
from roadstead.core.messages import CommandChanged, DownlinkQueued
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.COMMANDS_READ)
async def list_command_types(work: Work) -> list[CommandType]:
    """What is built in, then what the newest version of each device profile has."""
    built_in = [CommandType(name, schema) for name, schema in BUILT_IN.items()]
    return built_in + await store.select_types(work.tx)


@operation(Grant.COMMANDS_READ)
async def list_commands(work: Work, query: CommandQuery, page: PageQuery) -> Page[Command]:
    """Commands, newest first."""
    return await store.page_commands(work.tx, query, page)


@operation(Grant.COMMANDS_READ)
async def list_device_commands(
    work: Work, device_id: DeviceId, query: CommandQuery, page: PageQuery, *, sort: str = "-createdAt"
) -> Page[Command]:
    """Those of one device, newest first unless told otherwise."""
    await _load_target(work, device_id)
    return await store.page_commands(work.tx, query, page, sort=sort)


@operation(Grant.COMMANDS_READ)
async def get_command(work: Work, device_id: DeviceId, command_id: CommandId) -> Command:
    """One command of a device."""
    command = await store.select_command(work.tx, command_id)
    if command is None or command.device_id != device_id:
        raise NotFound("command", command_id)
    return command


@operation(Grant.COMMANDS_WRITE)
async def create_command(work: Work, device_id: DeviceId, draft: CommandDraft) -> Command:
    """Tell a device to do something. See `queue_command`."""
    return await queue_command(work, device_id, draft)


@operation(Grant.COMMANDS_WRITE)
async def cancel_command(work: Work, device_id: DeviceId, command_id: CommandId) -> Command:
    """Take back what has not been sent. `Conflict` when it has, or has ended."""
    before = await store.lock_command(work.tx, command_id)
    if before is None or before.device_id != device_id:
        raise NotFound("command", command_id)
    if before.status is not CommandStatus.PENDING:
        raise Conflict(f"the command is {before.status}: only a PENDING one can be cancelled", code="invalid-state")
    await store.cancel_command(work.tx, command_id, work.now())
    after = await get_command(work, device_id, command_id)
    work.emit(CommandChanged(device_id, command_id, after.status))
    work.record("command.cancel", command_id, before=before, after=after)
    return after


# --- for the rooms above ---------------------------------------------------------------------------------------------


async def load_commands(work: Work, command_ids: Sequence[CommandId]) -> dict[CommandId, Command]:
    """Those of the commands that are there, without asking for rights."""
    return {command.id: command for command in await store.select_commands(work.tx, command_ids)}


async def queue_command(work: Work, device_id: DeviceId, draft: CommandDraft) -> Command:
    """Tell a device to do something, without asking for rights: it leaves as soon as the device is there.

    `Conflict` for a device that is INACTIVE or cannot come; `Invalid` for what its profile does not know.
    """
    draft.check()
    target = await _load_target(work, device_id)
    check_target(target)
    check_fit(draft, target)
    command = draft.command(CommandId(new_id()), device_id, requested_by=work.actor.id, created_at=work.now())
    put(work, [command])
    work.record("command.create", command.id, after=command)
    return command


def put(work: Work, commands: Sequence[Command]) -> None:
    """Write new ones down, alike but for their devices and times, and tell listeners; those whose time it is leave."""
    store.insert_commands(work.tx, commands)
    leaving = [command.device_id for command in commands if command.release_at <= command.created_at]
    work.emit(DownlinkQueued(COMMAND, leaving))
    for command in commands:
        work.emit(CommandChanged(command.device_id, command.id, command.status))


async def forget_commands(work: Work, device_ids: Sequence[DeviceId], span: Span) -> None:
    """Forget what devices were told within a span, as far as it is over, without asking for rights."""
    await store.delete_ended(work.tx, device_ids, span.start, span.end)


def check_target(target: Target) -> None:
    """Raises `Conflict` when the device cannot get commands."""
    check_is_active(target.status)
    if not target.is_known:
        raise Conflict("the device was never provisioned: it has no credential to connect with", code="invalid-state")


def check_is_active(status: str) -> None:
    """Raises `Conflict` for a device that nothing goes to."""
    if status == "INACTIVE":
        raise Conflict("the device is INACTIVE", code="invalid-state")


async def _load_target(work: Work, device_id: DeviceId) -> Target:
    target = await store.select_target(work.tx, device_id)
    if target is None:
        raise NotFound("device", device_id)
    return target
