"""Commands that a name and a payload make: those that the type of a device knows, and those that none has to know."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import registry, types
from roadstead.core.commands import store
from roadstead.core.commands.model import MOST_PAYLOAD_BYTES, Command, CommandDraft, CommandId
from roadstead.core.commands.service import check_is_active, put
from roadstead.core.operation import operation
from roadstead.core.types import Section, TypeSchema
from roadstead.core.work import Work
from roadstead.db import holds_nul
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TypeId, new_id

ACTION_LIFE_S = 86_400
MOST_DEVICES = 10_000
"""Devices of one call."""
_LONGEST_NAME = 255
_MOST_TOLD = 5


class Action(msgspec.Struct, frozen=True):
    """Something to be done by one device, or by many."""

    name: str
    payload: Any
    dialect: str
    notes: Mapping[str, Any] = {}
    awaits_answer: bool = False
    """Devices that are of a kind to answer shall say what became of it."""
    life_s: int = ACTION_LIFE_S
    """How long it waits for its device to come."""
    cause: UUID | None = None
    """What it comes of; of one cause each device gets one command."""

    def check(self) -> None:
        """Raises `Invalid` for what no device can be told."""
        if not 1 <= len(self.name) <= _LONGEST_NAME or "\0" in self.name:
            raise Invalid.field("/action", f"takes 1 to {_LONGEST_NAME} characters")
        if len(msgspec.json.encode(self.payload)) > MOST_PAYLOAD_BYTES:
            raise Invalid.field("/payload", f"is larger than {MOST_PAYLOAD_BYTES} bytes", code="too-large")
        if holds_nul(self.payload):
            raise Invalid.field("/payload", "must not contain NUL")

    def problems(self, sections: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Why devices with these sections do not take it; nothing when they do."""
        return TypeSchema(sections).problems(Section.ACTIONS, {self.name: self.payload}, partial=True)

    def commands(self, work: Work, device_ids: Sequence[DeviceId]) -> list[Command]:
        """One for each device."""
        draft = CommandDraft(
            type=self.name,
            payload=self.payload,
            ttl_s=self.life_s,
            dialect=self.dialect,
            notes=dict(self.notes),
            awaits_answer=self.awaits_answer,
        )
        now, by = work.now(), work.actor.id
        return [draft.command(self._id(one), one, requested_by=by, created_at=now) for one in device_ids]

    def _id(self, device_id: DeviceId) -> CommandId:
        if self.cause is None:
            return CommandId(new_id())
        digest = sha256(ids.to_bytes(self.cause) + ids.to_bytes(device_id)).digest()
        return CommandId(ids.from_bytes(ids.to_bytes(self.cause)[:4] + digest[:8]))


@operation(Grant.COMMANDS_WRITE)
async def trigger_action(work: Work, device_id: DeviceId, action: Action) -> Command:
    """Tell a device to do something that its type knows, as soon as it is there, within a day.

    It has succeeded when the device has the message. Raises `Invalid` for what the type does not know or take,
    `Conflict` for a device that is INACTIVE.
    """
    action.check()
    device = await registry.load_device(work, device_id)
    check_is_active(device.status)
    type_ = await types.load_device_type(work, device.shown_type(work.actor.organization_id))
    problems = action.problems(type_.sections)
    if problems:
        raise Invalid("; ".join(problems[:_MOST_TOLD]))
    (command,) = action.commands(work, [device_id])
    put(work, [command])
    work.record("command.create", command.id, after=command)
    return command


@operation(Grant.COMMANDS_WRITE)
async def command_device(work: Work, device_id: DeviceId, action: Action) -> Command:
    """Tell a device something that no type has to know, as soon as it is there, within the action's life.

    Raises `Invalid` for what no device can be told, `Conflict` for a device that is INACTIVE.
    """
    action.check()
    check_is_active((await registry.load_device(work, device_id)).status)
    (command,) = action.commands(work, [device_id])
    put(work, [command])
    work.record("command.create", command.id, after=command)
    return command


@operation(Grant.COMMANDS_WRITE)
async def command_devices(work: Work, device_ids: Sequence[DeviceId], action: Action) -> int:
    """Tell it to these; says how many of them are there and not INACTIVE."""
    action.check()
    told = list(await store.select_kinds(work.tx, device_ids))
    if told:
        put(work, action.commands(work, told))
    return len(told)


@operation(Grant.COMMANDS_WRITE)
async def trigger_actions(work: Work, where: Filter, action: Action) -> int:
    """Tell it to all devices that a filter is true for and whose types take it; says how many these are.

    Raises `Invalid` (`too-large`) when the filter is true for more than 10,000.
    """
    action.check()
    device_ids = await registry.load_device_ids(work, where, limit=MOST_DEVICES + 1)
    if len(device_ids) > MOST_DEVICES:
        raise Invalid.field("/deviceFilter", f"means more than {MOST_DEVICES} devices: narrow it", code="too-large")
    kinds = await store.select_kinds(work.tx, device_ids)
    of_kind = {kind: TypeId(kind if kind.int else work.actor.organization_id) for kind in set(kinds.values())}
    known = await types.load_device_types(work, list(of_kind.values()))
    taking = {kind for kind, type_id in of_kind.items() if type_id in known and _takes(known[type_id], action)}
    fitting = [device_id for device_id, kind in kinds.items() if kind in taking]
    if fitting:
        put(work, action.commands(work, fitting))
    return len(fitting)


def _takes(type_: types.DeviceType, action: Action) -> bool:
    return not action.problems(type_.sections)
