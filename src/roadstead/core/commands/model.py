"""What a command is, and how it comes from one status to the next (contract section 3)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

import msgspec

from roadstead.core.types import CommandTemplate, ProfileField
from roadstead.db import holds_nul
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId

CommandId = NewType("CommandId", UUID)
BatchId = NewType("BatchId", UUID)

MOST_TARGETS = 1_000
"""Devices of one bulk."""
MOST_PAYLOAD_BYTES = 65_536
LONGEST_TIMEOUT_S = 86_400
LONGEST_TTL_S = 604_800
MOST_PER_MINUTE = 60_000


class CommandStatus(StrEnum):
    """How far a command has come."""

    PENDING = "PENDING"
    """Waits until its device is connected and hears it."""
    SENT = "SENT"
    """Handed to a session of the device."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """The device works on it."""
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    """It could not be sent before it expired, or the device has not answered in time."""
    CANCELLED = "CANCELLED"


_S = CommandStatus
STEPS: dict[CommandStatus, frozenset[CommandStatus]] = {
    _S.PENDING: frozenset({_S.SENT, _S.TIMEOUT, _S.CANCELLED}),
    _S.SENT: frozenset({_S.ACKNOWLEDGED, _S.SUCCESS, _S.FAILED, _S.TIMEOUT}),
    _S.ACKNOWLEDGED: frozenset({_S.SUCCESS, _S.FAILED, _S.TIMEOUT}),
    _S.SUCCESS: frozenset(),
    _S.FAILED: frozenset(),
    _S.TIMEOUT: frozenset(),
    _S.CANCELLED: frozenset(),
}
"""Where each status may lead. Those that lead nowhere are final."""
FINAL = frozenset(status for status, following in STEPS.items() if not following)
FAILURES = frozenset({_S.FAILED, _S.TIMEOUT})


class Verdict(StrEnum):
    """What to do with an answer."""

    TAKEN = "TAKEN"
    """It is the next step."""
    REPEATED = "REPEATED"
    """The device has said so before: nothing changes."""
    EARLY = "EARLY"
    """The command has not been sent."""
    LATE = "LATE"
    """The command has ended otherwise."""


def judge(status: CommandStatus, said: CommandStatus, *, acknowledged: bool) -> Verdict:
    """Whether a command takes an answer; `acknowledged`: the device has once said that it works on it."""
    if said in STEPS[status]:
        return Verdict.TAKEN
    if said is status or (said is _S.ACKNOWLEDGED and (acknowledged or status in (_S.SUCCESS, _S.FAILED))):
        # Devices repeat what we have not acknowledged, and a crash of ours repeats what they said.
        return Verdict.REPEATED
    return Verdict.EARLY if status is _S.PENDING else Verdict.LATE


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction to one device."""

    id: CommandId
    device_id: DeviceId
    batch_id: BatchId | None
    dialect: str
    type: str
    payload: Any
    notes: dict[str, Any]
    status: CommandStatus
    result: Any
    error: str | None
    requested_by: UUID
    timeout_s: int
    """How long the device may take for its answer, from SENT on."""
    created_at: datetime
    release_at: datetime
    """Does not leave before."""
    expires_at: datetime
    """Until when it may stay PENDING."""
    sent_at: datetime | None
    delivered_at: datetime | None
    """When the device acknowledged the message; what it does about it is another matter."""
    acknowledged_at: datetime | None
    completed_at: datetime | None
    awaits_answer: bool = True
    """Else nobody says what became of it: it has succeeded as soon as it has arrived."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in FINAL


class CommandDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction to be given."""

    type: str
    payload: Any
    timeout_s: int = 60
    ttl_s: int = 3_600
    dialect: str = "native"
    notes: dict[str, Any] = {}
    awaits_answer: bool = True

    def check(self, root: str = "") -> None:
        """Raises `Invalid` with everything that is wrong with it by itself; pointers begin with `root`."""
        problems = []
        if not 1 <= len(self.type) <= 64 or "\0" in self.type:
            problems.append(FieldProblem(f"{root}/type", "invalid", "takes 1 to 64 characters"))
        if not 1 <= self.timeout_s <= LONGEST_TIMEOUT_S:
            detail = f"must be between 1 and {LONGEST_TIMEOUT_S}"
            problems.append(FieldProblem(f"{root}/timeoutSeconds", "invalid", detail))
        if not 1 <= self.ttl_s <= LONGEST_TTL_S:
            problems.append(FieldProblem(f"{root}/ttlSeconds", "invalid", f"must be between 1 and {LONGEST_TTL_S}"))
        if len(msgspec.json.encode(self.payload)) > MOST_PAYLOAD_BYTES:
            detail = f"are larger than {MOST_PAYLOAD_BYTES} bytes"
            problems.append(FieldProblem(f"{root}/params", "too-large", detail))
        if holds_nul(self.payload):
            problems.append(FieldProblem(f"{root}/params", "invalid", "must not contain NUL"))
        refuse(problems)

    def command(
        self,
        id_: CommandId,
        device_id: DeviceId,
        *,
        requested_by: UUID,
        created_at: datetime,
        release_at: datetime | None = None,
        batch_id: BatchId | None = None,
    ) -> Command:
        """The command; it may leave at once unless told otherwise."""
        leaves_at = release_at or created_at
        return Command(
            id=id_,
            device_id=device_id,
            batch_id=batch_id,
            dialect=self.dialect,
            type=self.type,
            payload=self.payload,
            notes=self.notes,
            status=CommandStatus.PENDING,
            result=None,
            error=None,
            requested_by=requested_by,
            timeout_s=self.timeout_s,
            created_at=created_at,
            release_at=leaves_at,
            expires_at=leaves_at + timedelta(seconds=self.ttl_s),
            sent_at=None,
            delivered_at=None,
            acknowledged_at=None,
            completed_at=None,
            awaits_answer=self.awaits_answer,
        )


class CommandQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which commands are meant: all conditions that are given hold."""

    device_ids: Sequence[DeviceId] | None = None
    batch_id: BatchId | None = None
    statuses: Sequence[CommandStatus] = ()
    types: Sequence[str] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A device, as far as commands to it are concerned."""

    id: DeviceId
    status: str
    is_known: bool
    """It has been seen, or has a credential: it can come."""
    profile: str | None
    """`key@major.minor`."""
    commands: list[CommandTemplate]
    """What its profile or its type says that it understands, besides what is built in."""
    writable_fields: list[ProfileField]


# --- many at once ----------------------------------------------------------------------------------------------------


class BatchStatus(StrEnum):
    """How far a bulk has come."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    """All its commands have ended."""
    ABORTED = "ABORTED"
    """Too many failed: what had not left was cancelled."""
    CANCELLED = "CANCELLED"
    """Somebody has cancelled what had not left."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One command to many devices."""

    id: BatchId
    type: str
    payload: Any
    total: int
    """Devices that were to get it."""
    per_minute: int | None
    max_failure_percent: int | None
    status: BatchStatus
    requested_by: UUID
    created_at: datetime
    completed_at: datetime | None


class BatchDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One command to be given to many devices."""

    command: CommandDraft
    per_minute: int | None = None
    """How many leave a minute; None: all at once."""
    max_failure_percent: int | None = None
    """More failures than this share of all, and what has not left is cancelled; None: whatever happens."""

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = []
        if self.per_minute is not None and not 1 <= self.per_minute <= MOST_PER_MINUTE:
            problems.append(FieldProblem("/perMinute", "invalid", f"must be between 1 and {MOST_PER_MINUTE}"))
        if self.max_failure_percent is not None and not 0 <= self.max_failure_percent <= 100:
            problems.append(FieldProblem("/maxFailurePercent", "invalid", "must be between 0 and 100"))
        refuse(problems)
        self.command.check("/command")

    def release_at(self, index: int, now: datetime) -> datetime:
        """When the command of this number leaves."""
        return now if self.per_minute is None else now + timedelta(seconds=index * 60 / self.per_minute)


class Progress(msgspec.Struct, frozen=True):
    """A bulk and what has become of its commands."""

    batch: Batch
    counts: dict[CommandStatus, int]
    """Those that are not zero. Commands of devices that were deleted are not counted."""


class Queued(msgspec.Struct, frozen=True):
    """What a bulk has begun with."""

    batch: Batch
    rejected: list[tuple[DeviceId, str]]
    """Devices that do not get it, with the code of the reason."""


def refuse(problems: Sequence[FieldProblem]) -> None:
    """Raises `Invalid` when there are problems."""
    if problems:
        first = problems[0]
        raise Invalid(f"{first.pointer.lstrip('/') or 'body'}: {first.detail}", fields=problems)
