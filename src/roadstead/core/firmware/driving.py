"""What drives rollouts on: one step of one rollout, in one transaction.

Whoever takes a step holds the rollout's row; nobody else changes it or its devices meanwhile. Everything a step does,
the commands that it queues included, is committed at once, so a crash in the middle has done nothing and the step is
taken again. What there is to do follows from rows and the clock alone: nudges only make it fast.
"""

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import commands, registry
from roadstead.core.commands import CommandDraft, CommandId, CommandStatus
from roadstead.core.firmware import rollout_store as store
from roadstead.core.firmware import store as firmware_store
from roadstead.core.firmware.downloads import download_url, mint_token
from roadstead.core.firmware.model import Firmware, RolloutId
from roadstead.core.firmware.rollout_model import (
    Instruction,
    Rollout,
    RolloutDevice,
    RolloutStatus,
    cancel,
    follow,
    judge,
    refuse_device,
    skip,
    untell,
)
from roadstead.core.messages import RolloutChanged
from roadstead.core.work import Work
from roadstead.kernel.errors import Conflict, Invalid
from roadstead.kernel.filter import In

UPDATE_FIRMWARE = "UPDATE_FIRMWARE"
"""The type of the command that tells a device."""
_AT_ONCE = 100
"""Devices of one step, so that a transaction stays short."""
_LOOK_AGAIN = timedelta(seconds=60)
_USES = 10
"""How often a device may fetch the whole content in one attempt."""
_S = RolloutStatus


async def drive_rollout(work: Work, rollout_id: RolloutId) -> bool:
    """Take one step. False when somebody else is taking one, or there is nothing to do."""
    rollout = await store.try_lock_rollout(work.tx, rollout_id)
    if rollout is None:
        return False
    return await _Step(work, rollout).take()


class _Step:
    """One step of one rollout."""

    def __init__(self, work: Work, rollout: Rollout) -> None:
        self._work = work
        self._before = self._rollout = rollout
        self._now = work.now()
        self._changed = False
        """Whether a device has another status than before."""
        self._more = False
        """Whether there is more of the same to do at once."""

    async def take(self) -> bool:
        """All that is due, as far as one step goes."""
        followed = await self._follow_due()
        if not followed and (self._rollout.due_at is None or self._rollout.due_at > self._now):
            return False
        match self._rollout.status:
            case _S.SCHEDULED:
                self._start()
            case _S.PAUSED:
                await self._take_back()
            case _S.FAILED | _S.CANCELLED:
                await self._close()
        if self._rollout.status is _S.RUNNING:
            await self._judge()
        if self._rollout.status is _S.RUNNING:
            await self._instruct()
        await self._write()
        return True

    # --- devices that have been told -----------------------------------------------------------------------------

    async def _follow_due(self) -> int:
        devices = _by_command(await store.lock_due_devices(self._work.tx, self._rollout.id, self._now, _AT_ONCE))
        if not devices:
            return 0
        self._more = len(devices) == _AT_ONCE
        instructions = await self._instructions(devices)
        lines = await self._lines(devices)
        after = [
            follow(
                device,
                self._rollout,
                instructions.get(device.id),
                lines[device.device_id].firmware_version if device.device_id in lines else None,
                self._now,
            )
            for device in devices
        ]
        for device in after:
            instruction = instructions.get(device.id)
            if not device.is_open and instruction is not None and instruction.status == CommandStatus.PENDING:
                # It got there by another way: it shall not be told now.
                await self._withdraw(device)
        await self._update(devices, after)
        return len(devices)

    async def _instructions(self, devices: Sequence[RolloutDevice]) -> dict[UUID, Instruction]:
        """What is known of their commands, by the id of the device's row."""
        wanted = {device.id: CommandId(device.command_id) for device in devices if device.command_id is not None}
        found = await commands.load_commands(self._work, list(wanted.values()))
        instructions = {}
        for id_, command_id in wanted.items():
            command = found.get(command_id)
            instructions[id_] = (
                Instruction("GONE", None, None)
                if command is None
                else Instruction(command.status, command.sent_at, command.error or _text(command.result))
            )
        return instructions

    async def _lines(self, devices: Sequence[RolloutDevice]) -> dict[UUID, registry.DeviceLine]:
        ids = tuple(device.device_id for device in devices)
        return {line.id: line for line in await registry.load_device_lines(self._work, In(("id",), ids))}

    # --- the rollout ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._rollout.start_at is None or self._rollout.start_at <= self._now:
            self._set(status=_S.RUNNING)

    async def _judge(self) -> None:
        """Perhaps the next wave, perhaps the end."""
        counted = await store.count_devices(self._work.tx, [self._rollout.id], up_to_wave=self._rollout.current_wave)
        verdict = judge(self._rollout, counted[self._rollout.id])
        if (verdict.status, verdict.wave) == (self._rollout.status, self._rollout.current_wave):
            return
        over = verdict.status is not _S.RUNNING
        self._set(
            status=verdict.status,
            current_wave=verdict.wave,
            reason=verdict.reason,
            completed_at=self._now if over else None,
        )
        self._more = True

    async def _close(self) -> None:
        """It is over before its time: nobody goes on."""
        devices = await store.lock_open(self._work.tx, self._rollout.id, _AT_ONCE)
        self._more = self._more or len(devices) == _AT_ONCE
        reason = f"the rollout ended: {self._rollout.reason or self._rollout.status}"
        for device in _by_command(devices):
            await self._withdraw(device)
        await self._update(devices, [cancel(device, reason, self._now) for device in devices])

    async def _take_back(self) -> None:
        """It is paused: instructions that have not left shall not."""
        devices = _by_command(await store.lock_unreached(self._work.tx, self._rollout.id, _AT_ONCE))
        after = []
        for device in devices:
            if await self._withdraw(device):
                after.append(untell(device))
            else:
                after.append(msgspec.structs.replace(device, due_at=self._now))
                self._more = True
        await self._update(devices, after)
        self._more = self._more or len(devices) == _AT_ONCE

    # --- devices that shall be told ------------------------------------------------------------------------------

    async def _instruct(self) -> None:
        window = self._rollout.window
        if window is not None and not window.is_open(self._now):
            return
        devices = await store.lock_waiting(
            self._work.tx, self._rollout.id, up_to_wave=self._rollout.current_wave, now=self._now, most=_AT_ONCE
        )
        if not devices:
            return
        devices.sort(key=lambda device: device.position)
        self._more = self._more or len(devices) == _AT_ONCE
        firmware = await firmware_store.select_firmware(self._work.tx, self._rollout.firmware_id)
        lines = await self._lines(devices)
        after = []
        for device in devices:
            line = lines.get(device.device_id)
            if firmware is None or line is None:
                after.append(refuse_device(device, "the firmware is not there any more", self._now))
            else:
                after.append(await self._tell(firmware, device, line.firmware_version))
        await store.forget_downloads(self._work.tx, [device.id for device in devices])
        await self._update(devices, after)
        if any(not device.is_open for device in after):
            self._more = True

    async def _tell(self, firmware: Firmware, device: RolloutDevice, runs: str | None) -> RolloutDevice:
        if runs == self._rollout.release and not self._rollout.force:
            return skip(device, f"the device runs {runs} already", self._now)
        reach_until = device.reach_until or self._now + timedelta(seconds=self._rollout.ttl_seconds)
        until = reach_until if self._rollout.window is None else self._until_close(reach_until)
        left_s = int((until - self._now).total_seconds())
        if left_s < 1:
            # Past its time: `follow` says what that means.
            return follow(
                msgspec.structs.replace(device, reach_until=reach_until), self._rollout, None, runs, self._now
            )
        try:
            async with self._work.tx.savepoint():
                command_id = await self._queue(firmware, device, ttl_s=left_s)
        except Conflict as error:
            # It cannot get commands at present. That may change for as long as it is waited for.
            return msgspec.structs.replace(
                device, reach_until=reach_until, error=str(error), due_at=min(self._now + _LOOK_AGAIN, reach_until)
            )
        except Invalid as error:
            return refuse_device(device, f"the device's profile does not take the command: {error}", self._now)
        return msgspec.structs.replace(
            device,
            # One attempt may take several commands: each window of maintenance ends the one before.
            attempts=device.attempts + 1 if device.reach_until is None else max(device.attempts, 1),
            command_id=command_id,
            from_release=runs,
            reach_until=reach_until,
            sent_at=None,
            error=None,
            due_at=min(self._now + _LOOK_AGAIN, reach_until),
        )

    async def _queue(self, firmware: Firmware, device: RolloutDevice, *, ttl_s: int) -> CommandId:
        timeout_s = self._rollout.timeout_seconds
        grant = await mint_token(
            self._work,
            firmware,
            device.device_id,
            life=timedelta(seconds=ttl_s + timeout_s),
            uses=_USES,
            rollout_id=self._rollout.id,
        )
        url = download_url(self._work, grant)
        payload = _instruction(firmware, self._rollout.id, url)
        draft = CommandDraft(type=UPDATE_FIRMWARE, payload=payload, timeout_s=timeout_s, ttl_s=ttl_s)
        return (await commands.queue_command(self._work, device.device_id, draft)).id

    def _until_close(self, until: datetime) -> datetime:
        window = self._rollout.window
        return until if window is None else min(until, window.closes_at(self._now))

    # --- writing -------------------------------------------------------------------------------------------------

    async def _withdraw(self, device: RolloutDevice) -> bool:
        """Take its instruction back. False when it has left, or there is none."""
        if device.command_id is None or device.sent_at is not None:
            return False
        try:
            await commands.cancel_command(self._work, device.device_id, CommandId(device.command_id))
        except Conflict:
            return False
        return True

    def _set(self, **fields: Any) -> None:
        self._rollout = msgspec.structs.replace(self._rollout, **fields)

    async def _update(self, before: Sequence[RolloutDevice], after: Sequence[RolloutDevice]) -> None:
        await store.update_devices(self._work.tx, after)
        self._changed = self._changed or any(
            one.status != other.status for one, other in zip(before, after, strict=True)
        )

    async def _write(self) -> None:
        """How far the rollout is, and when it is due again."""
        self._set(due_at=await self._next_due())
        before, after = self._before, self._rollout
        moved = (after.status, after.current_wave) != (before.status, before.current_wave)
        if moved or self._changed:
            after = msgspec.structs.replace(after, updated_at=self._now, version=before.version + 1)
            self._work.emit(RolloutChanged(after.id, after.status))
        if moved:
            self._work.record("rollout.advance", after.id, before=_Audit.of(before), after=_Audit.of(after))
        if after != before:
            await store.update_rollout(self._work.tx, after)

    async def _next_due(self) -> datetime | None:
        if self._more or self._changed:
            # Another device may have its turn now, or all are done.
            return self._now
        match self._rollout.status:
            case _S.SCHEDULED:
                return self._rollout.start_at
            case _S.RUNNING:
                window = self._rollout.window
                if window is not None and not window.is_open(self._now):
                    return min(window.opens_at(self._now), self._now + timedelta(hours=1))
                waiting = await store.select_next_due(self._work.tx, self._rollout.id)
                return min(self._now + _LOOK_AGAIN, waiting or self._now + _LOOK_AGAIN)
        return None


class _Audit(msgspec.Struct, frozen=True):
    """What the audit log shows of a step."""

    status: str
    current_wave: int
    reason: str | None

    @classmethod
    def of(cls, rollout: Rollout) -> "_Audit":
        return cls(rollout.status, rollout.current_wave, rollout.reason)


def _instruction(firmware: Firmware, rollout_id: RolloutId, url: str) -> dict[str, Any]:
    """The parameters of the command."""

    params = {
        "firmwareId": str(firmware.id),
        "rolloutId": str(rollout_id),
        "name": firmware.name,
        "version": firmware.release,
        "url": url,
        "sizeBytes": firmware.size_bytes,
        "sha256": firmware.sha256.hex(),
    }
    if firmware.signature is not None:
        params["signature"] = b64encode(firmware.signature).decode()
    return params


def _by_command(devices: Sequence[RolloutDevice]) -> list[RolloutDevice]:
    """Commands are locked in the order of their ids, by everybody."""
    return sorted(devices, key=lambda device: device.command_id or device.id)


def _text(result: object) -> str | None:
    return None if result is None else str(result)[:500]
