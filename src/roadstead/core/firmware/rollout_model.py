"""What a rollout is, and every decision about it that needs no database.

A rollout goes through its waves; a device of it through PENDING, SENT, DOWNLOADING, INSTALLING to one of the final
statuses. `follow` decides what becomes of a device, `judge` what becomes of the rollout.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.firmware.model import FirmwareId, RolloutId, refuse
from roadstead.core.firmware.window import Window
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId

MOST_DEVICES = 100_000
"""Of one rollout."""
LONGEST_TTL_S = 604_800
LONGEST_TIMEOUT_S = 86_400
MOST_ATTEMPTS = 10
MOST_WAVES = 20
_FIRST_PAUSE = timedelta(seconds=30)
"""Before a second attempt; each later one waits twice as long."""
_LOOK_AGAIN = timedelta(seconds=60)
"""How often a device is looked at although nobody has told us to."""


class RolloutStatus(StrEnum):
    """Where a rollout is in its life (contract section 3)."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """Nobody else is instructed; who has heard of it goes on."""
    COMPLETED = "COMPLETED"
    """All devices of all waves have come to an end."""
    FAILED = "FAILED"
    """Halted, because too many devices failed."""
    CANCELLED = "CANCELLED"


class DeviceProgress(StrEnum):
    """How far a device of a rollout is."""

    PENDING = "PENDING"
    """Its wave has not begun, or it has not heard of it yet."""
    SENT = "SENT"
    """It has the instruction."""
    DOWNLOADING = "DOWNLOADING"
    """It has begun to fetch the content."""
    INSTALLING = "INSTALLING"
    """It has been given the last byte."""
    INSTALLED = "INSTALLED"
    """It says so, or reports the release."""
    FAILED = "FAILED"
    """It says so."""
    TIMED_OUT = "TIMED_OUT"
    """It has heard of it and never come to an end."""
    UNREACHED = "UNREACHED"
    """It was not connected for as long as the rollout waits for a device."""
    SKIPPED = "SKIPPED"
    """It was not told: there was no need, or it is of another kind."""
    CANCELLED = "CANCELLED"
    """The rollout came to its end first."""


_P = DeviceProgress
OPEN = frozenset({_P.PENDING, _P.SENT, _P.DOWNLOADING, _P.INSTALLING})
"""The rest is final, but that a device may turn out to have been INSTALLED after all."""
RETRIED = frozenset({_P.FAILED, _P.TIMED_OUT, _P.UNREACHED, _P.CANCELLED})
_FAILURES = frozenset({_P.FAILED, _P.TIMED_OUT})
_DOUBTFUL = frozenset({_P.TIMED_OUT, _P.UNREACHED, _P.CANCELLED})
"""It may have been installed all the same."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices get it: what is given must all hold."""

    where: Filter
    spelled: dict[str, Any]
    """As it was asked for, to be shown again."""
    named: Sequence[DeviceId] | None = None
    """Devices by id, each of which must be there."""


class RolloutDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout to be begun."""

    target: Target
    canaries: Sequence[DeviceId] = ()
    """Those that go before all waves."""
    waves: list[int] = msgspec.field(default_factory=lambda: [100])
    """Up to which percentage of the devices each wave goes."""
    max_failure_percent: int = 10
    start_at: datetime | None = None
    window: Window | None = None
    force: bool = False
    """Also devices that run this release or a newer one."""
    ttl_s: int = 86_400
    """How long a device that is not connected is waited for."""
    timeout_s: int = 3_600
    """How long one may take from hearing of it to the end."""
    max_attempts: int = 1

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems: list[FieldProblem] = []
        rising = all(before < after for before, after in zip(self.waves, self.waves[1:], strict=False))
        if not (1 <= len(self.waves) <= MOST_WAVES and rising and self.waves[0] >= 1 and self.waves[-1] == 100):
            detail = f"are 1 to {MOST_WAVES} percentages that rise to 100, for instance [5, 25, 100]"
            problems.append(FieldProblem("/waves", "invalid", detail))
        for pointer, value, least, most in (
            ("/maxFailurePercent", self.max_failure_percent, 0, 100),
            ("/ttlSeconds", self.ttl_s, 60, LONGEST_TTL_S),
            ("/timeoutSeconds", self.timeout_s, 60, LONGEST_TIMEOUT_S),
            ("/maxAttempts", self.max_attempts, 1, MOST_ATTEMPTS),
        ):
            if not least <= value <= most:
                problems.append(FieldProblem(pointer, "invalid", f"must be between {least} and {most}"))
        refuse(problems + (self.window.check("/window") if self.window else []))


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A firmware on its way to devices."""

    id: RolloutId
    firmware_id: FirmwareId
    release: str
    target: dict[str, Any]
    status: RolloutStatus
    reason: str | None
    """Why it came to an end before its time."""
    waves: list[int]
    current_wave: int
    """Counts from 1. 0: the canaries, or it has not begun."""
    max_failure_percent: int
    start_at: datetime | None
    window: Window | None
    force: bool
    ttl_seconds: int
    timeout_seconds: int
    max_attempts: int
    created_by: UUID
    completed_at: datetime | None
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def is_over(self) -> bool:
        """Whether nobody else will be instructed, ever, unless it is retried."""
        return self.status in (RolloutStatus.COMPLETED, RolloutStatus.FAILED, RolloutStatus.CANCELLED)


Counts = dict[DeviceProgress, int]
"""How many devices of a rollout have each status; those that are not zero."""


class RolloutDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a rollout."""

    id: UUID
    rollout_id: RolloutId
    device_id: DeviceId
    position: int
    wave: int
    status: DeviceProgress
    from_release: str | None
    attempts: int
    command_id: UUID | None
    reach_until: datetime | None
    sent_at: datetime | None
    begun_at: datetime | None
    fetched_at: datetime | None
    error: str | None
    due_at: datetime | None
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether it has not come to its end."""
        return self.status in OPEN


# --- waves -----------------------------------------------------------------------------------------------------------


def wave_of(position: int, total: int, waves: Sequence[int]) -> int:
    """In which wave, from 1, the device at a position (from 0) of so many is. A first wave is never empty."""
    return next(
        number for number, percent in enumerate(waves, 1) if position < max(1, math.ceil(total * percent / 100))
    )


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a rollout."""

    status: RolloutStatus
    wave: int
    reason: str | None = None


def judge(rollout: Rollout, begun: Mapping[DeviceProgress, int]) -> Verdict:
    """What becomes of a RUNNING rollout whose devices, of the waves that have begun, are as far as `begun` says.

    It is halted as soon as more than the limit of them have failed, or when a wave that is not the last has ended
    without anybody having been reached. The next wave begins when all devices of those before have come to an end.
    """
    counted = sum(begun.values()) - begun.get(_P.SKIPPED, 0) - begun.get(_P.CANCELLED, 0)
    failed = sum(begun.get(status, 0) for status in _FAILURES)
    if failed * 100 > rollout.max_failure_percent * counted:
        reason = f"{failed} of {counted} devices failed: more than {rollout.max_failure_percent} %"
        return Verdict(RolloutStatus.FAILED, rollout.current_wave, reason)
    if any(begun.get(status, 0) for status in OPEN):
        return Verdict(rollout.status, rollout.current_wave)
    if rollout.current_wave >= len(rollout.waves):
        return Verdict(RolloutStatus.COMPLETED, rollout.current_wave)
    if counted and begun.get(_P.UNREACHED, 0) == counted:
        return Verdict(RolloutStatus.FAILED, rollout.current_wave, "no device of the first waves could be reached")
    return Verdict(rollout.status, rollout.current_wave + 1)


# --- devices ---------------------------------------------------------------------------------------------------------


class Instruction(msgspec.Struct, frozen=True):
    """What is known of the command that tells a device to update itself."""

    status: str
    """Of the command: PENDING, SENT, ACKNOWLEDGED, SUCCESS, FAILED, TIMEOUT, CANCELLED; GONE when it is not there."""
    sent_at: datetime | None
    error: str | None


def follow(
    device: RolloutDevice, rollout: Rollout, instruction: Instruction | None, reported: str | None, now: datetime
) -> RolloutDevice:
    """The device as it is by now. `reported`: the release it says it runs.

    PENDING without a command stays what it is: `Rollout` gives it one. Asking twice gives the same.
    """
    if _has_arrived(device, rollout, reported):
        return _end(device, _P.INSTALLED, now)
    if not device.is_open:
        return msgspec.structs.replace(device, due_at=None)
    if instruction is None:
        return _wait(device, now)
    match instruction.status:
        case "SUCCESS":
            return _end(device, _P.INSTALLED, now)
        case "FAILED":
            return _fail(device, rollout, _P.FAILED, instruction.error or "the device gives no reason", now)
        case "PENDING":
            return msgspec.structs.replace(device, due_at=now + _LOOK_AGAIN)
        case "CANCELLED" | "GONE":
            return _end(device, _P.CANCELLED, now, "its command was cancelled")
        case "TIMEOUT" if instruction.sent_at is None:
            return _wait(msgspec.structs.replace(device, command_id=None), now)
    status = _P.INSTALLING if device.fetched_at else _P.DOWNLOADING if device.begun_at else _P.SENT
    if status is not device.status:
        sent_at = device.sent_at or instruction.sent_at or now
        device = msgspec.structs.replace(device, status=status, sent_at=sent_at, updated_at=now)
    deadline = (device.sent_at or now) + timedelta(seconds=rollout.timeout_seconds)
    if instruction.status == "TIMEOUT" or now >= deadline:
        detail = f"{_words_of(device)}, and nothing was heard within {rollout.timeout_seconds} s"
        return _fail(device, rollout, _P.TIMED_OUT, detail, now)
    return msgspec.structs.replace(device, due_at=min(now + _LOOK_AGAIN, deadline))


def _has_arrived(device: RolloutDevice, rollout: Rollout, reported: str | None) -> bool:
    """Whether the device reports the release, and did not do so before it was told."""
    if reported != rollout.release or device.from_release == rollout.release:
        return False
    return device.command_id is not None and (device.is_open or (device.status in _DOUBTFUL and bool(device.sent_at)))


def _wait(device: RolloutDevice, now: datetime) -> RolloutDevice:
    """It has no instruction on its way. Given up when it was not reached for long enough."""
    if device.reach_until is not None and now >= device.reach_until:
        return _end(device, _P.UNREACHED, now, device.error or "it was not connected for as long as it is waited for")
    return msgspec.structs.replace(device, due_at=None)


def _fail(device: RolloutDevice, rollout: Rollout, status: DeviceProgress, error: str, now: datetime) -> RolloutDevice:
    if device.attempts >= rollout.max_attempts:
        return _end(device, status, now, error)
    pause = _FIRST_PAUSE * 2 ** (device.attempts - 1)
    return msgspec.structs.replace(
        fresh(device, now), attempts=device.attempts, error=error, due_at=now + pause, from_release=device.from_release
    )


def fresh(device: RolloutDevice, now: datetime) -> RolloutDevice:
    """The device as if it had never been told."""
    return msgspec.structs.replace(
        device,
        status=_P.PENDING,
        attempts=0,
        command_id=None,
        reach_until=None,
        sent_at=None,
        begun_at=None,
        fetched_at=None,
        error=None,
        due_at=None,
        updated_at=now,
    )


def untell(device: RolloutDevice) -> RolloutDevice:
    """Its instruction has not reached it and was taken back: the attempt does not count."""
    return msgspec.structs.replace(
        device, command_id=None, reach_until=None, due_at=None, attempts=max(device.attempts - 1, 0)
    )


def cancel(device: RolloutDevice, reason: str, now: datetime) -> RolloutDevice:
    """The rollout has come to its end before the device has."""
    done = _words_of(device)
    return _end(device, _P.CANCELLED, now, f"{reason}; {done}" if done else reason)


def skip(device: RolloutDevice, reason: str, now: datetime) -> RolloutDevice:
    """The device is not told."""
    return _end(device, _P.SKIPPED, now, reason)


def refuse_device(device: RolloutDevice, reason: str, now: datetime) -> RolloutDevice:
    """It cannot be told what it should do."""
    return _end(device, _P.FAILED, now, reason)


def _end(device: RolloutDevice, status: DeviceProgress, now: datetime, error: str | None = None) -> RolloutDevice:
    return msgspec.structs.replace(device, status=status, error=error, due_at=None, updated_at=now)


def _words_of(device: RolloutDevice) -> str:
    match device.status:
        case _P.SENT:
            return "the device was told"
        case _P.DOWNLOADING:
            return "the device had begun to download"
        case _P.INSTALLING:
            return "the device had fetched everything"
    return ""
