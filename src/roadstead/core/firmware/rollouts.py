"""What people can do with rollouts."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.core import registry, types
from roadstead.core.firmware import rollout_store as store
from roadstead.core.firmware.model import Firmware, FirmwareId, FirmwareStatus, RolloutId
from roadstead.core.firmware.releases import is_newer
from roadstead.core.firmware.rollout_model import (
    MOST_DEVICES,
    Counts,
    DeviceProgress,
    Rollout,
    RolloutDevice,
    RolloutDraft,
    RolloutStatus,
    Target,
    wave_of,
)
from roadstead.core.firmware.store import lock_firmware
from roadstead.core.messages import RolloutChanged
from roadstead.core.operation import operation
from roadstead.core.registry import DeviceLine
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import And, In
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import Page, PageQuery

_S = RolloutStatus
_NAMED_BUSY = 10
"""So many devices are named that another rollout is busy with."""


# --- looking up ------------------------------------------------------------------------------------------------------


@operation(Grant.FIRMWARE_READ)
async def list_rollouts(
    work: Work, *, firmware_id: FirmwareId | None, status: RolloutStatus | None, page: PageQuery
) -> tuple[Page[Rollout], dict[RolloutId, Counts]]:
    """Rollouts, newest first, and how far their devices are."""
    found = await store.list_rollouts(work.tx, firmware_id, status, page)
    return found, await store.count_devices(work.tx, [rollout.id for rollout in found.items])


@operation(Grant.FIRMWARE_READ)
async def get_rollout(work: Work, rollout_id: RolloutId) -> tuple[Rollout, Counts]:
    """One rollout, and how far its devices are."""
    rollout = await store.select_rollout(work.tx, rollout_id)
    if rollout is None:
        raise NotFound("rollout", rollout_id)
    return rollout, await _count(work, rollout)


@operation(Grant.FIRMWARE_READ)
async def list_rollout_devices(
    work: Work, rollout_id: RolloutId, status: DeviceProgress | None, page: PageQuery
) -> Page[RolloutDevice]:
    """The devices of a rollout, in the order of their turns."""
    if await store.select_rollout(work.tx, rollout_id) is None:
        raise NotFound("rollout", rollout_id)
    return await store.list_devices(work.tx, rollout_id, status, page)


# --- beginning -------------------------------------------------------------------------------------------------------


@operation(Grant.FIRMWARE_WRITE)
async def create_rollout(work: Work, firmware_id: FirmwareId, draft: RolloutDraft) -> tuple[Rollout, Counts]:
    """Bring a published firmware to devices: those that the target means at this moment.

    Their order is drawn by lot. Devices of another profile are no targets; named ones are SKIPPED then, and so are
    without `force` all that run this release or a newer one. Raises `Conflict` when another rollout is busy with one.
    """
    draft.check()
    firmware = await lock_firmware(work.tx, firmware_id)
    if firmware is None:
        raise NotFound("firmware", firmware_id)
    if firmware.status is not FirmwareStatus.PUBLISHED:
        raise Conflict(
            f"the firmware is {firmware.status}: only a PUBLISHED one can be rolled out", code="invalid-state"
        )
    profiles = frozenset(await types.device_profile_ids(work, firmware.device_profile))
    lines = await _find_targets(work, draft.target, profiles)
    _check_canaries(draft.canaries, lines)
    now = work.now()
    scheduled = draft.start_at is not None and draft.start_at > now
    rollout = Rollout(
        id=RolloutId(new_id()),
        firmware_id=firmware.id,
        release=firmware.release,
        target=draft.target.spelled,
        status=_S.SCHEDULED if scheduled else _S.RUNNING,
        reason=None,
        waves=draft.waves,
        current_wave=0 if scheduled or draft.canaries else 1,
        max_failure_percent=draft.max_failure_percent,
        start_at=draft.start_at,
        window=draft.window,
        force=draft.force,
        ttl_seconds=draft.ttl_s,
        timeout_seconds=draft.timeout_s,
        max_attempts=draft.max_attempts,
        created_by=work.actor.id,
        completed_at=None,
        due_at=draft.start_at if scheduled else now,
        created_at=now,
        updated_at=now,
        version=1,
    )
    devices = _line_up(rollout, firmware, draft, lines, profiles)
    await store.insert_rollout(work.tx, rollout)
    if await store.insert_devices(work.tx, devices) < len(devices):
        await _refuse_busy(work, rollout.id, [device.device_id for device in devices if device.is_open])
    work.record("rollout.create", rollout.id, after=_audit(rollout))
    work.emit(RolloutChanged(rollout.id, rollout.status))
    return rollout, await _count(work, rollout)


async def _find_targets(work: Work, target: Target, profiles: frozenset[Any]) -> list[DeviceLine]:
    where = target.where
    if target.named is None:
        where = And((where, In(("profileId",), tuple(profiles))))
    else:
        there = {line.id for line in await registry.load_device_lines(work, In(("id",), tuple(target.named)))}
        for index, device_id in enumerate(target.named):
            if device_id not in there:
                raise Invalid.field(f"/target/deviceIds/{index}", "there is none of this id")
    lines = await registry.load_device_lines(work, where, limit=MOST_DEVICES + 1)
    if len(lines) > MOST_DEVICES:
        raise Invalid.field("/target", f"means more than {MOST_DEVICES} devices: narrow it", code="too-large")
    if not lines:
        raise Invalid.field("/target", "means no device that this firmware is for")
    return lines


def _check_canaries(canaries: Sequence[DeviceId], lines: Sequence[DeviceLine]) -> None:
    there = {line.id for line in lines}
    for index, device_id in enumerate(canaries):
        if device_id not in there:
            raise Invalid.field(f"/canaryDeviceIds/{index}", "is none of the devices that the target means")


def _line_up(
    rollout: Rollout,
    firmware: Firmware,
    draft: RolloutDraft,
    lines: Sequence[DeviceLine],
    profiles: frozenset[Any],
) -> list[RolloutDevice]:
    """The devices in the order of their turns: canaries, then by lot, in the end those that are skipped."""
    canaries = frozenset(draft.canaries)
    skipped = {line.id: reason for line in lines if (reason := _reason_to_skip(line, firmware, draft, profiles))}
    told = [line for line in lines if line.id not in skipped]
    told.sort(key=lambda line: (line.id not in canaries, hashlib.sha256(rollout.id.bytes + line.id.bytes).digest()))
    first = sum(line.id in canaries for line in told)
    rest = len(told) - first
    waves = [0] * first + [wave_of(position, rest, rollout.waves) for position in range(rest)]
    waves += [len(rollout.waves)] * len(skipped)
    return [
        RolloutDevice(
            id=new_id(),
            rollout_id=rollout.id,
            device_id=line.id,
            position=position,
            wave=waves[position],
            status=DeviceProgress.SKIPPED if line.id in skipped else DeviceProgress.PENDING,
            from_release=line.firmware_version,
            attempts=0,
            command_id=None,
            reach_until=None,
            sent_at=None,
            begun_at=None,
            fetched_at=None,
            error=skipped.get(line.id),
            due_at=None,
            updated_at=rollout.created_at,
        )
        for position, line in enumerate([*told, *(line for line in lines if line.id in skipped)])
    ]


def _reason_to_skip(line: DeviceLine, firmware: Firmware, draft: RolloutDraft, profiles: frozenset[Any]) -> str | None:
    if line.profile_id not in profiles:
        return f"the firmware is for devices of the profile {firmware.device_profile}"
    runs = line.firmware_version
    if draft.force or runs is None:
        return None
    if runs == firmware.release:
        return f"the device runs {runs} already"
    return f"the device runs {runs}, which is newer" if is_newer(runs, firmware.release) else None


# --- steering --------------------------------------------------------------------------------------------------------


@operation(Grant.FIRMWARE_WRITE)
async def pause_rollout(work: Work, rollout_id: RolloutId) -> tuple[Rollout, Counts]:
    """Nobody else is told; instructions that have not left are taken back. Who has heard of it goes on."""
    before = await _lock(work, rollout_id, {_S.RUNNING}, "paused")
    return await _steer(work, before, "rollout.pause", status=_S.PAUSED)


@operation(Grant.FIRMWARE_WRITE)
async def resume_rollout(work: Work, rollout_id: RolloutId) -> tuple[Rollout, Counts]:
    """Go on where it was paused."""
    before = await _lock(work, rollout_id, {_S.PAUSED}, "resumed")
    return await _steer(work, before, "rollout.resume", status=_S.RUNNING)


@operation(Grant.FIRMWARE_WRITE)
async def cancel_rollout(work: Work, rollout_id: RolloutId) -> tuple[Rollout, Counts]:
    """The end: instructions that have not left are taken back, and nobody may fetch its content any more."""
    before = await _lock(work, rollout_id, {_S.SCHEDULED, _S.RUNNING, _S.PAUSED}, "cancelled")
    return await _steer(
        work, before, "rollout.cancel", status=_S.CANCELLED, reason="it was cancelled", completed_at=work.now()
    )


@operation(Grant.FIRMWARE_WRITE)
async def retry_rollout(work: Work, rollout_id: RolloutId) -> tuple[Rollout, Counts]:
    """All devices that did not get there have their turn again, and the rollout goes on.

    Raises `Conflict` when there are none, when the rollout was cancelled, or when another one is busy with them now.
    """
    before = await _lock(work, rollout_id, set(_S) - {_S.CANCELLED, _S.SCHEDULED}, "retried")
    firmware = await lock_firmware(work.tx, before.firmware_id)
    if firmware is None or firmware.status is not FirmwareStatus.PUBLISHED:
        raise Conflict("its firmware is not published any more", code="invalid-state")
    await _refuse_busy(work, rollout_id, await store.select_retried(work.tx, rollout_id))
    if not await store.retry_devices(work.tx, rollout_id, work.now()):
        raise Conflict("no device has failed", code="invalid-state")
    status = before.status if before.status is _S.PAUSED else _S.RUNNING
    return await _steer(work, before, "rollout.retry", status=status, reason=None, completed_at=None)


async def _lock(work: Work, rollout_id: RolloutId, may: set[RolloutStatus], verb: str) -> Rollout:
    rollout = await store.lock_rollout(work.tx, rollout_id)
    if rollout is None:
        raise NotFound("rollout", rollout_id)
    if rollout.status not in may:
        raise Conflict(f"the rollout is {rollout.status} and cannot be {verb}", code="invalid-state")
    return rollout


async def _steer(work: Work, before: Rollout, action: str, **fields: Any) -> tuple[Rollout, Counts]:
    now = work.now()
    after = msgspec.structs.replace(before, **fields, due_at=now, updated_at=now, version=before.version + 1)
    await store.update_rollout(work.tx, after)
    work.record(action, after.id, before=_audit(before), after=_audit(after))
    work.emit(RolloutChanged(after.id, after.status))
    return after, await _count(work, after)


async def _refuse_busy(work: Work, rollout_id: RolloutId, device_ids: Sequence[DeviceId]) -> None:
    """Raises `Conflict` when another rollout is busy with one of them."""
    busy = await store.select_busy(work.tx, device_ids, rollout_id, _NAMED_BUSY + 1)
    if busy:
        names = ", ".join(map(str, busy[:_NAMED_BUSY])) + (", ..." if len(busy) > _NAMED_BUSY else "")
        raise Conflict(f"another rollout is busy with {names}", code="in-use")


async def _count(work: Work, rollout: Rollout) -> Counts:
    return (await store.count_devices(work.tx, [rollout.id]))[rollout.id]


class _Audit(msgspec.Struct, frozen=True):
    """What the audit log shows of a rollout."""

    firmware_id: FirmwareId
    status: str
    target: dict[str, Any]
    waves: list[int]
    current_wave: int
    max_failure_percent: int
    reason: str | None


def _audit(rollout: Rollout) -> _Audit:
    return _Audit(
        rollout.firmware_id,
        rollout.status,
        rollout.target,
        rollout.waves,
        rollout.current_wave,
        rollout.max_failure_percent,
        rollout.reason,
    )
